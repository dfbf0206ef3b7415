"""A build in both plugins' bodies: its key, its facts and its parents.

The key is server, full job name and number. It does not depend on whether the build is a deploy,
because only the parameters show that and bodies of an end have none. Unknown facts stay empty, and
a separate event with default values gives way to all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from vs_tui.model import artifacts, keys
from vs_tui.model.artifacts import environment_in
from vs_tui.model.job_names import is_deploy_name, is_rollback_name
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Scalar, Seek, State
from vs_tui.sources.base import BEFORE_ALL, Unreadable
from vs_tui.sources.fields import known, obj, text, web_url

RESULTS: Final = {
    "SUCCESS": (State.OK, "", "success"),
    # ValueStream counts it as an error, OpenTelemetry's conventions as a failure.
    "UNSTABLE": (State.ERROR, "unstable", "failure"),
    "FAILURE": (State.ERROR, "failure", "failure"),
    "ABORTED": (State.CANCELLED, "", "cancellation"),
    "NOT_BUILT": (State.CANCELLED, "", "skip"),
    # It ended without a verdict: it counts neither as a success nor as a failure.
    "UNKNOWN": (State.CANCELLED, "", ""),
    "": (State.CANCELLED, "", ""),
}
"""A build's result -> state, `error.type` and OpenTelemetry's result."""
ENVIRONMENT_NAMES: Final = ("environment", "env", "deploy_env", "target_env", "stage")
SERVICE_NAMES: Final = ("service", "app", "application")
VERSION_NAMES: Final = ("version", "tag", "image_tag")
"""Names of parameters, in any case, for a deploy's environment, service and version."""
_PARENT_NAMES: Final = ("vstrace-trace-id", "vstrace_trace_id", "vs_parent")
_UPSTREAM: Final = re.compile(
    r"upstream project:? \"?([^\"\n]{1,300}?)\"? build number:? (\d{1,9})\b"
)
_AGAIN: Final = re.compile(
    r"(?:Rebuilds build|Replayed|Restarted from build|Naginator after build) #(\d{1,9})\b"
)
"""Causes by which the same build runs again: of the plugins Rebuild, Pipeline (Replay, Restart from
Stage) and Naginator."""
_CHANGE_LEAF: Final = re.compile(r"(?:PR|MR)-(\d{1,9})(?:-(?:head|merge))?\Z")
_SECRET: Final = re.compile(r"passw|secret|token|credential|private|api_?key", re.IGNORECASE)
"""Names of parameters that are not shown."""
_MAIN: Final = frozenset({"main", "master"})
"""Branch names that are never the name of an ordinary job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build, from one body."""

    server: str
    job: str
    """The full name, `folder/name`; in a multibranch project the short name is only the branch."""
    short_job: str
    number: int
    state: State
    at: Instant
    started_at: Instant | None
    """When it was queued, or else when it began."""
    stage: str = ""
    error: str = ""
    parameters: dict[str, Any] | None
    """None if the body has no parameters, even if the build has some."""
    scm: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    paths: tuple[str, ...] = ()
    """Forms of its URL that steps and checkouts use."""
    context: str = ""
    """Links it to its queue item."""
    part_of: str = ""
    """The job with the build of the same number that contains this one."""
    cause: str = ""
    actor: str = ""
    is_verdict_missing: bool = False
    """Whether the body says that it ended, but gives no result."""
    attributes: dict[str, Scalar] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return build_key(self.server, self.job, self.number)

    @property
    def is_deploy(self) -> bool | None:
        """Whether it is a deploy; None if the body does not say."""
        leaf = self.job.rpartition("/")[2]
        if self.short_job.startswith("deploy:") or leaf.startswith("deploy:"):
            return True
        if self.parameters is None:
            return None
        if kind := _parameter(self.parameters, ("type",)):
            return kind.lower() == "deploy"
        # A name such as `deploy-api` is enough only with an environment.
        return is_deploy_name(self.family.rpartition("/")[2]) and bool(self.environment)

    @property
    def environment(self) -> str:
        """The environment of a deploy: a parameter's value, or a word in the job's name."""
        named = _parameter(self.parameters, ENVIRONMENT_NAMES)
        return named or environment_in(self.family.rpartition("/")[2])

    @property
    def repo(self) -> str:
        return keys.repository(text(self.scm, "url"))

    @property
    def branch(self) -> str:
        return keys.branch_name(text(self.scm, "branch"))

    @property
    def family(self) -> str:
        """The job without the last part of a multibranch project, so that all its runs can be
        compared."""
        return family_of(self.job, self.branch)

    @property
    def scope(self) -> str:
        """The repository's scope; if the body has no checkout, it is the organization folder of the
        job."""
        return self.repo or (self.job.rpartition("/")[0].lower() if self.job.count("/") > 1 else "")

    def events(self) -> tuple[Event, ...]:
        return (self._defaults(), self._event())

    def _defaults(self) -> Event:
        return Event(
            key=self.key,
            ref=keys.reference("jenkins", "build", self.short_job, self.number),
            source="jenkins",
            operation=Operation.BUILD,
            state=State.NOTE,
            occurred_at=self.at,
            as_of=BEFORE_ALL,
            # A multibranch project's job has its branch's name, encoded: `feature%2Fcache`.
            name=f"{unquote(self.job)} #{self.number}",
            project=unquote(self.family),
            attributes={"cicd.pipeline.name": self.family},
        )

    def _event(self) -> Event:
        deploy = bool(self.is_deploy)
        service = self._service() if deploy else ""
        environment = self.environment if deploy else ""
        version = _parameter(self.parameters, VERSION_NAMES)
        artifact = artifacts.artifact(service, version, self.repo)
        sha = text(self.scm, "commit")
        is_operation_known = self.is_deploy is not None
        word = Operation.DEPLOY if deploy else Operation.BUILD
        return Event(
            key=self.key,
            ref=keys.reference("jenkins", word, self.short_job, self.number)
            if is_operation_known
            else "",
            source="jenkins",
            operation=word if is_operation_known else "",
            state=self.state,
            occurred_at=self.at,
            started_at=self.started_at,
            stage=self.stage,
            name=f"{service} to {environment}" if service and environment else "",
            project=keys.repository_path(text(self.scm, "url")),
            service=service,
            environment=environment,
            actor=self.actor,
            url=web_url(self.url),
            error=self.error,
            provisional=self.is_verdict_missing,
            attributes={**self._attributes(service, environment, version), **self.attributes},
            offers=keys.offers(
                *self._aliases(),
                *(Key("jenkins_url", path) for path in dict.fromkeys(self.paths) if path),
                Key("jenkins_context", self.context, self.server) if self.context else None,
                None if deploy else keys.commit(sha, self.repo, "build", "built"),
                artifact if deploy and service and version else None,
            ),
            seeks=self._seeks(sha, artifact if deploy and service and version else None),
        )

    def _aliases(self) -> Iterable[Key]:
        """ValueStream's refs, which depend on the operation and may contain blanks."""
        for word in (Operation.BUILD, Operation.DEPLOY):
            for job in dict.fromkeys((self.short_job, self.job)):
                yield Key("ref", keys.reference("jenkins", word, job, self.number))
                yield Key("ref", f"vstrace-jenkins-{word}-{job}-{self.number}")

    def _service(self) -> str:
        named = _parameter(self.parameters, SERVICE_NAMES) or self.repo.rpartition("/")[2]
        return named or self.family.rpartition("/")[2].removeprefix("deploy:").strip()

    def _attributes(self, service: str, environment: str, version: str) -> dict[str, Scalar]:
        owner, _, name = self.repo.rpartition("/")
        leaf = self.family.rpartition("/")[2]
        return known(
            # Without a checkout the last part may be a branch or not.
            cicd__pipeline__name=self.family if self.branch or self.family != self.job else None,
            cicd__pipeline__run__id=str(self.number),
            cicd__pipeline__run__url__full=web_url(self.url),
            deployment__environment__name=environment,
            service__name=service,
            service__version=version,
            vcs__owner__name=owner,
            vcs__repository__name=name,
            vcs__ref__head__name=self.branch,
            vcs__ref__head__revision=text(self.scm, "commit"),
            vs__run__event=self.cause,
            vs__task=leaf if is_rollback_name(leaf) else None,
        ) | {
            f"build.parameter.{name[:80]}": value
            for name in list(self.parameters or {})[:50]
            if not _SECRET.search(name) and (value := text(self.parameters, name, limit=500))
        }

    def _seeks(self, sha: str, artifact: Key | None) -> tuple[Seek, ...]:
        before, _, leaf = self.job.rpartition("/")
        change = _CHANGE_LEAF.match(leaf) or _CHANGE_LEAF.match(self.branch)
        branch = self.branch or (unquote(leaf) if before and self.scope else "")
        upstream = _UPSTREAM.search(self.cause)
        again = _AGAIN.search(self.cause)
        # Newer versions of the Rebuild plugin name the build as one of an upstream job.
        own = upstream and plain_job(upstream[1]) == self.job
        tried = int(again[1]) if again else int(upstream[2]) if upstream and own else 0
        words = self.parameters or {}
        return keys.seeks(
            keys.seek_parent(_parameter(self.parameters, _PARENT_NAMES), "parameter"),
            *(
                keys.mentions(text(words, name, limit=2_000), f"parameter {name[:60]}")
                for name in list(words)[:100]
            ),
            keys.mentions(self.branch, "branch"),
            keys.seek_structure(
                build_key(self.server, plain_job(upstream[1]), int(upstream[2])), "build cause"
            )
            if upstream and not own
            else None,
            keys.seek_attempt(build_key(self.server, self.job, tried)) if tried else None,
            keys.seek_structure(build_key(self.server, self.part_of, self.number), "matrix")
            if self.part_of
            else None,
            keys.seek_change(change[1], self.scope, "job name") if change and self.scope else None,
            keys.change_refs(text(self.scm, "branch"), self.scope),
            keys.seek_commit(Rule.COMMIT, sha, self.repo),
            keys.seek_commit(Rule.BUILT, sha, self.repo) if self.is_deploy else None,
            keys.seek_branch(branch, self.scope) if self.scope and not change else None,
            keys.issue_keys(branch, "branch", any_case=True),
            Seek(Rule.VERSION, artifact) if artifact else None,
        )


def build_key(server: str, job: str, number: int) -> str:
    return keys.reference("jenkins", "build", f"{server}/{job}" if server else job, number)


def outcome(word: str) -> tuple[State, str, dict[str, Scalar]]:
    """State, `error.type` and attributes of a result."""
    if word not in RESULTS:
        raise unreadable(f"the result {word!r} is not known")
    state, error, result = RESULTS[word]
    return (
        state,
        error,
        known(cicd__pipeline__result=result, vs__warn=True if word == "UNSTABLE" else None),
    )


def unreadable(what: str) -> Unreadable:
    return Unreadable(f"{what}; compare the body in Events with the plugin's docs")


def server_of(url: str) -> str:
    """Host and path of a Jenkins server; two servers may share a host."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{host}{parts.path.rstrip('/')}" if host else ""


def plain_job(job: str) -> str:
    """The job `Projects/App/Build` for the display name `Projects » App » Build`."""
    return "/".join(part.strip() for part in job.split("»"))


def family_of(job: str, branch: str = "") -> str:
    """The job without the last part of a multibranch project: a change, or the built branch."""
    before, _, leaf = job.rpartition("/")
    is_branch = leaf in _MAIN or "%2F" in leaf or (bool(branch) and unquote(leaf) == branch)
    return before if before and (is_branch or _CHANGE_LEAF.match(leaf)) else job


def job_of_url(url: str) -> str:
    """`folder/name` for `job/folder/job/name/`. A matrix cell (`job/it/OS=linux/`) and a Maven
    module are parts below their job."""
    parts = [part for part in url.split("/") if part][:120]
    if "job" not in parts:
        return ""
    names: list[str] = []
    rest = iter(parts[parts.index("job") :])
    for part in rest:
        name = next(rest, "") if part == "job" else part
        names.append(unquote(name))
    return "/".join(name for name in names if name)


def whole_of(url: str) -> str:
    """The job that contains a matrix cell or Maven module, by its URL; empty for others."""
    parts = [part for part in url.split("/") if part]
    is_part = len(parts) > 2 and parts[-2] != "job" and "job" in parts
    return job_of_url("/".join(parts[:-1])) if is_part else ""


def _parameter(parameters: dict[str, Any] | None, names: tuple[str, ...]) -> str:
    """The value of the first of these parameters that is set; names match in any case."""
    lowered = {name.lower(): name for name in list(obj(parameters))[:200]}
    for name in names:
        if name in lowered and (value := text(parameters, lowered[name], limit=200).strip()):
            return value
    return ""

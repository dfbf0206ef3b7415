"""Random deliveries of a team, from the issue to the deploy, and the parent of each span.

The team works as in `flows`: here its issues and its builds are told, too. A ticket is named by a
branch, a title or a body; a run builds a commit of a branch, of a pull request or of `main`."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.metrics.http.clock import at, moment, number
from tests.metrics.http.flows import Feature, Team, clock
from tests.metrics.http.git import Git
from tests.sources import jenkins_payloads, jira_payloads

Name = tuple[str, str, str]
"""Project, operation and number of a span; for a push its branch and commit, for a deploy the time
of its end."""
ROOT: Name = ("", "", "")

_URLS = {
    "hub": "git@github.com:{}.git",
    "lab": "git@gitlab.example.com:{}.git",
    "tea": "https://gitea.example.com/{}.git",
    "bucket": "git@bitbucket.org:{}.git",
    "server": "ssh://git@bitbucket.example.com:7999/{}.git",
}
_REQUESTS = {
    "hub": ("pull_request", "body"),
    "lab": ("object_attributes", "description"),
    "tea": ("pull_request", "body"),
    "bucket": ("pullrequest", "description"),
    "server": ("pullRequest", "description"),
}
"""Host -> where its body has the pull request, and the name of its text there."""


class Delivery(Team):
    """A team with a tracker (`jira`, `host` or none) and a CI (`own` or `jenkins`)."""

    def __init__(self, git: Git, host: str, tracker: str, ci: str) -> None:
        super().__init__(git, git.name)
        self.host, self.tracker, self.ci = host, tracker, ci
        self.key = "".join(Random(git.name).choices("ABCDEFGHKLMNPQRSTVW", k=5))
        self._parents: dict[Name, Callable[[], Name | None]] = {}
        self._issues: list[tuple[Name, str]] = []
        self._issue_of: dict[str, Name] = {}
        """Branch -> the issue that it is about."""
        self._texts: dict[str, dict[str, str]] = {}
        """Branch -> title and text of its pull request."""
        self._numbers: dict[str, int] = {}
        """Branch -> number of its pull request."""
        self._brought: dict[str, Name] = {}
        """Commit of main -> the pull request or the push that brought it."""
        self._job = self._name("build", 0)
        self._tell, git.tell = git.tell, self._tell_texts

    def parents(self) -> dict[Name, Name]:
        """Span -> its parent, where only one can be meant."""
        found = {name: parent() for name, parent in self._parents.items()}
        return {name: parent for name, parent in found.items() if parent is not None}

    def start(self, base: str, kind: str = "feature") -> Feature:
        self._named += 1
        own = f"{kind}/x{self._named}"
        texts: dict[str, str] = {}
        issue = None
        if self.tracker and self.chance(0.75):
            issue, key = self._an_issue()
            plain = key.removeprefix("#")
            own, texts = self.random.choice(
                [
                    (f"{plain}-fix-{self._named}", {}),
                    (f"{kind}/{plain}-x{self._named}", {}),
                    (own, {"text": f"Closes {key}"}),
                    (own, {"text": f"Fixes {key}."}),
                    (own, {"title": f"{key} Change it"} if self.tracker == "jira" else {}),
                ]
            )
            if own.startswith(f"{kind}/x") and not texts:
                issue = None
        if issue:
            self._issue_of[own] = issue
        self._texts[own] = texts
        feature = Feature(own, base)
        self.git.branch(own, base)
        self.features.append(feature)
        self.work(feature)
        return feature

    def work(self, feature: Feature) -> None:
        super().work(feature)
        is_pushed = self.git.remote.get(feature.name) == self.head(feature.name)
        if is_pushed and self.chance(0.6):
            self._build(feature.name, feature.number)

    def open(self, feature: Feature) -> None:
        super().open(feature)
        self._numbers[feature.name] = feature.number
        change = self._name("pull_request", feature.number)
        self._parents[change] = lambda: self._issue_of.get(feature.name, ROOT)
        if self.chance(0.6):
            self._build(feature.name, feature.number, of_request=True)

    def land(self, feature: Feature, ways: Any) -> None:
        super().land(feature, ways)
        self._brought[self.head(feature.base)] = self._name("pull_request", feature.number)
        if self.chance(0.7):
            self._build(feature.base)

    def work_on(self, branch: str) -> None:
        super().work_on(branch)
        head = self.head(branch)
        self._brought[head] = self._name("push", f"{branch}@{self.git.sha(head)[:12]}")
        if self.chance(0.5):
            self._build(branch)

    def deploy(self, branch: str = "", commit: str = "", ok: bool = True) -> None:
        commit = commit or self.head(branch or self.default)
        more: dict[str, Any] = {} if ok else {"ok": False}
        made = self.ci == "own" and self.chance(0.5)
        if made:
            run = self._build(branch or self.default, commit=commit)
            more["job"] = int(self._job[2])
            if self.host == "hub":
                more["run"] = (run, 1)
        self.passes(5, 20)
        self.git.deploy(clock(self.minute), commit, branch or self.default, **more)
        parent = self._job if made else None
        name = self._name("deploy", self.minute)
        self._parents[name] = lambda: parent or self._brought.get(commit)
        self._say(f"deploy {branch} {commit}{' by a job' if made else ''}")

    def _name(self, operation: str, what: object) -> Name:
        return (self.git.name, operation, str(what))

    def _an_issue(self) -> tuple[Name, str]:
        if self._issues and self.chance(0.25):
            return self.random.choice(self._issues)
        when = clock(self.minute)
        if self.tracker == "jira":
            key = f"{self.key}-{len(self._issues) + 1}"
            stamp = at(when).replace("Z", ".000+0000")
            times = {"created": stamp, "updated": stamp}
            body = jira_payloads.issue(
                "created", at(when)[11:19], key=key, id=str(number(key)), description="", **times
            )
            self.git.story.add("/jira", body)
            found = ((self.key, "issue", str(number(key))), key)
        else:
            self._requests += 1  # GitHub counts both
            kind = {"labels": ()} if self.host == "hub" else {"kind": "Issue"}
            self.git.own.issue(self._requests, when, **kind)
            found = (self._name("issue", self._requests), f"#{self._requests}")
        self._parents[found[0]] = lambda: ROOT
        self._issues.append(found)
        return found

    def _tell_texts(self, number_: int, action: str, when: str) -> None:
        self._tell(number_, action, when)
        texts = self._texts.get(self.git.requests[number_]["head"], {})
        where, text = _REQUESTS[self.host]
        request = self.git.story.posts[-1].body[where]
        request |= {{"text": text}.get(name, name): value for name, value in texts.items()}

    def _build(
        self, branch: str, request: int = 0, *, of_request: bool = False, commit: str = ""
    ) -> int:
        """A run of a commit, with one job."""
        commit = commit or self.head(branch)
        began, end = clock(self.minute), clock(self.minute + 2)
        self.minute += 2
        run = number(f"{self.git.name} run {len(self._parents)} {self.minute}")
        named = f"{self.git.name} {commit}"
        posts = self.git.story.posts
        if self.ci == "jenkins":
            found = self._by_jenkins(branch, commit, began, end)
        elif self.host == "hub":
            found = self._name("pipeline", run)
            self._job = self._name("build", run + 10**9)
            self.git.own.run(run, began, end, name="CI", commit=named, branch=branch)
            listed = [{"number": request, "head": {"ref": branch}, "base": {"ref": "main"}}]
            if of_request:
                for post in posts[-2:]:
                    # Runs of forks, and of branches that were pushed before, list none.
                    own = {"event": "pull_request", "pull_requests": listed[: run % 2]}
                    post.body["workflow_run"] |= own
            self.git.own.job(run + 10**9, began, end, run=(run, 1), name="test", commit=named)
            for post in posts[-2:]:
                post.body["workflow_job"]["head_branch"] = branch
            self._parents[self._job] = lambda: found
        else:
            found = self._name("pipeline", run)
            self._job = self._name("build", run + 10**9)
            job = (run + 10**9, "test", "success", end)
            self.git.own.pipeline(run, began, end, "success", [job], commit=named)
            posts[-1].body["object_attributes"]["ref"] = branch
            posts[-1].body["builds"][0]["environment"] = None
            self._parents[self._job] = lambda: found
        # Of what was pushed before its pull request was opened, only its head is known to be of it.
        is_of_request = bool(request) or branch not in self._texts
        self._parents[found] = lambda: self._parent_of(branch, commit) if is_of_request else None
        return run

    def _parent_of(self, branch: str, commit: str) -> Name | None:
        if branch in self._texts:
            return self._name("pull_request", self._numbers[branch])
        return self._brought.get(commit)

    def _by_jenkins(self, branch: str, commit: str, began: str, end: str) -> Name:
        name, count = f"build-{self.git.name.rpartition('/')[2]}", len(self._parents) + 1
        told = {"jobName": name, "fullJobName": name, "number": count}
        told["buildUrl"] = f"job/{name}/{count}/"
        url = _URLS[self.host].format(self.git.name)
        scm = {"url": url, "commit": self.git.sha(commit), "branch": f"origin/{branch}"}
        start, over = (int(moment(when).timestamp() * 1000) for when in (began, end))
        add = self.git.story.add
        add("/jenkins", jenkins_payloads.start(**told, startTime=start, scmInfo=scm))
        add("/jenkins", jenkins_payloads.end(**told, endTime=over))
        return self._name("build", count)

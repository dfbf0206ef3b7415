"""Argo CD: syncs of applications, sent by its notifications controller.

Argo CD has no webhook body of its own: the user configures a template. docs/sources/argocd.md has
the template that this module reads. A sync is a deploy. It ends when it fails, or when it has
succeeded and the application is healthy. One by self-heal puts back what was deployed before: it is
a span of type `sync`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from vs_tui.model import keys
from vs_tui.model.application_commits import APPLICATION, commit_in
from vs_tui.model.artifacts import (
    PART,
    environment_in,
    image_parts,
    offer_version,
    seek_version,
    without_environment,
)
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import BadBody, Form, Inbound, Parsed, Source, moment
from vs_tui.sources.body_schema import OptionalWord, Timestamp, Word, validated
from vs_tui.sources.fields import json_object, known, web_url

MAX_IMAGES: Final = 20
_FAILED: Final = {"failed": "failure", "error": "error"}


def _listed(value: Any) -> Any:
    """The texts of a list; one odd entry must not cost the others."""
    if not isinstance(value, list):
        return value or []
    return [entry for entry in value if entry and isinstance(entry, str)][:500]


class Sync(BaseModel):
    """The fields of the template; a field that Argo CD does not know is null."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    app: Word
    app_namespace: OptionalWord = Field("", alias="appNamespace")
    project: OptionalWord = ""
    phase: Word
    health: OptionalWord = ""
    health_at: Timestamp = Field(None, alias="healthAt")
    started_at: Timestamp = Field(None, alias="startedAt")
    finished_at: Timestamp = Field(None, alias="finishedAt")
    message: OptionalWord = ""
    revision: OptionalWord = ""
    repository: OptionalWord = ""
    images: Annotated[list[str], BeforeValidator(_listed)] = []
    cluster: OptionalWord = ""
    namespace: OptionalWord = ""
    environment: OptionalWord = ""
    service: OptionalWord = ""
    user: OptionalWord = ""
    url: OptionalWord = ""
    self_heal: int | None = Field(None, alias="selfHeal")

    @field_validator("message", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value[:500] if isinstance(value, str) else value

    @property
    def host(self) -> str:
        """The host of Argo CD itself. Each cluster may have its own, whose destination is then
        `https://kubernetes.default.svc` in all of them."""
        return web_url(self.url).partition("://")[2].partition("/")[0]

    @property
    def where(self) -> str:
        """The environment: the label, or else a word in a name, or else the destination."""
        named = environment_in(self.app) or environment_in(self.namespace)
        return self.environment or named or self.namespace or self.cluster

    @property
    def what(self) -> str:
        """The service: the label, or else the application's name without the environment."""
        word, where = environment_in(self.app), self.where.lower()
        # `prod` is `production`, and `dev` is `development`.
        says_where = bool(word) and (where.startswith(word) or word.startswith(where))
        return self.service or (without_environment(self.app) if says_where else self.app)

    def own_version(self, service: str) -> str:
        """The tag of the image named like the service or the application; or else of the only
        image; or else the revision. Other images may be side-cars."""
        tags = dict(reversed(self.versions))
        own = next((tags[name] for name in (service, self.app) if name in tags), "")
        only = next(iter(tags.values())) if len(tags) == 1 else ""
        return own or only or self.revision

    @property
    def is_suspended(self) -> bool:
        return self.phase.lower() == "succeeded" and self.health.lower() == "suspended"

    @property
    def is_terminated(self) -> bool:
        """Whether somebody stopped the sync, which ends as a failed one does (`Terminate` of
        argoproj/gitops-engine). A timeout of Argo CD's own is named as the cause."""
        told = self.message.lower()
        return told.startswith("operation terminated") and "timeout" not in told

    @property
    def is_health_provisional(self) -> bool:
        """Whether the health may be the one before the sync. Right after a sync Argo CD still
        reports the health of the old pods (argo-cd#9070), and sends nothing more if there was
        nothing to roll out."""
        if self.phase.lower() in _FAILED:
            return False
        began, health_at = self.started_at, self.health_at
        is_older = began is not None and health_at is not None and health_at < began
        return self.is_suspended or is_older

    @property
    def versions(self) -> list[tuple[str, str]]:
        """(image, tag) of at most MAX_IMAGES images."""
        parts = [image_parts(image) for image in self.images[:MAX_IMAGES]]
        return [part for part in parts if all(part)]


class ArgoCd(Source):
    """Argo CD's notifications."""

    name = "argocd"
    title = "Argo CD"
    form = Form(
        "argocd-notifications-cm: a webhook service and a trigger, see docs/sources/argocd.md",
        "on sync running, succeeded, failed and on health degraded",
        field="token",
    )
    token_in_url = True

    def parse(self, inbound: Inbound) -> Parsed:
        sync = validated(Sync, json_object(inbound))
        if sync.started_at is None and not sync.revision:
            raise BadBody("startedAt", "is missing, and so is revision; use the docs' template")
        kind = f"sync.{sync.phase.lower()}"
        return Parsed(kind, _deploy(sync, inbound.received_at))


def _deploy(sync: Sync, received_at: Instant) -> tuple[Event, ...]:
    state, at, error, stage = _course(sync, received_at)
    path = keys.repository_path(sync.repository)
    repo = keys.repository(path)
    service = sync.what
    sha = sync.revision if keys.commit(sync.revision) else ""
    version = sync.own_version(service)
    begun = iso(sync.started_at) or sync.revision
    # Clusters with an Argo CD each have applications of one name, which one push starts at once.
    begun += f"@{sync.host}" if sync.host else ""
    whole = Event(
        key=keys.reference("argocd", "deploy", sync.app_namespace, f"{sync.app}/{begun}"),
        source="argocd",
        operation=Operation.DEPLOY,
        state=state,
        error=error,
        occurred_at=at,
        started_at=sync.started_at,
        stage=stage,
        name=f"{service} to {sync.where}" if sync.where else service,
        project=path or sync.project,
        service=service,
        environment=sync.where,
        actor=sync.user,
        url=web_url(sync.url),
        attributes=known(
            deployment__name=sync.app,
            deployment__environment__name=sync.where,
            deployment__status={State.OK: "succeeded", State.ERROR: "failed"}.get(state),
            service__name=service,
            service__version=version,
            vcs__repository__url__full=sync.repository,
            vcs__ref__head__revision=sha,
            vs__version=version,
            vs__argocd__project=sync.project,
            vs__argocd__health=sync.health,
            vs__argocd__cluster=sync.cluster,
            vs__argocd__namespace=sync.namespace,
            vs__deploy__region="/".join(filter(None, (sync.host, sync.cluster, sync.app))),
            vs__deploy__repeat="drift" if sha and not sync.user else None,
            vs__argocd__images=", ".join(sync.images[:MAX_IMAGES])[:1000],
            vs__error__message=sync.message if state is State.ERROR else None,
        ),
        offers=_offers(service, version, sync),
        provisional=state.terminal and sync.is_health_provisional,
        seeks=_seeks(service, version, sha, repo, sync),
    )
    if sync.self_heal:
        key = keys.reference("argocd", "sync", sync.app_namespace, f"{sync.app}/{begun}")
        return (whole._replace(key=key, operation="sync", offers=()),)
    if not sync.is_suspended:
        return (whole,)
    return (moment(whole, State.WAITING, at, "suspended"), whole)


def _course(sync: Sync, received_at: Instant) -> tuple[State, Instant, str, str]:
    """State, its time, `error.type` and phase."""
    phase, health = sync.phase.lower(), sync.health.lower()
    finished = sync.finished_at or received_at
    if phase == "failed" and sync.is_terminated:
        return State.CANCELLED, finished, "", ""
    if phase in _FAILED:
        return State.ERROR, finished, _FAILED[phase], ""
    if phase != "succeeded":
        return State.RUNNING, sync.started_at or received_at, "", "syncing"
    if health == "healthy":
        # If it was healthy before the sync, there was nothing to wait for.
        return State.OK, max(finished, sync.health_at or 0), "", ""
    if health == "degraded":
        return State.ERROR, max(finished, sync.health_at or received_at), "degraded", ""
    if health == "suspended":
        # A suspended job or a paused rollout: the sync is done; a promotion may continue it.
        return State.OK, finished, "", ""
    return State.RUNNING, max(finished, sync.health_at or 0), "", "rolling out"


def _offers(service: str, version: str, sync: Sync) -> tuple[Key, ...]:
    others = [image for image in sync.versions if image != (service, version)]
    images = [key for name, tag in others for key in offer_version(name, tag, "", PART)]
    return keys.offers(*offer_version(service, version), *images)


def _seeks(service: str, version: str, sha: str, repo: str, sync: Sync) -> tuple[Seek, ...]:
    """Keys of the deployed build: by image and tag, by a tag that is a commit, by the revision."""
    tags = [commit_in(tag) or tag for _, tag in sync.versions]
    return keys.seeks(
        *(seek_version(name, tag) for name, tag in sync.versions),
        seek_version(service, version),
        *(keys.seek_commit(Rule.COMMIT, tag, via=APPLICATION) for tag in tags),
        *(keys.seek_commit(Rule.BUILT, tag) for tag in tags),
        keys.seek_commit(Rule.COMMIT, sha, repo, "revision"),
        keys.seek_commit(Rule.BUILT, sha, repo, "revision"),
        keys.mentions(sync.message, "message"),
    )


SOURCE: Final = ArgoCd()

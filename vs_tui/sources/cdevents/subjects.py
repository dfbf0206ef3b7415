"""Maps CDEvents' subjects to operations and states, and has the common parts of all events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Operation, State
from vs_tui.sources.fields import text

_BEGIN: Final = frozenset({"queued", "started", "created", "detected", "reported"})
_RUN: Final = {
    "queued": (State.QUEUED, "queued"),
    "started": (State.RUNNING, "running"),
    "finished": (State.OK, ""),
}
# subject -> operation, and predicate -> state and phase. Others are ignored.
SUBJECTS: Final[Mapping[str, tuple[str, Mapping[str, tuple[State, str]]]]] = {
    "pipelinerun": (Operation.PIPELINE, _RUN),
    "taskrun": (Operation.BUILD, _RUN),
    "build": (Operation.BUILD, _RUN),
    "testcaserun": (Operation.TEST, {**_RUN, "skipped": (State.CANCELLED, "")}),
    "testsuiterun": (Operation.TEST, _RUN),
    "artifact": (
        Operation.RELEASE,
        {
            "packaged": (State.OK, ""),
            "signed": (State.OK, ""),
            "published": (State.OK, ""),
        },
    ),
    "service": (
        Operation.DEPLOY,
        {
            "deployed": (State.OK, ""),
            "upgraded": (State.OK, ""),
            "rolledback": (State.OK, ""),
        },
    ),
    "incident": (
        Operation.INCIDENT,
        {
            "detected": (State.RUNNING, ""),
            "reported": (State.RUNNING, ""),
            "resolved": (State.OK, ""),
        },
    ),
    "change": (
        Operation.PULL_REQUEST,
        {
            "created": (State.RUNNING, ""),
            "updated": (State.NOTE, ""),
            "reviewed": (State.NOTE, ""),
            "merged": (State.OK, ""),
            "abandoned": (State.CANCELLED, ""),
        },
    ),
    "ticket": (
        Operation.ISSUE,
        {
            "created": (State.RUNNING, ""),
            "updated": (State.NOTE, ""),
            "closed": (State.OK, ""),
        },
    ),
    "approval": (
        "approval",
        {
            "created": (State.WAITING, ""),
            "updated": (State.WAITING, ""),
            "closed": (State.OK, ""),
        },
    ),
}
# Levels of a chain, from the top.
CHAIN: Final = ("ticket", "change", "pipelinerun", "build", "artifact", "service")
_OUTCOMES: Final = {
    "success": (State.OK, "", "success"),
    "failure": (State.ERROR, "failure", "failure"),
    "error": (State.ERROR, "error", "error"),
    "cancel": (State.CANCELLED, "", "cancellation"),
    "cancelled": (State.CANCELLED, "", "cancellation"),
}


@dataclass(frozen=True, slots=True)
class CdEvent:
    """A CDEvent with the parts that all subjects have."""

    subject: str
    predicate: str
    id: str
    source: str
    context: dict[str, Any]
    content: dict[str, Any]
    custom: dict[str, Any]
    at: Instant

    @property
    def operation(self) -> str:
        return SUBJECTS[self.subject][0]

    @property
    def begins(self) -> bool:
        return self.predicate in _BEGIN or self.subject in ("service", "artifact")


def outcome_of(cd: CdEvent, state: State) -> tuple[State, str, str]:
    """State, `error.type` and result of an end, by the outcomes and resolutions of the
    specification."""
    word = text(cd.content, "outcome").lower()
    if cd.predicate == "finished":
        return _OUTCOMES.get(word, (State.OK, "", "success"))
    if cd.predicate == "skipped":
        return state, "", "skip"
    if cd.subject == "approval" and cd.predicate == "closed":
        decision = text(cd.content, "decision") or text(cd.content, "status")
        return (State.OK if decision.lower() == "approved" else State.CANCELLED), "", ""
    if cd.subject == "ticket" and cd.predicate == "closed":
        resolution = text(cd.content, "resolution").lower()
        done = resolution in ("", "completed", "done", "fixed", "resolved")
        return (State.OK if done else State.CANCELLED), "", ""
    return state, "", ""


def native_id(cd: CdEvent) -> str:
    """The subject's id; for a deploy with the event's id added, because all deploys of a service
    have the same subject."""
    if cd.subject != "service":
        return cd.id
    return f"{cd.id}/{text(cd.context, 'id') or cd.at}"


def key_of(family: str, source: str, identifier: str) -> str:
    return keys.reference("cdevents", family, source.strip("/"), identifier)

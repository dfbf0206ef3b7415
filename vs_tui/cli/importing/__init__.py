"""Import of history: objects from a tool's REST API become deliveries in the shape of its webhooks,
so the same adapters read both.

`api` sends requests and reads lists; `github`, `gitlab` and `jira` know what to request and how to
write it as webhooks. Here is what they share: deliveries, pages, steps, the progress of an import,
and the pushes behind a list of commits.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as the tool would have sent it."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def delivery(
    path: str, id_header: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Delivery:
    """A delivery with an id made from its content: the receiver takes an unchanged object for a
    duplicate, and a changed one for a new delivery."""
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    named = dict(headers or {})
    mark = hashlib.sha256(json.dumps(sorted(named.items())).encode() + raw).hexdigest()[:32]
    return Delivery(path, {**JSON, **named, id_header: f"import-{mark}"}, raw)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a step's list."""

    deliveries: Sequence[Delivery]
    next: str = ""
    """The cursor of the next page; empty at the end."""
    pages: int = 0
    """Number of pages, if the API says it; else 0."""


@dataclass(frozen=True, slots=True)
class ImportScope:
    """What to import."""

    since: str
    """RFC 3339, UTC; objects that changed since then are imported."""
    details: bool = True
    """Whether to request what the lists leave out: reviews, commits, jobs."""
    only: frozenset[str] = field(default_factory=frozenset)
    """Names of steps; empty: all."""


@dataclass(slots=True)
class Progress:
    """How much of an import is done; saved after every page."""

    path: Path
    since: str
    """Where this import begins, RFC 3339."""
    began: str
    """When it was first started; the next import begins here. Empty once finished."""
    asked: str = ""
    """--since as typed."""
    cursors: dict[str, str] = field(default_factory=dict)
    """`project step` -> the cursor of its next page."""
    done: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Replace the file atomically."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW
        values = asdict(self)
        del values["path"]
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as out:
            json.dump(values, out)
        temporary.replace(self.path)


def read_progress(path: Path) -> Progress | None:
    """The progress in a file; None if there is none or it cannot be read."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        return Progress(
            path,
            str(fields["since"]),
            str(fields["began"]),
            str(fields["asked"]),
            {str(name): str(value) for name, value in fields["cursors"].items()},
            [str(name) for name in fields["done"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class Forbidden(Exception):
    """The API refuses a list or does not have it; the message says which permission is missing."""


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; empty for anything else."""
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as an API lists it."""

    sha: str
    parents: Sequence[str]
    message: str
    authored: str | None
    """RFC 3339. A rebase keeps it."""
    committed: str | None
    """RFC 3339. When the commit was last written, rebased or merged."""


@dataclass(frozen=True, slots=True)
class Push:
    """A move of the branch by one commit of its first-parent line."""

    before: str
    after: Commit
    commits: Sequence[Commit]
    """Commits that were new to the branch, oldest first; the last one is `after`."""


def pushes(listed: Iterable[Commit]) -> Iterator[Push]:
    """The pushes behind a branch's commits, oldest first. `listed` is newest first and begins with
    the tip. APIs store no pushes, but the first-parent line shows where the branch pointed: a merge
    brings the commits of its other parents."""
    known = {commit.sha: commit for commit in listed}
    line: list[Commit] = []
    found = next(iter(known.values()), None)
    while found is not None:
        line.append(found)
        found = known.get(found.parents[0]) if found.parents else None
    contained: set[str] = set()
    for tip in reversed(line):
        brought = _reachable(tip, known, contained)
        contained.update(commit.sha for commit in brought)
        before = tip.parents[0] if tip.parents else "0" * 40
        others = [commit for commit in brought if commit is not tip]
        others.sort(key=lambda commit: commit.committed or "")
        yield Push(before, tip, (*others, tip))


def _reachable(tip: Commit, known: dict[str, Commit], contained: set[str]) -> list[Commit]:
    seen = {tip.sha}
    waiting, found = [tip], [tip]
    while waiting:
        for parent in waiting.pop().parents:
            commit = known.get(parent)
            if commit is not None and parent not in seen and parent not in contained:
                seen.add(parent)
                found.append(commit)
                waiting.append(commit)
    return found

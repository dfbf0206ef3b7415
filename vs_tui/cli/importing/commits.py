"""The pushes behind the commits of a branch, which no API stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby


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
    """A move of the branch along its first-parent line: by one commit, or by those that were
    rebased together."""

    before: str
    after: Commit
    commits: Sequence[Commit]
    """Commits that were new to the branch, oldest first; the last one is `after`."""


def pushes(listed: Iterable[Commit]) -> Iterator[Push]:
    """The pushes behind a branch's commits, oldest first. `listed` is newest first and begins with
    the tip. APIs store no pushes, but the first-parent line shows where the branch pointed: a merge
    brings the commits of its other parents, and a rebase writes its commits in one second."""
    known = {commit.sha: commit for commit in listed}
    line: list[Commit] = []
    found = next(iter(known.values()), None)
    while found is not None:
        line.append(found)
        found = known.get(found.parents[0]) if found.parents else None
    contained: set[str] = set()
    for _, together in groupby(reversed(line), _written):
        first, *_ = own = list(together)
        brought = _reachable(own[-1], known, contained)
        contained.update(commit.sha for commit in brought)
        before = first.parents[0] if first.parents else "0" * 40
        others = [commit for commit in brought if commit not in own]
        others.sort(key=lambda commit: commit.committed or "")
        yield Push(before, own[-1], (*others, *own))


def _written(commit: Commit) -> str:
    """The same for commits that were written together; a merge is written alone."""
    return commit.sha if len(commit.parents) > 1 else commit.committed or commit.sha


def _reachable(tip: Commit, known: dict[str, Commit], contained: set[str]) -> list[Commit]:
    waiting, found = [tip], {tip.sha: tip}
    while waiting:
        for parent in waiting.pop().parents:
            if parent in known and parent not in found and parent not in contained:
                found[parent] = known[parent]
                waiting.append(known[parent])
    return list(found.values())

"""Reconstruct the pushes of a branch from its commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


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

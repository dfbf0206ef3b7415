"""The pushes behind the commits of branches, which no API stores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from vs_tui.cli.importing import Forbidden
from vs_tui.model.grouping import grouped


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
    rebased together or came with one pull request."""

    before: str
    after: Commit
    commits: Sequence[Commit]
    """Commits that were new to the branch, oldest first; the last one is `after`."""
    at: str | None
    """RFC 3339. The earliest time that is known to be possible."""


MAX_BRANCHES: Final = 20
"""Most branches whose commits are read beside those of the default branch."""


class Branches:
    """The default branch and others that several pull requests share. Pushes to these are found in
    their own commits, and not in those of a pull request."""

    def __init__(self, default: str, others: Iterable[object]) -> None:
        """`others` are those to which pull requests were merged and that were deployed, the newest
        first."""
        names = dict.fromkeys(str(name) for name in others if name and name != default)
        self.names = [default, *islice(names, MAX_BRANCHES)]
        self._of: dict[str, dict[str, Commit]] = {}
        """Branch -> its commits, as its pull request lists them."""
        self._merged: dict[str, dict[str, tuple[str, str]]] = {}
        """Branch -> commit -> when its pull request was merged, and the number of that."""
        self._seen: set[str] = set()
        """The commits of pull requests."""
        self._heads: dict[str, set[str]] = {}
        """Branch -> commits to which it pointed after a merge."""
        self._line: dict[str, Commit] = {}
        """What the default branch pointed to."""

    def merge(
        self, base: object, commits: Sequence[Commit], at: object, number: object, head: object
    ) -> list[tuple[str, Push]]:
        """A pull request with these commits was merged at this time, if at all, and `head` is the
        commit to which its base then pointed. (branch, push) of a fast-forward, because its commits
        may be older than all that is read of the branch. Of several pull requests with one commit
        the first one brought it."""
        if not at:
            return []
        self._heads.setdefault(str(base or ""), set()).add(str(head or ""))
        own = self._merged.setdefault(str(base or ""), {})
        for commit in commits:
            own[commit.sha] = min((str(at), str(number)), own.get(commit.sha, ("~", "")))
        if not commits or commits[-1].sha != head:
            return []
        return [(str(base), Push(_first_parent(commits[0]), commits[-1], commits, str(at)))]

    def push(self, branch: str, commits: Sequence[Commit]) -> list[tuple[str, Push]]:
        """(branch, push) of a pull request's commits, the oldest one first: one push to its branch,
        or another one before it for those that are in other pull requests, too, which were made
        upon them; none if that branch is read or others were merged into it."""
        if branch in self.names:
            self._of.setdefault(branch, {}).update({c.sha: c for c in reversed(commits)})
            return []
        common = max((n for n, c in enumerate(commits, 1) if c.sha in self._seen), default=0)
        self._seen.update(commit.sha for commit in commits)
        return [
            (branch, Push(_first_parent(own[0]), own[-1], own, own[-1].committed))
            for own in filter(None, (commits[:common], commits[common:]))
        ]

    def pushes(self, commits: Callable[[str], Iterable[Commit]]) -> Iterator[tuple[str, Push]]:
        """(branch, push) of all branches, the oldest push of each first. `commits` lists those of a
        branch, newest first from its tip on. A deleted one has none, or Forbidden is raised: the
        commits of its pull requests are known."""
        for branch in self.names:
            listed: list[Commit] = []
            try:
                listed += commits(branch)
            except Forbidden:
                if branch == self.names[0]:
                    raise
            for push in self._pushes(branch, listed or [*self._of.get(branch, {}).values()]):
                yield branch, push

    def _pushes(self, branch: str, listed: Sequence[Commit]) -> Iterator[Push]:
        """APIs store no pushes, but the first-parent line shows where the branch pointed: a merge
        brings the commits of its other parents, a rebase writes its commits in one second, and a
        fast-forward brings those of a pull request as they are. Another branch was cut where it
        leaves the line of the default branch."""
        known = {commit.sha: commit for commit in listed}
        merged = self._merged.get(branch, {})
        line = _line(listed[:1], known, self._heads.get(branch, set()))
        cut = next((commit for commit in line.values() if commit.sha in self._line), None)
        contained = set[str]() if cut is None else {*_reachable(cut, known, ())}
        if branch == self.names[0]:
            self._line = line
        line = {sha: commit for sha, commit in line.items() if sha not in contained}
        before = cut.sha if cut else ""
        for _, together in groupby(
            reversed(line.values()), lambda commit: merged.get(commit.sha) or _written(commit)
        ):
            first, *_ = own = list(together)
            brought = _reachable(own[-1], known, contained)
            contained |= brought.keys()
            others = [commit for commit in brought.values() if commit not in own]
            others.sort(key=lambda commit: commit.committed or "")
            at, _ = merged.get(own[-1].sha) or (own[-1].committed, "")
            yield Push(before or _first_parent(first), own[-1], (*others, *own), at)
            before = own[-1].sha


def _line(
    tips: Iterable[Commit], known: Mapping[str, Commit], heads: Set[str]
) -> dict[str, Commit]:
    """What a branch pointed to, the newest first: the first parents of its tip. One that is moved
    on to the merge of itself into another branch has its own line behind the second parent, as
    merges that are not on the other line show."""
    line: dict[str, Commit] = {}
    left = list(tips)
    while left:
        found = left.pop()
        line[found.sha] = found
        left = [known[sha] for sha in found.parents[:1] if sha in known]
    missed = next((sha for sha in known if sha in heads and sha not in line), "")
    after = _descendants(missed, known) if missed else set[str]()
    for number, merge in enumerate(line.values()):
        others = [known[sha] for sha in merge.parents[1:] if sha in after]
        if others and merge.parents[0] not in after:
            newer = dict(islice(line.items(), number + 1))
            return newer | _line(others[:1], known, heads - newer.keys())
    return line


def _descendants(sha: str, known: Mapping[str, Commit]) -> set[str]:
    """A commit and all that contain it."""
    children = grouped((p, commit.sha) for commit in known.values() for p in commit.parents)
    found, left = set[str](), [sha]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += children.get(one, ())
    return found


def _first_parent(commit: Commit) -> str:
    return commit.parents[0] if commit.parents else "0" * 40


def _written(commit: Commit) -> str:
    """The same for commits that were written together; a merge is written alone."""
    return commit.sha if len(commit.parents) > 1 else commit.committed or commit.sha


def _reachable(
    tip: Commit, known: Mapping[str, Commit], contained: Collection[str]
) -> dict[str, Commit]:
    waiting, found = [tip], {tip.sha: tip}
    while waiting:
        for parent in waiting.pop().parents:
            if parent in known and parent not in found and parent not in contained:
                found[parent] = known[parent]
                waiting.append(known[parent])
    return found

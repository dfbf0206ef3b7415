"""Finished spans of a bucket of time as columns: how many of each kind, and how long they took, in
order; so the figures of any group over any window are a few bisections a bucket."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, NamedTuple

from vs_tui.metrics.columns import column_of
from vs_tui.metrics.durations import GroupFigures, Item, in_progress_at
from vs_tui.metrics.statistics import Distribution, Runs, ratio
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Status

KINDS, TOTALS, DURATIONS, STARTED = "kinds", "totals", "durations", "started"
"""Parts of a bucket's columns; a reader takes those that its window asks for."""
Parts = Mapping[str, bytes]
_SHORT: Final = 48
"""Values of so short a run are sorted with others sooner than searched."""


def encode(records: Mapping[int, Sequence[tuple[Duration, Instant]]]) -> dict[str, bytes]:
    """The parts of a bucket. `records`: kind -> (how long, since when) of each of its spans; where
    the start is not known these say nothing."""
    kinds = sorted(records)
    took = [sorted([record[0] for record in records[kind]]) for kind in kinds]
    began = [sorted([record[1] for record in records[kind]]) for kind in kinds]
    return _parts(kinds, took, began, [sum(run) for run in took])


def _parts(
    kinds: Sequence[int],
    took: Sequence[Sequence[float]],
    began: Sequence[Sequence[Instant]],
    sums: Sequence[int],
) -> dict[str, bytes]:
    bounds = (min([run[0] for run in began]), max([run[-1] for run in began]))
    return {
        KINDS: array("I", [*kinds, *map(len, took)]).tobytes(),
        # Sums may be larger than 64 bits.
        TOTALS: " ".join(map(str, (*bounds, *sums))).encode(),
        DURATIONS: array("d", chain.from_iterable(took)).tobytes(),
        STARTED: array("q", chain.from_iterable(began)).tobytes(),
    }


def merge(buckets: Iterable[Parts]) -> dict[str, bytes]:
    """The parts of a bucket that is made of these, at least one."""
    took: dict[int, Any] = {}
    began: dict[int, Any] = {}
    sums: dict[int, int] = {}
    for parts in buckets:
        columns = Columns(parts)
        durations, started = columns.durations, columns.started
        start = 0
        for kind, count, total in columns.runs():
            stop = start + count
            took.setdefault(kind, array("d")).extend(durations[start:stop])
            began.setdefault(kind, array("q")).extend(started[start:stop])
            sums[kind] = sums.get(kind, 0) + total
            start = stop
    kinds = sorted(took)
    return _parts(
        kinds,
        [sorted(took[kind]) for kind in kinds],
        [sorted(began[kind]) for kind in kinds],
        [sums[kind] for kind in kinds],
    )


class Columns:
    """A bucket's parts, read."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        numbers = column_of("I", parts[KINDS])
        middle = len(numbers) // 2
        self.kinds, self.counts = numbers[:middle], numbers[middle:]
        self.first, self.last, *self.sums = map(int, parts[TOTALS].split())
        """When the first and the last of its spans started."""

    @property
    def durations(self) -> Any:
        return column_of("d", self._parts[DURATIONS])

    @property
    def started(self) -> Any:
        return column_of("q", self._parts[STARTED])

    def runs(self) -> Iterable[tuple[int, int, int]]:
        """(kind, how many spans, how long all of them took) of each run of the columns."""
        return zip(self.kinds, self.counts, self.sums, strict=True)


class Kind(NamedTuple):
    """What the spans of a kind have in common."""

    group: int
    """Number of the group that they are asked for in."""
    status: Status
    begun: bool
    """Whether their start is known."""


@dataclass(slots=True)
class _Spans:
    """What is known of the spans of a kind that lie in buckets."""

    kind: Kind
    started: int = 0
    in_progress: int = 0
    finished: int = 0
    total: Duration = 0
    loose: Any = field(default_factory=lambda: array("d"))
    """Durations in any order, besides the runs."""
    runs: list[Sequence[float]] = field(default_factory=list)


@dataclass(slots=True)
class _Tally:
    started: int = 0
    in_progress: int = 0
    finished: dict[Status, int] = field(default_factory=dict)
    total: Duration = 0
    loose: list[float] = field(default_factory=list)
    runs: list[Sequence[float]] = field(default_factory=list)

    def finish(self, status: Status, n: int) -> None:
        if n:
            self.finished[status] = self.finished.get(status, 0) + n

    def join(self, spans: _Spans) -> None:
        status = spans.kind.status
        self.finish(status, spans.finished)
        if spans.kind.begun:
            self.started += spans.started
            self.in_progress += spans.in_progress
            if status is not Status.CANCELLED:
                self.total += spans.total
                self.loose += spans.loose
                self.runs += spans.runs

    def add(self, item: Item, window: Window) -> None:
        began, ended = item.started_at, item.ended_at
        self.started += began is not None and began in window
        self.in_progress += in_progress_at(item, window.end)
        if ended is not None and ended in window:
            self.finish(item.status, 1)
            if began is not None and item.status is not Status.CANCELLED:
                self.loose.append(max(ended - began, 0))
                self.total += max(ended - began, 0)

    def figures(self, group: tuple[str, ...], window: Window) -> GroupFigures:
        finished = sum(self.finished.values())
        ok = self.finished.get(Status.OK, 0)
        failed = sum(n for status, n in self.finished.items() if status.failed)
        return GroupFigures(
            group=group,
            started=self.started,
            finished=finished,
            ok=ok,
            failed=failed,
            cancelled=self.finished.get(Status.CANCELLED, 0),
            in_progress=self.in_progress,
            success_ratio=ratio(ok, ok + failed),
            throughput=ratio(finished, window.length),
            duration=self._distribution(),
        )

    def _distribution(self) -> Distribution:
        runs = Runs([sorted(self.loose), *self.runs])
        if not runs.n:
            return Distribution.of(())
        p90, p95, p99 = (runs.percentile(percent) for percent in (90, 95, 99))
        assert p90 is not None
        assert p95 is not None
        assert p99 is not None
        return Distribution(
            n=runs.n,
            mean=self.total / runs.n,
            p50=runs.median(),
            p90=int(p90),
            p95=int(p95),
            p99=int(p99),
        )


class Report:
    """The figures of groups, put together from buckets and from single spans. Every span counts in
    one of them, and only spans that ended since the window began, or that have not ended."""

    def __init__(
        self, window: Window, groups: Sequence[tuple[str, ...]], kinds: Mapping[int, Kind]
    ) -> None:
        self._window = window
        self._groups = list(groups)
        self._tallies = [_Tally() for _ in groups]
        self._kinds = {number: _Spans(kind) for number, kind in kinds.items()}

    def add_items(self, items: Iterable[Item]) -> None:
        """Spans one by one."""
        numbers = {group: number for number, group in enumerate(self._groups)}
        for item in items:
            number = numbers.get(item.group)
            if number is None:
                number = numbers[item.group] = len(self._groups)
                self._groups.append(item.group)
                self._tallies.append(_Tally())
            self._tallies[number].add(item, self._window)

    def wants_started(self, columns: Columns, *, after: bool) -> bool:
        """Whether it takes a search how many spans of a bucket started in time."""
        since, until = self._window.since, self._window.until
        some = columns.last >= since and columns.first < until
        every = columns.first >= since and columns.last < until
        return (some and not every) or (after and columns.first <= self._window.end)

    def add(self, columns: Columns, *, inside: bool, after: bool) -> None:
        """A bucket of spans that all ended in the window, or none of them (`inside`), and that all
        ended after what has happened of it, or none of them (`after`)."""
        since, until, end = self._window.since, self._window.until, self._window.end
        durations = columns.durations if inside else None
        started = columns.started if self.wants_started(columns, after=after) else None
        every = columns.first >= since and columns.last < until
        stop = 0
        kinds = self._kinds
        for kind, count, total in columns.runs():
            start, stop = stop, stop + count
            spans = kinds.get(kind)
            if spans is None:
                continue
            if durations is not None:
                spans.finished += count
                spans.total += total
                if count < _SHORT:
                    spans.loose += durations[start:stop]
                else:
                    spans.runs.append(durations[start:stop])
            if started is not None:
                low = bisect_left(started, since, start, stop)
                spans.started += bisect_left(started, until, low, stop) - low
                spans.in_progress += after and bisect_right(started, end, start, stop) - start
            elif every:
                spans.started += count

    def figures(self) -> list[GroupFigures]:
        """Of every group that anything happened in; those with the most finished spans first. To
        be asked once, when all is added."""
        for spans in self._kinds.values():
            self._tallies[spans.kind.group].join(spans)
        found = [
            tally.figures(group, self._window)
            for group, tally in zip(self._groups, self._tallies, strict=True)
            if tally.started or tally.finished or tally.in_progress
        ]
        return sorted(found, key=lambda figures: (-figures.finished, figures.group))

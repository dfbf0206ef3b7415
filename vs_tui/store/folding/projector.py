"""The projector: applies the log in order, from a position that is stored with its result.

Live traffic, a start after a crash and a rebuild work the same way: deliveries after a position are
read, folded, linked and judged, in small transactions. What was parsed for the sender's answer
stays in memory until it is folded, within bounds. All others, and the outlines of larger bodies,
are parsed from the log.

Appending and folding both need the interpreter and the one writing connection, and a fold costs
more than a receipt. So receiving goes first while deliveries keep coming. Folding waits for a quiet
moment, or until no delivery waited for as long as the last transaction took; but it gets a minimum
share of the time, and does not wait while a reader waits for it. The CPU time of its transactions
is bounded, so that few wait long for one (COMMIT comes on top of it). Twice as
many GitHub bodies were acknowledged a second in a flood this way (medians of paired runs of wrk, 32
connections). The backlog is folded after the flood.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from vs_tui.log import sqlite_log, sqlite_position
from vs_tui.log.append_queue import AppendQueue
from vs_tui.log.delivery import PRUNE_PATH, Intake, with_flag_of
from vs_tui.log.sqlite_log import Correction, StoredDelivery
from vs_tui.model.limits import MIB
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Verdict
from vs_tui.store.folding import crowded_keys, transaction
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.folding.stored_events import renamed_spans
from vs_tui.store.folding.transaction import Folding, Transact
from vs_tui.store.storage_errors import Condition, is_storage

if TYPE_CHECKING:
    from vs_tui.sources.base import Parsed

log = logging.getLogger(__name__)

WAITED_SECONDS: Final = 0.015
"""Target for the CPU time of one transaction while deliveries keep coming; their senders wait for
its end."""
ALONE_SECONDS: Final = 0.25
"""The longest target: a transaction may take as long as no delivery came before it, so that a
sender who comes then waits no longer than nobody sent. A larger transaction folds spans once that
several of its deliveries change: a GitHub body took 0.43 ms among 500, 0.47 ms among 125, and
1.0 ms among eight, without its parse. So readers that wait for it are answered sooner, too."""
LEAST_AT_ONCE: Final = 8
"""Fewest deliveries in one transaction; judging deployments costs the same for few as for many."""
MOST_AT_ONCE: Final = 500
"""More take more memory: among 1,000 a GitHub body took 0.40 ms, and the process 4 MB more."""
MOST_EVENTS: Final = 2_000
"""Most events in one transaction; a larger delivery is folded in parts. A body of 10,000 spans took
two seconds in one, and such bodies come several at once."""
LEAST_SHARE: Final = 0.03
"""Minimum share of the time that folding gets in a flood, in which a delivery waits at any
time."""
LEAST_FOLDING: Final = 9
"""While deliveries wait, folding takes at least this many times as long as linking and judging."""
PAUSE_SECONDS: Final = 1.0
"""Pause after a storage error before the next try."""
REMEMBERED: Final = 1_000
"""Most deliveries that are kept in memory as they were parsed, until they are folded."""
REMEMBERED_BYTES: Final = 8 * MIB
"""With so many bytes of their bodies no more are kept. One body may be larger: to parse it again
would hold up all others."""

Parse = Callable[[str, str, Mapping[str, str], bytes, Instant], "Parsed"]
"""(source, path, headers, body, received at) -> the adapter's result."""

_Kept = Sequence[Event] | Callable[[], Sequence[Event]]


class Folded(NamedTuple):
    """The result of one transaction."""

    position: int
    deliveries: int
    changes: Sequence[Change]
    more: bool = False
    """Whether spans affected by a rename must be folded again before the next delivery."""
    part: int = 0
    """Number of events of the next delivery that are folded already."""


@dataclass(slots=True)
class Projector:
    """The state of the projection, and the deliveries that wait to be folded."""

    position: int = 0
    head: int = 0
    seconds: float = ALONE_SECONDS
    """Target for the CPU time of the next transaction, without its COMMIT."""
    at_once: int = LEAST_AT_ONCE
    """Deliveries that a transaction of `WAITED_SECONDS` folds, as measured on the last ones."""
    tried: int = 0
    """The last delivery of the latest transaction, committed or not; 0 if it had none."""
    parse: Parse | None = None
    """Parses stored deliveries; None for today's adapters."""
    correct: Callable[[sqlite3.Connection, StoredDelivery, Correction], None] = sqlite_log.correct
    """Stores what a delivery is now, if it is parsed differently."""
    _more: bool = False
    _part: int = 0
    """Events of the next delivery that are folded. After a crash they are folded again, which
    changes nothing."""
    _linking: bool = False
    """Whether spans wait in `link_queue`."""
    _until_link: float = 0.0
    """CPU seconds of folding until the next transaction that links waiting spans."""
    _parsed: OrderedDict[int, tuple[int, _Kept]] = field(default_factory=OrderedDict)
    """Delivery -> (size of its body, its whole events or what makes them), in order."""
    _bytes: int = 0
    _appended: deque[tuple[int, float]] = field(default_factory=deque)
    """(position, time of the append), for the lag."""

    def opened(self, db: sqlite3.Connection) -> None:
        """Read the position and the head from the database."""
        self.position, self.head = sqlite_position.position(db), sqlite_position.head(db)
        self.look(db)
        self._parsed.clear()
        self._appended.clear()
        self._bytes = self._part = 0
        self._more = bool(renamed_spans(db))
        if self.behind:
            self._appended.append((self.head, monotonic()))

    def look(self, db: sqlite3.Connection) -> None:
        """Check, at the end of a transaction, whether spans wait to be linked."""
        self._linking = crowded_keys.is_waiting(db)

    @property
    def behind(self) -> int:
        """Number of deliveries that are stored and not folded yet, plus one while spans wait."""
        return max(self.head - self.position, 0) + self.spans_wait

    @property
    def spans_wait(self) -> bool:
        """Whether spans affected by folded deliveries must still be folded or linked again."""
        return self._more or self._linking

    @property
    def lag(self) -> float:
        """Seconds since the oldest delivery that is not folded was stored; 0 if all are folded."""
        return monotonic() - self._appended[0][1] if self._appended else 0.0

    def appended(self, fresh: Sequence[tuple[int, Intake]]) -> None:
        """Note that deliveries were committed to the log."""
        for number, intake in fresh:
            if len(self._parsed) >= REMEMBERED or self._bytes >= REMEMBERED_BYTES:
                break
            kept = intake.finish if intake.are_outlines else intake.events
            if kept is not None and intake.path != PRUNE_PATH:
                self._parsed[number] = len(intake.body), kept
                self._bytes += len(intake.body)
        if fresh:
            self.stored(fresh[-1][0])

    def stored(self, head: int) -> None:
        """Note that deliveries up to `head` came from a shared log; they are parsed when they are
        folded."""
        self.head = max(self.head, head)
        self._appended.append((self.head, monotonic()))

    def fold_some(self, db: sqlite3.Connection, folding: Folding, limit: int = 0) -> Folded:
        """Fold the next deliveries, or now and then link the next waiting spans. The caller begins
        and commits the transaction, and then calls `committed`."""
        if self._more:
            self.tried = 0
            changes, more = transaction.fold_renamed(db, folding)
            self.look(db)
            return Folded(self.position, 0, changes, more, self._part)
        started = thread_time()
        is_due = self._until_link <= 0 and not limit
        if self._linking and (self.head <= self.position or is_due):
            self.tried = 0
            changes = transaction.link_waiting(db, folding)
            self.look(db)
            self._until_link = (thread_time() - started) * LEAST_FOLDING
            return Folded(self.position, 0, changes, part=self._part)
        wanted = self.at_once * max(self.seconds / WAITED_SECONDS, 1)
        most = limit or int(min(wanted, MOST_AT_ONCE))
        found = sqlite_log.ids_after(db, self.position, most)
        if found and found[0][1]:
            self.tried = found[0][0]
            decision = orjson.loads(sqlite_log.read_one(db, self.tried).body)
            _decide_pruning(db, int(decision["before"]))
            return self.pass_over(db, folding)
        self.tried, taken, part, events = 0, 0, self._part, list[Event]()
        reached = self.position if found else self.head
        for self.tried, _ in takewhile(lambda each: not each[1], found):
            whole = self._events_of(db, self.tried)
            events += (told := whole[part : part + MOST_EVENTS - len(events)])
            part += len(told)
            if part < len(whole):
                self._parsed[self.tried] = self._parsed.get(self.tried, (0,))[0], whole
                break
            taken, reached, part = taken + 1, self.tried, 0
        folding.context.seq = transaction.next_seq(db)
        more = reached < self.head
        changes = transaction.fold_and_link(db, events, folding, more=more) if events else []
        sqlite_position.set_position(db, reached)
        took = thread_time() - started
        self._until_link -= took
        if not limit:
            self._adapt(taken, took)
        self.look(db)
        return Folded(reached, taken, changes, folding.cache.names.waiting, part)

    def pass_over(self, db: sqlite3.Connection, folding: Folding, why: str = "") -> Folded:
        """Skip the next delivery: a decision that was stored, or one that cannot be folded. The
        latter is quarantined, with `why` in its reason."""
        folding.context.seq = transaction.next_seq(db)
        found = sqlite_log.ids_after(db, self.position, 1)
        reached = found[0][0] if found else self.head
        if found and why:
            entry = sqlite_log.read_one(db, reached)
            reason = f"folding failed ({why}); `vs-tui db rebuild` tries again"
            self.correct(db, entry, Correction(entry.kind, Verdict.QUARANTINED.value, reason))
        sqlite_position.set_position(db, reached)
        return Folded(reached, len(found), ())

    def committed(self, folded: Folded) -> None:
        """Note that the transaction with this result is committed."""
        self.position = folded.position
        self._more, self._part = folded.more, folded.part
        self.head = max(self.head, folded.position)
        while self._parsed and next(iter(self._parsed)) <= self.position:
            _, (size, _) = self._parsed.popitem(last=False)
            self._bytes -= size
        while self._appended and self._appended[0][0] <= self.position:
            self._appended.popleft()

    def _adapt(self, deliveries: int, seconds: float) -> None:
        """Adapt the number of deliveries in a transaction to its CPU time; it grows by half at
        most."""
        if deliveries:
            fitting = int(deliveries * WAITED_SECONDS / max(seconds, 1e-6))
            self.at_once = max(LEAST_AT_ONCE, min(fitting, self.at_once * 3 // 2 + 1, MOST_AT_ONCE))

    def _events_of(self, db: sqlite3.Connection, number: int) -> Sequence[Event]:
        """The events of a delivery: as they are kept, or parsed from the log."""
        _, events = self._parsed.get(number, (0, None))
        if callable(events):
            try:
                return events()
            except Exception:  # it will be quarantined, or read with exact numbers
                events = None
        return self.reread(db, sqlite_log.read_one(db, number)) if events is None else events

    def reread(self, db: sqlite3.Connection, entry: StoredDelivery) -> Sequence[Event]:
        """Parse a stored delivery with today's adapter, and correct its verdict in the log.

        A quarantined delivery that can be parsed now becomes accepted.
        """
        if self.parse is None:
            # Imported on first use, because people wait for the first rows.
            from vs_tui.sources.dispatch import parse_stored

            self.parse = parse_stored
        headers = orjson.loads(entry.headers)
        parsed = self.parse(entry.source, entry.path, headers, entry.body, entry.received_at)
        events = parsed.events if parsed.verdict is Verdict.ACCEPTED else ()
        reason = with_flag_of(parsed.reason, entry.reason)
        now = (parsed.kind, parsed.verdict.value, reason)
        if now != (entry.kind, entry.verdict, entry.reason):
            keys = sqlite_position.as_json(dict.fromkeys(event.key for event in events))
            self.correct(db, entry, Correction(*now, keys))
        return events


def _decide_pruning(db: sqlite3.Connection, before: Instant) -> None:
    """Store that pruning is pending, so that it is done even if the process dies."""
    db.execute(
        "INSERT INTO meta VALUES ('pruning', ?) "
        "ON CONFLICT DO UPDATE SET value = MAX(value, excluded.value)",
        (before,),
    )


class FoldLoop:
    """Folds whatever the log receives, and lets callers wait for it."""

    def __init__(
        self,
        transact: Transact,
        condition: Condition,
        line: AppendQueue,
        notify: Callable[[Sequence[Change]], None],
    ) -> None:
        """`line` is the queue of deliveries, which go first. `notify` gets the changes of each
        transaction."""
        self._transact = transact
        self._condition = condition
        self._line = line
        self._notify = notify
        self.is_private = False
        """Whether nobody else uses the database, so that transactions may be long."""
        self.projector = Projector()
        self._wanted = asyncio.Event()
        self._counted = False
        """Whether new deliveries or repeats were counted since the last fold."""
        self._folded = asyncio.Condition()
        self._readers = 0

    def wake(self) -> None:
        """Note that deliveries wait to be folded."""
        self._wanted.set()

    def appended(self, fresh: Sequence[tuple[int, Intake]]) -> None:
        """Note that deliveries were committed to the log: new ones (`fresh`), or repeats."""
        self.projector.appended(fresh)
        self._counted = True
        self.wake()

    def stored(self, head: int) -> None:
        """Note that the log has deliveries up to `head`; they are parsed when they are folded."""
        self.projector.stored(head)
        self._counted = True
        self.wake()

    async def run(self) -> None:
        """Fold waiting deliveries, forever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            began = loop.time()
            try:
                self.projector.seconds = self._target()
                await self.fold()
                took = loop.time() - began
                due = self._line.idle_seconds + took
                await self._line.quiet(
                    took * (1 / LEAST_SHARE - 1),
                    lambda due=due: self._readers or self._line.idle_seconds >= due,  # type: ignore[misc]
                )
            except Exception as error:
                if is_storage(error):
                    self._condition.fail(error)
                else:
                    log.exception("the projector failed; it tries again")
                await asyncio.sleep(PAUSE_SECONDS)

    def _target(self) -> float:
        """Target for the CPU time of the next transaction."""
        if self.is_private:
            return math.inf
        return min(max(self._line.quiet_seconds, WAITED_SECONDS), ALONE_SECONDS)

    async def fold(self) -> None:
        """Fold the next deliveries in one transaction."""
        if not self._condition.check_file() or self._condition.failed:
            await asyncio.sleep(PAUSE_SECONDS)
            return
        self._counted = False
        try:
            await self._fold_some()
        except Exception as error:
            tried = self.projector.tried
            if is_storage(error) or not tried:
                raise
            log.exception("deliveries could not be folded; each is tried alone")
            while self.projector.position < tried:
                await self._fold_one()

    async def _fold_one(self) -> None:
        """Fold one delivery, after a bug in folding. A delivery that cannot be folded is
        quarantined."""
        try:
            await self._fold_some(1)
        except Exception as error:
            if is_storage(error):
                raise
            why = type(error).__name__
            log.error("delivery after %d quarantined: %s", self.projector.position, why)
            await self._commit(lambda db, f: self.projector.pass_over(db, f, why))

    async def _fold_some(self, limit: int = 0) -> None:
        await self._commit(lambda db, f: self.projector.fold_some(db, f, limit))

    async def _commit(self, work: Callable[[sqlite3.Connection, Folding], Folded]) -> None:
        folded = await self._transact(work, synced=False)
        self.projector.committed(folded)
        if not (self.projector.behind or self._counted):
            self._wanted.clear()
        async with self._folded:
            self._folded.notify_all()
        self._notify(folded.changes)

    async def caught_up(self, seconds: float) -> bool:
        """Wait until everything acknowledged by now is folded. Returns False after `seconds`."""
        projector, wanted = self.projector, self.projector.head
        if not projector.behind:
            return True
        self._readers += 1
        try:
            async with asyncio.timeout(seconds), self._folded:
                await self._folded.wait_for(
                    lambda: wanted <= projector.position and not projector.spans_wait
                )
        except TimeoutError:
            return False
        finally:
            self._readers -= 1
        return True

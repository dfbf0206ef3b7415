"""A store on a real file, with a clock that stands still unless a test moves it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from vs_tui.log.delivery import Intake
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import Inbound
from vs_tui.sources.customhttp import SOURCE
from vs_tui.sources.dispatch import intake_of, read
from vs_tui.store.clock import Uptime
from vs_tui.store.maintenance import sweeper
from vs_tui.store.maintenance.rebuild import Rebuilt, rebuild
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.writer import Writer

T = 1_772_445_600_000_000
SPAN_ROWS = (
    "SELECT key, ref, operation, name, status, state, started_at, ended_at, project, team, "
    "service, environment, actor, url, attempt, stage, stage_at, last_event_at, reopens, active, "
    "error, attributes, trace_id, own_trace_id, parent_key, series, derived FROM spans ORDER BY key"
)
LINK_ROWS = "SELECT * FROM links ORDER BY child, parent"


class Clock:
    def __init__(self) -> None:
        self.now = T

        self.off = 0
        """How far it is from the time that has passed."""

    def __call__(self) -> int:
        return self.now + self.off

    def uptime(self) -> Uptime:
        return Uptime("this boot", self.now)


def custom(kind: str, number: object, action: str, at: int = 0, **more: object) -> Intake:
    """A custom HTTP delivery, `at` seconds into the test's world."""
    payload = {"type": kind, "id": str(number), "action": action, "timestamp": T + at * 1_000_000}
    body = orjson.dumps({**payload, **more})
    inbound = Inbound("/customhttp", {}, body, T + at * 1_000_000)
    return intake_of(SOURCE, inbound, read(SOURCE, inbound))


def ref(kind: str, number: object) -> str:
    return f"vstrace-customhttp-{kind}-default-{number}"


async def rows_of(writer: Writer) -> tuple[list, list]:
    """Everything derived that has a meaning: spans and links."""
    return await writer.run(
        lambda db: (db.execute(SPAN_ROWS).fetchall(), db.execute(LINK_ROWS).fetchall())
    )


async def rebuilt(writer: Writer) -> Rebuilt:
    """As `vs-tui db rebuild` does it, beside this writer, which then has noticed it."""
    result = await rebuild(writer.path, writer._clock, writer._settings)
    await writer.sweep()
    await writer.folded()
    return result


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_writer(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., "Writer"]]:
    """Opens writers on files of their own and closes them at the end. Only the test sweeps."""
    monkeypatch.setattr(sweeper, "SWEEP_SECONDS", 3_600)
    opened: list[Writer] = []

    async def opener(settings: WriterSettings | None = None, name: str = "") -> Writer:
        path = tmp_path / (name or f"{len(opened)}.db")
        writer = Writer(path, clock, replace(settings or WriterSettings(), uptime=clock.uptime))
        await writer.open()
        opened.append(writer)
        return writer

    yield opener
    for writer in opened:
        await writer.close()


__all__ = ["LINK_ROWS", "SPAN_ROWS", "Clock", "T", "Verdict", "custom", "rebuilt", "ref", "rows_of"]

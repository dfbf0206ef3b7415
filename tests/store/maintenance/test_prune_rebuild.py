"""Prune, then rebuild, gives the same as prune: no delivery is left that tells of what is gone."""

from __future__ import annotations

import orjson
import pytest

from tests.store.conftest import T, custom, rebuilt, ref, rows_of
from vs_tui.cli.runtime import writer_settings
from vs_tui.config import Config
from vs_tui.model.teams import Environments
from vs_tui.model.time import DAY, iso
from vs_tui.sources.base import Inbound
from vs_tui.sources.dispatch import intake_of, one_source, read
from vs_tui.store.maintenance.retention import count_prunable


@pytest.fixture(autouse=True)
def _later(clock) -> None:
    """People decide after what they decide about; their decisions are deliveries, too."""
    clock.now = T + 100 * DAY


def alerts(*told, at: int):
    """A notification that arrives `at` days into the test; (name, start, end) in days."""
    body = {
        "version": "4",
        "alerts": [
            {
                "status": "firing" if end is None else "resolved",
                "fingerprint": name,
                "startsAt": iso(T + int(start * DAY)),
                "endsAt": "0001-01-01T00:00:00Z" if end is None else iso(T + int(end * DAY)),
                "labels": {"alertname": name, "service": name},
            }
            for name, start, end in told
        ],
    }
    source = one_source("alertmanager")
    inbound = Inbound("/alertmanager", {}, orjson.dumps(body), T + at * DAY)
    return intake_of(source, inbound, read(source, inbound))


async def pruned(writer, before: int):
    """What pruning did; a rebuild changes nothing about what it left."""
    counted = await writer.run(lambda db: count_prunable(db, T + before * DAY))
    found = await writer.prune(T + before * DAY)
    assert found == counted
    left = await rows_of(writer)
    await rebuilt(writer)
    assert await rows_of(writer) == left
    return found


async def names(writer) -> set[str]:
    found = await writer.run(lambda db: db.execute("SELECT name FROM spans").fetchall())
    return {name for (name,) in found}


async def test_what_waits_to_be_judged_is_judged_before_it_is_deleted(open_writer) -> None:
    """A deployment counts by the rules of today, also if its trace goes before all is adopted."""
    config = Config(environments=Environments({"production": ("staging",)}))
    writer = await open_writer()
    tags = {"service": "api", "environment": "staging"}
    await writer.submit(custom("deploy", "1", "start", tags=tags))
    await writer.submit(custom("deploy", "1", "end", 60, tags=tags))
    await writer.close()
    writer = await open_writer(writer_settings(config), writer.path.name)
    assert (await writer.prune(T + DAY)).traces == 1
    sql = "SELECT outcome FROM dora_deployments"
    assert await writer.run(lambda db: db.execute(sql).fetchall()) == [("ok",)]


async def test_what_shares_a_body_with_something_live_is_kept_and_counted(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(alerts(("aaa", 0, None), ("bbb", 0, None), at=0))
    await writer.submit(alerts(("aaa", 0, 0.1), at=1))
    found = await pruned(writer, 20)
    assert (found.traces, found.deliveries, found.held) == (0, 0, 1)
    await writer.submit(alerts(("bbb", 0, 2), at=2))
    found = await pruned(writer, 20)
    assert (found.traces, found.held) == (2, 0)
    assert await names(writer) == set()


async def test_what_is_kept_keeps_what_shares_its_bodies_in_turn(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(alerts(("aaa", 0, 1), ("bbb", 0, 1), at=1))
    await writer.submit(alerts(("bbb", 0, 1), ("ccc", 1, None), at=1))
    await writer.submit(alerts(("ddd", 0, 1), at=1))
    found = await pruned(writer, 20)
    assert (found.traces, found.held) == (1, 2)
    assert await names(writer) == {"aaa", "bbb", "ccc"}


async def test_old_traces_that_arrived_late_do_not_come_back(open_writer) -> None:
    """History that was imported today: the deliveries are young, what they tell of is old."""
    writer = await open_writer()
    for action, at in (("start", 0), ("end", 60)):
        late = custom("build", "old", action, at)
        await writer.submit(late._replace(received_at=T + 100 * DAY))
    await writer.submit(custom("build", "new", "start", 99 * 86_400))
    found = await pruned(writer, 20)
    assert (found.traces, found.deliveries) == (1, 2)
    spans, _ = await rows_of(writer)
    assert [row[0] for row in spans] == [ref("build", "new")]


@pytest.mark.parametrize("moved", [0.001, -0.001])
async def test_a_delivery_under_a_former_key_lives_as_long_as_its_span(open_writer, moved) -> None:
    writer = await open_writer()
    await writer.submit(alerts(("aaa", 0, None), at=0))
    await writer.submit(alerts(("aaa", moved, None), at=1))
    found = await pruned(writer, 20)
    assert (found.traces, found.deliveries) == (0, 0)
    assert await names(writer) == {"aaa"}


DEPLOYED = {"service": "api", "environment": "production"}
JUDGED = (
    "SELECT key, outcome, failed_at, reasons, repair FROM dora_deployments ORDER BY key",
    "SELECT deployment, kind, key, started_at, ended_at FROM dora_signals ORDER BY 1, 2, 3",
    "SELECT deployment, change, at, lead, basis, again FROM dora_changes ORDER BY 1, 2",
)


async def told(writer, kind: str, name: str, at: int, **more: object) -> None:
    """A span of a minute, `at` seconds into the test's world."""
    await writer.submit(custom(kind, name, "start", at, tags=DEPLOYED))
    await writer.submit(custom(kind, name, "end", at + 60, tags=DEPLOYED, **more))


async def in_flight(writer, parent: str, at: int = 60) -> None:
    """Something that goes on below a span keeps its trace."""
    await writer.submit(custom("task", "open", "start", at, parentid=parent))


async def judged(writer) -> list:
    await writer.folded()
    return await writer.run(lambda db: [db.execute(sql).fetchall() for sql in JUDGED])


async def same_verdicts(writer):
    """What pruning did; neither it nor a rebuild changes a verdict."""
    before = await judged(writer)
    found = await pruned(writer, 20)
    assert await judged(writer) == before
    return found


async def test_a_closed_failure_stays_closed(open_writer) -> None:
    writer = await open_writer(writer_settings(Config()))
    await told(writer, "deploy", "bad", 0, error=True)
    await in_flight(writer, ref("deploy", "bad"))
    await told(writer, "deploy", "good", 3_600)
    await told(writer, "deploy", "later", 7_200)
    _, [(*_, ended)], _ = await judged(writer)
    assert ended == T + 3_660 * 1_000_000
    assert (await same_verdicts(writer)).held == 1


async def test_an_incident_goes_on_to_fail_its_deployment(open_writer) -> None:
    writer = await open_writer(writer_settings(Config()))
    await told(writer, "deploy", "1", 0)
    await in_flight(writer, ref("deploy", "1"))
    await told(writer, "incident", "down", 600)
    _, signals, _ = await judged(writer)
    assert [signal[1] for signal in signals] == ["incident"]
    assert (await same_verdicts(writer)).traces == 0


async def test_a_deployment_without_its_predecessor_ships_the_same(open_writer) -> None:
    """It deploys a version again, which ships nothing; the first deployment of it is pruned."""
    writer = await open_writer(writer_settings(Config()))
    for name, version, at in (("0", "1.0", 0), ("1", "1.1", 100), ("2", "1.1", 200)):
        tags = {**DEPLOYED, "version": version}
        await writer.submit(custom("deploy", name, "start", at, tags=tags))
        await writer.submit(custom("deploy", name, "end", at + 60, tags=tags))
    for name in ("0", "2"):
        body = custom("task", name, "start", 300, parentid=ref("deploy", name))
        await writer.submit(body)
    _, _, changes = await judged(writer)
    assert [row[0] for row in changes] == [ref("deploy", "0"), ref("deploy", "1")]
    assert (await same_verdicts(writer)).traces == 1

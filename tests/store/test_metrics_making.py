"""The writer makes what reports read while nothing else is to do."""

from tests.store.conftest import T, custom
from vs_tui.model.time import DAY, MINUTE
from vs_tui.store import upkeep
from vs_tui.store.metrics_making import make_reports
from vs_tui.store.metrics_tree import unkept
from vs_tui.store.writer import Settings

LAST_WEEK = (T - DAY, T + DAY)


async def test_columns_are_made_by_the_sweep_and_looked_at_each_minute(open_writer, clock) -> None:
    writer = await open_writer(Settings(make=(make_reports,)))
    for number in range(40):
        await writer.submit(custom("build", number, "start", at=number * 3600))
        await writer.submit(custom("build", number, "end", at=number * 3600 + 60))
    clock.now = T + 2 * DAY
    await writer.sweep()
    assert await writer.run(lambda db: unkept(db, "finished", LAST_WEEK)) == []
    await writer.submit(custom("build", "late", "end", at=3 * 3600 + 90))
    assert len(await writer.run(lambda db: unkept(db, "finished", LAST_WEEK))) == 1
    await writer.sweep()
    assert len(await writer.run(lambda db: unkept(db, "finished", LAST_WEEK))) == 1
    clock.now += MINUTE
    await writer.sweep()
    assert await writer.run(lambda db: unkept(db, "finished", LAST_WEEK)) == []


async def test_deliveries_that_wait_come_first(open_writer) -> None:
    writer = await open_writer()
    done = []

    def work(db, _) -> bool:
        done.append(db.in_transaction)
        return len(done) < 100

    assert not await upkeep.make(writer._transaction, (work,), lambda: True)
    assert done == [True]
    assert not await upkeep.make(writer._transaction, (work,), lambda: False)
    assert len(done) == 1 + upkeep.STEPS_AT_ONCE

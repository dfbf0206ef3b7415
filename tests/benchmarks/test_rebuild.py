"""A full rebuild: deliveries a second, and the CPU time of each in this process and in the others.

pytest -m benchmark -s tests/benchmarks/test_rebuild.py            (VS_BENCH_DELIVERIES=10000)

The clock's figure is worth something on a machine that does nothing else; the CPU time on any. In
batches of 500, on two cores that others kept busy (load 7 to 9): 190 us for a custom event and
730 us for a GitHub body, of which folding takes 140 and 560 and its statements 50 and 210.
"""

import asyncio
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.benchmarks.deliveries import BEGAN, simple, store_unfolded, story
from vs_tui.cli.runtime import writer_settings
from vs_tui.config import Config
from vs_tui.log.delivery import Intake
from vs_tui.model.time import DAY
from vs_tui.store.maintenance.rebuild import rebuild
from vs_tui.store.schema import open_writer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1_800)]

DELIVERIES = int(os.environ.get("VS_BENCH_DELIVERIES", "100000"))
NOW = BEGAN + 365 * DAY


def whole(total: int) -> Iterator[Intake]:
    return story(total, whole=True)


def used() -> float:
    """CPU seconds of this process and of those it waited for."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in found)


@pytest.mark.parametrize("made", [simple, story, whole])
def test_rebuild(tmp_path, made: Callable[[int], Iterator[Intake]]) -> None:
    path = tmp_path / "rebuild.db"
    with closing(open_writer(path)) as db:
        store_unfolded(db, made(DELIVERIES), NOW)
    here, everywhere, began = time.process_time(), used(), time.perf_counter()
    settings = writer_settings(Config(db=path))
    result = asyncio.run(rebuild(path, lambda: NOW, settings))
    took = time.perf_counter() - began
    mine, all_ = time.process_time() - here, used() - everywhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    each = 1_000_000 / DELIVERIES
    print(
        f"\n{made.__name__}, n={DELIVERIES}: "
        f"{DELIVERIES / took:,.0f} deliveries/s; "
        f"CPU {all_ * each:.0f} us each, {mine * each:.0f} us here; {peak} MB"
    )
    assert result.deliveries == DELIVERIES
    assert result.quarantined == 0

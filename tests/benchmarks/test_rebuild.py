"""A full rebuild: deliveries a second, and the CPU time of each in this process and in the others.

pytest -m benchmark -s tests/benchmarks/test_rebuild.py            (VS_BENCH_DELIVERIES=10000)

The clock's figure is worth something on a machine that does nothing else; the CPU time on any.
"""

import os
import resource
import time
from collections.abc import Callable, Iterator

import pytest

from tests.benchmarks.deliveries import BEGAN, simple, store_unfolded, story
from tests.store.ingesting import fold_anew
from vs_tui.log.delivery import Intake
from vs_tui.model.time import DAY
from vs_tui.store import batch
from vs_tui.store.schema import open_writer
from vs_tui.store.span_folding import Context

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
    db = open_writer(tmp_path / "rebuild.db")
    store_unfolded(db, made(DELIVERIES), NOW)
    folding = batch.Folding(Context(now=NOW, seq=0))
    here, everywhere, began = time.process_time(), used(), time.perf_counter()
    result = batch.in_transaction(db, folding, NOW, lambda db, f: fold_anew(db, f))
    took = time.perf_counter() - began
    mine, all_ = time.process_time() - here, used() - everywhere
    db.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    each = 1_000_000 / DELIVERIES
    print(
        f"\n{made.__name__}, n={DELIVERIES}: "
        f"{DELIVERIES / took:,.0f} deliveries/s; "
        f"CPU {all_ * each:.0f} us each, {mine * each:.0f} us here; {peak} MB"
    )
    assert result.deliveries == DELIVERIES
    assert result.quarantined == 0

"""Any window of the reports on spans over 1,000,000 of them; tests/benchmarks/test_dora.py has the
metrics.

pytest -m benchmark -s tests/benchmarks/test_metrics.py          (VS_BENCH_SPANS=100000 is quicker,
VS_BENCH_DB=large.db keeps the database for the next run)

The budget of a report over a year is 500 ms of the processor, without the garbage collector, as the
command reads it. Measured on two cores with a load of 5 (100,000 floats sorted in 16 ms): durations
by operation 280 ms, team 295, operation and service 255, actor 370, name 435 (100 of 111,000 groups
are listed; 1,000 take 5 ms more); pull requests one by one 175, by day 365, by week 205, by month
175; flaky jobs 150. All names, which nobody reads, are over the budget: 950 ms, and more to print.
Pull requests by day are 17,000 rows.
"""

import gc
import os
import random
import time
from functools import partial
from pathlib import Path

import pytest

from vs_tui.metrics.windows import Window, zone_of
from vs_tui.model.teams import Team, Teams
from vs_tui.model.time import DAY, HOUR, MINUTE, parse_instant
from vs_tui.model.vocabulary import Span, State, Status, trace_id_of
from vs_tui.store import rows
from vs_tui.store.queries.span_reports import (
    Whose,
    read_durations,
    read_expected,
    read_flaky,
    read_periods,
    read_pull_requests,
)
from vs_tui.store.schema import open_reader, open_writer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1_800)]

SPANS = int(os.environ.get("VS_BENCH_SPANS", "1000000"))
DEPLOYS = SPANS // 10
SERVICES = 50
IN_FLIGHT = 300
TEAMS = Teams(tuple(Team(f"team{n}", (f"acme/s{n}?",)) for n in range(5)))
NOW = parse_instant("2026-11-01T00:00:00Z")
YEARS = 730 * DAY
ZONE = zone_of("Europe/Berlin")
BUDGET_MS = 50
REPORT_MS = 500


def span(key: str, operation: str, began: int, ended: int, ok: bool, service: int, **more) -> Span:
    status, state = (Status.OK, State.OK) if ok else (Status.ERROR, State.ERROR)
    values = {
        "ref": key,
        "source": "github",
        "name": key,
        "project": f"acme/s{service // 10}{service % 10}",
        "team": f"team{service // 10}",
        "service": f"s{service // 10}{service % 10}",
        "trace_id": trace_id_of(key),
        "last_event_at": ended,
        "actor": f"user{service % 17}",
    }
    return Span(
        key=key,
        operation=operation,
        status=status,
        state=state,
        started_at=began,
        ended_at=ended,
        **(values | more),
    )


def spans_and_links(rng: random.Random):
    """(span, shipped pull request or ``), spread evenly over two years."""
    step = YEARS // DEPLOYS
    for n in range(DEPLOYS):
        at, service = NOW - YEARS + n * step, rng.randrange(SERVICES)
        lead = round(rng.lognormvariate(3, 1) * HOUR)
        merged = at - 20 * MINUTE
        pr = f"pr-{n}"
        counts = {
            "vs.pr.additions": rng.randrange(500),
            "vs.pr.deletions": rng.randrange(200),
            "vs.pr.comments": rng.randrange(9),
        }
        yield span(pr, "pull_request", merged - lead, merged, True, service, attributes=counts), ""
        ok = rng.random() > 0.05
        names = {"vs.version": str(n), "vs.product": f"product{service // 5}"}
        yield (
            span(f"deploy-{n}", "deploy", at - 5 * MINUTE, at, ok, service,
                 environment="prod", attributes=names),
            pr,
        )  # fmt: skip
        if n % 5 == 0:
            passed = rng.random() > 0.1
            yield (
                span(f"test-{n}", "test", at + MINUTE, at + 2 * MINUTE, passed, service,
                     environment="prod", attributes={"vs.suite": "smoke"}),
                "",
            )  # fmt: skip
        if n % 50 == 0:
            began = at + 10 * MINUTE
            yield (
                span(f"incident-{n}", "incident", began, began + HOUR, True, service,
                     environment="prod"),
                "",
            )  # fmt: skip
        for build in range(7 + (n % 5 != 0)):
            began = at - (build + 1) * 10 * MINUTE
            took = rng.randrange(1, 600) * 1_000_000
            key = f"build-{n}-{build}"
            again = build == 7 and n % 20 == 1  # a second run of the first job, on the same commit
            yield (
                span(key, "build", began, began + took, rng.random() > 0.1, service,
                     name=f"job-{0 if again else build}",
                     attributes={"vcs.ref.head.revision": f"{n:040x}"}),
                "",
            )  # fmt: skip
    for n in range(IN_FLIGHT):
        running = span(f"running-{n}", "build", NOW - n * MINUTE, NOW, True, n % SERVICES,
                       name=f"job-{n % 7}")  # fmt: skip
        running = running._replace(status=Status.IN_FLIGHT, state=State.RUNNING, ended_at=None)
        yield running, ""


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    kept = os.environ.get("VS_BENCH_DB", "")
    path = Path(kept) if kept else tmp_path_factory.mktemp("metrics") / "large.db"
    if path.is_file():
        return path
    db = open_writer(path)
    db.execute("PRAGMA synchronous = OFF")
    began = time.perf_counter()
    db.execute("BEGIN")
    batch, links, total = [], [], 0
    for found, pr in spans_and_links(random.Random(7)):
        batch.append(rows.span_row(found, short_ref=found.key, changed=1))
        if pr:
            links.append((found.key, pr, "ships", "", 0))
        if len(batch) == 20_000:
            db.executemany(rows.UPSERT_SPAN, batch)
            total += len(batch)
            batch.clear()
    db.executemany(rows.UPSERT_SPAN, batch)
    db.executemany("INSERT INTO links VALUES (?, ?, ?, ?, ?)", links)
    db.execute("COMMIT")
    print(f"\n{total + len(batch):,} spans in {time.perf_counter() - began:.0f} s")
    db.close()
    return path


def timed(work, repeat: int = 7) -> tuple[float, float]:
    """(median of the clock, least of the processor) in milliseconds: on a busy machine only the
    second says what the work costs."""
    clock, processor = [], []
    for _ in range(repeat):
        began, spent = time.perf_counter(), time.process_time()
        work()
        processor.append((time.process_time() - spent) * 1_000)
        clock.append((time.perf_counter() - began) * 1_000)
    return sorted(clock)[len(clock) // 2], min(processor)


@pytest.fixture(autouse=True)
def yardstick():
    """How fast the machine is now: shared ones are half as fast a minute later."""
    rng = random.Random(1)
    values = [rng.random() for _ in range(100_000)]
    before = timed(lambda: sorted(values))[1]
    yield
    after = timed(lambda: sorted(values))[1]
    print(f"\n100,000 floats are sorted in {before:.0f} ms before, {after:.0f} ms after")


def window(days: int) -> Window:
    return Window(NOW - days * DAY, NOW, NOW, ZONE)


DAYS = (1, 7, 30, 90, 365, 730)


def told(days: int, label: str, clock: float, processor: float, budget: float = BUDGET_MS) -> None:
    over = "" if processor < budget else f"   over {budget} ms"
    print(f"{days:4} d, {label:<28} clock {clock:7.1f} ms  processor {processor:7.1f} ms{over}")


def test_reports_on_spans(database) -> None:
    db = open_reader(database)
    gc.disable()  # as the command does
    try:
        print_reports(db)
    finally:
        gc.enable()
    told(0, f"expected ends of {IN_FLIGHT}", *timed(lambda: read_expected(db, Whose(), NOW)))


def print_reports(db) -> None:
    print()
    for days in DAYS:
        over = window(days)
        reports = {
            f"durations by {by}": partial(read_durations, db, over, by.split(","), most=100)
            for by in ("operation", "team", "operation,service", "actor", "name")
        }
        for by in ("day", "week", "month"):
            reports[f"pull requests by {by}"] = partial(read_periods, db, over, Whose(), by)
        reports["pull requests"] = partial(read_pull_requests, db, over, Whose())
        reports["durations by name, all"] = partial(read_durations, db, over, ["name"])
        reports["flaky jobs"] = partial(read_flaky, db, over, Whose())
        for name, work in reports.items():
            told(days, name, *timed(work, 3), budget=REPORT_MS)

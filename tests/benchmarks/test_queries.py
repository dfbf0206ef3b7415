"""Every query of every list over 1,000,000 spans and as many deliveries, against 50 ms.

pytest -m benchmark -s tests/benchmarks/test_queries.py          (VS_BENCH_SPANS=100000 is quicker,
VS_BENCH_DB=large.db keeps the database for the next run)
"""

import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from vs_tui.model.time import DAY
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.schema import open_writer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1_800)]

COUNT = int(os.environ.get("VS_BENCH_SPANS", "1000000"))
TIMES = int(os.environ.get("VS_BENCH_TIMES", "20"))
BUDGET_MS = 50
NOW = 1_793_000_000_000_000
STEP = 60_000_000
"""Microseconds from one span to the next: a million is two years."""

# Ten a trace, as a pipeline with its phases gives: the change, the run, four jobs, three phases
# of them, the deploy. Two hundred services of eight teams; one in 97 failed.
SPANS = """
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
INSERT INTO spans
SELECT 'github/acme/service-' || (n / 10 % 200) || '/' || n, 'vstrace-github-build-' || n,
    'vstrace-github-build-' || n, CASE n / 10 % 3 WHEN 0 THEN 'gitlab' ELSE 'github' END,
    CASE n % 10 WHEN 0 THEN 'pull_request' WHEN 9 THEN 'deploy' WHEN 1 THEN 'pipeline'
        WHEN 2 THEN 'stage' WHEN 3 THEN 'stage' WHEN 4 THEN 'stage' ELSE 'build' END,
    CASE n % 10 WHEN 0 THEN '#' || (n / 10) || ' retry on ' || (n * 7919 % 1000)
        WHEN 9 THEN 'service-' || (n / 10 % 200) || ' v' || (n / 10) ELSE 'job ' || (n % 10) END,
    CASE WHEN n % 97 = 0 THEN 'error' ELSE 'ok' END, CASE WHEN n % 97 = 0 THEN 6 ELSE 4 END,
    :now - (:count - n) * :step - n * 104729 % 3600 * 1000000, :now - (:count - n) * :step,
    'acme/service-' || (n / 10 % 200), 'team-' || (n / 10 % 8), 'service-' || (n / 10 % 200),
    CASE n % 10 WHEN 9 THEN CASE n / 10 % 5 WHEN 0 THEN 'staging' ELSE 'production' END ELSE '' END,
    'user-' || (n / 10 % 300), 'https://example.com/' || n, 1, '', NULL,
    :now - (:count - n) * :step, 0, 180000000, '',
    '{"vcs.ref.head.revision":"9f3c1e2aa0","cicd.pipeline.run.id":' || n || '}',
    printf('%032x', n / 10), printf('%032x', n / 10),
    CASE n % 10 WHEN 0 THEN ''
        ELSE 'github/acme/service-' || (n / 10 % 200) || '/' || (n - n % 10) END,
    'series-' || (n / 10 % 200) || '-' || (n % 10), n % 10 IN (2, 3, 4), n + 1, '', '', ''
FROM numbers
"""
FLYING = """
UPDATE spans SET status = 'in_flight', state = 3, ended_at = NULL, active = NULL,
    last_event_at = :now - 600000000
WHERE rowid > (SELECT MAX(rowid) FROM spans) - 60 OR rowid % 2003 = 0
"""
RARE = "UPDATE spans SET name = 'needle in the haystack', team = 'quiet' WHERE rowid IN (500, 900)"
DELIVERIES = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
INSERT INTO deliveries
SELECT n, CASE n % 3 WHEN 0 THEN 'gitlab' ELSE 'github' END,
    CASE n % 4 WHEN 0 THEN 'pull_request' ELSE 'workflow_job' END, '/github', '{}',
    CAST('{"n":' || n || '}' AS BLOB), x'00', :now - (:count - n) * :step, 'd' || n,
    CASE WHEN n % 5000 = 0 THEN 'quarantined' WHEN n % 9 = 0 THEN 'ignored' ELSE 'accepted' END,
    CASE WHEN n % 9 = 0 THEN 'nothing is made of this event' ELSE '' END, 200, 0, 1, '[]', NULL
FROM numbers
"""


def make_database(path: Path, count: int) -> Path:
    """So many spans and deliveries of two years, written by SQL alone."""
    db = open_writer(path)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    db.execute(SPANS, {"count": count, "now": NOW, "step": STEP})
    db.execute(FLYING, {"now": NOW})
    db.execute(RARE)
    db.execute(DELIVERIES, {"count": count, "now": NOW, "step": STEP})
    db.execute("INSERT OR REPLACE INTO meta VALUES ('seq', :count)", {"count": count})
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


FILTERS = (
    "",
    "fresh<7d",
    "fresh<30d",
    "team:team-3",
    'team:"team-3" fresh<7d',
    "team:quiet",
    "team:nobody",
    "kind:deploy",
    "kind:deploy state:failed",
    "state:failed",
    "state:cancelled",
    "state:stale",
    "-is:draft",
    "is:draft",
    "dur>50m",
    "dur>10h",
    "project:acme/service-17",
    "service:service-17 kind:deploy",
    "actor:user-7",
    "retry",
    "needle",
    "nowhere",
    "name:needle*",
    "env:production -team:team-3",
    "trace:00000000000000000000000000000100",
    "since:2025-12-01 until:2025-12-02",
)
SORTS = ("started", "ended", "duration", "name", "-name", "-live")
EVENTS = (
    "",
    "source:gitlab",
    "verdict:quarantined",
    "verdict:rejected",
    "kind:pull_request",
    "made",
    "nowhere",
    "since:2026-10-25",
    "until:2025-12-01",
    "source:gitlab verdict:quarantined since:2026-10-01",
)


@pytest.mark.skipif(not COUNT, reason="no spans asked for")
async def test_every_query_of_every_list(tmp_path) -> None:
    kept = os.environ.get("VS_BENCH_DB", "")
    path = Path(kept) if kept else tmp_path / "large.db"
    if not path.exists():
        make_database(path, COUNT)
    reader = await SqliteReader(path, lambda: NOW).open()
    then = NOW - 365 * DAY
    slow: list[str] = []
    spent: list[float] = []
    plain = reader.run

    async def run(work: Callable[[Any], Any]) -> Any:
        """Processor time of the reader's thread: other work of the machine is left out."""

        def timed(db: Any) -> Any:
            began = time.thread_time()
            try:
                return work(db)
            finally:
                spent.append(time.thread_time() - began)

        return await plain(timed)

    reader.run = run

    async def measure(name: str, ask: Callable[[], Awaitable[Any]]) -> None:
        took, again, whole, more = [], 0, 0.0, True
        while again < TIMES or (more and again < 500):
            spent.clear()
            page = await ask()
            took.append(1e3 * sum(spent))
            again += 1
            if more:
                whole += took[-1]
                more = bool(getattr(page, "searched", None) or getattr(page, "until", None))
        ordered = sorted(took)
        middle, worst = statistics.median(took), ordered[int(0.95 * len(ordered))]
        if worst > BUDGET_MS:
            slow.append(name)
        mark = "  SLOW" if worst > BUDGET_MS else ""
        print(
            f"{name:<60} first {took[0]:6.1f}  p50 {middle:6.1f}  p95 {worst:6.1f} ms, "
            f"all found after {whole:7.0f} ms{mark}"
        )

    print(f"\n{COUNT} spans, load {os.getloadavg()[0]:.1f}")
    for text in FILTERS:
        await measure(f"live   {text}", lambda text=text: reader.spans(text))
        await measure(f"counts {text}", lambda text=text: reader.counts(text))
        await measure(f"then   {text}", lambda text=text: reader.spans(text, at=then))
        await measure(f"counts then {text}", lambda text=text: reader.counts(text, at=then))
        await measure(f"traces {text}", lambda text=text: reader.traces(text, limit=300))
        await measure(
            f"traces then {text}", lambda text=text: reader.traces(text, limit=300, at=then)
        )
    for sort in SORTS:
        for text in ("", "fresh<7d", "team:team-3", "nowhere"):
            await measure(
                f"by {sort} {text}", lambda text=text, sort=sort: reader.spans(text, sort=sort)
            )
    for text in EVENTS:
        await measure(f"events {text}", lambda text=text: reader.deliveries(text, limit=500))
    page = await reader.spans("", limit=100)
    one = page.items[0]
    await measure("span", lambda: reader.span(one.ref))
    await measure("no span", lambda: reader.span("nowhere"))
    await measure("trace", lambda: reader.trace(one.trace_id))
    await measure("baselines of 100", lambda: reader.baselines(page.items))
    found = await reader.trace(one.trace_id)
    await measure("past runs of a trace", lambda: reader.past_runs(found.spans))
    await measure("changes", lambda: reader.changes(COUNT - 100))
    await measure("received today", lambda: reader.received(NOW - DAY))
    await measure("sources", reader.sources)
    await measure("teams", reader.teams)
    await measure("health", reader.health)
    await reader.close()
    print(f"{len(slow)} over {BUDGET_MS} ms: {'; '.join(slow) or 'none'}")

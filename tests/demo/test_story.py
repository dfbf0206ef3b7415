"""The sample story: complete, readable by every adapter, and the same each time it is written."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

from vs_tui.cli.demo import AT_ONCE
from vs_tui.demo.story import END, START, TEAMS, after_end, by_source, story
from vs_tui.log.recording import write
from vs_tui.model.time import DAY, HOUR, MINUTE

SAMPLES = Path(__file__).parents[2] / "sample_events"


def test_the_files_are_what_the_story_tells(deliveries) -> None:
    told = by_source(deliveries)
    assert {path.stem for path in SAMPLES.glob("*.jsonl")} == told.keys()
    for source, sent in told.items():
        written = (SAMPLES / f"{source}.jsonl").read_bytes()
        assert written == b"".join(write(sent)), f"{source}: run python -m vs_tui.demo.story"
    assert (SAMPLES / TEAMS.name).read_bytes() == TEAMS.read_bytes()


def test_who_waits_for_the_story_is_told_how_far_it_is(db, progress, deliveries) -> None:
    assert progress == [(done, len(deliveries)) for done in range(0, len(deliveries), AT_ONCE)]
    assert len(progress) > 5


def test_no_delivery_names_an_id_of_another_tool(deliveries) -> None:
    for delivery in deliveries:
        refs = re.findall(rb"vstrace-(\w+)-", delivery.body)
        assert set(refs) <= ({b"customhttp"} if delivery.path == "/customhttp" else set())


def test_everything_is_accepted(db) -> None:
    verdicts = db.execute("SELECT source, verdict, reason FROM deliveries").fetchall()
    assert len(verdicts) == len(story())
    assert {row["verdict"] for row in verdicts} == {"accepted"}, [
        tuple(row) for row in verdicts if row["verdict"] != "accepted"
    ]


def test_five_weeks_with_failures_reruns_incidents_and_rollbacks(db, deliveries) -> None:
    assert deliveries[0].received_at < START + DAY
    assert END - deliveries[-1].received_at < MINUTE
    count = Counter(
        (row["operation"], row["status"])
        for row in db.execute("SELECT operation, status FROM spans")
    )
    assert count["incident", "ok"] >= 3
    assert count["deploy", "ok"] > 100
    assert count["deploy", "error"] >= 5
    assert count["pipeline", "error"] > 20
    assert count["pull_request", "cancelled"] >= 3
    assert count["deploy", "in_flight"] + count["build", "in_flight"] >= 4
    assert db.execute("SELECT count(*) FROM spans WHERE attempt > 1").fetchone()[0] > 3
    teams = {
        row[0] for row in db.execute("SELECT DISTINCT team FROM spans WHERE operation = 'deploy'")
    }
    assert {"core", "web", "platform"} <= teams


def test_a_delivery_is_one_trace_from_ticket_to_production(db) -> None:
    """Found without a reference: each production deploy lies in the trace of a ticket or issue."""
    deploys = db.execute(
        "SELECT trace_id, source, team FROM spans WHERE operation = 'deploy'"
        " AND environment = 'production' AND status = 'ok' AND source != 'plyzen'"
    ).fetchall()
    roots = {
        row["trace_id"]
        for row in db.execute("SELECT trace_id FROM spans WHERE operation = 'issue'")
    }
    lost = [tuple(row) for row in deploys if row["trace_id"] not in roots]
    # A rollback ships what another delivery shipped before, by hand.
    assert len(lost) <= 3, lost
    assert {row["source"] for row in deploys} == {"github", "gitlab", "jenkins"}


def test_an_incident_is_linked_to_the_deploy_that_made_it(db) -> None:
    """By its version where the alert names one, else because it follows the service's deploy."""
    rows = db.execute(
        "SELECT s.key, l.rule FROM spans s LEFT JOIN links l ON l.child = s.key"
        " LEFT JOIN spans p ON p.key = l.parent AND p.operation = 'deploy'"
        " WHERE s.operation = 'incident' AND (l.child IS NULL OR p.key IS NOT NULL)"
    ).fetchall()
    rules = Counter(row["rule"] for row in rows)
    assert rules == {"proximity": 4, "version": 2}


def test_live_traffic_goes_on_without_a_pause_and_in_order() -> None:
    coming = list(islice(after_end(), 400))
    times = [delivery.received_at for delivery in coming]
    assert times == sorted(times)
    assert times[0] >= END
    assert max(b - a for a, b in pairwise(times)) < 2 * MINUTE
    assert times[-1] - END < 2 * HOUR
    assert len(by_source(coming)) >= 5


def test_the_story_is_small_enough_to_be_read() -> None:
    sizes = [path.stat().st_size for path in SAMPLES.glob("*.jsonl")]
    assert sum(sizes) < 8_000_000

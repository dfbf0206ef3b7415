"""Metrics under em-metrics' names: by OTLP and at /metrics, each thing counted once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from prometheus_client.parser import text_string_to_metric_families

from tests.export.receiving import post, receiver, until
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, Secrets, load
from vs_tui.config.model import ExportSettings
from vs_tui.export import otlp, sending
from vs_tui.metrics.counters import INSTRUMENTS, MOST_SERIES, Count, Labels, Total, add
from vs_tui.store import counter_totals as totals


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    """Look often and try again soon: what is tested is what happens, not how long it takes."""
    monkeypatch.setattr(otlp, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(otlp, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(sending, "delay", lambda failures, asked: 0.01)


async def em_metrics(runtime: Runtime, number: int = 1) -> None:
    """A deployment, an incident and a pull request, each with its end."""
    n = str(number)
    at = "2026-03-02T%s:00Z"
    await post(
        runtime,
        "/deployments",
        id=n,
        project_id="acme/em",
        first_commit_at=at % "06:00",
        deploy_start_at=at % "09:00",
        deployed_at=at % "09:30",
    )
    await post(runtime, "/incidents", id=n, project_id="acme/em", started_at=at % "10:00")
    await post(runtime, f"/incidents/{n}/restored", date=at % "10:45")
    await post(
        runtime,
        "/pull-requests",
        id=n,
        team_id="core",
        opened_at=at % "08:00",
        additions=40,
        deletions=3,
    )
    await post(
        runtime,
        f"/pull-requests/{n}/reviewed",
        reviewed_at=at % "08:20",
        approved=True,
        nb_comments=2,
    )
    await post(runtime, f"/pull-requests/{n}/merged", merged_at=at % "12:00")


def points(request: ExportMetricsServiceRequest) -> dict[str, dict[str, Any]]:
    """Name -> {project: (value of a counter, or count and sum)} of a request."""
    found: dict[str, dict[str, Any]] = {}
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        data = getattr(metric, metric.WhichOneof("data"))
        assert data.aggregation_temporality == (
            AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        )
        for point in data.data_points:
            labels = {pair.key: pair.value.string_value for pair in point.attributes}
            value = (point.count, point.sum) if hasattr(point, "count") else point.as_int
            found.setdefault(metric.name, {})[labels.get("project_id", "")] = value
    return found


async def latest(collector: Any) -> dict[str, dict[str, Any]]:
    """What a push says that begins after this call."""
    known = len(collector.metrics)
    await until(lambda: len(collector.metrics) >= known + 2)
    return points(collector.metrics[-1])


async def test_everything_is_pushed_under_em_metrics_names(tmp_path, collector) -> None:
    async with receiver(tmp_path, collector.url, environment="staging") as runtime:
        await em_metrics(runtime)
        found = await latest(collector)
    em = "acme/em"
    assert {name: own[em] for name, own in found.items() if em in own} == {
        "deployment_started": 1,
        "deployment_frequency": 1,
        "deployment_duration": (1, 30.0),
        "change_failure_count": 1,  # by the incident after it
        "lead_time_for_changes": (1, 210.0),
        "incident_count": 1,
        "incident_restored": 1,
        "time_to_restore": (1, 45.0),
        "time_to_detect": (1, 30.0),
    }
    assert {name: own["core"] for name, own in found.items() if "core" in own} == {
        "pull_request_opened_count": 1,
        "pull_request_merged_count": 1,
        "pull_request_loc_added": (1, 40.0),
        "pull_request_loc_removed": (1, 3.0),
        "pull_request_nb_reviews_per_pr": (1, 1.0),
        "pull_request_time_to_first_review_minutes": (1, 20.0),
        "pull_request_time_to_approve_minutes": (1, 20.0),
        "pull_request_time_to_merge_minutes": (1, 240.0),
    }
    assert found["pull_request_nb_comments_per_review"] == {"": (1, 2.0)}
    request = collector.metrics[-1].resource_metrics[0]
    resource = {pair.key: pair.value.string_value for pair in request.resource.attributes}
    assert resource == {"service.name": "vs-tui", "deployment.environment.name": "staging"}
    for metric in request.scope_metrics[0].metrics:
        assert metric.unit == INSTRUMENTS[metric.name].unit
        if metric.HasField("histogram"):
            for bars in metric.histogram.data_points:
                assert tuple(bars.explicit_bounds) == INSTRUMENTS[metric.name].bounds
                assert len(bars.bucket_counts) == len(bars.explicit_bounds) + 1
                assert sum(bars.bucket_counts) == bars.count


async def test_totals_survive_a_restart_and_lost_spans(tmp_path, collector) -> None:
    async with receiver(tmp_path, collector.url) as runtime:
        await em_metrics(runtime)
        before = await latest(collector)
        begin = first_begin(collector.metrics[-1])
    async with receiver(tmp_path, collector.url) as runtime:
        assert await latest(collector) == before
        await runtime.writer.transaction(lambda db, _: db.execute("DELETE FROM spans"))
        await em_metrics(runtime, 2)
        found = await latest(collector)
        assert found["deployment_frequency"] == {"acme/em": 2}
        assert found["time_to_restore"] == {"acme/em": (2, 90.0)}
        assert first_begin(collector.metrics[-1]) == begin


def first_begin(request: ExportMetricsServiceRequest) -> int:
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    return int(getattr(metric, metric.WhichOneof("data")).data_points[0].start_time_unix_nano)


async def test_a_collector_that_is_away_gets_the_totals_of_then(tmp_path, collector) -> None:
    port = collector.port
    await collector.stop()
    async with receiver(tmp_path, collector.url, signals=("metrics",)) as runtime:
        (exporter,) = runtime.exporters
        for number in range(3):
            await em_metrics(runtime, number)
        await until(lambda: exporter.state.trouble)
        await collector.start(port)
        await until(lambda: collector.metrics)
        assert (await latest(collector))["deployment_frequency"] == {"acme/em": 3}
        await until(lambda: not exporter.state.trouble)
    assert collector.requests == []


async def test_the_last_push_is_made_at_shutdown(tmp_path, collector, monkeypatch) -> None:
    monkeypatch.setattr(otlp, "EVERY_SECONDS", 3600)
    async with receiver(tmp_path, collector.url, signals=("metrics",)) as runtime:
        await em_metrics(runtime)
    assert points(collector.metrics[-1])["deployment_frequency"] == {"acme/em": 1}


async def test_a_collector_that_does_not_answer_does_not_hold_up_a_stop(
    tmp_path, monkeypatch
) -> None:
    assert sending.STOP_SECONDS + otlp.STOP_SECONDS < 5, "the promise of a stop"
    for module in (sending, otlp):
        monkeypatch.setattr(module, "STOP_SECONDS", 0.1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    mute = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
    async with receiver(tmp_path, url) as runtime:
        await em_metrics(runtime)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 3
    mute.close()


async def test_refused_points_are_counted(tmp_path, collector) -> None:
    collector.partial_metrics = ExportMetricsServiceResponse()
    collector.partial_metrics.partial_success.rejected_data_points = 2
    async with receiver(tmp_path, collector.url, signals=("metrics",)) as runtime:
        await em_metrics(runtime)
        state = runtime.exporters[0].state
        await until(lambda: state.refused >= 2)
        assert state.sent > 0


async def test_without_metrics_among_the_signals_none_are_sent(tmp_path, collector) -> None:
    async with receiver(tmp_path, collector.url, signals=("traces",)) as runtime:
        await em_metrics(runtime)
        await until(lambda: len(collector.spans) == 4)
    assert collector.metrics == []


async def scrape(runtime: Runtime) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value of every sample of /metrics, which waits for no folding."""
    from aiohttp import ClientSession

    assert await runtime.writer.caught_up()
    headers = {"Authorization": "Bearer token-0123456789"}
    async with ClientSession(runtime.url, headers=headers) as session:
        text = await (await session.get("/metrics")).text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_has_the_same_names_without_an_export(tmp_path) -> None:
    async with receiver(tmp_path, "") as runtime:
        before = await scrape(runtime)
        await em_metrics(runtime)
        after = await scrape(runtime)
    em = (("environment", "production"), ("project_id", "acme/em"))
    assert before["deployment_frequency_total", ()] == 0
    assert after["deployment_frequency_total", em] == 1
    assert after["time_to_restore_sum", em] == 45
    assert after["time_to_restore_bucket", (*em[:1], ("le", "30.0"), *em[1:])] == 0
    assert after["time_to_restore_bucket", (*em[:1], ("le", "60.0"), *em[1:])] == 1
    # As em-metrics' recording rules have them.
    assert after["time_to_restore_millisecond_sum", em] == 45 * 60_000
    assert after["pull_request_merged_count_pull_requests_total", (("project_id", "core"),)] == 1
    assert after["change_failure_count_deployment_total", em] == 1
    assert after["lead_time_for_changes_millisecond_sum", em] == 210 * 60_000


async def test_increase_sees_the_first_event_of_a_known_series(tmp_path) -> None:
    labels = (("event_source", "custom_http"), ("event_type", "deploy"))
    started = ("webhooks_event_start_total", labels)
    ended = ("webhooks_event_end_total", (("error", "true"), *labels))
    async with receiver(tmp_path, "") as runtime:
        before = await scrape(runtime)
        await post(runtime, "/customhttp", type="deploy", id="1", action="start")
        await post(runtime, "/customhttp", type="deploy", id="1", action="end", error=True)
        await post(
            runtime,
            "/customhttp",
            type="audit",
            id="2",
            action="start",
            tags={"project": "acme/api"},
        )
        after = await scrape(runtime)
    assert (before[started], before[ended]) == (0, 0)
    assert (after[started], after[ended]) == (1, 1)
    async with receiver(tmp_path, "") as runtime:
        known = await scrape(runtime)
    audit = [labels for name, labels in known if name == started[0] and "audit" in str(labels)]
    assert audit, "what the store knows begins at 0 after a restart"
    assert {known[started[0], labels] for labels in audit} == {0}


def test_names_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[export]\nenvironment = 'a'\n")
    env = {"OTEL_SERVICE_NAME": "delivery", "DEPLOYMENT_ENVIRONMENT": "prod"}
    export = load(tmp_path / "config.toml", env=env).export
    assert (export.service_name, export.environment) == ("delivery", "prod")
    export = load(tmp_path / "config.toml", env={}).export
    assert (export.service_name, export.environment) == ("vs-tui", "a")


def test_a_value_on_a_bound_is_below_it() -> None:
    total = Total("lead_time_for_changes", Labels())
    for value in (5.0, 5.1, 9999.0):
        total = add(total, value)
    assert total.buckets == (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert (total.n, total.sum) == (3, pytest.approx(10_009.1))


async def test_series_are_bounded(tmp_path) -> None:
    config = Config(db=tmp_path / "t.db", secrets=Secrets("token-0123456789", {}))
    async with receiver(tmp_path, "") as runtime:
        counts = [
            Count(f"fact {n}", "deployment_frequency", Labels(f"project-{n}"))
            for n in range(MOST_SERIES + 50)
        ]
        await runtime.writer.transaction(lambda db, _: totals.keep_counts(db, counts))
        await runtime.writer.transaction(lambda db, _: totals.keep_counts(db, counts))
        found = await runtime.reader.run(totals.read_totals)
    assert config.export == ExportSettings()
    assert len(found) == MOST_SERIES + 1
    assert next(t.n for t in found if t.labels.project_id == "other") == 50
    assert sum(t.n for t in found) == MOST_SERIES + 50

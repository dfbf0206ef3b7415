"""How many series /metrics has is not the senders' to say."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.ingest.server import nearby
from vs_tui.export.prometheus import MOST_OPERATIONS, Metrics
from vs_tui.model.vocabulary import Event, Operation, State
from vs_tui.store.folding.span_folding import Change
from vs_tui.traces.folding import fold


def test_operations_beyond_the_first_are_counted_together() -> None:
    metrics = Metrics()
    for name in [*map(str, range(MOST_OPERATIONS)), "deploy"]:
        folded = fold([Event(name, "customhttp", name, State.OK, 1)])
        metrics.observe([Change(None, folded.span, folded)])
    lines = metrics.render().decode().splitlines()
    begun = [line for line in lines if line.startswith("webhooks_event_start_total{")]
    started = 'webhooks_event_start_total{event_source="custom_http",event_type="%s"} %d.0'
    assert started % ("0", 1) in begun
    assert started % ("deploy", 1) in begun, "what we know is counted however many others came"
    assert started % ("other", len(Operation)) in begun
    assert len(begun) == MOST_OPERATIONS - len(Operation) + 2


def test_no_label_holds_a_character_that_a_terminal_obeys() -> None:
    metrics = Metrics()
    for project in ("web\x1b]52;c;QQ==\x07", "web\x9b31m", "web\u202egnp", "web\nx 1", "日本 web"):
        folded = fold([Event(project, "customhttp", "deploy", State.OK, 1, project=project)])
        metrics.observe([Change(None, folded.span, folded)])
    text = metrics.render().decode()
    assert all(line.isprintable() for line in text.split("\n"))
    begun = [line for line in text.split("\n") if line.startswith("webhooks_event_start_total{")]
    assert len(begun) == 5, "different names stay apart"
    assert any('"日本 web"' in line for line in begun)
    samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
    assert {"web\\x1b]52;c;QQ==\\x07", "web\\nx 1"} < {s.labels.get("project") for s in samples}


def test_a_deploy_of_45_minutes_is_that_in_valuestreams_unit() -> None:
    """Its dashboard reads milliseconds, in buckets that begin at half an hour."""
    metrics = Metrics()
    at = 1_772_445_600_000_000
    events = [
        Event("d", "customhttp", "deploy", State.RUNNING, at, started_at=at),
        Event("d", "customhttp", "deploy", State.OK, at + 45 * 60 * 1_000_000),
    ]
    folded = fold(events)
    metrics.observe([Change(None, folded.span, folded)])
    text = metrics.render().decode()
    labels = 'error="false",event_source="custom_http",event_type="deploy"'
    assert f"webhooks_event_duration_sum{{{labels}}} 2.7e+06" in text
    assert f'webhooks_event_duration_bucket{{{labels},le="1.8e+06"}} 0.0' in text
    assert f'webhooks_event_duration_bucket{{{labels},le="3.6e+06"}} 1.0' in text


def test_valuestreams_mean_of_several_projects_is_a_mean() -> None:
    """Its panels are `sum(rate(..._sum[1d]) / rate(..._count[1d]))`, each series by itself; one
    that has no value makes all of it NaN."""
    metrics = Metrics()
    metrics.begin()
    metrics.seed([("customhttp", "deploy", "acme/a"), ("github", "deploy", "acme/idle")])
    at = 1_772_445_600_000_000
    for project in ("acme/a", "acme/b", "acme/c"):
        for n in range(2):
            folded = fold(
                [
                    Event(
                        f"{project}{n}", "customhttp", "deploy", State.RUNNING, at, started_at=at
                    ),
                    Event(f"{project}{n}", "customhttp", "deploy", State.OK, at + 2_700_000_000),
                ]
            )
            span = folded.span._replace(project=project)
            metrics.observe([Change(None, span, folded._replace(span=span))])
    samples = [
        sample
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if family.name == "webhooks_event_duration" and sample.labels["event_type"] == "deploy"
    ]
    sums = {(*s.labels.values(),): s.value for s in samples if s.name.endswith("_sum")}
    counts = {(*s.labels.values(),): s.value for s in samples if s.name.endswith("_count")}
    assert sum(sums[series] / counts[series] for series in counts) == 45 * 60 * 1_000


def test_deliveries_are_counted_from_zero(tmp_path) -> None:
    with nearby(tmp_path) as server:
        _, text = server.call("/metrics")
        assert 'vs_deliveries_total{source="github",verdict="accepted"} 0.0' in text
        server.call("/customhttp", {"type": "job", "id": "m", "action": "start"})
        _, text = server.call("/metrics")
        assert 'vs_deliveries_total{source="customhttp",verdict="accepted"} 1.0' in text
        assert "# TYPE vs_deliveries_total counter" in text

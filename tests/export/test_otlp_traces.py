"""Traces leave by OTLP: every span once, the tree whole, whatever the collector does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status as OtlpStatus

from tests.export.receiving import event, receiver, until
from vs_tui.api.remote_reader import HttpReader
from vs_tui.cli.common import now
from vs_tui.cli.doctor_store import Finding, export_findings
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, ConfigError, Secrets
from vs_tui.config.model import ExportSettings
from vs_tui.export import otlp, sending
from vs_tui.model.vocabulary import otel_span_id, otel_trace_id


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    """Look often and try again soon: what is tested is what happens, not how long it takes."""
    monkeypatch.setattr(otlp, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(sending, "delay", lambda failures, asked: 0.01)


def ref(kind: str, name: str) -> str:
    return f"vstrace-customhttp-{kind}-default-{name}"


async def tree(runtime: Runtime, name: str, *, failed: bool = False) -> None:
    """A pipeline with two children, all over."""
    parent = ref("pipeline", name)
    await event(runtime, "pipeline", name, "start")
    for child in ("a", "b"):
        await event(runtime, "build", f"{name}-{child}", "start", parent_id=parent)
        await event(runtime, "build", f"{name}-{child}", "end", error=failed and child == "b")
    await event(runtime, "pipeline", name, "end", error=failed)


def doctor(runtime: Runtime) -> Finding:
    """What doctor says of the traces."""
    return next(export_findings(runtime.config))


def attributes(span: OtlpSpan) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes
    }


async def test_a_trace_leaves_once_it_is_over_and_whole(tmp_path, collector) -> None:
    async with receiver(tmp_path, collector.url, headers={"X-Tenant": "core"}) as runtime:
        await event(runtime, "pipeline", "open", "start")
        await tree(runtime, "1", failed=True)
        await until(lambda: len(collector.spans) == 3)
        spans = {span.name: span for span in collector.spans}
        root = next(span for span in spans.values() if not span.parent_span_id)
        children = [span for span in spans.values() if span.parent_span_id]
        assert len(children) == 2
        assert {span.parent_span_id for span in children} == {root.span_id}
        assert len({span.trace_id for span in spans.values()}) == 1
        assert root.status.code == OtlpStatus.STATUS_CODE_ERROR
        assert attributes(root)["cicd.pipeline.result"] == "failure"
        assert attributes(root)["error.type"] == "failure"
        found = await runtime.reader.span(ref("pipeline", "1"))
        assert found is not None
        assert root.span_id == otel_span_id(found.key)
        assert root.trace_id == otel_trace_id(found.trace_id) == bytes.fromhex(found.trace_id)
        assert root.start_time_unix_nano == found.started_at * 1000
        assert root.end_time_unix_nano >= root.start_time_unix_nano + 1000
        assert collector.headers[0]["X-Tenant"] == "core"
        # The open one follows when it ends; the others are not sent again.
        await event(runtime, "pipeline", "open", "end")
        await until(lambda: len(collector.spans) == 4)
    assert len({span.span_id for span in collector.spans}) == 4


async def test_a_span_that_ends_later_is_sent_then_with_the_trace_of_then(
    tmp_path, collector
) -> None:
    async with receiver(tmp_path, collector.url) as runtime:
        await tree(runtime, "1")
        await until(lambda: len(collector.spans) == 3)
        parent = ref("pipeline", "1")
        await event(runtime, "deploy", "late", "start", parent_id=parent)
        await event(runtime, "deploy", "late", "end")
        await until(lambda: len(collector.spans) == 4)
        late = collector.spans[-1]
        assert late.trace_id == collector.spans[0].trace_id
        assert attributes(late)["deployment.status"] == "succeeded"


async def test_a_restart_sends_nothing_twice_and_forgets_nothing(tmp_path, collector) -> None:
    async with receiver(tmp_path, collector.url) as runtime:
        await tree(runtime, "1")
        await until(lambda: len(collector.spans) == 3)
    async with receiver(tmp_path, "") as runtime:  # a time without export
        await tree(runtime, "2")
    async with receiver(tmp_path, collector.url) as runtime:
        await until(lambda: len(collector.spans) == 6)
        await tree(runtime, "3")
        await until(lambda: len(collector.spans) == 9)
    assert len({span.span_id for span in collector.spans}) == 9


async def test_a_collector_that_is_away_gets_all_of_it_later(tmp_path, collector) -> None:
    port = collector.port
    await collector.stop()
    async with receiver(tmp_path, collector.url) as runtime:
        state = runtime.exporters[0].state
        for number in range(5):
            await tree(runtime, str(number))
        await until(lambda: state.trouble)
        await until(lambda: "since" in doctor(runtime).found)
        told = (await runtime.reader.health()).export_trouble
        assert "traces wait here until it is back" in told
        remote = await HttpReader(runtime.url, "token-0123456789").open()
        assert (await remote.health()).export_trouble == told
        await remote.close()
        assert state.waiting <= 5 and state.trouble_since is not None
        await collector.start(port)
        await until(lambda: len(collector.spans) == 15)
        await until(lambda: not state.trouble)
        await until(lambda: doctor(runtime).found.startswith("15 sent"))
        assert (await runtime.reader.health()).export_trouble == ""
    assert len({span.span_id for span in collector.spans}) == 15


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_may_be_tried_again_is(tmp_path, collector, status) -> None:
    collector.answers = [(status, {"Retry-After": "0"}), (status, {})]
    async with receiver(tmp_path, collector.url) as runtime:
        await tree(runtime, "1")
        await until(lambda: len(collector.spans) == 3)
        assert collector.tries == 3
        assert runtime.exporters[0].state.refused == 0


@pytest.mark.parametrize("status", [400, 401, 413, 500, 302])
async def test_what_is_refused_for_good_is_counted_and_not_sent_again(
    tmp_path, collector, status
) -> None:
    collector.answers = [(status, {"Location": "http://127.0.0.1:9/"})]
    async with receiver(tmp_path, collector.url) as runtime:
        await tree(runtime, "1")
        await until(lambda: runtime.exporters[0].state.refused == 3)
        await tree(runtime, "2")
        await until(lambda: len(collector.spans) == 3)
        assert collector.tries == 2


async def test_doctor_says_how_to_leave_a_signal_out(tmp_path, collector) -> None:
    collector.answers = [(404, {})]
    async with receiver(tmp_path, collector.url, signals=("traces", "metrics")) as runtime:
        await tree(runtime, "1")
        await until(lambda: doctor(runtime).level == "warn")
        found = doctor(runtime)
    assert found.found == "0 sent, 3 refused: answered 404"
    assert 'takes no traces, leave them out: signals = ["metrics"]' in found.advice


async def test_partial_success_is_counted(tmp_path, collector) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    collector.partial = ExportTraceServiceResponse()
    collector.partial.partial_success.rejected_spans = 1
    collector.partial.partial_success.error_message = "too old\x1b[31m"
    async with receiver(tmp_path, collector.url) as runtime:
        await tree(runtime, "1")
        state = runtime.exporters[0].state
        await until(lambda: state.sent + state.refused == 3)
        assert (state.sent, state.refused) == (2, 1)
    found = doctor(runtime)
    assert (found.level, found.check) == ("warn", "otlp traces")
    assert "2 sent, 1 refused: too old" in found.found and "\x1b" not in found.found


async def test_links_that_are_no_parent_are_otlp_links(tmp_path, collector) -> None:
    async with receiver(tmp_path, collector.url) as runtime:
        await event(runtime, "issue", "one", "start")
        await event(runtime, "issue", "one", "end")
        await tree(runtime, "2")
        await runtime.send_link("pin", ref("pipeline", "2"), ref("issue", "one"))
        await event(runtime, "sprint", "x", "start")
        await event(runtime, "sprint", "x", "end")
        await until(lambda: len(collector.spans) == 5)
    sent = {attributes(span)["vs.ref"]: span for span in collector.spans}
    for span in sent.values():
        for link in span.links:
            assert len(link.trace_id) == 16 and len(link.span_id) == 8
            assert {pair.key for pair in link.attributes} == {"vs.link.rule", "vs.link.why"}


async def test_a_filter_sends_whole_traces(tmp_path, collector) -> None:
    async with receiver(tmp_path, collector.url, filter="kind:pipeline name:*wanted*") as runtime:
        await tree(runtime, "other")
        await tree(runtime, "wanted")
        await until(lambda: len(collector.spans) == 3)
    assert {attributes(span)["vs.ref"] for span in collector.spans} == {
        ref("pipeline", "wanted"),
        ref("build", "wanted-a"),
        ref("build", "wanted-b"),
    }


async def test_our_own_address_is_refused(tmp_path) -> None:
    config = Config(port=0, db=tmp_path / "t.db", secrets=Secrets("token-0123456789", {}))
    runtime = Runtime(config, now)
    await runtime.open_store()
    try:
        url = await runtime.listen()
        port = url.rpartition(":")[2]
        runtime.config = replace(
            config, export=ExportSettings(f"http://localhost:{port}/v1/traces")
        )
        with pytest.raises(ConfigError, match="this receiver itself"):
            runtime.start_export()
    finally:
        await runtime.close()


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces"),
        ("https://c/otlp/v1/metrics", "https://c/otlp/v1/traces"),
    ],
)
def test_the_path_of_a_signal(base, expected) -> None:
    assert sending.signal_url(base, "traces") == expected


async def test_what_is_posted_goes_through_the_proxy_of_the_environment(
    monkeypatch, collector
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", collector.url)
    async with sending.new_session() as session:
        for url in ("http://collector.example/v1/traces", f"{collector.url}/v1/traces"):
            posted = await sending.post(session, url, b"", {})
            assert (posted.done, posted.error) == (True, "")
    assert [headers["Host"] for headers in collector.headers] == [
        "collector.example",
        f"127.0.0.1:{collector.port}",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), ("", None), ("soon", None), ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0)],
)
def test_retry_after(value, expected) -> None:
    assert sending.retry_after(value, 60.0) == expected


LOOPBACK, ALL = "http://127.0.0.1:5000", "http://0.0.0.0:5000"
HERE, ELSEWHERE = "198.51.100.7", "198.51.100.8"


@pytest.mark.parametrize(
    ("url", "listener", "same"),
    [
        ("http://localhost:5000", LOOPBACK, True),
        ("http://127.0.0.1:5000/v1/traces", LOOPBACK, True),
        ("http://[::1]:5000", LOOPBACK, True),
        ("http://127.0.0.1:4318", LOOPBACK, False),
        ("http://collector:5000", LOOPBACK, False),
        ("http://collector", LOOPBACK, False),
        (f"http://{HERE}:5000", LOOPBACK, False),
        (f"http://{HERE}:5000", ALL, True),
        ("http://jumpbox:5000", ALL, True),
        ("http://127.0.0.1:5000", ALL, True),
        (f"http://{ELSEWHERE}:5000", ALL, False),
        ("http://127.0.0.1:5000", f"http://{HERE}:5000", False),
        ("http://jumpbox:5000", f"http://{HERE}:5000", True),
        ("http://nobody:5000", ALL, False),
        ("https://vs.acme.example/", LOOPBACK, True),
        ("https://vs.acme.example/v1/traces", LOOPBACK, True),
        ("https://vs.acme.example/otel", LOOPBACK, False),
    ],
)
def test_whether_a_url_leads_to_ourselves(url, listener, same, monkeypatch) -> None:
    names = {"localhost": "127.0.0.1", "jumpbox": HERE, "collector": ELSEWHERE}

    def resolve(host: str, port: None, **_: Any) -> list[tuple[Any, ...]]:
        address = names.get(host, host)
        if not (address[0].isdigit() or ":" in address):
            raise OSError("unknown name")
        return [(0, 0, 0, "", (address, 0))]

    monkeypatch.setattr(sending.socket, "getaddrinfo", resolve)
    here = ("127.0.0.1", "::1", HERE)
    monkeypatch.setattr(sending, "_is_here", lambda address: str(address) in here)
    assert sending.leads_to(url, listener, "https://vs.acme.example") is same


def test_only_addresses_of_this_machine_are_here() -> None:
    assert sending._is_here(ip_address("127.0.0.1"))
    assert not sending._is_here(ip_address(ELSEWHERE))


class Busy:
    """A store that is busy for so many looks."""

    behind = 0

    def __init__(self, looks: float) -> None:
        self.looks = looks

    @property
    def waiting(self) -> int:
        self.looks -= 1
        return int(self.looks >= 0)


async def test_an_export_waits_for_deliveries_but_not_forever(monkeypatch) -> None:
    monkeypatch.setattr(sending, "LOOK_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(sending, "GIVE_WAY_SECONDS", 0.05)
    for looks, left in ((0, -3), (3, -3), (float("inf"), float("inf"))):
        store: Any = Busy(looks)
        settings = ExportSettings("http://127.0.0.1:1")
        await otlp.TraceExporter(settings, lambda _: None, store, now)._give_way()  # type: ignore[arg-type, return-value]
        assert store.looks == left

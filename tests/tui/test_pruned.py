"""What is opened by its id after retention deleted it is said to be gone, wherever it is opened."""

from __future__ import annotations

from tests.ingest.inside import TOKEN, Raw, receiving
from tests.store.conftest import custom, ref
from tests.tui.fakes import busy_reader
from tests.tui.stage import stage
from vs_tui.model.time import DAY
from vs_tui.model.vocabulary import Verdict


async def test_a_row_whose_trace_was_pruned_meanwhile() -> None:
    async with stage(busy_reader()) as on:
        await on.press("2")
        on.reader.by_key.clear()
        await on.press("enter")
        await on.sees("this trace is gone: it was pruned; esc goes back")
        await on.press("escape")
        await on.no_longer_sees("this trace is gone")


async def test_a_span_that_a_delivery_still_names() -> None:
    async with stage(busy_reader()) as on:
        on.reader.by_key.clear()
        on.app.navigation.open_span("vstrace-github-deploy-shop-1")
        await on.sees("this span is gone: it was pruned")


async def test_a_delivery_that_was_pruned() -> None:
    async with stage(busy_reader()) as on:
        on.app.navigation.open_delivery(10_000)
        await on.sees("this delivery is gone: it was pruned; esc goes back")
        await on.press("escape")
        await on.no_longer_sees("this delivery is gone")


async def test_over_http(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        done = custom("build", 1, "end")
        outcome = await runtime.writer.submit(done)
        assert outcome.verdict is Verdict.ACCEPTED
        assert await runtime.writer.caught_up()
        span = await runtime.reader.span(ref("build", 1))
        assert span is not None
        pruned = await runtime.writer.prune(runtime.clock() + DAY)
        assert pruned.traces == 1
        connection = await Raw.to(runtime)
        for path in (f"spans/{span.ref}", f"traces/{span.trace_id}", "deliveries/1"):
            head = f"GET /api/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            await connection.send(head.encode())
            status, _, body = await connection.answer()
            assert status == 404
            assert "or it was pruned" in body["detail"]
        connection.close()

"""Events: the list of deliveries, the inspector below it and on a screen of its own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.tui.fakes import NOW, FakeReader, busy_reader, delivery
from tests.tui.golden import assert_golden
from tests.tui.stage import NARROW, WIDE, does, stage
from vs_tui.model.time import HOUR, MINUTE
from vs_tui.model.vocabulary import Verdict
from vs_tui.tui.screens.delivery import DeliveryView
from vs_tui.tui.screens.trace import TraceView
from vs_tui.tui.source_status import Connection
from vs_tui.tui.widgets.inputs import Ask

PUSH = {
    "ref": "refs/heads/main",
    "forced": False,
    "compare": None,
    "head_commit": {"id": "9f3c1e2aa0", "message": "Retry on 429\n\nThe limit is per minute."},
    "commits": [{"id": f"{n:07x}", "added": ["a.py"], "removed": []} for n in range(3)],
    "repository": {"id": 12345678901234567890123, "full_name": "acme/checkout", "size": 1.50},
    "installation": {"access_token": "ghs_do_not_show", "client": {"secret": "nor this"}},
}  # fmt: skip


GITHUB = (Connection("github", "GitHub", ("/github",), proof="X-Hub-Signature-256"),)


def inspected() -> FakeReader:
    """The usual deliveries, the newest one a push with a body worth folding."""
    reader = busy_reader()
    body = json.dumps(PUSH).encode()
    found = delivery(1, "push", body=body, refs=("dep-214", "pr-1219", "gone"))
    headers = {**found.headers, "X-GitHub-Delivery": "72d3162e", "X-Odd-Token": "do_not_show"}
    reader.stored[1] = replace(found, headers=headers)
    return reader


def verdicts(on) -> list[str]:
    return [row.data.verdict.value for row in on.list.rows]


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_looks(size) -> None:
    name = f"{size[0]}x{size[1]}"
    async with stage(inspected(), size=size) as on:
        await on.press("4")
        assert_golden(f"events-{name}", on.text)
        await on.press("enter")
        assert_golden(f"delivery-{name}", on.text)
        await on.press("escape", "n", "enter")
        assert_golden(f"delivery-rejected-{name}", on.text)
    async with stage(inspected(), size=size, ascii=True) as on:
        await on.press("4", "enter")
        assert_golden(f"delivery-ascii-{name}", on.text)
        assert on.text.isascii()
    async with stage(inspected(), size=size) as on:
        await on.press("4", "slash", *"nowhere", "enter")
        assert_golden(f"events-filtered-empty-{name}", on.text)
        await on.press("escape", "p")
        on.reader.stored[9] = delivery(0, "later")
        assert_golden(f"events-frozen-{name}", on.text)


async def test_the_selected_delivery_is_shown_below_the_list() -> None:
    async with stage(inspected()) as on:
        await on.press("4")
        await on.sees("refs/heads/main")
        await on.press("j")
        await on.sees('"action": "opened"')
        await on.no_longer_sees("refs/heads/main")


async def test_a_delivery_that_is_read_while_it_opens_is_shown() -> None:
    async with stage(inspected()) as on:
        opening = DeliveryView(on.app.look, 1)
        on.app.push_screen(opening)
        await opening.reload()
        assert opening.detail is None
        await on.sees("refs/heads/main")


async def test_secrets_of_headers_and_bodies_are_never_shown_or_copied(monkeypatch) -> None:
    async with stage(inspected(), known_secrets=("acme/checkout",)) as on:
        copied: list[str] = []
        monkeypatch.setattr(on.app.output, "copy", copied.append)
        await on.press("4", "right_square_bracket", "enter", "right_square_bracket")
        shown = on.text
        for key in ("G", "y", "y", "y"):
            await on.press(key)
            shown += on.text
        for secret in ("do_not_show", "nor this", "acme/checkout"):
            assert secret not in shown
            assert secret not in "".join(copied)
        assert "**** hidden" in shown
        assert len(copied) == 3


async def test_copying_goes_from_the_body_to_a_curl_line_to_the_reason(monkeypatch) -> None:
    async with stage(inspected()) as on:
        copied: list[str] = []
        monkeypatch.setattr(on.app.output, "copy", copied.append)
        await on.press("4", "n", "y", "y", "y", "y", "y")
        body, line, reason, panel, again = copied
        assert json.loads(body.replace('"opened"', '"opened",')) == {
            "action": "opened",
            "number": 7,
        }
        assert reason == "signature does not match"
        assert line.startswith("curl http://127.0.0.1:8787/github -H ")
        assert '-H "Authorization: Bearer $(vs-tui secret show token)"' in line
        assert line.endswith("}'")
        assert "Events" in panel
        assert again == body
        await on.press("n", "y", "y")
        assert copied[-1] == "field number: not a number", "a shell cannot type a binary body"


@does("fold_body", "unfold_body")
async def test_blocks_fold_and_keep_their_fold() -> None:
    async with stage(inspected()) as on:
        await on.press("4", "enter", "right_square_bracket")
        await on.sees("The limit is per minute.")
        await on.press("left_square_bracket")
        await on.no_longer_sees("The limit is per minute.")
        await on.sees('"commits": [ ... ] 3 entries')
        document = on.app.screen.document
        line = next(
            i for i, n in enumerate(document._visible) if "commits" in document.lines[n].path
        )
        document.go_to(line)
        await on.press("enter")
        await on.no_longer_sees("3 entries")
        on.reader.stored[1] = replace(
            on.reader.stored[1], row=replace(on.reader.stored[1].row, duplicates=4)
        )
        on.app.reload_view()
        await on.sees("4 more of the same")
        assert "3 entries" not in on.text
        assert document.line is not None and "commits" in document.line.path


async def test_enter_on_a_span_opens_its_trace_and_back() -> None:
    async with stage(inspected()) as on:
        await on.press("4", "enter", "enter")
        assert isinstance(on.app.screen, TraceView)
        await on.sees("checkout-api v214")
        await on.press("escape")
        assert isinstance(on.app.screen, DeliveryView)
        await on.press("j", "j", "enter")
        await on.sees("this span is gone")


async def test_the_panel_below_takes_the_keys_after_tab() -> None:
    async with stage(inspected()) as on:
        await on.press("4", "tab", "enter")
        assert isinstance(on.app.screen, TraceView)
        await on.press("escape", "tab", "enter")
        assert isinstance(on.app.screen, DeliveryView)


async def test_sorting() -> None:
    async with stage(inspected()) as on:
        await on.press("4")
        newest = verdicts(on)
        await on.press("s")
        assert verdicts(on) == ["rejected", "quarantined", "accepted", "accepted", "ignored"]
        await on.press("S")
        assert verdicts(on)[-1] == "rejected"
        await on.press("S", "s")
        assert [row.data.source for row in on.list.rows] == ["github"] * 4 + ["jenkins"]
        await on.press("s")
        sizes = [row.data.size for row in on.list.rows]
        assert sizes == sorted(sizes, reverse=True)
        await on.press("s")
        assert verdicts(on) == newest


async def test_next_failed_finds_what_was_refused_or_quarantined() -> None:
    async with stage(inspected()) as on:
        await on.press("4", "n")
        assert on.list.selected.data.verdict is Verdict.REJECTED
        await on.press("n")
        assert on.list.selected.data.verdict is Verdict.QUARANTINED
        await on.press("N")
        assert on.list.selected.data.verdict is Verdict.REJECTED


async def test_the_time_range_holds_here_too() -> None:
    reader = inspected()
    old = delivery(50, "ancient")
    reader.stored[50] = replace(old, row=replace(old.row, received_at=NOW - 30 * HOUR))
    async with stage(reader) as on:
        await on.press("4")
        await on.sees("ancient")
        await on.press("t", "1")
        assert on.app.range_name == "1h"
        await on.no_longer_sees("ancient")


async def test_a_past_moment_shows_what_had_arrived() -> None:
    async with stage(inspected(), at=NOW - 2 * MINUTE - 1) as on:
        await on.press("4")
        assert verdicts(on) == ["ignored", "rejected", "quarantined"]


@does("refold", "resend", "resend_to")
@pytest.mark.parametrize("where", [("4",), ("4", "enter")])
async def test_refold_and_resend(where) -> None:
    asked: list[tuple[str, object]] = []

    async def refold(number: int) -> str:
        asked.append(("refold", number))
        return f"delivery {number}: accepted, 1 events"

    async def resend(detail, target: str) -> str:
        asked.append((target, detail.row.id))
        return f"{target or 'this receiver'} answered 200 \x1b[31maccepted"

    async with stage(inspected(), refold=refold, resend=resend) as on:
        await on.press(*where, "r")
        await on.sees("delivery 1: accepted, 1 events")
        await on.press("R")
        await on.sees("this receiver answered 200")
        await on.press("u")
        assert isinstance(on.app.screen, Ask)
        await on.press(*"http://jump:5000", "enter")
        await on.sees("http://jump:5000 answered 200")
        await on.press("u", "enter")
        await on.press("u", "escape")
        assert asked == [
            ("refold", 1),
            ("", 1),
            ("http://jump:5000", 1),
            ("http://jump:5000", 1),
        ]
        assert "\x1b" not in on.text


async def test_a_refused_request_is_not_sent_again_because_its_body_is_not_kept() -> None:
    sent: list[int] = []

    async def resend(detail, _target: str) -> str:
        sent.append(detail.row.id)
        return "answered"

    reader = FakeReader()
    for number, status in ((-1, 401), (-2, 404), (-3, 400)):
        reader.stored[number] = delivery(number, "push", Verdict.REJECTED, body=b"", status=status)
    async with stage(reader, resend=resend) as on:
        await on.press("4")
        for _ in reader.stored:
            assert "sends this one again" not in on.text
            for key in ("R", "u"):
                await on.press(key)
                await on.sees("refused requests are not kept whole")
            await on.press("j", "ctrl+l")
    assert not sent


@pytest.mark.parametrize(
    "status, reason, why",
    [
        (401, "unauthorized: X-Hub-Signature-256 is missing or wrong", "signed with another"),
        (401, "unauthorized: missing or wrong proof", "it carries no X-Hub-Signature-256"),
        (404, "not_found: no source receives at this path", "no source has this path"),
        (400, "invalid_json: line 3 has no colon", "invalid_json: line 3"),
    ],
)
async def test_the_list_says_why_in_the_words_of_sources(status, reason, why) -> None:
    reader = FakeReader()
    found = delivery(-1, "push", Verdict.REJECTED, reason=reason, status=status, body=b"")
    reader.stored[-1] = found
    async with stage(reader, connections=lambda: GITHUB) as on:
        await on.press("4")
        assert why in on.list.texts()[0][-1]


async def test_the_box_below_the_list_is_never_empty() -> None:
    async with stage(inspected(), size=NARROW) as on:
        await on.press("4")
        assert "refs/heads/main" not in on.text
        await on.pilot.resize_terminal(*WIDE)
        await on.sees("refs/heads/main")
        await on.press("slash", *"nowhere", "enter")
        await on.sees("nothing matches", "no delivery is selected")
        await on.press("escape")
        await on.sees("refs/heads/main")


async def test_a_read_only_dashboard_says_where_it_can_be_done() -> None:
    async with stage(inspected()) as on:
        await on.press("4")
        for key, words in (("r", "db rebuild"), ("R", "send it where"), ("u", "send it")):
            await on.press(key)
            await on.sees("read-only", words)


async def test_a_delivery_that_was_pruned() -> None:
    async with stage(inspected()) as on:
        await on.press("4")
        on.reader.stored.clear()
        await on.press("enter")
        await on.sees("it was pruned")


async def test_mouse_folds_and_opens() -> None:
    async with stage(inspected()) as on:
        await on.press("4", "enter")
        document = on.app.screen.document
        headers = next(
            i for i, n in enumerate(document._visible) if document.lines[n].path == "/headers"
        )
        y = document.region.y + 1 + headers - document.first
        for _ in range(2):
            await on.pilot.click(offset=(10, y))
        await on.settle()
        assert "X-GitHub-Delivery" not in on.text


async def test_filter_and_order_are_there_after_a_restart(tmp_path) -> None:
    path = str(tmp_path / "state.json")
    async with stage(inspected(), remember_to=path) as on:
        await on.press("4", "s", "S")
        shown = verdicts(on)
    async with stage(inspected(), remember_to=path) as on:
        await on.press("4")
        assert verdicts(on) == shown
        await on.sees("trouble ▲")


async def test_keys_for_a_span_take_the_one_under_the_cursor_of_a_delivery(monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setenv("DISPLAY", ":0")
    async with stage(inspected()) as on:
        on.reader.put(on.reader.by_key["pr-1219"]._replace(url="https://example.org/pr/1219"))
        await on.press("4", "o")
        await on.sees("select one of the spans that this delivery touched")
        await on.press("enter", "j", "o")
        await on.until(lambda: opened == ["https://example.org/pr/1219"], "its page")

"""Hundreds of hostile texts through every screen: nothing but clean text is painted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.tui.fakes import NOW, FakeReader, delivery, some_detail, span
from tests.tui.hostile import faults, texts
from tests.tui.stage import stage
from vs_tui.metrics.cards import Card
from vs_tui.metrics.report import Detail
from vs_tui.model.display import clean
from vs_tui.model.time import DAY, MINUTE, SECOND
from vs_tui.model.vocabulary import Link, Rule, State, Verdict
from vs_tui.traces.steps import PastStep
from vs_tui.tui.paint import framed, strip_of
from vs_tui.tui.source_status import Connection
from vs_tui.tui.theme import choose

HOSTILE = texts(480)
# Tall, so that every row is painted at once; the widths of a narrow and of a wide screen.
SIZES = [(80, 260), (121, 260)]


def check(on) -> None:
    width = on.app.size.width
    lines = [strip.text for strip in on.app.screen._compositor.render_strips()]
    assert list(faults(lines, width))[:3] == []


def hostile_reader() -> FakeReader:
    spans = []
    for index in range(0, 480, 2):
        one, two = HOSTILE[index], HOSTILE[index + 1]
        spans.append(
            span(
                f"k-{index}", "build", one, began=(index + 1) * SECOND,
                took=SECOND if index % 3 else None, state=State.ERROR if index % 3 == 1 else None,
                stage=two, team=two, actor=two, error=one, service=one, environment=two,
                project=one, url=f"https://x/{two}", attributes={two: one, "vs.x": [one]},
            )
        )  # fmt: skip
    reader = FakeReader(spans)
    for number in range(1, 241):
        one, two = HOSTILE[2 * number - 2], HOSTILE[2 * number - 1]
        found = delivery(
            number, two, list(Verdict)[number % 5], source=one, reason=one, refs=(two,)
        )
        row = replace(found.row, received_at=NOW - number * SECOND)
        reader.stored[number] = replace(found, row=row, path=f"/{two}", dedupe_key=one)
    return reader


@pytest.mark.parametrize("size", SIZES)
async def test_lists(size) -> None:
    async with stage(hostile_reader(), size=size, url="http://x:1/\x1b]0;PWNED\x07") as on:
        for key in ("1", "2", "4", "5"):
            await on.press(key)
            assert len(on.list.rows) >= 150
            check(on)


@pytest.mark.parametrize("size", SIZES)
async def test_traces_with_their_steps_and_reasons(size) -> None:
    async with stage(hostile_reader(), size=size, by_trace=True) as on:
        check(on)
        for key in ("J", "space", "j", "space", "j", "i"):
            await on.press(key)
            check(on)


@pytest.mark.parametrize("size", [(80, 60), (121, 60)])
async def test_the_frames_name_the_selected_row_and_its_trace(size) -> None:
    """Names that fit whole are not cut, and so were not cleaned either."""
    for name in ("\x1b[31mx", "a\x1b]0;PWNED\x07b", "\u202ex", "\x9b31m", "x\r\ny"):
        reader = FakeReader([span("k", "build", name, began=MINUTE, project=name)])
        async with stage(reader, size=size, by_trace=True) as on:
            assert on.list.foot
            assert on.app.screen.trace.display
            check(on)


def test_no_painter_passes_on_what_is_not_clean() -> None:
    look = choose("dark", ascii_only=False, env={})
    for text in HOSTILE:
        for top in (True, False):
            line = strip_of(framed([(text, "title")], text, look, 60, top=top), look, 60)
            assert list(faults([line.text], 60)) == []
        line = strip_of([(text, "text"), ("|", "text")], look, 60)  # it limits no marks
        assert [fault for fault in faults([line.text], 60) if "a pile of marks" not in fault] == []


@pytest.mark.parametrize("size", [(80, 150), (121, 150)])
async def test_a_trace_with_its_details(size) -> None:
    trace = "e" * 32
    spans = [span("root", "pipeline", "root", began=99 * MINUTE, trace=trace)]
    links = []
    for index in range(0, 480, 4):
        name, actor, stage_name, other = HOSTILE[index : index + 4]
        spans.append(
            span(
                f"k-{index}", other, name, began=(1_000 - index) * SECOND, took=SECOND,
                trace=trace, parent="root", actor=actor, stage=stage_name, error=other,
                state=State.ERROR, attributes={actor: other, name: [stage_name]},
            )
        )  # fmt: skip
        links.append(Link(f"k-{index}", "root", Rule.STRUCTURE, actor, primary=True))
    reader = FakeReader(spans, links=links)
    names = [PastStep(text, text, SECOND, SECOND) for text in HOSTILE[:40]]
    reader.past = {"root": [tuple(names)] * 3}
    async with stage(reader, size=size) as on:
        await on.press("2", "enter")
        check(on)
        assert "n=3" in on.text or size[0] < 90
        await on.press("i")
        check(on)
        await on.press("c", "escape")
        check(on)


@pytest.mark.parametrize("size", [(80, 260), (121, 260)])
async def test_two_traces_compared(size) -> None:
    spans = []
    for trace in ("a", "b"):
        spans.append(span(f"{trace}-root", HOSTILE[7], HOSTILE[8], began=DAY, trace=trace * 32))
        for index, text in enumerate(HOSTILE[:120] if trace == "a" else HOSTILE[60:180]):
            spans.append(
                span(
                    f"{trace}-{index}", text, text, began=(1_000 - index) * SECOND, took=SECOND,
                    trace=trace * 32, parent=f"{trace}-root", service=text, environment=text,
                    attributes={"cicd.pipeline.task.name": text} if index % 2 else {},
                )
            )  # fmt: skip
    async with stage(FakeReader(spans), size=size) as on:
        for key in ("a-root", "b-root"):
            on.app.navigation.compare(on.reader.by_key[key])
        await on.sees("only in one of them")
        check(on)
        assert "only in A" in on.text
        await on.press("s", "G")
        check(on)


@pytest.mark.parametrize("size", [(80, 320)])
async def test_a_delivery_with_hostile_headers_and_body(size) -> None:
    body = json.dumps({f"{i}{t}": [HOSTILE[120 + i]] for i, t in enumerate(HOSTILE[:120])}).encode()
    raw = "\n".join(HOSTILE).encode("utf-8", "surrogatepass")
    reader = FakeReader()
    refs = tuple(HOSTILE[360:])
    found = delivery(1, HOSTILE[3], refs=refs, body=body, reason=HOSTILE[5])
    reader.stored[1] = replace(
        found, headers={f"{n}{t}": t for n, t in enumerate(HOSTILE[240:360])}, path=HOSTILE[9]
    )
    reader.stored[2] = delivery(2, "text", body=raw)
    reader.stored[3] = delivery(3, "binary", body=bytes(range(256)) * 20)
    reader.seq = 1
    async with stage(reader, size=size) as on:
        await on.press("4")
        for _ in reader.stored:
            await on.press("enter")
            check(on)
            await on.press("right_square_bracket")
            check(on)
            await on.press("G")
            check(on)
            await on.press("escape", "j")
            check(on)


async def test_cards_banners_palette_toasts_and_names_of_views() -> None:
    def hostile_cards() -> list[Card]:
        return [Card(t, "deploys", t, 3, t, "better", t, [1.0, None, 2.0]) for t in HOSTILE[:200]]

    async def cards(*_: object) -> list[Card]:
        return hostile_cards()

    async def detail(team: str, metric: str, *_: object) -> Detail:
        found = await some_detail(team, "lead")
        texts = dict(zip(("title", "service", "version", "note", "longest"), HOSTILE, strict=False))
        return replace(
            found,
            figure=replace(found.figure, starts=dict.fromkeys(HOSTILE[:5], 2)),
            stages=[replace(stage, stage=HOSTILE[6]) for stage in found.stages],
            behind=[replace(entry, **texts) for entry in found.behind],
            marks=dict.fromkeys(HOSTILE[7:9], 3),
            left_out=HOSTILE[:4],
            bottleneck=HOSTILE[6],
        )

    reader = hostile_reader()
    views = {text: text for text in HOSTILE[:60]}
    async with stage(
        reader, size=(120, 60), cards=cards, views=views, source_name=HOSTILE[1], detail=detail
    ) as on:
        check(on)
        await on.press("3")
        check(on)
        await on.press("j", "i")
        check(on)
        await on.press("1")
        for text in HOSTILE[:90:3]:
            reader.trouble = text or "x"
            on.app.trouble = text
            on.app.unreadable = text[::-1]
            on.app.paint_frame()
            on.app.notify_text(text)
            await on.settle()
            check(on)
            on.app.clear_notice()
        await on.press("question_mark", "escape", "colon")
        check(on)


async def test_the_filter_box_and_its_completions() -> None:
    async with stage(hostile_reader()) as on:
        await on.press("slash", *"team:")
        check(on)


async def test_sources_and_questions() -> None:
    connections = [
        Connection(t, t, (t, t), t, True, t, "secret-" + t, "tok") for t in HOSTILE[:150]
    ]

    async def resend(_detail: object, _target: str) -> str:
        return HOSTILE[0] + HOSTILE[1]

    async def found() -> str:
        return "https://x\x1b]0;y\x07"

    async with stage(
        hostile_reader(),
        size=(120, 170),
        connections=lambda: connections,
        find_public_url=found,
        resend=resend,
        state_path="",
    ) as on:
        await on.press("5", "v")
        check(on)
        await on.press("4", "R", "u")
        check(on)


def test_cleaning_again_changes_nothing() -> None:
    for text in HOSTILE:
        assert clean(clean(text)) == clean(text)

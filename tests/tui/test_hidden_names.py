"""`[ui] people = false`: no name of a person on the screen, in any view."""

from dataclasses import replace
from typing import Any, cast

from tests.tui import invoices
from tests.tui.fakes import FakeReader, delivery_links, delivery_trace
from tests.tui.stage import stage
from vs_tui.metrics.cards import Card
from vs_tui.tui.hidden_names import Roles, without_names
from vs_tui.tui.theme import UNICODE
from vs_tui.tui.widgets.dora import goal_mark

NAMES = ("ana", "ben", "cleo", "eva", "dan")


def shown_names(text: str) -> list[str]:
    words = text.replace(",", " ").replace(":", " ").split()
    return [name for name in NAMES if name in words]


async def test_roles_stand_where_names_would() -> None:
    inner = invoices.reader()
    reader: Any = Roles(cast(Any, inner))
    async with stage(reader, by_trace=True) as on:
        assert shown_names(on.text) == []
        on.list.select(invoices.TRACE)
        await on.press("enter")
        await on.sees("nobody reviews: reviewer", "review reviewer: approved")
        assert shown_names(on.text) == []
        for _ in range(12):
            await on.pilot.press("j")
        await on.settle()
        assert shown_names(on.text) == []
        await on.press("escape", "b", "2")
        assert shown_names(on.text) == []


async def test_names_stand_there_otherwise() -> None:
    async with stage(FakeReader(delivery_trace(), links=delivery_links())) as on:
        on.list.select("is-960")
        await on.press("enter")
        await on.sees("eve", "bob")


def test_a_span_without_an_actor_gets_no_role() -> None:
    lone = invoices.invoices()[0]._replace(actor="")
    assert without_names(lone).actor == ""


def test_a_value_is_marked_by_its_goal() -> None:
    card = Card("core", "lead", "9h", 31, "", "", "", [])
    goals = ("met", "missed", "few", "")
    marks = [goal_mark(replace(card, goal=goal), UNICODE)[0] for goal in goals]
    assert marks == ["✓", "✗", "?", " "]

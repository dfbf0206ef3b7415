"""Numbers beyond 64 bits stay exact, as text, in every source and however large the body is; what
only looks like a number is none, and no text holds a NUL."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any

import pytest

from tests.ingest.bodies import honest
from tests.sources import github_payloads as gh
from tests.sources import jira_payloads as ji
from tests.sources import ticket_payloads as tickets
from tests.sources.api_payloads import cdevent, post
from vs_tui.model import keys
from vs_tui.sources import customhttp, emmetrics, jira
from vs_tui.sources.base import BadBody, Inbound, Parsed
from vs_tui.sources.dispatch import read, routes, sources
from vs_tui.sources.fields import json_body, small_object, text

SHA = "1" * 40
LONG = 123456789012345678901234567890


def custom(**more):
    return {"type": "build", "id": "1", "action": "start", "timestamp": 1_772_445_600, **more}


@pytest.mark.parametrize("padding", [0, 10_000])
def test_an_id_of_thirty_digits_is_exact(padding) -> None:
    body = custom(id=LONG, note="x" * padding)
    (event,) = read(customhttp.SOURCE, post("/customhttp", body)).events
    assert event.key == f"vstrace-customhttp-build-default-{LONG}"


def test_tags_and_ids_of_tools_are_exact() -> None:
    (event,) = read(customhttp.SOURCE, post("/customhttp", custom(tags={"n": LONG}))).events
    assert event.attributes["n"] == str(LONG)
    issue = {
        "id": LONG,
        "key": LONG,
        "fields": {"summary": "x" * 9_000, "created": gh.stamp("10:00:00")},
    }
    body = {"webhookEvent": "jira:issue_created", "issue": issue}
    parsed = read(jira.SOURCE, post("/jira", body))
    assert any(str(LONG) in event.key for event in parsed.events), parsed


def test_what_fits_stays_a_number() -> None:
    for value in (2**63 - 1, -(2**62), 1_733_000_000_000_000_000, 1.5, 0):
        body = json.dumps({"v": value, "long": LONG}).encode()
        assert json_body(Inbound("/x", {}, body, 0))["v"] == value


@pytest.mark.parametrize("odd", ["1" * 5_000, "-" + "9" * 40, "1e400", "9" * 25 + ".5"])
def test_odd_numbers_are_read_or_refused_and_never_a_fault_of_ours(odd) -> None:
    for padding in ("", "x" * 9_000):
        text = json.dumps(custom(id="ID", note=padding)).replace('"ID"', odd)
        for source, path in ((customhttp.SOURCE, "/customhttp"), (emmetrics.SOURCE, "/incidents")):
            try:
                parsed = read(source, Inbound(path, {}, text.encode(), 0))
            except Exception as error:
                assert type(error).__name__ == "BadBody"
            else:
                assert "failed with" not in parsed.reason


@pytest.mark.parametrize("number", ["1e308", "1E+30", str(LONG), "1e400", "-" + "9" * 25 + ".5"])
def test_what_is_asked_before_a_body_is_read_takes_long_numbers_too(number) -> None:
    """The sender's own delivery id is read from a body before its adapter reads it."""
    body = f'{{"id": {number}, "action": {{"id": {number}}}, "webhookId": {number}}}'.encode()
    inbound = Inbound("/x", {}, body, 0)
    assert isinstance(text(small_object(inbound), "id"), str)
    for source in sources().values():
        assert isinstance(source.dedupe_key(inbound), str)


LIKE_NUMBERS = ("²", "١٢", "9" * 5_000, 10**25, -(10**19), "1_000")


def _places(value, path=()):
    """The path of every value inside a JSON document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in entries:
        yield (*path, name)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*path, name))


def _mended(most: int, odd: Callable[[Any], Any]) -> Iterator[tuple[Any, Parsed]]:
    """What each source makes of its honest bodies, with one value replaced each time."""
    for name, source in sources().items():
        for path, headers, body in honest(name)[:most]:
            if not isinstance(body, dict):
                continue
            names = {header.lower(): value for header, value in headers.items()}
            for *way, last in _places(body):
                mended = copy.deepcopy(body)
                holder = mended
                for part in way:
                    holder = holder[part]
                holder[last] = odd(holder[last])
                if holder[last] is None:
                    continue
                with suppress(BadBody):
                    inbound = Inbound(path, names, json.dumps(mended).encode(), 1)
                    yield (name, *way, last), read(source, inbound)


def test_no_field_that_looks_like_a_number_is_a_fault_of_ours() -> None:
    """In every field of every source, digits of other alphabets (`"²".isdigit()`), more digits than
    Python converts, and more than 64 bits are read, refused or kept, and never an attribute."""
    odd = cycle(LIKE_NUMBERS)
    for place, parsed in _mended(3, lambda _: next(odd)):
        assert "failed with" not in parsed.reason, place
        values = [v for event in parsed.events for v in event.attributes.values()]
        assert not [v for v in values if isinstance(v, int | float) and abs(v) >= 2**63], place


def test_no_event_holds_a_nul() -> None:
    """SQLite and terminals end a text there; it becomes U+FFFD in every field of every source."""
    for place, parsed in _mended(2, lambda v: f"{v[:8]}\0{v[8:]}" if isinstance(v, str) else None):
        assert r"\x00" not in repr(parsed.events), place


NUL = ["a\0b", 7, None]
PUSHED = gh.commit(SHA, "Fix it", "10:00:00") | {"modified": NUL}


@pytest.mark.parametrize(
    "inbound",
    [
        gh.inbound("workflow_job", gh.job("completed", labels=NUL)),
        gh.inbound("push", gh.push(commits=[PUSHED], after=SHA)),
        post("/jira", ji.issue(labels=NUL)),
        post("/linear", tickets.linear(previousIdentifiers=NUL)),
        post("/cdevents", cdevent("ticket.created", "T-1", "10:00:00", {"assignees": NUL})),
    ],
    ids=lambda inbound: inbound.headers.get("x-github-event", inbound.path),
)
def test_a_list_of_texts_holds_no_nul(inbound) -> None:
    (source,) = (source for path, source in routes() if path == inbound.path)
    events = repr(read(source, inbound).events)
    assert "a\ufffdb" in events or r"a\ufffdb" in events
    assert r"\x00" not in events
    assert r"\u0000" not in events


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("007", 7), (str(2**63 - 1), 2**63 - 1), (str(2**63), None), ("²", None)]
    + [(odd, None) for odd in ("", "-1", "+1", "1.0", "١٢", "1_0", " 1", "9" * 5_000)],
    ids=lambda value: ascii(value)[:12],
)
def test_whole_numbers(text, number) -> None:
    assert keys.whole_number(text) == number
    assert (keys.seek_change(text, "acme/api") is None) == (number is None)

"""Trello: proof of origin, and cards moving between lists."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import ticket_payloads as tickets
from tests.sources.webhook_tools import (
    RECEIVED,
    assert_survives,
    at,
    fold_all,
    malformed,
    same_spans,
    sought,
)
from vs_tui.model.vocabulary import Event, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized, Unreadable
from vs_tui.sources.trello import SOURCE

KEY = f"vstrace-trello-issue-{tickets.CARD}"
HALF = 500_000
CREATED = tickets.trello("createCard", "09:00:00", list={"id": "l", "name": "Backlog"})


def inbound(body):
    return tickets.inbound("/trello", body)


def events(*bodies) -> list[Event]:
    return [event for body in bodies for event in SOURCE.parse(inbound(body)).events]


def folded(*bodies):
    return fold_all(events(*bodies))[KEY]


BODY = json.dumps(CREATED).encode()


def mac(secret=b"s3cret", url=tickets.CALLBACK, body=BODY, algorithm="sha1"):
    return base64.b64encode(hmac.new(secret, body + url.encode(), algorithm).digest()).decode()


@pytest.mark.parametrize(
    ("signature", "accepted"),
    [
        (mac(), True),
        (mac(b"old"), True),
        # A proxy that ends TLS makes https look like http.
        (mac(url="http://vs.example.com/trello"), True),
        (None, False),
        ("", False),
        (mac()[:-1], False),
        (mac()[:-4], False),
        (mac() * 2, False),
        ("é" * 28, False),
        ("\udcff", False),
        (mac(b"wrong"), False),
        (mac(url="https://evil.example.com/trello"), False),
        (mac(url=""), False),
        (mac(body=BODY + b" "), False),
        (mac(algorithm="sha256"), False),
        (hmac.new(b"s3cret", BODY + tickets.CALLBACK.encode(), "sha1").hexdigest(), False),
    ],
)
def test_signature(signature, accepted):
    headers = {} if signature is None else {"x-trello-webhook": signature}
    request = Inbound("/trello", headers, BODY, RECEIVED, url=tickets.CALLBACK)
    if accepted:
        SOURCE.verify(request, [b"s3cret", b"old"])
    else:
        with pytest.raises(Unauthorized, match="X-Trello-Webhook"):
            SOURCE.verify(request, [b"s3cret", b"old", b""])


def test_a_retry_keeps_its_actions_id():
    assert SOURCE.dedupe_key(inbound(CREATED)) == "a-createCard-09:00:00"
    assert SOURCE.dedupe_key(inbound([])) == ""
    assert SOURCE.dedupe_key(Inbound("/trello", {}, b"nope", RECEIVED)) == ""


@pytest.mark.parametrize("kind", ["commentCard", "addLabelToCard", "updateList", "galactic"])
def test_unwanted_actions_are_ignored_with_a_reason(kind):
    parsed = SOURCE.parse(inbound(tickets.trello(kind)))
    assert (parsed.verdict, parsed.status, parsed.events) == (Verdict.IGNORED, 200, ())
    assert kind in parsed.reason


def test_unreadable_bodies():
    for body in ({}, {"action": None}, tickets.trello("createCard", card={"id": None})):
        with pytest.raises(Unreadable, match="compare the body"):
            SOURCE.parse(inbound(body))
    with pytest.raises(BadBody):
        SOURCE.parse(inbound([]))


def test_a_card_passes_its_lists():
    whole = folded(
        tickets.moved("12:00:00", "Review", "Done"),
        tickets.moved("10:00:00", "Backlog", "Doing"),
        CREATED,
        tickets.trello("updateCard", "10:30:00", old={"name": "x"}, list={"name": "Doing"}),
        tickets.moved("11:00:00", "Doing", "Review"),
    )
    span = whole.span
    assert (span.status, span.reopens) == (Status.OK, 0)
    # The card's id holds the second it was created in.
    assert (span.started_at, span.ended_at) == (at("09:00:00"), at("12:00:00") + HALF)
    assert [s.name for s in whole.stages] == ["Backlog", "Doing", "Review"]
    assert (span.ref, span.project, span.actor) == (
        "vstrace-trello-issue-aBc123",
        "Team board",
        "bob",
    )
    assert span.url == "https://trello.com/c/aBc123"


@pytest.mark.parametrize("field", ["closed", "dueComplete"])
def test_archiving_and_completing_end_a_card(field):
    def changed(clock, value, **data):
        return tickets.trello(
            "updateCard", clock, old={field: not value}, card={field: value}, **data
        )

    assert folded(CREATED, changed("11:00:00", True)).span.status is Status.OK
    undone = folded(CREATED, changed("11:00:00", True), changed("11:30:00", False)).span
    assert (undone.status, undone.reopens) == (Status.IN_FLIGHT, 1)
    # What is done stays done since then, whatever happens to the card.
    done = tickets.moved("10:00:00", "Doing", "Done")
    kept = folded(
        CREATED,
        done,
        changed("11:00:00", True, list={"name": "Done"}),
        changed("11:30:00", False, list={"name": "Done"}),
    ).span
    assert (kept.status, kept.ended_at) == (Status.OK, at("10:00:00") + HALF)


@pytest.mark.parametrize("kind", ["deleteCard", "moveCardFromBoard"])
def test_a_card_that_is_gone_is_cancelled_unless_it_was_done(kind):
    gone = tickets.trello(kind, "13:00:00")
    assert folded(CREATED, gone).span.status is Status.CANCELLED
    done = tickets.moved("12:00:00", "Doing", "Done")
    assert folded(CREATED, done, gone).span.status is Status.OK


def test_a_card_taken_back_from_done_is_reopened():
    back = tickets.moved("13:00:00", "Done", "Doing")
    span = folded(CREATED, tickets.moved("12:00:00", "Doing", "done "), back).span
    assert (span.status, span.reopens) == (Status.IN_FLIGHT, 1)


def test_a_card_names_references():
    card = {"name": "follows vstrace-github-issue-web-4", "id": "short"}
    (event,) = events(tickets.trello("createCard", card=card))
    assert ("reference", "ref", "vstrace-github-issue-web-4", "") in sought(event)
    assert event.started_at == at("09:00:00") + HALF


DELIVERIES = [
    CREATED,
    tickets.moved("10:00:00", "Backlog", "Doing"),
    tickets.trello("updateCard", "10:30:00", old={"desc": ""}, card={"desc": "x"}),
    tickets.moved("11:00:00", "Doing", "Review"),
    tickets.moved("12:00:00", "Review", "Done"),
    tickets.moved("13:00:00", "Done", "Doing"),
    tickets.trello("updateCard", "14:00:00", old={"closed": False}, card={"closed": True}),
    tickets.trello("deleteCard", "15:00:00"),
    tickets.trello("moveCardToBoard", "09:30:00", card={"id": "other"}, list={"name": "Doing"}),
]
STORY = [SOURCE.parse(inbound(delivery)).events for delivery in DELIVERIES]
WHOLE = fold_all(event for delivery in STORY for event in delivery)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng):
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    assert same_spans(fold_all(e for position in order for e in STORY[position]), WHOLE)


def test_malformed_bodies_are_parsed_refused_or_quarantined():
    inbounds = [inbound(malformed(body, seed)) for seed in range(120) for body in DELIVERIES]
    assert len(inbounds) >= 1_000
    for one in inbounds:
        assert isinstance(SOURCE.dedupe_key(one), str)
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10

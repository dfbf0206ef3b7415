"""Linear: proof of origin, and issues by the type of their state."""

from __future__ import annotations

import hmac
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import ticket_payloads as tickets
from tests.sources.webhook_tools import (
    RECEIVED,
    answers,
    assert_survives,
    at,
    fold_all,
    malformed,
    offered,
    same_spans,
    sought,
)
from vs_tui.model.vocabulary import Event, State, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized, Unreadable
from vs_tui.sources.linear import SOURCE

KEY = f"vstrace-linear-issue-{tickets.UUID}"
TODO, DOING = ("Todo", "unstarted"), ("In Arbeit", "started")
REVIEW, DONE = ("Review", "started"), ("Fertig", "completed")
HALF = 500_000


def inbound(body, **headers):
    return tickets.inbound("/linear", body, **headers)


def events(*bodies) -> list[Event]:
    return [event for body in bodies for event in SOURCE.parse(inbound(body)).events]


def folded(*bodies):
    return fold_all(events(*bodies))[KEY]


BODY = json.dumps(tickets.linear()).encode()


def mac(secret=b"s3cret", body=BODY):
    return hmac.new(secret, body, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("signature", "accepted"),
    [
        (mac(), True),
        (mac(b"old"), True),
        (None, False),
        ("", False),
        (mac()[:-1], False),
        (mac() * 2, False),
        (f"{mac()},{mac()}", False),
        (f"sha256={mac()}", False),
        ("é" * 64, False),
        ("\udcff" * 64, False),
        (mac(b"wrong"), False),
        (mac(body=BODY + b" "), False),
    ],
)
def test_signature(signature, accepted):
    headers = {} if signature is None else {"linear-signature": signature}
    request = Inbound("/linear", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(request, [b"s3cret", b"old"])
    else:
        with pytest.raises(Unauthorized, match="Linear-Signature"):
            SOURCE.verify(request, [b"s3cret", b"old"])


@pytest.mark.parametrize(
    ("body", "offset", "accepted"),
    [
        (BODY, 299, True),
        (BODY, -299, True),
        (BODY, 301, False),
        (BODY, -301, False),
        (b"{}", 0, False),
        (b'{"webhookTimestamp": "soon"}', 0, False),
        (b'{"webhookTimestamp": null}', 0, False),
        (b"[]", 0, False),
        (b"nope", 0, False),
    ],
)
def test_replay_window(body, offset, accepted):
    headers = {"linear-signature": mac(body=body)}
    request = Inbound("/linear", headers, body, RECEIVED + offset * 1_000_000)
    if accepted:
        SOURCE.verify(request, [b"s3cret"])
    else:
        with pytest.raises(Unauthorized, match="webhookTimestamp"):
            SOURCE.verify(request, [b"s3cret"])


def test_a_retry_keeps_its_id():
    assert SOURCE.dedupe_key(inbound({}, linear_delivery="d1")) == "d1"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (tickets.linear() | {"type": "Comment"}, "Comment"),
        (tickets.linear() | {"type": "Cycle"}, "Cycle"),
        (tickets.linear("explode"), "explode"),
    ],
)
def test_unwanted_events_are_ignored_with_a_reason(body, reason):
    parsed = SOURCE.parse(inbound(body))
    assert (parsed.verdict, parsed.status, parsed.events) == (Verdict.IGNORED, 200, ())
    assert reason in parsed.reason


def test_unreadable_bodies():
    for body in (
        {},
        tickets.linear(identifier=None, team=None),
        {"type": "Issue", "action": "update"},
    ):
        with pytest.raises(Unreadable, match="compare the body"):
            SOURCE.parse(inbound(body))
    with pytest.raises(BadBody):
        SOURCE.parse(inbound([]))


def test_an_issue_passes_its_columns():
    whole = folded(
        tickets.linear("update", "12:00:00", DONE),
        tickets.linear("update", "10:00:00", DOING),
        tickets.linear("update", "10:30:00", DOING, labels=[]),
        tickets.linear("create", "09:00:00", TODO),
        tickets.linear("update", "11:00:00", REVIEW),
    )
    span = whole.span
    assert (span.status, span.reopens) == (Status.OK, 0)
    assert (span.started_at, span.ended_at) == (at("09:00:00") + HALF, at("12:00:00") + HALF)
    assert [(s.name, s.started_at) for s in whole.stages] == [
        ("Todo", at("09:00:00") + HALF),
        ("In Arbeit", at("10:00:00") + HALF),
        ("Review", at("11:00:00") + HALF),
    ]
    assert (span.ref, span.project, span.actor) == ("vstrace-linear-issue-ENG-12", "ENG", "bob")
    assert span.name == "ENG-12 Invoices are slow"
    assert span.url.startswith("https://linear.app/")


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("triage", State.QUEUED),
        ("backlog", State.QUEUED),
        ("unstarted", State.QUEUED),
        ("started", State.RUNNING),
        ("completed", State.OK),
        ("canceled", State.CANCELLED),
        ("duplicate", State.CANCELLED),
        ("galactic", State.NOTE),
    ],
)
def test_the_type_of_a_state_decides_not_its_name(kind, state):
    (event,) = events(tickets.linear("update", "10:00:00", ("Done", kind)))
    assert event.state is state


def test_an_edit_after_the_end_and_a_reopen():
    done = tickets.linear("update", "12:00:00", DONE)
    edited = tickets.linear("update", "13:00:00", DONE, completedAt=tickets.stamp("12:00:00"))
    assert folded(done, edited).span.ended_at == at("12:00:00") + HALF
    reopened = folded(done, edited, tickets.linear("update", "14:00:00", DOING)).span
    assert (reopened.status, reopened.reopens) == (Status.IN_FLIGHT, 1)


def test_a_removed_issue_is_cancelled_unless_it_was_done():
    removed = tickets.linear("remove", "13:00:00", DOING)
    assert folded(tickets.linear("create"), removed).span.status is Status.CANCELLED
    done = tickets.linear("update", "12:00:00", DONE)
    assert folded(done, tickets.linear("remove", "13:00:00", DONE)).span.status is Status.OK


def test_labels_give_the_type():
    attributes = folded(tickets.linear()).span.attributes
    assert (attributes["vs.issue.type"], attributes["vs.issue.labels"]) == ("Bug", "backend,Bug")
    cleared = folded(tickets.linear(), tickets.linear("update", "10:00:00", labels=[]))
    assert cleared.span.attributes["vs.issue.labels"] == ""
    assert not folded(tickets.linear(labels=[])).span.attributes["vs.issue.type"]


def test_what_an_issue_offers_and_seeks():
    (issue,) = events(tickets.linear(previousIdentifiers=["OPS-3", None]))
    assert offered(issue) == {("issue_key", "ENG-12", ""), ("issue_key", "OPS-3", "")}
    assert ("reference", "ref", "vstrace-github-issue-web-4", "") in sought(issue)
    (child,) = events(tickets.linear(id="child", identifier="ENG-13", parentId=tickets.UUID))
    assert answers(child, issue) == {"hierarchy"}


def test_another_team_gives_a_new_identifier_to_the_same_span():
    whole = folded(tickets.linear(), tickets.linear("update", "10:00:00", identifier="OPS-3"))
    assert whole.span.ref == "vstrace-linear-issue-OPS-3"
    refs = {"vstrace-linear-issue-ENG-12", "vstrace-linear-issue-OPS-3"}
    assert {k.value for k in whole.offers} == {"ENG-12", "OPS-3"} | refs


DELIVERIES = [
    tickets.linear("create", "09:00:00", TODO),
    tickets.linear("update", "10:00:00", DOING),
    tickets.linear("update", "10:10:00", DOING, labels=[]),
    tickets.linear("update", "11:00:00", REVIEW, assignee=None),
    tickets.linear("update", "12:00:00", DONE),
    tickets.linear("update", "13:00:00", DOING),
    tickets.linear("update", "14:00:00", ("Nein", "canceled")),
    tickets.linear(
        "remove", "15:00:00", ("Nein", "canceled"), canceledAt=tickets.stamp("14:00:00")
    ),
    tickets.linear(
        "create", "09:30:00", TODO, id="child", identifier="ENG-13", parentId=tickets.UUID
    ),
]
STORY = [SOURCE.parse(inbound(delivery)).events for delivery in DELIVERIES]
WHOLE = fold_all(event for delivery in STORY for event in delivery)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng):
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    assert same_spans(fold_all(e for position in order for e in STORY[position]), WHOLE)


def test_the_whole_story():
    assert (WHOLE[KEY].span.status, WHOLE[KEY].span.reopens) == (Status.CANCELLED, 1)
    assert WHOLE[KEY].span.ended_at == at("14:00:00") + HALF


def test_malformed_bodies_are_parsed_refused_or_quarantined():
    inbounds = [inbound(malformed(body, seed)) for seed in range(120) for body in DELIVERIES]
    assert len(inbounds) >= 1_000
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10

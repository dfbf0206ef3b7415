"""Jira: proof of origin, issues by their status category, and sprints."""

from __future__ import annotations

import hmac
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import jira_payloads as jira
from tests.sources.jira_payloads import DOING, DONE, REVIEW, TODO
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
from vs_tui.sources.jira import SOURCE, Jira

KEY, SPRINT = "vstrace-jira-issue-TP-3", "vstrace-jira-sprint-12"


def events(*bodies, source=SOURCE) -> list[Event]:
    return [event for body in bodies for event in source.parse(jira.inbound(body)).events]


def folded(*bodies, key=KEY, source=SOURCE):
    return fold_all(events(*bodies, source=source))[key]


def stages(*bodies):
    return [(s.name, s.started_at) for s in folded(*bodies).stages]


BODY = json.dumps(jira.issue()).encode()


def mac(secret=b"s3cret", body=BODY, algorithm="sha256"):
    return hmac.new(secret, body, algorithm).hexdigest()


@pytest.mark.parametrize(
    ("signature", "accepted"),
    [
        (f"sha256={mac()}", True),
        (f"sha256={mac(b'old')}", True),
        (None, False),
        ("", False),
        ("sha256=", False),
        (mac(), False),
        (f"sha256={mac()[:-1]}", False),
        (f"sha256={mac()}{mac()}", False),
        (f"sha256={mac()},sha256={mac()}", False),
        ("sha256=" + "é" * 64, False),
        ("sha256=\udcff", False),
        (f"sha256={mac(b'wrong')}", False),
        (f"sha256={mac(body=BODY + b' ')}", False),
        (f"sha1={mac(algorithm='sha1')}", False),
    ],
)
def test_signature(signature, accepted):
    """ValueStream's bug 9: with any secret it answered 400."""
    headers = {} if signature is None else {"x-hub-signature": signature}
    request = Inbound("/jira", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(request, [b"s3cret", b"old"])
    else:
        with pytest.raises(Unauthorized, match="X-Hub-Signature"):
            SOURCE.verify(request, [b"s3cret", b"old", b""])


def test_a_retry_keeps_its_identifier():
    given_headers = {"x_atlassian_webhook_identifier": "w1", "x_atlassian_webhook_retry": "2"}
    assert SOURCE.dedupe_key(jira.inbound({}, **given_headers)) == "w1"


@pytest.mark.parametrize(
    "event",
    [
        "comment_created",
        "worklog_updated",
        "issuelink_created",
        "jira:version_released",
        "sprint_galactic",
        "jira:issue_galactic",
        "board_created",
    ],
)
def test_unwanted_events_are_ignored_with_a_reason(event):
    parsed = SOURCE.parse(jira.inbound(jira.issue() | {"webhookEvent": event}))
    assert (parsed.verdict, parsed.status, parsed.events) == (Verdict.IGNORED, 200, ())
    assert event in parsed.reason


def test_unreadable_bodies():
    for body in (
        {},
        {"webhookEvent": "jira:issue_updated"},
        jira.issue(key=""),
        jira.sprint("started", "09:00:00", "active", id=None),
    ):
        with pytest.raises(Unreadable, match="compare the body"):
            SOURCE.parse(jira.inbound(body))
    for body in (b"[]", b"nope"):
        with pytest.raises(BadBody):
            SOURCE.parse(Inbound("/jira", {}, body, RECEIVED))


# Bug 5: four English names, spans split by label edits, 400 in Backlog, null priority.

COURSE = [
    jira.issue("created"),
    jira.moved("10:00:00", TODO, DOING),
    jira.moved("11:00:00", DOING, REVIEW, statuscategorychangedate=jira.stamp("10:00:00")),
    jira.moved("12:00:00", REVIEW, DONE),
]
COLUMNS = [
    ("Zu erledigen", at("09:00:00")),
    ("In Arbeit", at("10:00:00")),
    ("Review", at("11:00:00")),
]


def test_an_issue_passes_its_columns_in_any_language():
    span = folded(*COURSE[::-1]).span
    assert (span.status, span.reopens, span.operation) == (Status.OK, 0, "issue")
    assert (span.started_at, span.ended_at) == (at("09:00:00"), at("12:00:00"))
    assert stages(*COURSE) == COLUMNS
    assert (span.key, span.ref, span.project) == (
        "vstrace-jira-issue-id:acme.atlassian.net/10003",
        KEY,
        "TP",
    )
    assert (span.name, span.actor) == ("TP-3 Invoices are slow", "Bob Builder")
    assert span.url == "https://acme.atlassian.net/browse/TP-3"
    assert span.attributes["vs.issue.labels"] == "perf,api"
    assert span.attributes["vs.issue.type"] == "Story"


def test_an_edit_splits_nothing():
    edits = [
        jira.issue(
            "updated",
            clock,
            DOING,
            [jira.item("labels", "", "x")],
            statuscategorychangedate=jira.stamp("10:00:00"),
            labels=[],
        )
        for clock in ("10:10:00", "10:20:00", "10:20:01")
    ]
    assert stages(*COURSE, *edits) == COLUMNS
    assert folded(*COURSE[:2], *edits).span.attributes["vs.issue.labels"] == ""
    late = jira.issue(
        "updated",
        "13:00:00",
        DONE,
        [],
        resolutiondate=jira.stamp("12:00:00"),
        statuscategorychangedate=jira.stamp("12:00:00"),
    )
    assert folded(*COURSE, late).span.ended_at == at("12:00:00")


def test_a_lost_move_shows_by_the_next_edit():
    edit = jira.issue(
        "updated", "11:30:00", REVIEW, [], statuscategorychangedate=jira.stamp("10:00:00")
    )
    assert stages(COURSE[0], edit)[-1] == ("Review", at("11:30:00"))


def test_a_server_without_dates_keeps_the_first_end():
    """Neither a resolution nor a date of the category: the move itself tells the end."""
    bare = {"resolutiondate": None, "resolution": None, "statuscategorychangedate": None}
    course = [
        jira.issue("created"),
        jira.moved("10:00:00", TODO, DOING, **bare),
        jira.moved("12:00:00", DOING, DONE, **bare),
        jira.issue("updated", "13:00:00", DONE, [jira.item("labels", "", "x")]),
    ]
    assert folded(*course).span.ended_at == at("12:00:00")
    reopened = folded(*course, jira.moved("14:00:00", DONE, DOING, **bare)).span
    assert (reopened.status, reopened.reopens) == (Status.IN_FLIGHT, 1)


@pytest.mark.parametrize(
    ("category", "state"),
    [
        ("new", State.QUEUED),
        ("indeterminate", State.RUNNING),
        ("done", State.OK),
        ("undefined", State.NOTE),
    ],
)
def test_the_category_decides_not_the_name(category, state):
    for name in ("Done", "In Progress", "Backlog", "✓"):
        assert events(jira.issue("updated", "10:00:00", (name, category)))[0].state is state


def test_created_in_the_backlog_and_without_a_priority():
    span = folded(jira.issue("created", status=("Backlog", "new"), priority=None)).span
    assert (span.status, span.started_at) == (Status.IN_FLIGHT, at("09:00:00"))
    assert "vs.issue.priority" not in span.attributes


def test_a_reopened_issue_is_one_span():
    back = jira.moved("13:00:00", DONE, DOING)
    whole = folded(*COURSE, back)
    assert (whole.span.status, whole.span.reopens) == (Status.IN_FLIGHT, 1)
    assert [s.name for s in whole.stages][-2:] == ["Fertig", "In Arbeit"]
    # Its resolution's date may be left over from the first time.
    again = jira.moved("15:00:00", DOING, DONE, resolutiondate=jira.stamp("12:00:00"))
    span = folded(*COURSE, back, again).span
    assert (span.status, span.ended_at) == (Status.OK, at("15:00:00"))


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Done", Status.OK),
        ("Fixed", Status.OK),
        ("Won't Do", Status.CANCELLED),
        ("Won’t Fix", Status.CANCELLED),
        ("Duplicate", Status.CANCELLED),
        ("Cannot Reproduce", Status.CANCELLED),
        ("Declined", Status.CANCELLED),
    ],
)
def test_resolutions(name, status):
    assert (
        folded(jira.moved("12:00:00", DOING, DONE, resolution={"name": name})).span.status is status
    )


def test_the_words_that_cancel_can_be_changed():
    german = Jira(cancelling=("wird nicht",))
    body = jira.moved("12:00:00", DOING, DONE, resolution={"name": "Wird nicht gemacht"})
    assert folded(body).span.status is Status.OK
    assert folded(body, source=german).span.status is Status.CANCELLED


def test_a_deleted_issue_is_cancelled_unless_it_was_done():
    deleted = jira.issue("deleted", "12:30:00", REVIEW)
    span = folded(*COURSE[:3], deleted).span
    assert (span.status, span.ended_at) == (Status.CANCELLED, at("12:30:00"))
    assert folded(*COURSE, jira.issue("deleted", "12:30:00", DONE)).span.status is Status.OK


def test_an_issue_moved_to_another_project_is_the_same_span():
    item = jira.item("Key", "TP-3", "WEB-42")
    move = jira.issue("updated", "11:00:00", DOING, [item], key="WEB-42", id="10003")
    ((ref, whole),) = fold_all(events(*COURSE[:2], move)).items()
    assert (ref, whole.span.ref) == ("vstrace-jira-issue-WEB-42",) * 2
    assert whole.span.in_flight
    names = {(key.kind, key.value) for key in whole.offers}
    assert {("issue_key", "TP-3"), ("issue_key", "WEB-42"), ("ref", KEY)} <= names


def test_an_issue_without_an_id_that_moves_has_a_new_span():
    move = jira.issue(
        "updated", "11:00:00", DOING, [jira.item("Key", "TP-3", "WEB-42")], key="WEB-42"
    )
    course = [*COURSE[:2], move]
    for body in course:
        body["issue"] = {k: v for k, v in body["issue"].items() if k != "id"}
    spans = fold_all(events(*course))
    assert spans[KEY].span.status is Status.CANCELLED
    assert spans[KEY].span.attributes["vs.issue.moved_to"] == "WEB-42"
    assert spans["vstrace-jira-issue-WEB-42"].span.in_flight
    assert ("issue_key", "TP-3", "") in offered(events(move)[0])


def test_what_an_issue_offers():
    (issue, *_) = events(jira.issue())
    assert offered(issue) == {
        ("issue_key", "TP-3", ""),
        ("ref", "vstrace-jiracloud-issue-TP-3", ""),
    }
    assert ("reference", "ref", "vstrace-github-issue-web-4", "") in sought(issue)


def link_only(event):
    return {s.key.value: s.link_only for s in event.seeks if s.rule == "hierarchy"}


def test_subtasks_are_below_their_issue_and_epics_only_linked():
    parent = {"key": "TP-1", "fields": {"issuetype": {"name": "Geschichte"}}}
    subtask = {"name": "Unteraufgabe", "subtask": True}
    (task, *_) = events(jira.issue(key="TP-4", parent=parent, issuetype=subtask))
    (story, *_) = events(jira.issue(parent=parent, customfield_10014="TP-9"))
    assert link_only(task) == {"TP-1": False}
    assert link_only(story) == {"TP-1": True, "TP-9": True}
    assert answers(task, events(jira.issue(key="TP-1"))[0]) == {"hierarchy"}
    (odd, *_) = events(jira.issue(customfield_10014="some text", parent={"key": "?"}))
    assert link_only(odd) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"customfield_10077": [{"id": 12, "name": "Sprint 4", "boardId": 5, "state": "active"}]},
        {"sprint": {"id": 12, "name": "Sprint 4", "originBoardId": 5}},
        {
            "customfield_10007": [
                "com.atlassian.greenhopper.service.sprint.Sprint@1f"
                "[completeDate=<null>,id=12,rapidViewId=5,state=ACTIVE,name=Sprint 4,sequence=1]"
            ]
        },
    ],
)
def test_an_issue_is_linked_to_its_sprint(fields):
    (issue, planned, *_) = events(jira.issue(**fields))
    (sprint,) = events(jira.sprint("started", "09:00:00", "active"))
    assert answers(planned, sprint) == {"hierarchy"}
    assert link_only(planned) == {SPRINT: True}
    assert issue.attributes["vs.issue.sprint"] == "Sprint 4"


def test_joining_a_sprint_is_in_the_changelog():
    joined = jira.item("Sprint", "", "Sprint 4", to="11, 12", fieldId="customfield_10020")
    (_, planned, *_) = events(jira.issue("updated", "10:00:00", DOING, [joined]))
    assert link_only(planned) == {"vstrace-jira-sprint-11": True, SPRINT: True}


# Sprints

SPRINT_COURSE = [
    jira.sprint("created", "08:00:00", "future"),
    jira.sprint("started", "09:00:05", "active"),
    jira.sprint("updated", "10:00:00", "active", name="Sprint IV"),
    jira.sprint("closed", "18:00:00", "closed"),
]


def test_a_sprint():
    whole = folded(*SPRINT_COURSE[::-1], key=SPRINT)
    span = whole.span
    assert (span.operation, span.status, span.reopens) == ("sprint", Status.OK, 0)
    assert (span.started_at, span.ended_at) == (at("09:00:00"), at("18:00:00"))
    assert whole.stages == ()
    assert span.attributes["vs.sprint.late"] is True
    assert {k.value for k in whole.offers} == {"vstrace-jiracloud-sprint-12"}
    reopened = jira.sprint("updated", "19:00:00", "active")
    assert folded(*SPRINT_COURSE, reopened, key=SPRINT).span.reopens == 1


def test_a_deleted_sprint():
    deleted = jira.sprint("deleted", "11:00:00", "active")
    assert folded(*SPRINT_COURSE[:2], deleted, key=SPRINT).span.status is Status.CANCELLED
    assert folded(SPRINT_COURSE[0], key=SPRINT).span.state is State.QUEUED


DELIVERIES = [
    *COURSE,
    jira.issue("updated", "10:10:00", DOING, [jira.item("labels", "", "x")], priority=None),
    jira.moved("13:00:00", DONE, DOING),
    jira.moved("15:00:00", DOING, DONE, resolution={"name": "Won't Do"}),
    jira.issue("updated", "15:30:00", DONE, [], resolutiondate=jira.stamp("15:00:00"),
               resolution={"name": "Won't Do"}),
    jira.issue("deleted", "16:00:00", DONE),
    jira.issue("created", "09:30:00", key="TP-4", parent={"key": "TP-3"},
               issuetype={"name": "Sub-task", "subtask": True},
               customfield_10020=[{"id": 12, "boardId": 5, "name": "Sprint 4"}]),
    *SPRINT_COURSE,
]  # fmt: skip
STORY = [SOURCE.parse(jira.inbound(delivery)).events for delivery in DELIVERIES]
WHOLE = fold_all(event for delivery in STORY for event in delivery)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng):
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    assert same_spans(fold_all(e for position in order for e in STORY[position]), WHOLE)


def test_the_whole_story():
    assert (WHOLE[KEY].span.status, WHOLE[KEY].span.reopens) == (Status.CANCELLED, 1)
    assert WHOLE[KEY].span.ended_at == at("15:00:00")


def test_malformed_bodies_are_parsed_refused_or_quarantined():
    inbounds = [jira.inbound(malformed(body, seed)) for seed in range(80) for body in DELIVERIES]
    assert len(inbounds) >= 1_000
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10

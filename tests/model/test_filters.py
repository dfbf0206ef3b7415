"""What each term of the filter language means, and that its text is canonical."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_tui.model.filters import (
    FLAGS,
    STALE_AFTER,
    STATES,
    TEXT_KEYS,
    Filter,
    FilterError,
    parse,
)
from vs_tui.model.time import DAY, HOUR, MINUTE, parse_instant
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.tui.filtering import term_completions as completions

NOW = parse_instant("2026-11-20T12:00:00Z")


def span(**values: object) -> Span:
    plain: dict[str, object] = {
        "key": "vstrace-github-build-acme/api-1",
        "ref": "vstrace-github-build-api-1",
        "source": "github",
        "operation": "build",
        "name": "Unit tests",
        "status": Status.IN_FLIGHT,
        "state": State.RUNNING,
        "started_at": NOW - 20 * MINUTE,
        "ended_at": None,
        "project": "acme/api",
        "team": "core",
        "service": "api",
        "environment": "production",
        "actor": "ana",
        "stage": "e2e",
        "last_event_at": NOW - MINUTE,
        "trace_id": "4b1f" * 8,
    }
    return Span(**(plain | values))


def ended(status: Status, state: State, **values: object) -> Span:
    return span(status=status, state=state, ended_at=NOW, **values)


RUNNING = span()
QUEUED = span(state=State.QUEUED)
WAITING = span(state=State.WAITING)
OK = ended(Status.OK, State.OK)
ERROR = ended(Status.ERROR, State.ERROR)
CANCELLED = ended(Status.CANCELLED, State.CANCELLED)
TIMED_OUT = ended(Status.TIMED_OUT, State.RUNNING)
STALE = span(last_event_at=NOW - STALE_AFTER - 1)
ALL = {
    "running": RUNNING,
    "queued": QUEUED,
    "waiting": WAITING,
    "ok": OK,
    "error": ERROR,
    "cancelled": CANCELLED,
    "timed_out": TIMED_OUT,
    "stale": STALE,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state:in_flight", {"running", "queued", "waiting", "stale"}),
        ("state:open", {"running", "queued", "waiting", "stale"}),
        ("is:open", {"running", "queued", "waiting", "stale"}),
        ("is:inflight", {"running", "queued", "waiting", "stale"}),
        ("state:running", {"running", "stale"}),
        ("state:queued", {"queued"}),
        ("state:waiting", {"waiting"}),
        ("state:ok", {"ok"}),
        ("state:failed", {"error", "timed_out"}),
        ("is:failed", {"error", "timed_out"}),
        ("state:error", {"error"}),
        ("state:cancelled", {"cancelled"}),
        ("state:timed_out", {"timed_out"}),
        ("state:stale", {"stale"}),
        ("state:ended", {"ok", "error", "cancelled", "timed_out"}),
        ("state:ok,queued", {"ok", "queued"}),
        ("-state:failed state:ended", {"ok", "cancelled"}),
        ("status:OK", {"ok"}),
    ],
)
def test_states(text: str, expected: set[str]) -> None:
    wanted = parse(text)
    assert {name for name, found in ALL.items() if wanted.matches(found, NOW)} == expected


def test_what_people_keep_open_is_never_stale() -> None:
    quiet = span(operation="pull_request", last_event_at=NOW - 40 * DAY)
    assert not parse("state:stale").matches(quiet, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unit",
        '"Unit tests"',
        "team:core,web",
        "team:CORE",
        "kind:build",
        "project:acme/*",
        "project:api",
        "repo:acme/api",
        "env:prod*",
        "environment:production",
        "service:api",
        "source:github",
        "actor:ana",
        'name:"unit tests"',
        "stage:e2e",
        "ref:vstrace-github-build-api-1",
        f"trace:{'4b1f' * 8}",
        "dur>10m",
        "dur>=20m",
        "dur<21m",
        "age<7d",
        "age>=1m",
        "since:2026-11-01",
        "until:2026-11-21",
        "until:2026-11-20T12:00:00Z",
        "is:root",
        "is:production",
        "-is:draft",
        "-is:rework",
        "e2e",
    ],
)
def test_a_term_that_holds_and_its_negation_that_does_not(text: str) -> None:
    assert parse(text).matches(RUNNING, NOW)
    if text and not text.startswith("-"):
        assert not parse(f"-{text}").matches(RUNNING, NOW)


@pytest.mark.parametrize("word", ["#12", "!12", '"#12"'])
def test_a_number_finds_its_issue_and_its_pull_request(word: str) -> None:
    def found(operation: str, ref: str, name: str = "") -> bool:
        return parse(word).matches(RUNNING._replace(operation=operation, ref=ref, name=name), NOW)

    assert found("issue", "vstrace-gitlab-issue-shop-12")
    assert found("pull_request", "vstrace-github-pull_request-api-12")
    assert not found("issue", "vstrace-gitlab-issue-shop-112")
    assert not found("build", "vstrace-jenkins-build-shop-12")
    assert found("pipeline", "", f"CI {word.strip(chr(34))}3"), "as any word in a name"


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "team:cor",
        "project:acme",
        "env:staging",
        "dur>20m",
        "dur<20m",
        "age>1m",
        "since:2026-11-21",
        "until:2026-11-20",
        "is:draft",
        "kind:deploy",
        "team:core kind:deploy",
        "error:timeout",
    ],
)
def test_a_term_that_does_not_hold(text: str) -> None:
    assert not parse(text).matches(RUNNING, NOW)


def test_attributes_decide_draft_and_rework() -> None:
    change = span(operation="pull_request", attributes={"vs.pr.draft": True, "vs.rework": 1})
    assert parse("is:draft").matches(change, NOW)
    assert parse("is:rework").matches(change, NOW)
    assert parse("kind:pr").matches(change, NOW)
    assert parse("type:MR").matches(change, NOW)


def test_a_duration_that_is_unknown_is_neither_short_nor_long() -> None:
    orphan = span(started_at=None, ended_at=NOW)
    assert not parse("dur>0s").matches(orphan, NOW)
    assert not parse("dur<9w").matches(orphan, NOW)


def test_until_excludes_its_moment_and_since_includes_it() -> None:
    moment = span(started_at=NOW, ended_at=NOW + HOUR, last_event_at=NOW + HOUR)
    assert not parse("until:2026-11-20T12:00:00Z").matches(moment, NOW)
    assert parse("since:2026-11-20T13:00:00Z").matches(moment, NOW)


@given(st.text(max_size=80))
@settings(max_examples=500, deadline=None)
def test_any_text_that_parses_has_a_canonical_text(text: str) -> None:
    try:
        wanted = parse(text)
    except FilterError:
        return
    canonical = str(wanted)
    assert parse(canonical) == wanted
    assert str(parse(canonical)) == canonical


WORD = st.text(alphabet='ab -:,<>"é*/', min_size=1, max_size=8)


@given(st.lists(st.tuples(st.sampled_from([*TEXT_KEYS, "x"]), WORD, st.booleans()), max_size=4))
@settings(deadline=None)
def test_terms_with_awkward_values_survive_their_text(terms: list[tuple[str, str, bool]]) -> None:
    text = " ".join(f"{'-' if neg else ''}{key}:{value}" for key, value, neg in terms)
    try:
        wanted = parse(text)
    except FilterError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert parse(str(wanted)) == wanted


def test_several_quoted_values_are_one_term() -> None:
    wanted = parse('name:"Unit tests","a, b" core')
    assert [term.values for term in wanted.terms] == [("Unit tests", "a, b"), ("core",)]
    assert str(wanted) == 'name:"Unit tests","a, b" core'


def test_errors_point_at_the_term() -> None:
    with pytest.raises(FilterError) as caught:
        parse("team:core stat:ok")
    assert caught.value.position == len("team:core ")
    assert isinstance(caught.value, ValueError)


def test_an_empty_filter_matches_everything() -> None:
    assert parse("  ") == Filter()
    assert all(Filter().matches(found, NOW) for found in ALL.values())


@pytest.mark.parametrize(("key", "values"), [("state", STATES), ("is", FLAGS)])
def test_every_accepted_value_is_offered_and_understood(key: str, values: tuple[str, ...]) -> None:
    assert completions(f"{key}:", {}) == [f"{key}:{value}" for value in values]
    for value in values:
        assert str(parse(f"{key}:{value}")) == f"{key}:{value}"


def test_completion_keeps_what_is_before_the_last_word() -> None:
    assert completions("kind:deploy env:", {"env": ["prod eu"]}) == ['kind:deploy env:"prod eu"']
    assert "dur>" in completions("d", {})
    assert completions("nonsense:", {}) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ".join(["word"] * 1_000), "characters; it can have"),
        (" ".join(["w"] * 101), "more than 100 terms"),
        ("kind:" + ",".join(["a"] * 201), "more than 200 values"),
    ],
)
def test_a_filter_that_sqlite_would_refuse_is_refused_in_words(text, said) -> None:
    with pytest.raises(FilterError, match=said):
        parse(text)

"""Folding: a function of the set of events, whatever the order and however often."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Rule, Seek, State, Status
from vs_tui.traces.folding import WAITING_LIMIT, fold, with_timeout

T = 1_772_445_600 * SECOND
KEY = "vstrace-test-build-x-1"


def event(state: State, at: int, **more: object) -> Event:
    values = {"key": KEY, "source": "test", "operation": "build"} | more
    return Event(state=state, occurred_at=T + at * SECOND, **values)


def folded(*events: Event):
    return fold(events).span


def test_start_and_end_make_a_span() -> None:
    span = folded(event(State.RUNNING, 0, name="docker"), event(State.OK, 90))
    assert (span.status, span.name) == (Status.OK, "docker")
    assert span.duration == 90 * SECOND


def test_an_end_without_a_start_is_a_span_with_an_unknown_start() -> None:
    span = folded(event(State.ERROR, 5, error="failure"))
    assert (span.status, span.started_at, span.duration) == (Status.ERROR, None, None)
    assert span.error == "failure"


def test_a_stated_start_wins_over_the_first_event() -> None:
    span = folded(event(State.OK, 100, started_at=T), event(State.RUNNING, 50))
    assert span.started_at == T


def test_a_terminal_state_wins_a_tie() -> None:
    assert folded(event(State.OK, 5), event(State.RUNNING, 5)).status is Status.OK


def test_a_late_running_event_does_not_reopen() -> None:
    assert folded(event(State.OK, 5), event(State.RUNNING, 9)).status is Status.OK


def test_a_reopen_is_a_new_episode_of_the_same_span() -> None:
    span = folded(
        event(State.RUNNING, 0),
        event(State.OK, 100),
        event(State.RUNNING, 400, supersedes=True),
        event(State.OK, 500, supersedes=True),
    )
    assert (span.reopens, span.status) == (1, Status.OK)
    assert span.duration == 500 * SECOND
    assert span.active == 200 * SECOND


def test_the_first_end_stands_unless_the_source_knows_better() -> None:
    first, second = event(State.OK, 10), event(State.ERROR, 20)
    assert folded(first, second).ended_at == T + 10 * SECOND
    assert folded(first, second._replace(supersedes=True)).status is Status.ERROR


def test_an_end_before_the_start_counts_as_zero_and_moves_nothing() -> None:
    span = folded(event(State.RUNNING, 10, started_at=T + 10 * SECOND), event(State.OK, 5))
    assert span.duration == 0
    assert (span.started_at, span.ended_at) == (T + 10 * SECOND, T + 5 * SECOND)


def test_the_latest_snapshot_names_the_span() -> None:
    old = event(State.RUNNING, 0, name="old", actor="ana", attributes={"a": 1, "b": 1})
    new = event(State.RUNNING, 0, as_of=T + 9, name="new", attributes={"a": 2})
    span = folded(new, old)
    assert (span.name, span.actor, span.attributes) == ("new", "ana", {"a": 2, "b": 1})


def test_phases_become_child_stages() -> None:
    result = fold(
        [
            event(State.QUEUED, 0, stage="queued"),
            event(State.RUNNING, 30, stage="running"),
            event(State.ERROR, 90, error="failure"),
        ]
    )
    queued, running = result.stages
    assert (queued.name, queued.status, queued.duration) == ("queued", Status.OK, 30 * SECOND)
    assert (running.status, running.duration) == (Status.ERROR, 60 * SECOND)
    assert queued.parent_key == KEY
    assert queued.operation == "stage"


def test_what_was_queued_and_came_to_a_result_has_run_meanwhile() -> None:
    queued = event(State.QUEUED, 0, stage="queued")
    done, running = event(State.OK, 90), event(State.RUNNING, 30, stage="running")
    (unseen,) = fold([queued, done]).stages
    assert (unseen.name, unseen.duration) == ("queued or running", 90 * SECOND)
    assert [s.name for s in fold([queued, done, running]).stages] == ["queued", "running"]
    (given_up,) = fold([queued, event(State.CANCELLED, 90)]).stages
    assert given_up.name == "queued"


def test_a_phase_visited_twice_is_two_stages() -> None:
    names = ["todo", "doing", "todo", "doing"]
    events = [event(State.RUNNING, i * 10, stage=name) for i, name in enumerate(names)]
    stages = fold(events).stages
    assert [s.name for s in stages] == names
    assert len({s.key for s in stages}) == 4
    assert stages[-1].status is Status.IN_FLIGHT


def test_a_timeout_ends_the_span_at_start_plus_limit() -> None:
    span = folded(event(State.RUNNING, 0))
    limits = {"build": HOUR}
    assert with_timeout(span, T + HOUR - 1, limits).in_flight
    late = with_timeout(span, T + 5 * HOUR, limits)
    assert (late.status, late.ended_at, late.error) == (Status.TIMED_OUT, T + HOUR, "timeout")
    assert with_timeout(folded(event(State.OK, 1)), T + 5 * HOUR, limits).status is Status.OK


def test_what_waits_for_a_person_is_not_timed_out_before_a_month() -> None:
    limits = {"build": HOUR}
    queued = event(State.QUEUED, 0, stage="queued")
    asked = event(State.WAITING, 10, stage="waiting")
    waiting = fold([queued, asked]).span
    assert with_timeout(waiting, T + 29 * DAY, limits).in_flight
    forgotten = with_timeout(waiting, T + 31 * DAY, limits)
    assert (forgotten.status, forgotten.ended_at) == (
        Status.TIMED_OUT,
        T + 10 * SECOND + WAITING_LIMIT,
    )
    # Approved after a day: from then on its own limit counts.
    approved = event(State.RUNNING, 86_400, stage="running")
    running = fold([queued, asked, approved]).span
    begun = T + 86_400 * SECOND
    assert with_timeout(running, begun + HOUR - 1, limits).in_flight
    assert with_timeout(running, begun + 2 * HOUR, limits).ended_at == begun + HOUR


STATES = st.sampled_from(list(State))
EVENTS = st.lists(
    st.builds(
        event,
        STATES,
        st.integers(0, 50),
        supersedes=st.booleans(),
        stage=st.sampled_from(["", "a", "b"]),
        name=st.sampled_from(["", "x", "y"]),
        started_at=st.sampled_from([None, T, T + MINUTE]),
        attributes=st.dictionaries(st.sampled_from("pq"), st.integers(0, 3), max_size=2),
        error=st.sampled_from(["", "failure", "timeout"]),
        offers=st.sampled_from([(), (Key("commit", "a" * 40),)]),
        as_of=st.sampled_from([0, T + MINUTE, T + HOUR]),
        restates=st.sampled_from(["", RELATIONS, "parent"]),
        seeks=st.lists(
            st.sampled_from([Seek(Rule.ISSUE_KEY, Key("issue_key", f"TP-{n}")) for n in range(3)]),
            max_size=2,
            unique=True,
        ).map(tuple),
    ),
    min_size=1,
    max_size=8,
)


@given(EVENTS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_any_order_and_any_duplication_fold_to_the_same(events, random) -> None:
    expected = fold(events)
    shuffled = events + random.choices(events, k=len(events))
    random.shuffle(shuffled)
    again = fold(shuffled)
    assert (again.span, again.stages) == (expected.span, expected.stages)
    assert set(again.offers) == set(expected.offers)
    assert set(again.seeks) == set(expected.seeks)


def test_the_newest_snapshot_restates_its_part_and_what_is_no_snapshot_only_adds() -> None:
    def wish(number: int) -> tuple[Seek, ...]:
        return (Seek(Rule.ISSUE_KEY, Key("issue_key", f"TP-{number}")),)

    events = [
        event(State.NOTE, 0, as_of=T + MINUTE, restates=RELATIONS, seeks=wish(3)),
        event(State.NOTE, 9, as_of=T, restates=RELATIONS, seeks=wish(4)),
        event(State.NOTE, 1, restates="parent", seeks=wish(5)),
        event(State.NOTE, 2, restates="parent"),
        event(State.NOTE, 3, seeks=wish(6)),
    ]
    for order in permutations(events):
        assert set(fold(order).seeks) == {*wish(3), *wish(6)}


@given(EVENTS)
@settings(max_examples=200, deadline=None)
def test_what_ended_has_an_end_and_what_did_not_has_none(events) -> None:
    span = fold(events).span
    assert (span.ended_at is not None) == span.state.terminal
    assert span.in_flight == (span.ended_at is None)
    assert span.duration is None or span.duration >= 0
    for stage in fold(events).stages:
        assert stage.duration is None or stage.duration >= 0

"""What deploys ship, for any overlap of runs and any order of arrival, against a plain reading."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.memory import folded
from vs_tui.model.time import DAY, MINUTE
from vs_tui.model.vocabulary import Event, Key, Rule, Seek, State

RUNS = st.tuples(st.integers(0, 60), st.integers(0, 30), st.booleans(), st.integers(0, 2))
"""When it begins, how much later its deploy does, whether that succeeds; 0: without a run, 1: the
deploy is below it, 2: below its job."""


def span(key: str, operation: str, began: int, ended: int, ok: bool = True, above: str = ""):
    seeks = (Seek(Rule.STRUCTURE, Key("ref", above)),) if above else ()
    values = {"key": key, "source": "test", "operation": operation, "project": "acme/api"}
    values |= {"service": "api", "environment": "prod", "seeks": seeks}
    began, ended = began * MINUTE, ended * MINUTE
    state = State.OK if ok else State.ERROR
    return [
        Event(state=State.RUNNING, occurred_at=began, started_at=began, **values),
        Event(state=state, occurred_at=ended, **values),
    ]


def events_of(merges, runs):
    found = []
    for number, minute in enumerate(merges):
        found += span(f"pr-{number}", "pull_request", 0, minute)
    for number, (began, later, ok, below) in enumerate(runs):
        if below:
            found += span(f"run-{number}", "pipeline", began, began + later + 1)
        if below == 2:
            found += span(f"job-{number}", "build", began, began + 1, above=f"run-{number}")
        above = ["", f"run-{number}", f"job-{number}"][below]
        found += span(f"deploy-{number}", "deploy", began + later, began + later + 1, ok, above)
    return found


def told(events, size):
    db = folded(events, size)
    sql = "SELECT child, parent FROM links WHERE rule = 'ships'"
    return set(db.execute(sql))


def read_plainly(merges, runs):
    """Of every deploy the merges after all that the successes before it had taken; of the first
    one those of the week before it."""
    deploys = [
        (f"deploy-{n}", began + later, began if below else began + later, ok)
        for n, (began, later, ok, below) in enumerate(runs)
    ]
    found = set()
    for key, at, taken, _ in deploys:
        before = [t for _, start, t, ok in deploys if ok and start < at]
        since = max(before) if before else taken - 7 * DAY // MINUTE
        news = [n for n, minute in enumerate(merges) if since < minute <= taken]
        found |= {(key, f"pr-{n}") for n in news}
    return found


@settings(max_examples=120, deadline=None, database=None)
@given(
    st.lists(st.integers(1, 80), min_size=1, max_size=6),
    st.lists(RUNS, min_size=1, max_size=6),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_a_deploy_ships_what_was_merged_before_its_run_began(merges, runs, random, size) -> None:
    events = events_of(merges, runs)
    random.shuffle(events)
    assert told(events, size) == read_plainly(merges, runs)

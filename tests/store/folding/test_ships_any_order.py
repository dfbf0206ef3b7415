"""What deploys ship by containment, from histories with branches, promotions, pushes and unknown
commits: the same links whatever comes first, twice or late."""

from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.memory import folded
from vs_tui.model.time import MINUTE, SECOND
from vs_tui.model.vocabulary import Event, Key, Rule, Seek, State

BRANCHES = st.sampled_from(("main", "develop", "topic", "release/1"))
COMMITS = st.sampled_from([f"{n}" * 40 for n in "12345"])
MINUTES = st.integers(1, 40)
PULLS = st.tuples(st.just("pull"), MINUTES, BRANCHES, BRANCHES, COMMITS, st.booleans())
PUSHES = st.tuples(
    st.just("push"), MINUTES, BRANCHES, st.lists(COMMITS, max_size=3), st.integers(-1, 4)
)
DEPLOYS = st.tuples(
    *(st.just("deploy"), MINUTES, st.sampled_from(("", "main", "develop", "v1"))),
    *(st.one_of(COMMITS, st.sampled_from(("", "9" * 40))), st.booleans()),
    *(st.sampled_from(("prod", "live")), st.sampled_from(("", "1", "latest")), st.booleans()),
)


def span(key: str, operation: str, began: int, ended: int | None, ok: bool = True, **more: object):
    values = {"key": key, "source": "test", "operation": operation, "project": "acme/api", **more}
    events = [Event(state=State.RUNNING, occurred_at=began, started_at=began, **values)]
    if ended is not None:
        state = State.OK if ok else State.CANCELLED
        events.append(Event(state=state, occurred_at=ended, **values))
    return events


def told_of(number: int, kind: str, minute: int, *what: object):
    at = minute * MINUTE
    if kind == "pull":
        base, source, commit, is_merged = what
        names = {"vcs.ref.base.name": base, "vcs.ref.head.name": source}
        names |= {"vs.pr.merge_commit": commit, "vs.default_branch": "main"}
        return span(f"pr-{number}", "pull_request", 0, at, bool(is_merged), attributes=names)
    if kind == "push":
        branch, commits, below = what
        log = orjson.dumps([[c, at // SECOND, "work", []] for c in commits]).decode()
        names = {"vcs.ref.head.name": branch, "vs.push.log": log}
        seeks = (Seek(Rule.CHANGE_NUMBER, Key("ref", f"pr-{below}")),) if below >= 0 else ()
        return span(f"push-{number}", "push", at, at, attributes=names, seeks=seeks)
    ref, commit, ok, environment, version, has_run = what
    names = {"vcs.ref.head.name": ref, "vcs.ref.head.revision": commit, "vs.version": version}
    run = span(f"run-{number}", "pipeline", at - 3 * MINUTE, at) if has_run else []
    seeks = (Seek(Rule.STRUCTURE, Key("ref", f"run-{number}")),) if has_run else ()
    more = {"service": "api", "environment": environment, "seeks": seeks, "attributes": names}
    return [*run, *span(f"deploy-{number}", "deploy", at, at + MINUTE, bool(ok), **more)]


def linked(events: list[Event], size: int) -> set[tuple[object, ...]]:
    db = folded(events, size)
    sql = "SELECT child, parent, rule FROM links UNION ALL SELECT key, branch, position FROM "
    return set(db.execute(sql + "vcs_deploys"))


@settings(max_examples=40, deadline=None, database=None)
@given(
    st.lists(st.one_of(PULLS, PUSHES, DEPLOYS), min_size=2, max_size=9),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_deploys_ship_the_same_in_any_order(history, random, size) -> None:
    events = [event for n, what in enumerate(history) for event in told_of(n, *what)]
    expected = linked(events, len(events))
    events += random.sample(events, k=min(2, len(events)))
    random.shuffle(events)
    assert linked(events, size) == expected

"""What the events of one push tell together."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from vs_tui.model.vocabulary import Event, Operation, State
from vs_tui.traces.folding import fold
from vs_tui.traces.push_log import PUSH_LOG, commits_in

BASE = "vcs.ref.base.revision"


def push(at: int, before: str, log: str, **more: str) -> Event:
    return Event(
        key="push",
        source="github",
        operation=Operation.PUSH,
        state=State.OK,
        occurred_at=at,
        started_at=at,
        attributes={BASE: before, PUSH_LOG: log, **more},
    )


def commit(name: str, *files: str) -> list[object]:
    return [name, 7, f"Write {name}", [*files]]


def test_the_event_with_most_commits_tells_of_them_and_another_of_their_files() -> None:
    """A webhook told the second of two pushes; an import tells both as one, without files."""
    webhook = push(20, "c1", json.dumps([commit("c2", "a/x")]))
    imported = push(10, "main", json.dumps([commit("c1"), commit("c2")]))
    for told in permutations([webhook, imported, webhook]):
        attributes = fold(told).span.attributes
        assert attributes[BASE] == "main"
        listed = [(sha, paths) for sha, _, _, paths, _ in commits_in(attributes[PUSH_LOG])]
        assert listed == [("c1", []), ("c2", ["a/x"])]


@pytest.mark.parametrize(
    "log", ['[[["c1"], 7, "x", ["a"]]]', '[{"a": 1, "1": 2, "c": 3, "dd": 4}]', '{"a1bc": 1}']
)
def test_a_log_of_other_values_is_read_as_text_or_not_at_all(log) -> None:
    """Custom events may send anything; it must not cost the delivery."""
    whole = json.dumps([commit("c1", "a/x"), commit("c2")])
    attributes = fold([push(10, "main", log), push(20, "c1", whole)]).span.attributes
    assert [sha for sha, *_ in commits_in(attributes[PUSH_LOG])] == ["c1", "c2"]


@pytest.mark.parametrize(
    "log", ["", "no JSON", "[7]", "{}", '[["c1"]]', "[" * 100_000, '[["c1", 1e39, "x", []]]']
)
def test_a_log_that_is_none_of_ours_changes_nothing(log) -> None:
    attributes = fold([push(10, "main", log), push(20, "c1", log)]).span.attributes
    assert (attributes[BASE], attributes[PUSH_LOG]) == ("c1", log)
    assert commits_in(log) == []

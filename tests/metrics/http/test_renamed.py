"""A renamed repository is one project: its deploys of before and after, and what they shipped."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest

from tests.ingest.server import Server, nearby
from tests.metrics.http import github as gh
from tests.metrics.http.github import GitHub
from tests.metrics.http.others import Jenkins
from tests.metrics.http.story import FREQUENCY, LEAD, Story, command, figure, items, send


class Renamed(GitHub):
    """A repository that keeps its id."""

    def _repository(self) -> dict[str, Any]:
        return super()._repository() | {"id": gh.number(self.name)}


@pytest.mark.parametrize("order", [1, -1])
def test_what_was_merged_before_a_rename_is_shipped_after_it(receiver, order) -> None:
    story = Story()
    own = Renamed(story, f"acme/was{order}")
    own.pull(1, "09:00", "10:00", commits=[("fix", "08:30")], pushed=True)
    own.deploy("10:30", commit=own.merge_of(1))
    own.pull(2, "09:00", "11:00", commits=[("more", "08:00")], pushed=True)
    merged = own.merge_of(2)
    own.full = f"acme/is{order}"
    own.deploy("12:00", commit=merged)
    send(receiver, story.posts[::order])
    assert f"acme/was{order}" not in items(receiver)
    assert figure(receiver, own.full, FREQUENCY)["n"] == 2
    assert figure(receiver, f"is{order}", FREQUENCY, "service")["n"] == 2
    assert figure(receiver, own.full, LEAD)["n"] == 2


def tables(server: Server) -> list[Any]:
    """What hosts told of repositories."""
    with contextlib.closing(sqlite3.connect(f"file:{server.db}?mode=ro", uri=True)) as db:
        return [
            sorted(db.execute(f"SELECT * FROM {name}").fetchall())
            for name in ("repository_names", "vcs_defaults")
        ]


def test_a_rebuild_after_pruning_knows_former_names_and_default_branches(tmp_path) -> None:
    """All that told of the rename was pruned; Jenkins still has the former name."""
    story = Story()
    own = Renamed(story, "acme/shed")
    own.push(("shed 1", "08:00"))
    own.full = "acme/barn"
    own.push(("barn 1", "09:00"))
    with nearby(tmp_path) as server:
        send(server, story.posts)
        before = tables(server)
        assert all(before)
    command(server, "db", "prune", "--older-than", "30d")
    for _ in range(2):
        assert tables(server) == before
        command(server, "db", "rebuild")
    later = Story()
    Jenkins(later, "acme/shed").deploy("10:00", commit="barn 1")
    with nearby(tmp_path) as server:
        assert server.call("/api/spans")[1]["items"] == []
        send(server, later.posts)
        assert "acme/barn" in items(server)
        assert "acme/shed" not in items(server)

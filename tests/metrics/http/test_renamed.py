"""A renamed repository is one project: its deploys of before and after, and what they shipped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http import github as gh
from tests.metrics.http.github import GitHub
from tests.metrics.http.story import FREQUENCY, LEAD, Story, figure, items, send


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

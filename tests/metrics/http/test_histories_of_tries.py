"""Versions that are tried: rollbacks that fail, ends that never come, tries that are cancelled."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import number
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import Tell, of_projects, told_in
from tests.metrics.http.others import Jenkins, Script, alertmanager
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted


def rollback_that_fails_first(story: Story, name: str) -> Wanted:
    """v2 is taken back from 10:00 to 10:25: the first try of v1 fails at 10:05 and is repaired 20
    minutes later. Both tries are rework."""
    own = Script(story, f"acme/{name}", name)
    own.deploy("08:00", version="1")
    own.deploy("09:00", version="2")
    own.deploy("10:05", False, began="10:00", version="1")
    own.deploy("10:25", began="10:20", version="1")
    return {"fail": (2, 4), "rework": (2, 4), "recovery": (22.5, 2), "open": 0}


def rollback_past_a_failed_version(story: Story, name: str) -> Wanted:
    """v3 fails (30 minutes). v1 is deployed over v2, which was live: v2 failed, too (5 minutes)."""
    own = Script(story, f"acme/{name}", name)
    for version, clock in (("1", "08:00"), ("2", "09:00")):
        own.deploy(clock, version=version)
    own.deploy("10:00", False, version="3")
    own.deploy("10:30", began="10:25", version="1")
    return {"fail": (2, 4), "rework": (1, 4), "recovery": (17.5, 2), "open": 0}


def back_to_what_was_live(story: Story, name: str) -> Wanted:
    """v3 fails and v2, which was live, is deployed again: v2 did not fail."""
    own = Script(story, f"acme/{name}", name)
    for version, clock in (("1", "08:00"), ("2", "09:00")):
        own.deploy(clock, version=version)
    own.deploy("10:00", False, version="3")
    own.deploy("10:30", began="10:25", version="2")
    return {"fail": (1, 4), "rework": (1, 4), "recovery": (30.0, 1), "open": 0}


def slow_and_older(story: Story, name: str) -> Wanted:
    """v2 begins before v3 and ends after it: it is slow, and takes nothing back."""
    own = Script(story, f"acme/{name}", name)
    own.deploy("08:00", version="1")
    own.deploy("09:10", began="09:05", version="3")
    own.deploy("09:30", began="09:00", version="2")
    return {"fail": (0, 3), "rework": (0, 3), "successes": 3}


def lost_and_built_again(story: Story, name: str) -> Wanted:
    """The end of a build never came, so it failed at 12:00. The next build of its version succeeded
    at 10:45: the failure was over before it was known, so it took an unknown time."""
    own = Jenkins(story, f"acme/{name}")
    own.deploy("09:00", version="1")
    own.deploy("10:00", began="10:00", version="2", state="-")
    own.deploy("10:45", began="10:40", version="2")
    return {"fail": (1, 3), "successes": 2, "recovery": (None, 0), "open": 0, "rework": (0, 3)}


def lost_and_overtaken(story: Story, name: str) -> Wanted:
    """v2 never ended, and v3 succeeded meanwhile: the timeout of v2 takes nothing back."""
    own = Jenkins(story, f"acme/{name}")
    own.deploy("09:00", version="1")
    own.deploy("10:00", began="10:00", version="2", state="-")
    own.deploy("10:45", began="10:40", version="3")
    return {"fail": (1, 3), "successes": 2, "recovery": (None, 0), "open": 0, "rework": (0, 3)}


def lost_and_not_repaired(story: Story, name: str) -> Wanted:
    own = Jenkins(story, f"acme/{name}")
    own.deploy("09:00", version="1")
    own.deploy("10:00", began="10:00", version="2", state="-")
    return {"fail": (1, 2), "successes": 1, "recovery": (None, 0), "open": 1}


def alarm_of_a_version_with_a_lost_end(story: Story, name: str) -> Wanted:
    """The alarm is about the last deployment of v2 that began, though the lost one ends later. So
    both failed: that lasted an unknown time and 15 minutes."""
    own = Jenkins(story, f"acme/{name}")
    own.deploy("10:00", began="10:00", version="2", state="-")
    own.deploy("10:45", began="10:40", version="2")
    alertmanager(story, name, "11:00", "11:15", version="2")
    return {"fail": (2, 2), "successes": 1, "recovery": (15.0, 1), "open": 0}


def cancelled_try(story: Story, name: str) -> Wanted:
    """The second attempt of a failed run is cancelled: the first one failed all the same."""
    own = GitHub(story, f"acme/{name}")
    own.deploy("09:00", commit=f"{name} 1")
    for attempt, (end, state) in enumerate((("10:00", "failure"), ("10:10", "inactive")), 1):
        told = {"commit": f"{name} 2", "run": (number(name), attempt), "key": end, "job": attempt}
        own.deploy(end, state=state, **told)
    own.deploy("10:30", commit=f"{name} 3")
    return {"fail": (1, 3), "successes": 2, "recovery": (30.0, 1)}


HISTORIES: dict[str, Tell] = {
    "back-twice": rollback_that_fails_first,
    "back-past": rollback_past_a_failed_version,
    "back-live": back_to_what_was_live,
    "back-slow": slow_and_older,
    "lost-again": lost_and_built_again,
    "lost-overtaken": lost_and_overtaken,
    "lost-open": lost_and_not_repaired,
    "lost-alarm": alarm_of_a_version_with_a_lost_end,
    "try-cancelled": cancelled_try,
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_every_try_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, of_projects(HISTORIES)) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, of_projects(HISTORIES)) == {}

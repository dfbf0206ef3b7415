"""Which deployment ships a change: examples A1 to A3 and variants."""

import pytest

from tests.metrics.http.clock import hours
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Script
from tests.metrics.http.story import FREQUENCY, LEAD, Story, figure, send

FORGES = [GitHub, GitLab]
MONDAY = ("2026-03-02", "2026-03-03")
TUESDAY = ("2026-03-03", "2026-03-04")


def named(tool, example: str):
    story = Story()
    return story, tool(story, f"acme/{example}-{tool.__name__.lower()}")


@pytest.mark.parametrize("tool", FORGES)
@pytest.mark.parametrize("how", ["pull request", "pull request, pushed", "push"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a1_a_change_of_develop_ships_when_develop_does(receiver, tool, how, reverse) -> None:
    story, own = named(tool, f"a1-{how}-{reverse}".lower().replace(" ", "").replace(",", ""))
    pushed = how != "pull request"
    own.pull(1, "09:00", "10:00", base="develop", pushed=pushed)
    for clock in ("12:00", "14:00"):
        own.deploy(clock)
    into_main = f"{own.name} release"
    if how == "push":
        # Merged on a laptop: main now contains develop's merge commit.
        own.push((own.merge_of(1), "10:00"), (into_main, "Tue 10:00"))
    else:
        own.pull(2, "Tue 09:50", "Tue 10:00", head="develop", merge=into_main, pushed=pushed)
    own.deploy("Tue 11:00", commit=into_main)
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert figure(receiver, own.name, LEAD, window=MONDAY)["n"] == 0
    found = figure(receiver, own.name, LEAD, window=TUESDAY)
    assert found["n"] >= 1
    assert hours(found["p90"]) == 26


@pytest.mark.parametrize("tool", FORGES)
@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a2_a_deploy_of_an_older_commit_ships_no_newer_change(
    receiver, tool, pushed, reverse
) -> None:
    story, own = named(tool, f"a2-{pushed}-{reverse}".lower())
    own.pull(1, "09:00", "10:00", pushed=pushed)
    own.pull(2, "Wed 09:00", "Wed 10:00", pushed=pushed)
    own.deploy("Fri 10:00", commit=own.merge_of(1))
    later = len(story.posts)
    own.deploy("Sat 10:00", commit=own.merge_of(2))
    send(receiver, reversed(story.posts[:later]) if reverse else story.posts[:later])
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (4 * 24 + 1, 1)
    send(receiver, story.posts[later:])
    saturday = figure(receiver, own.name, LEAD, window=("2026-03-07", "2026-03-08"))
    assert (hours(saturday["value"]), saturday["n"]) == (3 * 24 + 1, 1)


@pytest.mark.parametrize("tool", FORGES)
@pytest.mark.parametrize("count", [31, 60])
@pytest.mark.parametrize("pushed", [False, True])
def test_a3_a_deployment_ships_any_number_of_changes(receiver, tool, count, pushed) -> None:
    story, own = named(tool, f"a3-{count}-{pushed}".lower())
    own.deploy("2026-02-27 10:00")
    for n in range(1, count + 1):
        own.pull(n, "09:00", f"{10 + n // 60}:{n % 60:02}", pushed=pushed)
    own.deploy("13:00", commit=own.merge_of(count))
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (found["n"], hours(found["value"])) == (count, 4)


@pytest.mark.parametrize("tool", FORGES)
def test_a1_a_pull_request_into_a_branch_that_never_ships(receiver, tool) -> None:
    story, own = named(tool, "a1-never")
    own.pull(1, "09:00", "10:00", base="experiment")
    own.pull(2, "09:00", "10:30")
    own.deploy("11:00", commit=own.merge_of(2))
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (found["n"], hours(found["value"])) == (1, 2)


@pytest.mark.parametrize("tool", FORGES)
def test_a1_a_release_branch_ships_what_was_merged_into_it(receiver, tool) -> None:
    """Deployed from `release/1`; main's changes are not in it."""
    story, own = named(tool, "a1-release")
    own.pull(1, "08:00", "10:00", base="main")
    own.pull(2, "09:00", "10:30", base="release/1")
    own.deploy("11:00", commit=own.merge_of(2), ref="release/1")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (found["n"], hours(found["value"])) == (1, 2)


@pytest.mark.parametrize("tool", FORGES)
def test_a2_a_rollback_ships_nothing(receiver, tool) -> None:
    story, own = named(tool, "a2-rollback")
    own.pull(1, "09:00", "10:00", pushed=True)
    own.pull(2, "10:00", "11:00", pushed=True)
    own.deploy("10:30", commit=own.merge_of(1))
    own.deploy("11:30", commit=own.merge_of(2))
    own.deploy("12:30", commit=own.merge_of(1))
    own.deploy("13:30", commit=own.merge_of(2))
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (found["n"], hours(found["value"]), found["unknown"]) == (2, 1.5, 0)


def test_a2_a_tag_of_an_older_commit_ships_up_to_that_commit(receiver) -> None:
    story = Story()
    own = GitHub(story, "acme/a2-tag")
    own.pull(1, "09:00", "10:00", pushed=True)
    own.pull(2, "Wed 09:00", "Wed 10:00", pushed=True)
    own.deploy("Fri 10:00", commit=own.merge_of(1), version="v1.0.1")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (4 * 24 + 1, 1)


@pytest.mark.parametrize("tool", FORGES)
def test_a3_a_squashed_pull_request_is_one_change(receiver, tool) -> None:
    """The push to main holds the squashed commit alone."""
    story, own = named(tool, "a3-squash")
    own.push((f"{own.name} old", "2026-02-27 08:00"))
    own.deploy("2026-02-27 10:00", commit=f"{own.name} old")
    own.pull(1, "09:00", "10:00", commits=[("x1", "07:00"), ("x2", "08:00")])
    own.push((own.merge_of(1), "10:00"))
    own.push((f"{own.name} direct", "10:30"))
    own.deploy("11:00", commit=f"{own.name} direct")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (found["n"], hours(found["p90"]), hours(found["value"])) == (2, 4, 2.25)


@pytest.mark.parametrize("reverse", [False, True])
def test_regions_of_an_unknown_version_ship_one_change_of_unknown_start(receiver, reverse) -> None:
    """The second region has the version that the first one brought, in the same deployment."""
    story = Story()
    own = Script(story, f"acme/regions-{reverse}".lower())
    own.deploy("10:05", began="10:00", version="9.1", key="eu")
    own.deploy("10:06", began="10:01", version="9.1", key="us")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    lead = figure(receiver, own.name, LEAD)
    assert (lead["n"], lead["unknown"]) == (0, 1)
    assert figure(receiver, own.name, FREQUENCY)["n"] == 1

"""Change lead time: examples L1 to L5, A4 to A7, D1 and D2."""

import pytest

from tests.metrics.http.clock import hours
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import EmMetrics, Plyzen, Script
from tests.metrics.http.story import LEAD, Story, figure, send, stages

FORGES = [GitHub, GitLab]
COMMITS = [("first", "10:00"), ("second", "12:00")]


def named(tool, example: str):
    story = Story()
    return story, tool(story, f"acme/{example}-{tool.__name__.lower()}")


@pytest.mark.parametrize("tool", FORGES)
@pytest.mark.parametrize("reverse", [False, True])
def test_l1_from_the_first_commit_to_the_end_of_the_deploy(receiver, tool, reverse) -> None:
    story, own = named(tool, f"l1-{reverse}".lower())
    own.pull(1, "12:30", "15:00", commits=COMMITS)
    own.deploy("16:00", commit=own.merge_of(1))
    send(receiver, reversed(story.posts) if reverse else story.posts)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (6, 1)
    assert found["starts"] == {"first commit": 1}


@pytest.mark.parametrize("tool", FORGES)
@pytest.mark.parametrize("pushed", [False, True])
def test_l1_with_the_push_of_the_merge_is_one_change_too(receiver, tool, pushed) -> None:
    """The commits that come to main with a merge are the pull request's, not changes beside it."""
    story, own = named(tool, f"l1p-{pushed}".lower())
    own.pull(1, "12:30", "15:00", commits=COMMITS, pushed=pushed)
    own.deploy("16:00", commit=own.merge_of(1))
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"], found["unknown"]) == (6, 1, 0)


@pytest.mark.parametrize("tool", FORGES)
def test_l2_without_commit_times_from_the_opening(receiver, tool) -> None:
    story, own = named(tool, "l2")
    own.pull(1, "12:30", "15:00")
    own.deploy("16:00", commit=own.merge_of(1))
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["starts"]) == (3.5, {"pull request opened": 1})


@pytest.mark.parametrize("tool", FORGES)
def test_l3_each_change_counts_in_the_median(receiver, tool) -> None:
    story, own = named(tool, "l3")
    for n, (first, merged) in enumerate(
        [("Tue 08:00", "Tue 15:00"), ("Tue 14:00", "Tue 15:10"), ("16:00", "Tue 15:20")], 1
    ):
        own.pull(n, "Tue 14:50", merged, commits=[(f"l3 {n}", first)])
    own.deploy("Tue 16:00", commit=own.merge_of(3))
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"], hours(found["p90"])) == (8, 3, 24)


@pytest.mark.parametrize("tool", FORGES)
def test_l4_a_change_counts_once_in_its_first_success(receiver, tool) -> None:
    story, own = named(tool, "l4")
    own.pull(1, "12:30", "15:00", commits=COMMITS)
    own.deploy("16:00", ok=False, commit=own.merge_of(1))
    own.deploy("18:00", commit=own.merge_of(1))
    own.deploy("20:00", commit=own.merge_of(1))
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"], found["unknown"]) == (8, 1, 0)


def test_l4_em_metrics_says_its_first_commit_itself(receiver) -> None:
    story = Story()
    own = EmMetrics(story, "acme/l4-em")
    own.deploy("16:00", first_commit="10:00")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (6, 1)


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_l5_plyzen_development_resumed_with_the_next_build(receiver, correlated, reverse) -> None:
    story = Story()
    own = Plyzen(story, f"l5-{correlated}-{reverse}".lower(), "cart")

    def told(kind, began, end, version):
        more = {"correlationId": f"{own.name}{kind}{version}"} if correlated else {}
        environment = "ci" if kind == "build" else "prod"
        own.activity(kind, began, end, version=version, environment=environment, **more)

    for n, clock in enumerate(("09:00", "10:00", "11:00", "12:00"), 1):
        told("build", clock, f"{clock[:3]}05", str(n))
    told("deploy", "09:29", "09:30", "1")
    told("deploy", "12:59", "13:00", "4")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    over = ("2026-03-02T10:00:00Z", "2026-03-03")
    found = figure(receiver, own.name, LEAD, window=over)
    assert (hours(found["value"]), found["n"]) == (3, 1)
    # Of version 1 nothing is known but its build.
    first = figure(receiver, own.name, LEAD, window=("2026-03-02", over[0]))
    assert (hours(first["value"]), first["n"]) == (0.5, 1)


@pytest.mark.parametrize("tool", FORGES)
@pytest.mark.parametrize("reverse", [False, True])
def test_a4_the_earliest_of_opening_and_commits(receiver, tool, reverse) -> None:
    """Opened on Monday; the only push that was seen is Wednesday's."""
    story, own = named(tool, f"a4-{reverse}".lower())
    own.pull(1, "09:00", "Wed 12:00")
    own.push(("a4 late", "Wed 10:00"), ref="feature/1")
    own.deploy("Wed 14:00", commit=own.merge_of(1))
    send(receiver, reversed(story.posts) if reverse else story.posts)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (53, 1)


@pytest.mark.parametrize("tool", FORGES)
def test_a5_deploys_of_unknown_commits_have_no_lead_time(receiver, tool) -> None:
    story, own = named(tool, "a5")
    own.pull(1, "10:00", "Wed 09:00")
    own.deploy("Wed 10:00", commit=own.merge_of(1))
    for clock in ("Wed 11:00", "Wed 12:00", "Wed 13:00"):
        own.deploy(clock)
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"], found["unknown"]) == (48, 1, 3)


def test_a5_scripts_that_name_versions_only_have_no_lead_time(receiver) -> None:
    story = Story()
    own = Script(story, "a5-script")
    for n, clock in enumerate(("Tue 09:00", "Wed 09:00", "Thu 09:00")):
        own.deploy(clock, version=f"1.{n}")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (found["value"], found["n"], found["unknown"]) == (None, 0, 3)


def test_a5_plyzen_without_builds_counts_from_the_previous_deployment(receiver) -> None:
    story = Story()
    own = Plyzen(story, "a5-plyzen", "cart")
    own.deploy("09:00", version="1")
    own.deploy("13:00", version="2")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"], found["unknown"]) == (4, 1, 1)


@pytest.mark.parametrize("tool", FORGES)
@pytest.mark.parametrize("reverse", [False, True])
def test_a6_every_commit_pushed_to_main_is_a_change(receiver, tool, reverse) -> None:
    story, own = named(tool, f"a6-{reverse}".lower())
    own.push((f"{own.name} old", "2026-02-27 08:00"))
    own.deploy("2026-02-27 09:00", commit=f"{own.name} old")
    own.push((f"{own.name} one", "08:00"))
    own.push((f"{own.name} two", "10:00"))
    own.deploy("11:00", commit=f"{own.name} two")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (2, 2)
    assert hours(found["p90"]) == 3


@pytest.mark.parametrize("tool", FORGES)
def test_a6_two_commits_of_one_push_are_two_changes(receiver, tool) -> None:
    story, own = named(tool, "a6-one")
    own.push((f"{own.name} old", "2026-02-27 08:00"))
    own.deploy("2026-02-27 09:00", commit=f"{own.name} old")
    own.push((f"{own.name} one", "08:00"), (f"{own.name} two", "10:00"))
    own.push((f"{own.name} later", "10:30"))
    own.deploy("11:00", commit=f"{own.name} two")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (2, 2)
    own.deploy("12:00", commit=f"{own.name} later")
    send(receiver, story.posts[-3:])
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (1.5, 3)


MONOREPO = """
[services.a]
paths = ["a/**"]
[services.b]
paths = ["b/**"]
"""


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["commit", "pull request"])
def test_a7_a_service_ships_the_changes_of_its_paths(configured, reverse, kind) -> None:
    story = Story()
    own = GitHub(story, "acme/mono")
    own.push(("start", "2026-02-27 08:00"), files=["README.md"])
    for service in "ab":
        own.deploy("2026-02-27 09:00", commit="start", service=service)
    if kind == "commit":
        own.push(("change", "09:00"), files=["a/cart.py"])
    else:
        own.pull(1, "09:00", "09:30", merge="change")
        own.push(("change", "09:00"), files=["a/cart.py"], when="09:30")
    own.deploy("10:00", commit="change", service="b")
    own.deploy("Fri 10:00", commit="change", service="a")
    server = configured(MONOREPO)
    send(server, reversed(story.posts) if reverse else story.posts)
    late = 4 * 24 + 1
    for by, name in (("project", "acme/mono"), ("service", "a")):
        found = figure(server, name, LEAD, by=by)
        assert (hours(found["value"]), found["n"]) == (late, 1), by
    assert figure(server, "b", LEAD, by="service")["n"] == 0


def test_a7_without_paths_each_service_ships_every_change(receiver) -> None:
    story = Story()
    own = GitHub(story, "acme/a7-nopaths")
    own.pull(1, "09:00", "09:30")
    own.deploy("10:00", commit=own.merge_of(1), service="a7-first")
    own.deploy("12:00", commit=own.merge_of(1), service="a7-second")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (1, 1)
    for service, length in (("a7-first", 1), ("a7-second", 3)):
        found = figure(receiver, service, LEAD, by="service")
        assert (hours(found["value"]), found["n"]) == (length, 1)


def test_d1_review_begins_with_the_first_review_of_any_kind(configured) -> None:
    """Opened, a comment review an hour later, merged 48 h after that."""
    story = Story()
    own = GitHub(story, "acme/d1")
    own.pull(1, "09:00", "Wed 10:00", reviews=[("10:00", "cid", "commented")])
    own.deploy("Wed 11:00", commit=own.merge_of(1))
    story.tell(server := configured(""))
    found = stages(server)
    assert hours(found["review"]["p50"]) == 48
    assert hours(found["pickup"]["p50"]) == 1


@pytest.mark.parametrize("tool", FORGES)
def test_d2_a_draft_does_not_wait_for_a_review(configured, tool) -> None:
    """Five days a draft, reviewed one hour after it was ready."""
    story, own = named(tool, "d2")
    own.pull(
        1,
        "09:00",
        "Sat 12:00",
        ready="Sat 09:00",
        reviews=[("Sat 10:00", "cid", "approved")],
    )
    own.deploy("Sat 13:00", commit=own.merge_of(1))
    story.tell(server := configured(""))
    found = stages(server)
    assert hours(found["pickup"]["p50"]) == 1
    together = sum(stage["p50"] or 0 for stage in found.values())
    assert hours(together) == 5 * 24 + 4


def test_d2_reviews_by_the_author_or_a_bot_are_none(configured) -> None:
    story = Story()
    own = GitHub(story, "acme/d2-own")
    reviews = [
        ("09:30", "bob", "commented"),
        ("10:00", "lint[bot]", "commented"),
        ("12:00", "cid", "approved"),
    ]
    own.pull(1, "09:00", "13:00", reviews=reviews)
    own.deploy("14:00", commit=own.merge_of(1))
    story.tell(server := configured(""))
    assert hours(stages(server)["pickup"]["p50"]) == 3

"""`vs-tui doctor` says what the metrics count and what they leave out."""

import json

import pytest

from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story, command

TEAMS = """
[teams.core]
projects = ["acme/shared", "acme/core"]
[teams.web]
projects = ["acme/sha*"]
"""


def findings(server, check: str) -> list[tuple[str, str]]:
    listed = json.loads(command(server, "doctor", "--json"))
    return [(entry["level"], entry["found"]) for entry in listed if entry["check"] == check]


@pytest.fixture
def told(configured):
    story = Story()
    for project in ("acme/shared", "acme/core", "acme/alone", "acme/alone-too"):
        own = Script(story, project)
        own.deploy("10:00", version="1")
        own.deploy("11:00", version="2")
    own.deploy("12:00", version="3", state="cancelled")
    Script(story, "acme/core").deploy("12:00", environment="qa")
    story.tell(server := configured(TEAMS))
    return server


def test_projects_without_a_team_are_named_with_their_deploys(told) -> None:
    expected = "4 deploys of projects without a team: acme/alone 2, acme/alone-too 2"
    assert ("warn", expected) in findings(told, "teams")


def test_a_project_that_two_teams_list_is_named(told) -> None:
    assert ("ok", "acme/shared is listed by core and web: it counts for each of them") in findings(
        told, "teams"
    )


def test_environments_show_what_counts(told) -> None:
    (found,) = findings(told, "environments")
    counted, others = "production by name: production 8", "qa 1"
    assert found == ("ok", f"{counted}; not counted unless the tool says production: {others}")


def test_nothing_in_production_is_a_warning_with_what_to_write(configured) -> None:
    story = Story()
    GitHub(story, "acme/eu").deploy("10:00", environment="eu-west", production=False)
    story.tell(server := configured(""))
    assert [level for level, _ in findings(server, "environments")] == ["warn"]
    assert "[environments] production" in command(server, "doctor")
    assert findings(server, "teams") == []


RULES = """
[[metrics.deployments]]
filter = 'kind:pipeline name:"Deploy*" branch:main'
environment = "production"
[[metrics.incidents]]
filter = 'kind:issue label:outage'
"""


def test_each_rule_says_how_many_spans_it_matches(configured) -> None:
    story = Story()
    own = GitHub(story, "acme/rules")
    own.run(1, "10:00", "10:10")
    own.run(2, "11:00", "11:10", "failure")
    own.run(3, "12:00", "12:10", branch="feature/x")
    own.run(4, "13:00", "13:10", name="Tests")
    story.tell(server := configured(RULES))
    rule = 'kind:pipeline name:"Deploy*" branch:main'
    assert findings(server, "metrics") == [
        ("ok", f"the rule {rule!r} matches 2 spans"),
        ("warn", "the rule 'kind:issue label:outage' matches 0 spans"),
    ]


def test_events_that_the_metrics_miss_are_named_with_where_to_tick_them(configured) -> None:
    """Lead times need pushes and reviews; a webhook without their events gives numbers all the
    same."""
    story = Story()
    lone, whole = GitHub(story, "acme/lone"), GitLab(story, "acme/whole")
    for number in range(5):
        lone.pull(number + 1, "10:00", "11:00")
        commits = [(f"whole {number}", "09:00")]
        whole.pull(number + 1, "10:00", "11:00", commits=commits, reviews=[("10:30", "ann", "")])
    story.tell(server := configured(""))
    assert findings(server, "metrics") == [
        ("warn", "github: 5 merged pull requests, and no push and no review")
    ]
    assert "`vs-tui connect github` lists the events to tick" in command(server, "doctor")


def test_a_few_pull_requests_without_a_review_are_no_finding(configured) -> None:
    story = Story()
    GitHub(story, "acme/new").pull(1, "10:00", "11:00")
    story.tell(server := configured(""))
    assert findings(server, "metrics") == []

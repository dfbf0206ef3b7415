"""What counts: rules for deployments, production, teams, em-metrics' own fields."""

import json

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.clock import hours
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import EmMetrics, Script
from tests.metrics.http.story import (
    FAIL,
    FREQUENCY,
    LEAD,
    Story,
    command,
    figure,
    items,
    rate,
    send,
)

RULE = """
[[metrics.deployments]]
filter = 'kind:pipeline name:"Deploy*" branch:main'
environment = "production"
service = "checkout"
"""


def workflow_runs(own: GitHub) -> None:
    own.run(1, "10:00", "10:10", commit="r1")
    own.run(2, "11:00", "11:10", "failure", commit="r2")
    own.run(3, "12:00", "12:10", commit="r3", branch="feature/x")
    own.run(4, "13:00", "13:10", commit="r4", name="Tests")
    own.run(5, "14:00", "14:10", "cancelled", commit="r5")


def test_a_rule_makes_workflow_runs_deployments(configured) -> None:
    story = Story()
    own = GitHub(story, "acme/rule")
    workflow_runs(own)
    own.pull(1, "09:00", "09:30", merge="r1")
    story.tell(server := configured(RULE))
    assert rate(figure(server, "acme/rule", FAIL)) == (1, 2)
    assert figure(server, "checkout", FREQUENCY, by="service")["n"] == 1
    lead = figure(server, "acme/rule", LEAD)
    assert hours(lead["value"]) == pytest.approx(70 / 60, abs=1e-3)


def test_a_rule_judges_past_spans_anew(tmp_path) -> None:
    story = Story()
    workflow_runs(GitHub(story, "acme/rule"))
    with nearby(tmp_path) as server:
        story.tell(server)
        assert figure(server, "acme/rule", FAIL)["n"] == 0
    (tmp_path / "config.toml").write_text(RULE)
    with nearby(tmp_path) as server:
        server.wait_for(lambda: figure(server, "acme/rule", FAIL)["n"], "judging anew")
        assert rate(figure(server, "acme/rule", FAIL)) == (1, 2)
    (tmp_path / "config.toml").write_text("")
    with nearby(tmp_path) as server:
        server.wait_for(lambda: not figure(server, "acme/rule", FAIL)["n"], "judging anew")


def test_a_rule_takes_the_project_as_service(configured) -> None:
    rule = """
[[metrics.deployments]]
filter = 'kind:build name:"deploy*"'
environment = "production"
service = "{project}"
"""
    story = Story()
    own = GitLab(story, "acme/rule-job")
    jobs = [(71, "deploy-eu", "success", "10:10"), (72, "unit", "failed", "10:05")]
    own.pipeline(7, "10:00", "10:10", "failed", jobs)
    story.tell(server := configured(rule))
    assert rate(figure(server, "acme/rule-job", FAIL)) == (0, 1)
    assert len(items(server, "service")) == 1


@pytest.mark.parametrize(
    ("environment", "tier", "counts"),
    [
        ("production", "production", True),
        ("production/eu", "production", True),
        ("live-customers", "production", True),
        ("review/main", "development", False),
        ("production", "staging", False),
        ("prod-like", "other", False),
    ],
)
def test_gitlab_says_which_tier_an_environment_is(receiver, environment, tier, counts) -> None:
    story = Story()
    own = GitLab(story, f"acme/tier-{environment}-{tier}".replace("/", "-").replace("-", "_"))
    own.full = own.name = f"acme/{own.service}"
    own.deploy("10:00", environment=environment, tier=tier)
    story.tell(receiver)
    assert figure(receiver, own.name, FREQUENCY)["n"] == int(counts)


@pytest.mark.parametrize(
    ("environment", "flag", "counts"),
    [("eu-west", True, True), ("production", True, True), ("eu-west", False, False)],
)
def test_github_says_which_environment_is_production(receiver, environment, flag, counts) -> None:
    story = Story()
    own = GitHub(story, f"acme/flag-{environment}-{flag}".lower())
    own.deploy("10:00", environment=environment, production=flag)
    story.tell(receiver)
    assert figure(receiver, own.name, FREQUENCY)["n"] == int(counts)


def test_not_production_takes_an_environment_out(configured) -> None:
    story = Story()
    own = GitLab(story, "acme/out")
    own.deploy("10:00")
    own.deploy("11:00", environment="production-sandbox", tier="production")
    config = '[environments]\nnot_production = ["*-sandbox"]\n'
    story.tell(server := configured(config))
    assert figure(server, "acme/out", FREQUENCY)["n"] == 1


TEAMS = """
[teams.core]
projects = ["acme/shared", "acme/core"]
[teams.web]
projects = ["acme/shared"]
[teams.people]
projects = []
users = ["ada"]
"""


@pytest.mark.parametrize("tool", [GitHub, Script])
def test_a_project_of_two_teams_counts_for_both(configured, tool) -> None:
    story = Story()
    for project in ("acme/shared", "acme/core", "acme/alone"):
        own = tool(story, project)
        own.deploy("10:00", version="1")
    story.tell(server := configured(TEAMS))
    found = {name: item["metrics"][FREQUENCY]["n"] for name, item in items(server, "team").items()}
    assert found == {"core": 2, "web": 1, "people": 0, "(no team)": 1}
    assert figure(server, "", FREQUENCY, by="all")["n"] == 3
    assert "acme/shared" in command(server, "doctor")


def test_em_metrics_username_puts_a_deployment_into_its_users_team(configured) -> None:
    story = Story()
    EmMetrics(story, "acme/of-ada").deploy("10:00", username="ada")
    story.tell(server := configured(TEAMS))
    assert figure(server, "people", FREQUENCY, by="team")["n"] == 1


@pytest.mark.parametrize("reverse", [False, True])
def test_em_metrics_first_commit_counts_though_the_team_has_pull_requests(
    receiver, reverse
) -> None:
    """`team_id` of the pull request equals `project_id` of the deployment."""
    first, second = Story(), Story()
    own = EmMetrics(second, f"em-same-{reverse}".lower())
    pull = {"id": f"em-pr-{reverse}", "team_id": own.name}
    first.add("/pull-requests", {**pull, "opened_at": "2026-03-02T09:00:00Z"})
    merged = {"merged_at": "2026-03-02T10:00:00Z"}
    first.add(f"/pull-requests/{pull['id']}/merged", merged)
    own.deploy("12:00", first_commit="06:00")
    for story in (second, first) if reverse else (first, second):
        send(receiver, story.posts)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (6, 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_test_is_never_below_a_deployment_that_began_after_it_ended(receiver, reverse) -> None:
    story = Story()
    own = Script(story, f"early-{reverse}".lower())
    own.span("test", "09:00", "09:10", ok=False, version="1", key=f"t{reverse}")
    own.deploy("10:00", version="1", key=f"d{reverse}")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    (test,) = (s for s in receiver.spans(f"&filter=kind:test+project:{own.name}"))
    assert not test["parent_span_id"]
    assert rate(figure(receiver, own.name, FAIL)) == (0, 1)


def test_the_command_prints_what_the_api_answers(receiver) -> None:
    story = Story()
    own = GitHub(story, "acme/printed")
    own.pull(1, "09:00", "10:00")
    own.deploy("11:00", commit=own.merge_of(1))
    story.tell(receiver)
    window = ("--since", "2026-03-02", "--until", "2026-03-09", "--tz", "UTC")
    printed = json.loads(command(receiver, "report", "dora", "--by", "project", "--json", *window))
    asked = "by=project&since=2026-03-02&until=2026-03-09&tz=UTC"
    assert printed == receiver.call(f"/api/dora?{asked}")[1]


@pytest.mark.parametrize("since", ["7", "30", "0"])
def test_a_length_without_a_unit_is_refused(receiver, since) -> None:
    status, answer = receiver.call(f"/api/dora?since={since}")
    assert status == 400
    assert "d" in answer["detail"] or "7d" in json.dumps(answer)

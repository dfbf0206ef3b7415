"""The team of an incident whose project no team lists: that of the deployment it failed, which may
belong to the team of its user."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ingest.server import Server, nearby
from tests.metrics.http.orders import ordered
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.story import Story, command, figure, send
from tests.patience import wait_for

TEAMS = """
[teams.kims]
users = ["kim"]
[teams.bobs]
users = ["bob"]
[teams.lists]
projects = ["listed"]
"""


def alerts(server: Server, team: str) -> set[str]:
    """The services of the incidents that `team:` finds."""
    _, answer = server.call(f"/api/spans?filter=team:{team}+kind:incident")
    return {item["service"] for item in answer["items"]}


def told(story: Story) -> None:
    """Kim's deploy, then Bob's of another service; an alert after each, one after none."""
    kim, bob = Script(story, "kims-own"), Script(story, "bobs-own")
    kim.deploy("09:00", version="1", user="kim")
    bob.deploy("09:10", version="1", user="bob")
    alertmanager(story, "kims-own", "09:20", "09:40")
    alertmanager(story, "bobs-own", "09:20", "09:40")
    alertmanager(story, "nobodys", "09:20", "09:40")
    Script(story, "listed").deploy("09:00", version="1", user="kim")
    alertmanager(story, "listed", "09:20")


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_an_alert_belongs_to_the_team_of_the_deployment_that_it_failed(configured, order) -> None:
    story = Story()
    told(story)
    server = configured(TEAMS)
    send(server, ordered(story.posts, order))
    for _ in range(2):
        assert alerts(server, "kims") == {"kims-own"}
        assert alerts(server, "bobs") == {"bobs-own"}
        assert alerts(server, "lists") == {"listed"}
        printed = command(server, "ls", "team:kims kind:incident", "--by", "span", "--json")
        assert [json.loads(line)["service"] for line in printed.splitlines()] == ["kims-own"]
        _, traces = server.call("/api/traces?filter=team:kims")
        assert len(traces["items"]) == 2  # the deploy and its alert
        command(server, "db", "rebuild")


def test_an_alert_that_a_later_deploy_takes_changes_its_team(configured) -> None:
    story = Story()
    own = Script(story, "both")
    own.deploy("09:00", version="1", user="kim")
    alertmanager(story, "both", "10:20")
    server = configured(TEAMS)
    send(server, story.posts)
    assert alerts(server, "kims") == {"both"}
    later = Story()
    Script(later, "both").deploy("10:10", version="2", user="bob")
    send(server, later.posts)
    assert (alerts(server, "kims"), alerts(server, "bobs")) == (set(), {"both"})


def test_an_alert_in_a_rollout_belongs_to_the_team_of_its_user(configured) -> None:
    story = Story()
    Script(story, "rollout").deploy("09:30", began="09:00", version="1", user="kim", state="-")
    alertmanager(story, "rollout", "09:10")
    server = configured(TEAMS)
    send(server, story.posts)
    assert alerts(server, "kims") == {"rollout"}


def test_other_teams_take_the_alerts_of_their_users(tmp_path: Any) -> None:
    story = Story()
    told(story)
    for config, wanted in (
        (TEAMS, {"kims-own"}),
        (TEAMS.replace("kims", "others"), set()),
        (TEAMS, {"kims-own"}),
    ):
        (tmp_path / "config.toml").write_text(config)
        with nearby(tmp_path) as server:
            send(server, story.posts)

            def is_adopted(server: Server = server, wanted: set[str] = wanted) -> bool:
                failed = figure(server, "kims", "change_fail_rate", by="team")["hits"]
                return (alerts(server, "kims"), failed) == (wanted, len(wanted))

            wait_for(is_adopted, "the teams")

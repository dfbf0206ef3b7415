"""API, command, cards and Prometheus show the same numbers of what was just sent."""

import json

import pytest

from tests.metrics.http.clock import ago
from tests.metrics.http.github import GitHub
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.story import Story, command

TEAMS = """
[teams.core]
projects = ["acme/core"]
[teams.web]
projects = ["acme/web"]
[teams.idle]
projects = ["acme/idle"]
"""
HOUR, DAY = 60, 24 * 60


@pytest.fixture
def told(configured):
    story = Story()
    own = GitHub(story, "acme/core")
    for n in range(1, 8):
        own.pull(n, ago(n * DAY + 9 * HOUR), ago(n * DAY + 5 * HOUR))
        own.deploy(ago(n * DAY + HOUR), commit=own.merge_of(n), ok=n != 4, key=f"d{n}")
    alertmanager(story, own.service, ago(2 * DAY + 50), ago(2 * DAY + 20))
    web = Script(story, "acme/web")
    web.deploy(ago(3 * DAY), version="1")
    alertmanager(story, "acme/web", ago(3 * DAY - 30))
    story.tell(server := configured(TEAMS))
    return server


def test_every_face_shows_the_same_numbers(told) -> None:
    _, answer = told.call("/api/dora?since=30d&tz=UTC")
    numbers = {item["name"]: item["metrics"] for item in answer["items"]}
    assert {"core", "web", "idle"} <= numbers.keys()
    assert numbers["core"]["change_fail_rate"]["n"] == 7
    assert numbers["web"]["failed_deployment_recovery_time"]["open"] == 1
    printed = json.loads(command(told, "report", "dora", "--since", "30d", "--tz", "UTC", "--json"))
    reported = {item["name"]: item["metrics"] for item in printed["items"]}
    assert reported.keys() == numbers.keys()
    _, text = told.call("/metrics")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("vs_dora_"))
    _, shown = told.call("/api/cards")
    cards = [(card["team"], card["text"], card["n"]) for card in shown["items"]]
    for team, metrics in numbers.items():
        for name, figure in metrics.items():
            assert (team, figure["text"], figure["n"]) in cards
            again = reported[team][name]
            assert (again["n"], again["text"]) == (figure["n"], figure["text"])
            sample = samples.get(f'vs_dora_{name}{{team="{team}"}}')
            if figure["value"] is None:
                assert sample is None
            else:
                assert sample is not None, name
                assert float(sample) == pytest.approx(figure["value"], rel=1e-3)

"""API, command, cards and Prometheus show the same numbers of what was just sent."""

import contextlib
import csv
import io
import json
import re
import sqlite3

import pytest

from tests.ingest.server import nearby
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


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    (folder / "config.toml").write_text(TEAMS)
    with nearby(folder) as server:
        story().tell(server)
        yield server


def story() -> Story:
    story = Story()
    own = GitHub(story, "acme/core")
    for n in range(1, 8):
        own.pull(n, ago(n * DAY + 9 * HOUR), ago(n * DAY + 5 * HOUR))
        own.deploy(ago(n * DAY + HOUR), commit=own.merge_of(n), ok=n != 4, key=f"d{n}")
    alertmanager(story, own.service, ago(2 * DAY + 50), ago(2 * DAY + 20))
    web = Script(story, "acme/web")
    web.deploy(ago(3 * DAY), version="1")
    web.deploy(ago(2 * DAY), version="2", state="cancelled")
    alertmanager(story, "acme/web", ago(3 * DAY - 30))
    return story


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


def report(server, *options: str) -> str:
    return command(server, "report", "dora", "--since", "30d", "--tz", "UTC", *options)


@pytest.mark.parametrize("by", ["team", "project"])
def test_every_report_marks_small_samples_and_young_data(told, by) -> None:
    items = json.loads(report(told, "--by", by, "--json"))["items"]
    figures = [figure for item in items for figure in item["metrics"].values()]
    since = {figure.get("data_since") for figure in figures} - {None}
    assert len(since) > 1, "each group has its own"
    rows = list(csv.DictReader(io.StringIO(report(told, "--by", by, "--format", "csv"))))
    for figure, row in zip(figures, rows, strict=True):
        assert row["data_since"] == (figure.get("data_since") or "")
        assert row["small_sample"] == str(figure["small_sample"]).lower()
        for name in ("unknown", "open"):
            assert row[name] == str(figure.get(name, ""))
    for form in ("table", "markdown"):
        text = report(told, "--by", by, "--format", form)
        found = re.findall(r"since (\d{4}-\d\d-\d\d)", text)
        assert found == [f["data_since"][:10] for f in figures if f.get("data_since")]
        assert text.count("small sample") == sum(figure["small_sample"] for figure in figures)
    trend = report(told, "--by", by, "--by-period", "week")
    assert set(re.findall(r"since (\S+)", trend)) == {at[:10] for at in since}


def test_views_and_counters_count_what_the_metrics_count(told) -> None:
    items = json.loads(report(told, "--by", "project", "--json"))["items"]
    wanted = {
        item["name"]: (metrics["change_fail_rate"]["n"], metrics["change_fail_rate"]["hits"])
        for item in items
        if (metrics := item["metrics"])
    }
    sql = "SELECT project, COUNT(*), SUM(failed) FROM v_deployments WHERE NOT is_part GROUP BY 1"
    with contextlib.closing(sqlite3.connect(told.db)) as db:
        assert {project: tuple(counts) for project, *counts in db.execute(sql)} == wanted
    _, text = told.call("/metrics")
    failed = dict(re.findall(r'change_failure_count_total{.*project_id="(\S+?)".*} (\S+)', text))
    assert {name: float(n) for name, n in failed.items() if float(n)} == {
        name: hits for name, (_, hits) in wanted.items() if hits
    }

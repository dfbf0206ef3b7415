"""API, command, view and Prometheus print what one function computed."""

import asyncio
import csv
import io
import json
import re
from dataclasses import replace

import aiohttp
import pytest

from tests.metrics.conftest import NOW
from tests.metrics.deliveries import Database, deploy, incident, merge
from vs_tui.cli import main as command
from vs_tui.cli import report as command_report
from vs_tui.cli.runtime import Runtime
from vs_tui.metrics.definitions import METRICS, Unit
from vs_tui.model.time import DAY, HOUR, MINUTE
from vs_tui.store.queries import reports

HEAD = {"Authorization": "Bearer token"}


@pytest.fixture
def run(config, monkeypatch, capsys):
    """Runs `vs-tui report ...` at the test's time."""
    monkeypatch.setattr(command_report, "now", lambda: NOW)

    def runner(*arguments: str) -> str:
        options = ["--db", str(config.db), "--config", str(config.path), "--tz", "UTC"]
        assert command.main(["report", *arguments, *options]) == 0
        return capsys.readouterr().out

    return runner


async def test_everyone_says_the_same_number(config, run) -> None:
    runtime = Runtime(replace(config), lambda: NOW)
    await runtime.open_store()
    try:
        url = await runtime.listen()
        async with aiohttp.ClientSession(url, headers=HEAD) as session:
            answered = await (await session.get("/api/dora", params={"since": "30d"})).json()
            shown = (await (await session.get("/api/cards")).json())["items"]
            scraped = await (await session.get("/metrics")).text()
            refused = await session.get("/api/dora", params={"team": "nobody"})
            assert refused.status == 400
            assert "core, web, idle" in await refused.text()
    finally:
        await runtime.close()
    printed = json.loads(await asyncio.to_thread(run, "dora", "--since", "30d", "--json"))
    assert printed == answered
    by_team = {item["name"]: item["metrics"] for item in answered["items"]}
    core = by_team["core"]
    assert (core["deployment_frequency"]["n"], core["change_fail_rate"]["n"]) == (3, 4)
    assert core["change_fail_rate"]["value"] == pytest.approx(1 / 4)
    assert core["failed_deployment_recovery_time"]["value"] == 3600
    assert core["change_lead_time"]["value"] == 5 * 3600
    assert by_team["web"]["failed_deployment_recovery_time"]["open"] == 1
    assert by_team["idle"]["deployment_frequency"]["value"] is None
    texts = [(item["team"], item["text"], item["n"]) for item in shown]
    assert texts == [
        (name, figure["text"], figure["n"])
        for name, metrics in by_team.items()
        for figure in metrics.values()
    ]
    samples = dict(
        line.rsplit(" ", 1) for line in scraped.splitlines() if line.startswith("vs_dora_")
    )
    for team, metrics in by_team.items():
        for name, figure in metrics.items():
            sample = samples.get(f'vs_dora_{name}{{team="{team}"}}')
            assert (sample is None) == (figure["value"] is None)
            assert sample is None or float(sample) == pytest.approx(figure["value"])
    cells = await asyncio.to_thread(run, "dora", "--since", "30d", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(cells)))
    for row in rows:
        value = by_team[row["name"]][row["metric"]]["value"]
        assert (row["value"] == "") == (value is None)
        assert value is None or float(row["value"]) == pytest.approx(value)


@pytest.mark.parametrize("period", ["week", "month"])
async def test_everyone_says_the_same_of_each_week_and_month(config, run, period) -> None:
    """A bar of the view is a column of the report. Failures that outlast a period are open in its
    report and, once they are over, a bar of the view: of those only the others are compared."""
    runtime = Runtime(replace(config), lambda: NOW)
    await runtime.open_store()
    asked = {"since": "30d", "by_period": period}
    back = {"window": 30 * DAY, "bucket": period}
    try:
        url = await runtime.listen()
        async with aiohttp.ClientSession(url, headers=HEAD) as session:
            answered = await (await session.get("/api/dora", params=asked)).json()
            shown = (await (await session.get("/api/cards", params=back)).json())["items"]
            behind = {}
            for metric in METRICS.values():
                of = {**back, "team": "core", "metric": metric.name}
                found = await (await session.get("/api/dora/detail", params=of)).json()
                behind[metric.name] = found["figure"]["series"]
            assert (await session.get("/api/cards", params={"bucket": "year"})).status == 400
    finally:
        await runtime.close()
    options = ("dora", "--since", "30d", "--by-period", period)
    assert json.loads(await asyncio.to_thread(run, *options, "--json")) == answered
    core = [p["items"][0]["metrics"] for p in answered["periods"]]
    bars = {card["metric"]: card["buckets"] for card in shown if card["team"] == "core"}
    cells = await asyncio.to_thread(run, *options, "--format", "csv")
    rows = [r for r in csv.DictReader(io.StringIO(cells)) if r["name"] == "core"]
    table = (await asyncio.to_thread(run, *options)).splitlines()
    for metric in METRICS.values():
        figures = [metrics[metric.key] for metrics in core]
        line = next(text for text in table if metric.key.replace("_", " ") in text)
        said = [f"{f['text']}{'*' if f['small_sample'] else ''}" for f in figures]
        assert re.split(r" {2,}", line.strip())[-len(said) :] == said
        raw = [row["value"] for row in rows if row["metric"] == metric.key]
        assert [float(text) if text else None for text in raw] == [f["value"] for f in figures]
        if metric.name == "restore":
            continue
        counts = metric.unit is Unit.PER_DAY
        wanted = [float(f["n"]) if counts else f["value"] for f in figures]
        assert behind[metric.name] == pytest.approx(wanted)
        scale = 1_000_000 if metric.unit is Unit.DURATION else 1
        drawn = [None if value is None else value / scale for value in bars[metric.name]]
        assert drawn == pytest.approx([w or None if counts else w for w in wanted])


def test_a_trend_has_a_column_a_week_or_month(run) -> None:
    """Each says what a report of that window says; the first and the last period may be cut."""
    asked = ("dora", "--since", "2026-02-18", "--until", "2026-03-20")
    found = json.loads(run(*asked, "--by-period", "week", "--json"))["periods"]
    weeks = [period["window"]["since"][:10] for period in found]
    assert weeks == ["2026-02-18", "2026-02-23", "2026-03-02", "2026-03-09", "2026-03-16"]
    core = {p["window"]["since"][:10]: p["items"][0]["metrics"] for p in found}
    assert [core[week]["deployment_frequency"]["n"] for week in weeks] == [0, 3, 0, 0, 0]
    alone = run("dora", "--since", "2026-02-23", "--until", "2026-03-02", "--json")
    assert (
        json.loads(alone)["items"][0]["metrics"]["change_fail_rate"]
        == (core["2026-02-23"]["change_fail_rate"])
    )
    table = run(*asked, "--by-period", "month")
    assert table.splitlines()[2].split()[-2:] == ["2026-02-18", "2026-03-01"]
    line = next(text for text in table.splitlines() if "change fail rate" in text)
    assert line.split()[-4:] == ["0", "%*", "50", "%*"]
    rows = list(csv.DictReader(io.StringIO(run(*asked, "--by-period", "month", "--format=csv"))))
    rates = [r for r in rows if (r["name"], r["metric"]) == ("core", "change_fail_rate")]
    assert [(r["since"][:10], float(r["value"])) for r in rates] == [
        ("2026-02-18", 0.0),
        ("2026-03-01", 0.5),
    ]


def test_a_report_for_people_shows_what_is_missing_as_missing(run) -> None:
    table = run("dora", "--since", "30d")
    idle = table[table.index("idle") :].splitlines()[:5]
    assert all(line.split("  ")[-1] for line in idle)
    assert "0 %" not in "".join(idle)
    assert "1 open" in table
    assert "1 from pull request opened" in table
    markdown = run("dora", "--since", "30d", "--format", "markdown")
    assert markdown.startswith("### DORA, 2026-02-18 12:00 to 2026-03-20 12:00 (UTC)")
    assert "| core | change fail rate" not in table
    assert "change fail rate | 25 % | 4 |" in markdown


def test_a_report_says_which_deploys_are_not_production(run, config) -> None:
    base = Database(config.db)
    base.tell(*deploy(8, NOW - HOUR, environment="production-eu"))
    base.db.close()
    said = "Not counted, because not production: deploys to production-eu 1."
    assert said in run("dora", "--since", "30d")
    assert said in run("dora", "--since", "30d", "--format", "markdown")
    found = json.loads(run("dora", "--since", "30d", "--json"))
    assert (found["not_counted"], found["hints"]) == ({"production-eu": 1}, [said])
    assert json.loads(run("dora", "--until", "2026-03-02", "--json"))["not_counted"] == {}


def test_a_report_of_a_quiet_time_says_that_it_is_one(run) -> None:
    quiet = "No production deployment ended in this window."
    assert quiet in run("dora", "--since", "2026-03-15", "--until", "2026-03-16")
    assert quiet not in run("dora", "--since", "30d")
    later = ("--since", "2027-03-15", "--until", "2027-03-16")
    assert "This window has not begun" in run("dora", *later)
    found = json.loads(run("dora", *later, "--json"))
    assert found["hints"] == ["This window has not begun: nothing in it has happened yet."]
    values = {m["value"] for item in found["items"] for m in item["metrics"].values()}
    assert values == {None}


def test_incidents_that_fail_no_deployment_are_told(run, config) -> None:
    assert "that fail no deployment" not in run("dora", "--since", "30d")
    base = Database(config.db)
    base.tell(*incident(7, NOW - HOUR, None, service="web"))
    base.db.close()
    said = (
        "Incidents of team web that fail no deployment: 1 of 2. They name no service, environment"
    )
    assert said in run("dora", "--since", "30d")
    assert said in json.loads(run("dora", "--since", "30d", "--json"))["hints"][-1]
    teams = {r["team"]: r for r in json.loads(run("teams", "--since", "30d", "--json"))["items"]}
    assert (teams["web"]["incidents"], teams["web"]["incidents_linked"]) == (2, 1)


def test_a_small_sample_is_marked(run) -> None:
    line = next(line for line in run("dora", "--since", "30d").splitlines() if "fail rate" in line)
    assert line.endswith("1 of 4 deployments, small sample")
    items = json.loads(run("dora", "--since", "30d", "--json"))["items"]
    marked = {
        name: found["small_sample"] for name, found in items[0]["metrics"].items() if found["n"]
    }
    assert marked.pop("deployment_frequency") is False, "a count is what it is"
    assert set(marked.values()) == {True}


def test_an_empty_database_is_told_what_to_do(run, config) -> None:
    config.db.unlink()
    Database(config.db).db.close()
    said = run("dora")
    assert "No deploy was received yet: the metrics begin with the first one." in said
    assert not {"0/day", "0 %"} & set(said.split("  "))
    base = Database(config.db)
    base.tell(*deploy(1, NOW - HOUR, environment="staging"))
    base.tell(*deploy(2, NOW - HOUR, environment="live2"))
    base.db.close()
    said = run("dora")
    assert "No production deploy yet. Deploys were seen to live2 1, staging 1." in said
    assert '"prd", "prod/*", "production/*", "live2"]' in said


def test_csv_is_no_formula(run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("pull-requests", "--since", "30d", "--format=csv"))))
    assert [row["author"] for row in rows] == ["ada", "'=cmd()"]
    assert [float(row["duration"]) for row in rows] == [4 * 3600, 3600]
    assert [row["merged"] for row in rows] == ["true", "true"]
    assert [row["comments"] for row in rows] == ["", ""]


def test_pull_requests_as_csv_are_written_a_page_at_a_time(run, config, monkeypatch) -> None:
    base = Database(config.db)
    for number in range(3, 8):  # three at one moment: a page ends between equals
        base.tell(*merge(number, NOW - DAY, NOW - DAY + HOUR * number))
    base.db.close()
    whole = run("pull-requests", "--since", "30d", "--format=csv")
    monkeypatch.setattr(reports, "PAGE", 2)
    assert run("pull-requests", "--since", "30d", "--format=csv") == whole
    rows = list(csv.reader(io.StringIO(whole)))
    assert " ".join(rows[0]) == (
        "owner repo created_at merged duration comments additions deletions total_changes "
        "duration_per_comment duration_per_line id merged_at closed_at updated_at author url "
        "title reviewers"
    )
    assert len(rows) == 1 + 2 + 5
    assert [row[17] for row in rows[3:]] == [f"change {number}" for number in range(3, 8)]
    assert run("pull-requests", "--until", "2026-01-01", "--format=csv").count("\n") == 1


def test_pull_requests_by_week(run) -> None:
    rows = json.loads(run("pull-requests", "--since", "30d", "--by", "week", "--json"))["items"]
    assert [(row["period"], row["repo"], row["total"], row["duration_h"]) for row in rows] == [
        ("2026-02-23", "api", 1, 4),
        ("2026-02-23", "web", 1, 1),
    ]


def test_durations_in_any_grouping(run) -> None:
    rows = json.loads(run("durations", "--since", "30d", "--by", "operation,team", "--json"))
    deploys = {r["team"]: r for r in rows["items"] if r["operation"] == "deploy"}
    assert (deploys["core"]["finished"], deploys["core"]["failed"]) == (4, 1)
    assert deploys["core"]["success_ratio"] == 0.75
    assert deploys["core"]["p90"] == MINUTE / 1_000_000
    rows = json.loads(run("durations", "kind:incident", "--since", "30d", "--json"))["items"]
    assert [(r["operation"], r["in_progress"], r["p50"]) for r in rows] == [("incident", 1, None)]
    asked = ("--since", "30d", "--by", "operation,team", "--json")
    narrowed = run("durations", *asked, "kind:deploy", "team:core")
    assert narrowed == run("durations", "kind:deploy", *asked[:2], "team:core", *asked[2:])
    groups = [(r["operation"], r["team"]) for r in json.loads(narrowed)["items"]]
    assert groups == [("deploy", "core")]


def test_a_list_of_many_groups_says_how_many_more_there_are(run, config, capsys) -> None:
    asked = ("durations", "--since", "30d", "--by", "operation", "-n", "2")
    found = json.loads(run(*asked, "--json"))
    # five deployments, two merged pull requests, and an incident that is open
    assert [(r["operation"], r["finished"]) for r in found["items"]] == [
        ("deploy", 5),
        ("pull_request", 2),
    ]
    assert found["more"] == 1
    for form in ("table", "markdown"):
        assert run(*asked, "--format", form).endswith("\nAnd 1 more; --limit 3 lists all.\n")
    options = ("--db", str(config.db), "--config", str(config.path), "--format", "csv")
    assert command.main(["report", *asked, *options]) == 0
    said = capsys.readouterr()
    rows = [row.split(",")[0] for row in said.out.splitlines()]
    assert rows == ["operation", "deploy", "pull_request"]
    assert said.err == "And 1 more; --limit 3 lists all.\n"
    everything = run(*asked[:-1], "3")
    assert "incident" in everything and "more" not in everything
    assert json.loads(run(*asked[:-1], "3", "--json"))["more"] == 0


def test_an_option_that_does_not_exist_is_no_term_of_a_filter(capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["report", "durations", "--by", "team", "kind:deploy", "--groups"])
    assert "unrecognized arguments: kind:deploy --groups" in capsys.readouterr().err


def test_teams_stages_flaky_and_expected(run) -> None:
    teams = {r["team"]: r for r in json.loads(run("teams", "--since", "30d", "--json"))["items"]}
    assert (teams["web"]["incidents"], teams["web"]["incidents_restored"]) == (1, 0)
    assert teams["web"]["time_to_detect_p50"] == 3600
    assert teams["idle"]["merged_per_engineer_week"] is None
    stages = json.loads(run("stages", "--since", "30d", "--team", "core", "--json"))
    assert stages["bottleneck"] == "deploy wait"
    asked = ("stages", "--since", "30d", "--team", "idle")
    assert "No pull request with known moments was shipped" in run(*asked)
    assert run("flaky", "--since", "30d").endswith("No job had both results on one commit.\n")
    expected = json.loads(run("expected", "--json"))["items"]
    assert [(e["name"], e["expected_p50"], e["n"]) for e in expected] == [("incident-1", None, 0)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *(
            ([report, "--team", "cores", *form], "there is no team 'cores'; teams: core")
            for report in command_report.REPORTS
            for form in ((), ("--json",))
        ),
        (["dora", "--by", "week"], "'week' cannot be grouped by; use one of team, project"),
        (["dora", "--since", "yesterday"], "'yesterday' is not a time; write 7d"),
        (["dora", "--by-period", "year"], "'year' is not a period; use one of week, month"),
        (["flaky", "--by-period", "week"], "only `report dora` takes --by-period"),
        (["dora", "--tz", "Mars"], "'Mars' is not a time zone"),
        (["dora", "kind:build"], "only `report durations` takes a filter"),
        (["flaky", "--limit", "5"], "only `report durations` takes --limit"),
        (["durations", "--by", "colour"], "'colour' cannot be grouped by; use one of operation"),
        (["pull-requests", "--by", "year"], "'year' is not a period; use one of day, week, month"),
        (["dora", "--since", "2026-03-09", "--until", "2026-03-02"], "is empty; put --since first"),
    ],
)
def test_a_wrong_question_is_told_what_is_accepted(run, config, capsys, arguments, said) -> None:
    options = ["--db", str(config.db), "--config", str(config.path)]
    tz = [] if "--tz" in arguments else ["--tz", "UTC"]
    assert command.main(["report", *arguments, *options, *tz]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("durations", "kind:none"), "No span that matches was in flight or ended"),
        (("pull-requests", "--until", "2026-01-01"), "No pull request was created"),
        (("pull-requests", "--until", "2026-01-01", "--by", "week"), "No pull request was created"),
        (("flaky",), "No job had both results"),
    ],
)
def test_a_report_without_rows_says_so(run, arguments, said) -> None:
    for form in ("table", "markdown"):
        assert said in run(*arguments, "--format", form).splitlines()[-1]
    assert said not in run(*arguments, "--format", "csv")
    assert json.loads(run(*arguments, "--json"))["items"] == []

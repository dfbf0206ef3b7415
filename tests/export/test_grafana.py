"""Every query of the shipped dashboards finds a value in what the receiver answers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from tests.export.promql import matches, selectors
from tests.export.receiving import post, receiver
from vs_tui.cli.runtime import Runtime
from vs_tui.model.teams import Team, Teams

FOLDER = Path(__file__).parents[2] / "docs" / "grafana"
BOARDS = sorted(FOLDER.glob("*.json"))
NOW = datetime.now(UTC)
RANGE = {
    "from": (NOW - timedelta(days=7)).isoformat(),
    "to": (NOW + timedelta(hours=1)).isoformat(),
}
TEAMS = Teams((Team("core", ("acme/*", "core"), ()),))


def ago(**time: float) -> str:
    return (NOW - timedelta(**time)).isoformat()


async def tell(runtime: Runtime) -> None:
    """Deploys that succeed, fail and are repaired, with all that stands around them."""
    opened = {"opened_at": ago(hours=30), "additions": 40, "deletions": 2}
    await post(runtime, "/pull-requests", id="1", team_id="core", **opened)
    review = {"reviewed_at": ago(hours=28), "approved": True, "nb_comments": 3}
    await post(runtime, "/pull-requests/1/reviewed", **review)
    await post(runtime, "/pull-requests/1/merged", merged_at=ago(hours=26))
    for number, hours in (("1", 50), ("2", 25)):
        begin = {"first_commit_at": ago(hours=hours + 5), "deploy_start_at": ago(hours=hours)}
        end = {"deployed_at": ago(hours=hours - 1)}
        await post(runtime, "/deployments", id=number, project_id="acme/em", **begin, **end)
    incident = {"id": "1", "project_id": "acme/em", "deployment_id": "2"}
    await post(runtime, "/incidents", started_at=ago(hours=20), **incident)
    await post(runtime, "/incidents/1/restored", date=ago(hours=18))
    tags = {"service": "api", "environment": "production", "project": "acme/api"}
    for number, error in (("a", True), ("b", False)):
        base = {"type": "deploy", "id": number, "tags": tags}
        await post(runtime, "/customhttp", action="start", timestamp=ago(hours=4), **base)
        end = {"action": "end", "timestamp": ago(hours=3), "error": error}
        await post(runtime, "/customhttp", **base, **end)
    for kind in ("build", "pipeline", "issue", "pull_request"):
        for action in ("start", "end"):
            typed = {"type": "Bug"} if kind == "issue" else {}
            await post(runtime, "/customhttp", type=kind, id="x", action=action, tags=typed)
    await post(runtime, "/customhttp", type="deploy", id="open", action="start", tags=tags)
    await runtime.writer.caught_up()


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with receiver(tmp_path, "", {"teams": TEAMS}) as runtime:
        await tell(runtime)
        yield runtime


def session(runtime: Runtime) -> ClientSession:
    return ClientSession(runtime.url, headers={"Authorization": "Bearer token-0123456789"})


def panels(board: Path) -> Iterator[dict[str, Any]]:
    yield from json.loads(board.read_text("utf-8"))["panels"]


def targets(board: Path, *names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in panels(board):
        for target in panel["targets"]:
            if all(name in target for name in names):
                yield panel["title"], target


def test_there_are_dashboards_for_both_data_sources() -> None:
    assert {board.name for board in BOARDS} == set(
        re.findall(r"\]\((\S+\.json)\)", (FOLDER / "README.md").read_text("utf-8"))
    )
    for board in BOARDS:
        document = json.loads(board.read_text("utf-8"))
        ids = [panel["id"] for panel in document["panels"]]
        assert len(ids) == len(set(ids)) and document["uid"]
        for panel in document["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24 and panel["targets"], panel["title"]


async def test_every_prometheus_expression_finds_a_value(told) -> None:
    async with session(told) as client:
        text = await (await client.get("/metrics")).text()
    samples: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    tried = 0
    for board in BOARDS:
        for title, target in targets(board, "expr"):
            found = list(selectors(target["expr"]))
            assert found, target["expr"]
            for name, wanted in found:
                fitting = [labels for labels in samples.get(name, []) if matches(labels, wanted)]
                assert fitting, f"{board.name}, {title}: {name}{wanted}"
                for by in re.findall(r"by \(([^)]*)\)", target["expr"]):
                    for label in by.split(", "):
                        assert any(label in labels for labels in fitting), (title, label)
                tried += 1
        for variable in json.loads(board.read_text("utf-8"))["templating"]["list"]:
            if asked := re.match(r"label_values\((\w+), (\w+)\)", str(variable.get("definition"))):
                name, label = asked.groups()
                assert any(label in labels for labels in samples[name]), variable["name"]
    assert tried > 40


async def test_counters_and_views_have_the_figures_of_the_report(told) -> None:
    """What is counted once and kept is what the report counts, also where attempts are merged."""
    async with session(told) as client:
        text = await (await client.get("/metrics")).text()
        dora = await (await client.get("/api/dora?by=all&since=30d")).json()
    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]

    def total(name: str) -> float:
        labels = {"environment": "production"}
        return sum(
            s.value for s in samples if s.name == name and labels.items() <= s.labels.items()
        )

    figures = dora["items"][0]["metrics"]
    beside = dora["items"][0]["beside"]
    expected = {
        "v_deployments WHERE outcome = 'ok'": (
            "deployment_frequency_total",
            figures["deployment_frequency"]["n"],
        ),
        "v_deployments WHERE failed": (
            "change_failure_count_total",
            figures["change_fail_rate"]["hits"],
        ),
        "v_changes WHERE is_first AND lead_s IS NOT NULL": (
            "lead_time_for_changes_count",
            figures["change_lead_time"]["n"],
        ),
        "v_incidents": ("incident_count_total", beside["incidents"]),
        "v_incidents WHERE time_to_detect_s IS NOT NULL": (
            "time_to_detect_count",
            beside["time_to_detect_n"],
        ),
    }
    for view, (name, figure) in expected.items():
        rows = await told.reader.run(
            lambda db, sql=f"SELECT COUNT(*) FROM {view}": db.execute(sql).fetchone()[0]
        )
        assert (total(name), rows) == (figure, figure), view
        assert figure > 0, view


EM_METRICS_RULES = (
    *("deployment_frequency_total", "change_failure_count_deployment_total"),
    *("lead_time_for_changes_millisecond_bucket", "time_to_restore_millisecond_bucket"),
    *("time_per_ticket_minute_sum", "time_per_ticket_minute_bucket"),
    "pull_request_merged_count_pull_requests_total",
    "pull_request_opened_count_pull_requests_total",
    "pull_request_closed_count_pull_requests_total",
    # Read without `_bucket`: Prometheus makes them of these, see docs/exports.md.
    *("pull_request_loc_added_bucket", "pull_request_loc_removed_bucket"),
    *("pull_request_nb_reviews_per_pr_bucket", "pull_request_nb_comments_per_review_bucket"),
    *(
        f"pull_request_time_to_{what}_minutes_bucket"
        for what in ("first_review", "approve", "merge")
    ),
)
"""What em-metrics' recording rules read (em-metrics.rules.yml), but for ticket estimations."""


async def test_em_metrics_recording_rules_find_their_series(told) -> None:
    async with session(told) as client:
        text = await (await client.get("/metrics")).text()
    samples = {s.name for family in text_string_to_metric_families(text) for s in family.samples}
    assert samples >= set(EM_METRICS_RULES)


NOT_OURS = {
    "traces_stores_buffered_spans_total",
    *(f"pull_request_time_to_{what}_minutes" for what in ("first_review", "approve", "merge")),
}
"""Names of ValueStream and em-metrics that promtool would have otherwise."""


async def test_names_are_as_promtool_wants_them(told) -> None:
    """Its lint, as far as names go: `promtool check metrics` says no more than this."""
    async with session(told) as client:
        text = await (await client.get("/metrics")).text()
    faults = set()
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        if family.type != "counter" and family.name.endswith("_total"):
            faults.add(family.name)
        if re.search(r"_(minutes|hours|days|weeks|milliseconds|kilobytes|percent)$", family.name):
            faults.add(family.name)
        names = [(s.name, *sorted(s.labels.items())) for s in family.samples]
        assert len(names) == len(set(names)), family.name
    assert faults == NOT_OURS


async def test_every_infinity_query_finds_a_value(told) -> None:
    tried = 0
    async with session(told) as client:
        for board in BOARDS:
            for title, target in targets(board, "url"):
                url = target["url"].replace("${__from:date:iso}", ago(days=7)[:19] + "Z")
                url = url.replace("${__to:date:iso}", RANGE["to"][:19] + "Z")
                response = await client.get(url)
                assert response.status == 200, (title, await response.text())
                items = at_path(await response.json(), target["root_selector"])
                assert items, title
                for column in target["columns"]:
                    values = [at_path(item, column["selector"]) for item in items]
                    may_be_missing = column["selector"] in ("url",)
                    assert may_be_missing or any(v is not None for v in values), (title, column)
                tried += 1
    assert tried == 9


def at_path(item: Any, selector: str) -> Any:
    for name in selector.split("."):
        item = item[int(name)] if name.isdigit() else item[name]
    return item


async def test_the_json_data_source_gets_series_and_tables(told) -> None:
    async with session(told) as client:
        assert (await client.get("/grafana/")).status == 200
        names = await (await client.post("/grafana/search", json={"target": ""})).json()
        assert {"change_lead_time", "deployment_frequency of core"} <= set(names)
        question = {"range": RANGE, "targets": [{"target": name} for name in names]}
        found = await (await client.post("/grafana/query", json=question)).json()
        dora = await (await client.get(f"/api/dora?team=core&since={ago(days=7)[:19]}Z")).json()
        table = {"range": RANGE, "targets": [{"target": names[0], "type": "table"}]}
        (rows,) = await (await client.post("/grafana/query", json=table)).json()
    by_name = {entry["target"]: entry["datapoints"] for entry in found}
    assert set(by_name) == set(names)
    expected = dora["items"][0]["metrics"]["deployment_frequency"]["series"]
    points = by_name["deployment_frequency of core"]
    assert sorted(v for v, _ in points if v) == sorted(v for v in expected if v)
    since, until = (datetime.fromisoformat(RANGE[name]).timestamp() * 1000 for name in RANGE)
    for entry in by_name.values():
        assert all(since - 86_400_000 <= at <= until for _, at in entry)
    assert by_name["change_lead_time"], "somewhere a change was shipped"
    assert rows["type"] == "table" and len(rows["rows"][0]) == len(rows["columns"]) == 2


async def test_deploys_and_incidents_are_annotations(told) -> None:
    async with session(told) as client:
        every = await (await client.post("/grafana/annotations", json={"range": RANGE})).json()
        question = {"range": RANGE, "annotation": {"name": "x", "query": "kind:deploy is:failed"}}
        failed = await (await client.post("/grafana/annotations", json=question)).json()
    assert {entry["tags"][0] for entry in every} == {"deploy", "incident"}
    assert len(every) == 6
    assert len(failed) == 1 and failed[0]["isRegion"] and failed[0]["annotation"]["name"] == "x"
    assert failed[0]["timeEnd"] - failed[0]["time"] == 3_600_000


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/grafana/query", b"[]", 400),
        ("/grafana/query", b"{", 400),
        ("/grafana/query", b'{"range": 7, "targets": []}', 400),
        ("/grafana/query", b"x" * 70_000, 400),
        ("/grafana/annotations", b'{"range": {"from": "soon", "to": "now"}}', 400),
    ],
)
async def test_a_wrong_question_is_refused(tmp_path, path, body, status) -> None:
    async with receiver(tmp_path, "") as runtime, session(runtime) as client:
        assert (await client.post(path, data=body)).status == status


async def test_the_data_source_needs_the_token(tmp_path) -> None:
    async with receiver(tmp_path, "") as runtime, ClientSession(runtime.url) as client:
        assert (await client.get("/grafana/")).status == 401
        assert (await client.post("/grafana/search", json={})).status == 401

"""A metric is one entry of the table: every face shows what stands there."""

import asyncio
import csv
import io
import json
from dataclasses import replace

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.metrics.conftest import NOW
from tests.tui.stage import WIDE, stage
from vs_tui.cli import main as command
from vs_tui.cli import report as command_report
from vs_tui.cli.runtime import Runtime
from vs_tui.metrics import cards, definitions
from vs_tui.metrics.definitions import METRICS, Metric
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reports import Reports

NEW = replace(
    METRICS["fail"],
    name="calm",
    key="calm_deployment_rate",
    title="calm deployments",
    short="calm",
    about="Share of the deployments that succeeded at once",
    more_is_better=True,
    measure=lambda counted, end: replace(
        METRICS["fail"].measure(counted, end), value=0.625, hits=5, n=8
    ),
    level=None,
    hits="{hits} calm of {n}",
    listed="deployments, calm ones first",
)


@pytest.fixture(params=["batch", "calm"])
def metric(request, monkeypatch) -> Metric:
    """One that is there, and one that only this test knows."""
    if request.param == "calm":
        monkeypatch.setitem(definitions.METRICS, NEW.name, NEW)
        monkeypatch.setitem(definitions.BY_KEY, NEW.key, NEW)
    return METRICS[request.param]


async def test_every_face_shows_every_metric_of_the_table(
    metric, config, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(command_report, "now", lambda: NOW)
    config = replace(
        config, goals={"core": cards.read_goals({"core": {metric.key: _goal(metric)}})["core"]}
    )
    runtime = Runtime(config, lambda: NOW)
    await runtime.open_store()
    try:
        url = await runtime.listen()
        head = {"Authorization": "Bearer token"}
        async with aiohttp.ClientSession(url, headers=head) as session:
            answered = await (await session.get("/api/dora")).json()
            shown = (await (await session.get("/api/cards")).json())["items"]
            asked = {"team": "core", "metric": metric.name}
            detail = await (await session.get("/api/dora/detail", params=asked)).json()
            asked = {"team": "core", "metric": metric.key}
            by_key = await (await session.get("/api/dora/detail", params=asked)).json()
            scraped = await (await session.get("/metrics")).text()
            targets = await (await session.post("/grafana/search", json={})).json()
    finally:
        await runtime.close()
    figure = answered["items"][0]["metrics"][metric.key]
    assert (figure["unit"], figure["hits"] > 0) == (metric.unit.value, True)
    assert figure["goal_met"] is not None
    card = next(c for c in shown if (c["team"], c["metric"]) == ("core", metric.name))
    assert (card["text"], card["title"]) == (figure["text"], metric.title)
    assert detail["metric"] == metric.key
    assert by_key == detail
    assert detail["figure"]["value"] == figure["value"]
    assert len(detail["behind"]) > 0
    samples = {
        sample.labels.get("team"): sample.value
        for family in text_string_to_metric_families(scraped)
        for sample in family.samples
        if sample.name == f"vs_dora_{metric.key}"
    }
    assert samples["core"] == pytest.approx(figure["value"])
    assert metric.key in targets

    def printed(form: str) -> str:
        options = ["--db", str(config.db), "--config", str(config.path), "--tz", "UTC"]
        assert command.main(["report", "dora", "--format", form, *options]) == 0
        return capsys.readouterr().out

    table = await asyncio.to_thread(printed, "table")
    line = next(text for text in table.splitlines() if metric.key.replace("_", " ") in text)
    assert figure["text"] in line
    cells = list(csv.DictReader(io.StringIO(await asyncio.to_thread(printed, "csv"))))
    row = next(r for r in cells if (r["name"], r["metric"]) == ("core", metric.key))
    assert float(row["value"]) == pytest.approx(figure["value"])
    as_json = json.loads(await asyncio.to_thread(printed, "json"))
    assert metric.key in as_json["items"][0]["metrics"]

    reader = await SqliteReader(config.db, lambda: NOW).open()
    try:
        reports = Reports(reader, config, lambda: NOW)
        async with stage(size=WIDE, cards=reports.cards, detail=reports.detail) as on:
            await on.press("3", "t", "4")  # the cards come before the cursor moves on them
            await on.press(*"l" * list(METRICS).index(metric.name))
            await on.sees(f"core {metric.title}", figure["text"], metric.listed)
    finally:
        await reader.close()


def _goal(metric: Metric) -> str:
    return "10%" if metric.unit is definitions.Unit.SHARE else "3"

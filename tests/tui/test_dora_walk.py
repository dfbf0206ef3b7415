"""From a number down to the deliveries it was made from, on a real store told by webhooks."""

from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from tests.metrics.deliveries import TEAMS
from tests.metrics.world import t
from tests.sources.github_payloads import HEAD_1, MERGE, hook, merged, pull, stamp, user
from tests.tui.stage import NARROW, WIDE, Stage, does
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config
from vs_tui.tui.app import Setup, VsTuiApp

NOW = t("2026-03-02T20:00:00Z")


def deployment(number: int, clock: str, state: str, environment: str = "production"):
    deploy = {
        "id": number,
        "sha": MERGE,
        "ref": "main",
        "task": "deploy",
        "payload": {},
        "environment": environment,
        "creator": user("bob"),
        "created_at": stamp(clock),
        "updated_at": stamp(clock),
    }
    status = {"state": state, "environment": environment, "created_at": stamp(clock)}
    return hook("created", deployment=deploy, deployment_status={**status, "id": number + 1})


STORY = (
    ("pull_request", pull("opened", head={"sha": HEAD_1})),
    ("pull_request", merged()),
    ("deployment_status", deployment(70, "12:00:00", "failure")),
    ("deployment_status", deployment(80, "13:00:00", "success")),
    ("deployment_status", deployment(90, "14:00:00", "success", "production-eu")),
)


@asynccontextmanager
async def told(tmp_path, story=STORY, size=WIDE):
    """The DORA view of a database that was told a story."""
    config = Config(db=tmp_path / "walk.db", port=0, zone="UTC", teams=TEAMS)
    runtime = Runtime(replace(config), lambda: NOW)
    await runtime.open_store()
    try:
        for number, (kind, body) in enumerate(story):
            headers = {"x-github-event": kind, "x-github-delivery": f"d-{number}"}
            await runtime.ingest("/github", headers, orjson.dumps(body))
        app = VsTuiApp(
            Setup(
                reader=runtime.reader,
                clock=lambda: NOW,
                cards=runtime.reports.cards,
                detail=runtime.reports.detail,
                theme="dark",
                zone="UTC",
            )
        )
        async with app.run_test(size=size) as pilot:
            on = Stage(app, pilot, runtime.reader, lambda: NOW)
            await on.until(lambda: app.view is not None and app.begun, "the first read")
            await on.press("3")
            await on.sees("DORA per team")
            await on.no_longer_sees("reading…")
            yield on
    finally:
        await runtime.close()


@does("deliveries")
@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_every_number_is_a_key_press_away_from_the_deliveries_behind_it(
    tmp_path, size
) -> None:
    """Card, detail, trace, delivery: a key each, and back to the same place on each of them."""
    async with told(tmp_path, size=size) as on:
        await on.press("l", "l", "enter")
        await on.sees("core change fail rate", "50 %", "deploy failed")
        await on.press("enter")
        await on.sees("Cache invoices", "failure")
        assert on.app.screen.waterfall.selected.attributes["deployment.id"] == "70"
        await on.press("d")
        await on.sees("Deliveries of api to production", "deployment_status", "› deliveries")
        await on.sees('"state"' if size == WIDE else "it touched")
        assert [row.status for row in on.app.screen.deliveries] == [200]
        await on.press("enter")
        await on.sees("delivery 3")
        await on.press("escape", "escape")
        await on.sees("Cache invoices", "failure")
        assert on.app.screen.waterfall.selected.attributes["deployment.id"] == "70"
        await on.press("escape")
        await on.sees("core change fail rate", "50 %")
        assert on.app.screen.focused is on.list
        await on.press("escape")
        assert on.app.screen.focused is on.app.screen.grid
        assert on.app.screen.grid.chosen.metric == "fail"


async def test_a_range_chosen_behind_a_number_is_that_of_all_metrics(tmp_path) -> None:
    async with told(tmp_path) as on:
        await on.press("enter", "t", "1")
        assert on.app.range_name == "1h"
        await on.sees("1h against the 1h before")


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_without_a_production_deploy_it_says_what_was_seen_and_what_to_do(
    tmp_path, size
) -> None:
    async with told(tmp_path, STORY[-1:], size=size) as on:
        await on.sees("No production deploy yet. Deploys were seen to production-eu 1.")
        await on.sees("Production is what is called prod, production, live", "[environments]")
        assert '"production-eu"]' in on.text
        assert all(len(text) <= size[0] for text in on.lines)


async def test_an_empty_database_says_where_to_begin(tmp_path) -> None:
    async with told(tmp_path, ()) as on:
        await on.sees("No deploy was received yet", "Sources (5)", "vs-tui import")
        assert not on.app.screen.grid.cards


async def test_a_team_without_deploys_is_told_apart_by_its_detail(tmp_path) -> None:
    async with told(tmp_path) as on:
        await on.press("G")
        await on.sees(
            "idle deployment frequency", "No deploy of team idle was received yet", "[teams]"
        )


async def test_a_change_leads_to_its_pull_request_and_the_deliveries_of_that(tmp_path) -> None:
    async with told(tmp_path) as on:
        await on.press("l", "enter")
        await on.sees("core change lead time", "1 from pull request opened")
        await on.press("d")
        await on.sees("Deliveries of Cache invoices")
        kinds = [row.kind for row in on.app.screen.deliveries]
        assert kinds == ["pull_request.closed", "pull_request.opened"]

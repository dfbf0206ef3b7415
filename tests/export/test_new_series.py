"""increase() over the first event of a series is 1: each scraper sees it at 0 before."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from tests.export.receiving import event, post, receiver
from tests.patience import PATIENCE
from vs_tui.cli.runtime import Runtime
from vs_tui.export.prometheus import Metrics
from vs_tui.export.series import MOST_SCRAPERS, YOUNG_SECONDS

PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
STARTED = 'webhooks_event_start_total{event_source="custom_http",event_type="build",project="%s"}'
FIRST = "2026-03-02T10:00:00Z"
Page = dict[str, float]


def increase(samples: Iterable[float | None]) -> float:
    """As Prometheus has it, but for what it adds at the edges of the range: the rise between the
    samples of a series, where a fall is a counter that began again."""
    values = [value for value in samples if value is not None]
    return sum(new - old if new >= old else new for old, new in itertools.pairwise(values))


def page(text: str) -> Page:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def scrapers(runtime: Runtime, client: ClientSession) -> Callable[..., Awaitable[Page]]:
    async def scrape(name: str = "Prometheus/3.7", **headers: str) -> Page:
        told = {"User-Agent": name, **PROMETHEUS, **headers}
        response = await client.get(f"{runtime.url}/metrics", headers=told)
        return page(await response.text())

    return scrape


async def shows(client: ClientSession, runtime: Runtime, value: float) -> None:
    """Wait until a person, who sees what is true at once, sees so many events."""
    async with asyncio.timeout(PATIENCE):
        while True:
            text = await (await client.get(f"{runtime.url}/metrics")).text()
            if page(text).get(STARTED % "acme/new") == value:
                return


def session() -> ClientSession:
    return ClientSession(headers={"Authorization": "Bearer token-0123456789"})


async def test_the_first_event_of_a_new_project_is_a_rise(tmp_path) -> None:
    async with receiver(tmp_path, "") as runtime, session() as client:
        scrape = scrapers(runtime, client)
        pages = [await scrape()]
        others = [await scrape("other")]
        await event(runtime, "build", "1", "start", namespace="acme/new")
        await shows(client, runtime, 1)
        for _ in range(3):
            pages.append(await scrape())
        await event(runtime, "build", "2", "start", namespace="acme/new")
        await shows(client, runtime, 2)
        pages.append(await scrape())
        for _ in range(2):
            others.append(await scrape("other"))
        late = [await scrape("late", **{"X-Forwarded-For": "192.0.2.9"})]
    series = [seen.get(STARTED % "acme/new") for seen in pages]
    assert series == [None, 0, 1, 1, 2]
    assert increase(series) == 2
    assert [seen.get(STARTED % "acme/new") for seen in others] == [None, 0, 2]
    # The process is young: who begins now has missed nothing either.
    assert late[0][STARTED % "acme/new"] == 0


async def test_the_first_deployment_and_incident_of_a_project_are_a_rise(tmp_path) -> None:
    """em-metrics' counters live in the database: after a restart they go on where they were."""

    async def deploy(runtime: Runtime, number: str) -> None:
        body = {
            "id": number,
            "project_id": "acme/new",
            "first_commit_at": FIRST,
            "deploy_start_at": FIRST,
        }
        await post(runtime, "/deployments", **body, deployed_at="2026-03-02T10:05:00Z")
        fault = {"id": number, "project_id": "acme/new", "deployment_id": number}
        await post(runtime, "/incidents", started_at="2026-03-02T10:06:00Z", **fault)
        await runtime.writer.caught_up()

    name = 'incident_count_total{environment="production",project_id="acme/new"}'
    bar = 'deployment_duration_bucket{environment="production",le="+Inf",project_id="acme/new"}'
    seen: list[Page] = []
    async with receiver(tmp_path, "") as runtime, session() as client:
        await deploy(runtime, "1")  # before anybody asks, in a database that was empty
        scrape = scrapers(runtime, client)
        seen += [await scrape(), await scrape()]
    async with receiver(tmp_path, "") as runtime, session() as client:
        scrape = scrapers(runtime, client)
        seen.append(await scrape())
        await deploy(runtime, "2")
        seen += [await scrape(), await scrape()]
    values = [found.get(name) for found in seen]
    assert values == [0, 1, 1, 2, 2]
    assert increase(values) == 2
    assert increase(found.get(bar) for found in seen) == 2


def test_who_comes_late_sees_no_rise_of_the_past() -> None:
    metrics, at = Metrics(), 0.0
    metrics.new.clock = lambda: at
    metrics.new._began = 0.0
    metrics.deliveries.set(7, "github", "accepted")
    metrics.started.labels("github", "build", "old").inc(5000)
    metrics.started.labels("github", "build", "older").inc(0)
    names = (
        'vs_deliveries_total{source="github",verdict="accepted"}',
        'webhooks_event_start_total{event_source="github",event_type="build",project="old"}',
    )
    young = page(metrics.render("a").decode())
    assert [young[name] for name in names] == [7, 0], "deliveries are counted in the database"
    at = YOUNG_SECONDS + 1
    assert [page(metrics.render("b").decode())[name] for name in names] == [7, 5000]
    assert [page(metrics.render("a").decode())[name] for name in names] == [7, 5000]


def test_scrapers_that_are_remembered_are_bounded() -> None:
    metrics = Metrics()
    for number in range(MOST_SCRAPERS * 2):
        metrics.render(f"scraper {number}")
    assert len(metrics.new._last) == MOST_SCRAPERS

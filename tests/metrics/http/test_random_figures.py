"""Figures of random facts on every face, against a model of the definitions."""

from __future__ import annotations

import itertools
import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.ingest.server import Server, nearby
from tests.metrics.http import figures
from tests.metrics.http.figures import DAY, HOUR, Window
from tests.metrics.http.figures_told import Teller, stamp
from tests.metrics.http.orders import ORDERS, ordered
from tests.metrics.http.story import command, send

ZONES = (
    "UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Europe/Berlin",
    "Australia/Lord_Howe", "America/Santiago", "Pacific/Kiritimati",
)  # fmt: skip


class Case:
    """One world, its teams and its windows."""

    def __init__(self, seed: str, now: int) -> None:
        self.alone = False
        self.chance = chance = random.Random(seed)
        self.zone = chance.choice(ZONES)
        zone = ZoneInfo(self.zone)
        spring = int(datetime(2026, 4, 12, tzinfo=UTC).timestamp())
        until = chance.choice((now - HOUR, spring))
        since = until - chance.choice((2, 10, 40, 70, 400)) * DAY
        self.teller = Teller(chance, seed, since, until)
        self.windows = [self._window(since, until, zone) for _ in range(3)]
        edges = [w.since for w in self.windows] + [w.until for w in self.windows]
        for window in self.windows:
            if window.until - window.since <= 40 * DAY:
                edges += [window.begin(day) for day in window.days()]
        self.teller.edges = sorted({e for e in edges if since < e < until})
        self.teller.tell()
        self.world = self.teller.world
        projects = [*self.teller.projects, *(p.project for p in self.world.pulls)]
        self.teams = {
            f"{seed}t{n}": sorted({p for p in projects if chance.random() < 0.4})
            for n in range(chance.randint(1, 3))
        }
        self.teams = {name: own for name, own in self.teams.items() if own}

    def _window(self, since: int, until: int, zone: ZoneInfo) -> Window:
        chance = self.chance
        begin = chance.randint(since - 5 * DAY, until)
        length = chance.choice((HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 730 * DAY))
        if chance.random() < 0.3:
            return Window(begin, min(begin + length, until), zone)
        whole = Window(begin, begin + length, zone)
        first = whole.begin(whole.day(begin))
        last = whole.begin(whole.day(min(begin + length, until)))
        return Window(first, last, zone) if first < last else self._window(since, until, zone)


def said(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, (int, float)):
        return abs(found - wanted) <= 1e-6 * max(1, abs(wanted))
    return found == wanted


def groups(case: Case, by: str) -> dict[str, Any]:
    """Name -> which deployments are of it."""
    world = case.world
    if by == "team":
        found = {t: (lambda d, own=own: d.project in own) for t, own in case.teams.items()}
        return found | {"(no team)": lambda d: not any(d.project in o for o in case.teams.values())}
    if by == "all":
        return {None: lambda d: True}
    if by == "environment":
        return {"production": lambda d: True}
    if by == "project":
        own = {d.project for d in world.deploys}
        return {p: (lambda d, p=p: d.project == p) for p in own}
    return {s: (lambda d, s=s: d.service == s) for s in {d.service for d in world.deploys}}


def asked(server: Server, window: Window, zone: str, by: str, **more: str) -> dict[str, Any]:
    query = {"since": stamp(window.since), "until": stamp(window.until), "tz": zone, "by": by}
    text = "&".join(f"{name}={value}" for name, value in (query | more).items())
    status, answer = server.call(f"/api/dora?{text}")
    assert status == 200, answer
    return answer


def compare(where: str, wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    return [
        f"{where} {metric}.{key}: wanted {value}, found {found[metric].get(key)}"
        for metric, own in wanted.items()
        for key, value in own.items()
        if not said(found[metric].get(key), value)
    ]


def periods(case: Case, server: Server, window: Window, by: str, kind: str) -> list[str]:
    """What differs in the periods and the points of the trend."""
    wrong = []
    answer = asked(server, window, case.zone, by, by_period=kind)
    wanted = window.cut(kind)
    found = [(p["window"]["since"], p["window"]["until"]) for p in answer["periods"]]
    if found != [(stamp(w.since), stamp(w.until)) for w in wanted]:
        return [f"{case.zone} {kind}: wanted {wanted}, found {found}"]
    for part, period in zip(wanted, answer["periods"], strict=True):
        items = {item["name"]: item for item in period["items"]}
        for name, own in groups(case, by).items():
            if name in items and (case.alone or name != "(no team)"):
                where = f"{kind} {stamp(part.since)}..{stamp(part.until)} {case.zone} {by} {name}"
                wrong += compare(
                    where, figures.figures(case.world, own, part), items[name]["metrics"]
                )
    return wrong


def points(case: Case, where: str, own: Any, window: Window, found: dict[str, Any]) -> list[str]:
    wrong = []
    starts = [point["at"] for point in found["change_fail_rate"]["points"]]
    edges = [int(datetime.fromisoformat(at).timestamp()) for at in starts] + [window.until]
    for n, (begin, after) in enumerate(itertools.pairwise(edges)):
        wanted = figures.figures(case.world, own, Window(begin, after, window.zone))
        for metric, item in wanted.items():
            value = found[metric]["points"][n]["value"]
            if metric == "deployment_frequency":
                continue
            if not said(value, item["value"]):
                wrong.append(
                    f"{where} point {starts[n]} {metric}: wanted {item['value']}, found {value}"
                )
    return wrong


def of_teams(case: Case, server: Server, window: Window) -> list[str]:
    options = ("--since", stamp(window.since), "--until", stamp(window.until), "--tz", case.zone)
    answer = json.loads(command(server, "report", "teams", "--json", *options))
    items = {item["team"]: item for item in answer["items"]}
    wrong = []
    for name, own in case.teams.items():
        wanted = figures.incidents(case.world, own, window)
        wrong += [
            f"{options} {name}.{key}: wanted {value}, found {items[name][key]}"
            for key, value in wanted.items()
            if not said(items[name][key], value)
        ]
    return wrong


def past_frequency(case: Case, own: Any, before: Window, item: dict[str, Any]) -> dict[str, Any]:
    """Not compared where a good part of the period lies before the first that is known."""
    counted = case.world.counted(own)
    first = case.world.known_since({d.project for d in counted})
    if item["value"] is None or first > before.since + (before.until - before.since) // 4:
        return {"value": None, "n": 0}
    return item


def differences(case: Case, server: Server) -> list[str]:
    wrong = []
    for window in case.windows:
        wrong += of_teams(case, server, window)
        for kind in ("week", "month"):
            wrong += periods(case, server, window, "team", kind)
        for by in ("team", "project", "service", *(("all", "environment") if case.alone else ())):
            answer = asked(server, window, case.zone, by)
            items = {item["name"]: item for item in answer["items"]}
            told = answer["window"]["before"]
            ends = (int(datetime.fromisoformat(told[k]).timestamp()) for k in ("since", "until"))
            before = Window(*ends, window.zone)
            for name, own in groups(case, by).items():
                wanted = figures.figures(case.world, own, window)
                where = f"{stamp(window.since)}..{stamp(window.until)} {case.zone} {by} {name}"
                if name == "(no team)" and not case.alone:
                    continue
                if name in items:
                    found = items[name]["metrics"]
                    wrong += compare(where, wanted, found)
                    wrong += points(case, where, own, window, found)
                    past = figures.figures(case.world, own, before)
                    for metric, item in past.items():
                        if metric == "deployment_frequency":
                            item = past_frequency(case, own, before, item)
                        has = found[metric]["before"], found[metric]["before_n"]
                        if not said(has[0], item["value"]) or has[1] != item["n"]:
                            wrong.append(f"{where} before {metric}: wanted {item}, found {has}")
                elif any(d.end in window for d in case.world.counted(own)):
                    wrong.append(f"{where}: not listed")
    return wrong


def run(folder: Path, seeds: range, order: str = "as sent") -> dict[str, list[str]]:
    now = int(datetime.now(UTC).timestamp())
    cases = [Case(f"n{seed}", now) for seed in seeds]
    lines = []
    for case in cases:
        case.alone = len(cases) == 1
        for team, own in case.teams.items():
            lines += [f"[teams.{team}]", f"projects = {json.dumps(own)}"]
    (folder / "config.toml").write_text("\n".join(lines))
    with nearby(folder) as server:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda c: send(server, ordered(c.teller.story.posts, order)), cases))
        return {c.teller.name: w for c in cases if (w := differences(c, server))}


@pytest.mark.parametrize("order", ORDERS)
def test_random_figures(tmp_path: Path, order: str) -> None:
    assert run(tmp_path, range(4), order) == {}


def test_figures_of_everyone_and_of_no_team(tmp_path: Path) -> None:
    assert run(tmp_path, range(7, 8)) == {}

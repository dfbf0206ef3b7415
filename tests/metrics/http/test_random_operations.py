"""What random histories of operations count, against a model of what happened."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.server import Server
from tests.metrics.http.clock import MONDAY, minutes
from tests.metrics.http.operations import DAY, Incidents, Numbers, Sign, Verdict, in_order
from tests.metrics.http.operations_stories import Team
from tests.metrics.http.orders import ORDERS, RULES, ordered
from tests.metrics.http.story import FAIL, FREQUENCY, RECOVERY, REWORK, command, items, rate, send

SEEDS = range(50)
WINDOWS = {"month": (0, 30), "week": (0, 7), "next week": (7, 14)}


def told(seeds: range = SEEDS) -> dict[str, Team]:
    """Name -> a team whose history has been told."""
    found = {}
    for seed in seeds:
        found[f"o{seed}"] = Team(f"o{seed}", f"operations {seed}")
        found[f"o{seed}"].live()
    return found


def found_in(item: dict[str, Any] | None) -> Numbers:
    if item is None:
        return Numbers(0, (0, 0), (0, 0), (None, 0), 0)
    metrics = item["metrics"]
    recovery = metrics[RECOVERY]
    return Numbers(
        metrics[FREQUENCY]["n"],
        rate(metrics[FAIL]),
        rate(metrics[REWORK]),
        (minutes(recovery["value"]), recovery["n"]),
        recovery["open"],
    )


def verdicts(db: Path) -> dict[str, list[Verdict]]:
    """Service -> what is stored of its deployments."""
    begins = round(MONDAY.timestamp())

    def minute(at: int | None) -> int | None:
        return None if at is None else (at // 1_000_000 - begins) // 60

    found: dict[str, list[Verdict]] = {}
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        signs: dict[str, list[Sign]] = {}
        for key, kind, began, ended in connection.execute(
            "SELECT deployment, kind, started_at, ended_at FROM dora_signals"
        ):
            signs.setdefault(key, []).append((kind, minute(began), minute(ended)))
        for key, service, environment, began, ended, outcome, repair in connection.execute(
            "SELECT key, service, environment, started_at, ended_at, outcome, repair "
            "FROM dora_deployments WHERE outcome IN ('ok', 'failed')"
        ):
            verdict = Verdict(
                *(environment.lower(), minute(began), minute(ended), outcome),
                *(bool(repair), in_order(signs.get(key, ()))),
            )
            found.setdefault(service, []).append(verdict)
    return {service: sorted(own) for service, own in found.items()}


def config(teams: dict[str, Team]) -> str:
    lines = [RULES]
    for name, team in teams.items():
        projects = [p for s in team.services for p in (s.teller.project, s.name, f"ns-{s.name}")]
        lines += [f"[teams.{name}]", f"projects = {json.dumps(projects)}"]
    return "\n".join(lines)


def incidents(server: Server, window: tuple[str, str]) -> dict[str, Incidents]:
    """Team -> its incidents."""
    asked = ("--since", window[0], "--until", window[1], "--tz", "UTC")
    answer = json.loads(command(server, "report", "teams", "--json", *asked))
    return {
        item["team"]: Incidents(
            *(item["incidents"], item["incidents_restored"], minutes(item["time_to_restore_p50"])),
            (minutes(item["time_to_detect_p50"]), item["time_to_detect_n"]),
        )
        for item in answer["items"]
    }


def days(since: int, until: int) -> tuple[str, str]:
    """Days since 2 March 2026 as dates."""
    first, last = (MONDAY + timedelta(days=day) for day in (since, until))
    return f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"


def differing(teams: dict[str, Team], server: Server) -> dict[str, str]:
    wrong: dict[str, list[str]] = {}
    stored = verdicts(server.db)
    counted = incidents(server, days(0, 30))
    for name, team in teams.items():
        for service in team.services:
            wanted, found = team.verdicts(service), stored.get(service.name, [])
            said = [f"{service.name}: wanted {tuple(v)}" for v in wanted if v not in found]
            said += [f"{service.name}: found {tuple(v)}" for v in found if v not in wanted]
            if wanted != found:
                wrong[name] = [*wrong.get(name, []), *said]
    for name, team in teams.items():
        if (told_of := counted.get(name)) != (own := team.incidents(0, 30 * DAY)):
            wrong.setdefault(name, []).append(f"incidents: wanted {own}, found {told_of}")
    for window, (since, until) in WINDOWS.items():
        dates = days(since, until)
        by_service = items(server, "service", dates)
        by_team = items(server, "team", dates)
        for name, team in teams.items():
            groups = [(by_service, s.name, [s]) for s in team.services]
            for answer, group, services in [*groups, (by_team, name, team.services)]:
                numbers = team.numbers(services, since * DAY, until * DAY)
                if (found := found_in(answer.get(group))) != numbers:
                    wrong.setdefault(name, []).append(
                        f"{window} {group}: wanted {tuple(numbers)}, found {tuple(found)}"
                    )
    return {
        name: "\n".join(
            [f"{s.name}: {type(s.teller).__name__} {s.environments}" for s in teams[name].services]
            + sorted(teams[name].log)
            + said
        )
        for name, said in wrong.items()
    }


def printed(server: Server, window: tuple[str, str]) -> dict[str, Any]:
    """`vs-tui report dora` by name of the service."""
    asked = ("--by", "service", "--since", window[0], "--until", window[1], "--tz", "UTC")
    answer = json.loads(command(server, "report", "dora", "--json", *asked))
    return {item["name"]: item["metrics"] for item in answer["items"]}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_random_operations_have_the_numbers_of_what_happened(configured, order) -> None:
    teams = told()
    server = configured(config(teams))
    with ThreadPoolExecutor(16) as pool:
        stories = [team.story for team in teams.values()]
        list(pool.map(lambda story: send(server, ordered(story.posts, order)), stories))
    wrong = differing(teams, server)
    assert not wrong, json.dumps(wrong, indent=1).replace("\\n", "\n")
    if order == ORDERS[0]:
        month = days(0, 30)
        answered = items(server, "service", month)
        assert printed(server, month) == {name: item["metrics"] for name, item in answered.items()}
        command(server, "db", "rebuild")
        assert not differing(teams, server)

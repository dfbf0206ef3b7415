"""The numbers of the sample story, counted here from the bodies of `sample_events` alone, are those
of the report and of the pictures. A change of a metrics rule that moves them fails here."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from vs_tui.cli.main import main

ROOT = Path(__file__).parents[2]
UNTIL = datetime(2026, 3, 5, 15, 30, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=30)


@dataclass
class Team:
    """What a team did. Each repository has one line of commits on its default branch."""

    on_main: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Repository -> commits of its default branch in order."""
    begun: dict[tuple[str, str], list[datetime]] = field(default_factory=lambda: defaultdict(list))
    """(repository, branch) -> times of its commits, and when its request was opened."""
    merged: list[tuple[str, str, str]] = field(default_factory=list)
    """(repository, branch, merge commit) of each merged request."""
    deployed: list[tuple[str, str, datetime, bool]] = field(default_factory=list)
    """(repository, commit, end, success) of each deployment to production."""
    failed_later: list[datetime] = field(default_factory=list)
    """When a deployment that had succeeded turned out to be bad: an incident, a smoke test."""
    other_leads: list[float] = field(default_factory=list)
    """Seconds from build to deploy of what has no commits, deployed in the 30 days."""

    def push(self, repo: str, body: dict[str, Any]) -> None:
        branch = body["ref"].removeprefix("refs/heads/")
        for commit in body["commits"]:
            if branch == "main":
                self.on_main[repo].append(commit["id"])
            else:
                self.begun[repo, branch].append(time_of(commit["timestamp"]))

    def deployments(self, success: bool) -> int:
        return sum(is_in(end) and ok is success for _, _, end, ok in self.deployed)

    def leads(self) -> list[float]:
        """Seconds from the begin of each change to the first success that has its merge commit."""
        found = list(self.other_leads)
        for repo, branch, commit in self.merged:
            place = self.on_main[repo].index
            shipped = min(
                (
                    end
                    for where, at, end, ok in self.deployed
                    if ok and where == repo and place(at) >= place(commit)
                ),
                default=UNTIL + timedelta(1),
            )
            if is_in(shipped):
                found.append((shipped - min(self.begun[repo, branch])).total_seconds())
        return found


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r" (UTC|\+0000)$", "Z", text))


def is_in(at: datetime) -> bool:
    return SINCE < at <= UNTIL


def bodies(source: str) -> Iterator[tuple[str, Any]]:
    """(GitHub's event, body) of each delivery."""
    for line in (ROOT / "sample_events" / f"{source}.jsonl").read_text("utf-8").splitlines():
        told = json.loads(line)
        headers = {name.lower(): value for name, value in told["headers"].items()}
        body = told["body"]
        yield headers.get("x-github-event", ""), json.loads(body) if isinstance(body, str) else body


@pytest.fixture(scope="module")
def teams() -> dict[str, Team]:
    core, web, platform = Team(), Team(), Team()
    for event, body in bodies("github"):
        repo = body["repository"]["name"]
        team = platform if repo == "infra" else core
        if event == "push":
            team.push(repo, body)
        elif event == "pull_request":
            request = body["pull_request"]
            branch = request["head"]["ref"]
            team.begun[repo, branch].append(time_of(request["created_at"]))
            if body["action"] == "closed" and request["merged"]:
                team.merged.append((repo, branch, request["merge_commit_sha"]))
        elif event == "deployment_status":
            status, deployment = body["deployment_status"], body["deployment"]
            if deployment["environment"] == "production" and status["state"] != "in_progress":
                end, ok = time_of(status["created_at"]), status["state"] == "success"
                team.deployed.append((repo, deployment["sha"], end, ok))
    for _, body in bodies("gitlab"):
        kind, told = body["object_kind"], body.get("object_attributes", {})
        if kind == "push":
            web.push("shop", body)
        elif kind == "merge_request":
            branch = told["source_branch"]
            web.begun["shop", branch].append(time_of(told["created_at"]))
            if told["action"] == "merge":
                web.merged.append(("shop", branch, told["merge_commit_sha"]))
        elif (
            kind == "deployment"
            and body["environment"] == "production"
            and body["status"] != "running"
        ):
            commit, end = body["commit_url"].split("/")[-1], time_of(body["status_changed_at"])
            web.deployed.append(("shop", commit, end, body["status"] == "success"))
    for _, body in bodies("jenkins"):
        if body.get("fullJobName") == "infra-apply" and body.get("result"):
            end = datetime.fromtimestamp(body["endTime"] / 1_000, UTC)
            ok = body["result"] == "SUCCESS"
            platform.deployed.append(("infra", body["scmInfo"]["commit"], end, ok))
    built: dict[str, datetime] = {}
    for _, body in bodies("plyzen"):
        version, at = body["version"], time_of(body["timestamp"])
        match body["activity"], body["event"]:
            case "build", "start":
                built[version] = at
            case "deploy", "finish" if is_in(at):
                platform.deployed.append(("search-index", version, at, True))
                platform.other_leads.append((at - built[version]).total_seconds())
            case "smoke-test", "finish" if body["result"] != "success":
                platform.failed_later.append(at)
    for _, body in bodies("pagerduty"):
        event = body["event"]
        if event["event_type"] == "incident.triggered":
            team = web if event["data"]["service"]["summary"] == "shop" else core
            team.failed_later.append(time_of(event["occurred_at"]))
    for _, body in bodies("alertmanager"):
        if body["status"] == "firing":
            platform.failed_later += [time_of(alert["startsAt"]) for alert in body["alerts"]]
    return {"core": core, "web": web, "platform": platform}


@pytest.fixture(scope="module")
def report(db_path: Path) -> dict[str, Any]:
    out = db_path.with_name("report.json")
    arguments = ["--db", str(db_path), "--config", str(ROOT / "sample_events/teams.toml")]
    times = ["--since", SINCE.isoformat(), "--until", UNTIL.isoformat()]
    with pytest.MonkeyPatch.context() as patch, out.open("w") as file:
        patch.setattr("sys.stdout", file)
        assert main(["report", "dora", "--json", *arguments, *times]) == 0
    return {item["name"]: item["metrics"] for item in json.loads(out.read_text())["items"]}


@pytest.mark.parametrize("name", ["core", "web", "platform"])
def test_the_report_has_the_numbers_of_the_bodies(name, teams, report) -> None:
    team, metrics = teams[name], report[name]
    succeeded, leads = team.deployments(True), team.leads()
    failed = team.deployments(False) + sum(map(is_in, team.failed_later))
    all_ = succeeded + team.deployments(False)

    def shown(metric: str) -> tuple[float, int]:
        return metrics[metric]["value"], metrics[metric]["n"]

    assert shown("deployment_frequency") == (pytest.approx(succeeded / 30), succeeded)
    assert shown("change_lead_time") == (median(leads), len(leads))
    assert shown("change_fail_rate") == (pytest.approx(failed / all_), all_)
    assert shown("changes_per_deployment")[0] == pytest.approx(len(leads) / succeeded)


@pytest.mark.parametrize(
    ("name", "deployments", "lead", "failed"),
    [
        ("core", 33, timedelta(days=1, hours=2, minutes=22, seconds=51.5), (5, 36)),
        ("web", 35, timedelta(hours=19, minutes=32, seconds=23), (4, 37)),
        ("platform", 36, timedelta(hours=3, minutes=25, seconds=23), (5, 37)),
    ],
)
def test_the_numbers_of_the_bodies(name, deployments, lead, failed, teams) -> None:
    """So that a story that is told in another way does not pass unseen."""
    team = teams[name]
    assert team.deployments(True) == deployments
    assert median(team.leads()) == lead.total_seconds()
    bad = team.deployments(False) + sum(map(is_in, team.failed_later))
    assert (bad, deployments + team.deployments(False)) == failed


@pytest.mark.parametrize("name", ["core", "web", "platform"])
@pytest.mark.parametrize("size", ["120x40", "80x24"])
def test_the_pictures_show_the_numbers_of_the_report(name, size, report) -> None:
    lines = (ROOT / f"screenshots/dora-{size}.txt").read_text("utf-8").splitlines()
    [row] = [line for line in lines if re.match(rf"│ {name} ", line)]
    metrics = report[name]
    for metric in ("deployment_frequency", "change_lead_time", "change_fail_rate"):
        assert metrics[metric]["text"] in row

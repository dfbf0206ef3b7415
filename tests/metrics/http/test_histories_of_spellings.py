"""One project or service that tools write in different cases is one, and so are its metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.http.ci import Buildkite, Circle, Notified, Otlp
from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import ORDERS, RULES, told_in
from tests.metrics.http.others import (
    EmMetrics,
    Jenkins,
    Plyzen,
    Script,
    alertmanager,
    pagerduty,
)
from tests.metrics.http.presets import heroku, octopus, opsgenie
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.tools import Azure, Bitbucket, BitbucketServer, argo_sync

Tell = Callable[[Story], Wanted]
Ship = Callable[[Story, str, str, str], None]
"""Deploys a commit from one time to another of the repository `acme/NAME`."""


def _jenkins(story: Story, name: str, began: str, end: str) -> None:
    Jenkins(story, f"acme/{name}").deploy(end, began=began, commit=f"{name} 1")


def _notified(story: Story, name: str, began: str, end: str) -> None:
    job = Notified(story, f"deploy-{name}-prod", f"acme/{name}")
    job.build(1, began, end, commit=f"{name} 1")


def _circle(story: Story, name: str, began: str, end: str) -> None:
    Circle(story, f"acme/{name}").job(1, began, end, commit=f"{name} 1")


def _kite(story: Story, name: str, began: str, end: str) -> None:
    Buildkite(story, f"acme/{name}").job(1, began, end, commit=f"{name} 1")


def _otlp(story: Story, name: str, began: str, end: str) -> None:
    Otlp(story, f"acme/{name}").deploy(end, began=began, commit=f"{name} 1")


def _argo(story: Story, name: str, began: str, end: str) -> None:
    argo_sync(story, f"{name}-prod", began, end, repository=f"acme/{name}", revision=f"{name} 1")


def _script(story: Story, name: str, began: str, end: str) -> None:
    Script(story, f"acme/{name}", name).deploy(end, began=began, commit=sha(f"{name} 1"))


SHIPS: dict[str, Ship] = {
    ship.__name__.strip("_"): ship
    for ship in (_jenkins, _notified, _circle, _kite, _otlp, _argo, _script)
}


def deployed_by(tool: type[Any], name: str, ship: Ship) -> Tell:
    """A host writes `Acme/NAME`, and the tool that deploys writes `acme/name`."""

    def tell(story: Story) -> Wanted:
        shown = f"Acme/{name.title()}"
        own = tool(story, "Acme", name.title()) if tool is Azure else tool(story, shown)
        own.push((f"{name} 1", "08:00"))
        ship(story, name, "09:50", "10:00")
        has_id = tool in (GitHub, GitLab, Gitea)
        project = shown if has_id else shown.lower()
        return {"lead": (2.0, 1), "unknown": 0, "changes": 1.0, "project": project}

    return tell


def alerted(deploy: Callable[[Story, str], None], *, of: str = "") -> Tell:
    """A deploy of `Cart-...` fails by the alert of `cart-...`."""

    def tell(story: Story) -> Wanted:
        deploy(story, of)
        alertmanager(story, of.lower(), "10:10", "10:40")
        return {"by": "service", "project": of.lower(), "fail": (1, 1), "recovery": (30.0, 1)}

    return tell


def _octopus(story: Story, name: str) -> None:
    octopus(story, name, ("o", "Started", "1.0", "09:50"), ("o", "Succeeded", "1.0", "10:00"))


def _heroku(story: Story, name: str) -> None:
    heroku(story, name, (1, "09:50", "10:00", "succeeded", "Deploy x"))


def _github_service(story: Story, name: str) -> None:
    GitHub(story, f"acme/repo-{name}").deploy("10:00", commit=name, service=name)


DEPLOYS: dict[str, Callable[[Story, str], None]] = {
    "Cart-Script": lambda story, name: Script(story, name).deploy("10:00", version="1"),
    "Cart-Plyzen": lambda story, name: Plyzen(story, name).deploy("10:00", version="1"),
    "Cart-Em": lambda story, name: EmMetrics(story, name).deploy("10:00"),
    "Cart-Otlp": lambda story, name: Otlp(story, f"acme/{name}").deploy("10:00", version="1"),
    "Cart-Lab": lambda story, name: GitLab(story, f"acme/{name}").deploy("10:00", commit=name),
    "Cart-Hub": _github_service,
    "Cart-Octopus": _octopus,
    "Cart-Heroku": _heroku,
}


def pages(story: Story) -> Wanted:
    """PagerDuty's and Opsgenie's names of services have capitals."""
    Script(story, "pages-x").deploy("10:00", version="1")
    pagerduty(story, "Pages-X", "10:10", "10:40")
    opsgenie(story, "PAGES-X", "op", ("Create", "10:50"), ("Close", "11:00"))
    return {"by": "service", "project": "pages-x", "fail": (1, 1), "recovery": (20.0, 2)}


def two_scripts(story: Story) -> Wanted:
    """Two scripts write one namespace and one service in two ways: the second is a rollback."""
    one, other = Script(story, "Two-Scripts"), Script(story, "two-scripts", "TWO-Scripts")
    one.deploy("09:00", version="1")
    other.deploy("10:00", version="2")
    one.deploy("10:30", began="10:20", version="1", key="again")
    wanted: Wanted = {"fail": (1, 3), "rework": (1, 3), "recovery": (10.0, 1)}
    return wanted | {"project": "two-scripts", "unknown": 2}


def plyzen_of_two_spellings(story: Story) -> Wanted:
    """The build is told of `Ply` and the deploy of `ply`: the build begins the change."""
    one, other = Plyzen(story, "Ply-Two", "Ply"), Plyzen(story, "ply-two", "ply")
    one.activity("build", "08:00", "08:10", version="1")
    other.deploy("09:00", version="1")
    one.activity("build", "09:30", "09:40", version="2")
    other.deploy("10:00", version="2")
    return {"lead": (0.75, 2), "project": "ply-two"}


def parts_of_two_spellings(story: Story) -> Wanted:
    """A product of two artifacts, one of which fails; another sender deploys both again."""
    told = Plyzen(story, "Part-Two")
    artifacts = [("Auth", "1", "success"), ("UI", "1", "failure")]
    told.advanced("c1", "deploy", "09:50", "10:00", artifacts=artifacts, product="Shop")
    artifacts = [("auth", "1", "success"), ("ui", "2", "success")]
    other = Plyzen(story, "part-two")
    other.advanced("c2", "deploy", "10:20", "10:30", artifacts=artifacts, product="Shop")
    return {"by": "service", "project": "ui", "fail": (1, 2), "recovery": (30.0, 1)}


def host_last(story: Story) -> Wanted:
    """The host, whose spelling counts, tells of itself after all others."""
    for n, spelt in enumerate(("ACME/Host-last", "acme/host-last", "Acme/host-Last")):
        Script(story, spelt, "host-last").deploy(f"1{n}:00", version=str(n))
    GitHub(story, "acme/Host-Last").push(("hl", "08:00"))
    return {"fail": (0, 3), "project": "acme/Host-Last"}


HOSTS = (GitHub, GitLab, Gitea, Bitbucket, BitbucketServer, Azure)
HISTORIES: dict[str, Tell] = {
    **{
        name: deployed_by(tool, name, ship)
        for tool in HOSTS
        for way, ship in SHIPS.items()
        if (name := f"{tool.__name__}-{way}".lower())
    },
    **{name: alerted(deploy, of=name) for name, deploy in DEPLOYS.items()},
    "pages": pages,
    "two-scripts": two_scripts,
    "ply-two": plyzen_of_two_spellings,
    "part-two": parts_of_two_spellings,
    "host-last": host_last,
}


@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_every_spelling_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured(RULES)
    assert told_in(order, server, HISTORIES) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, HISTORIES) == {}

"""Repositories of manifests: what a deployment of them ships is the application's change."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import Tell, of_projects, told_in
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.tools import argo_sync


def synced(
    story: Story, name: str, revision: str, began: str = "09:55", end: str = "10:00", *, image: str
) -> None:
    """Argo CD applies a commit of the application's repository of manifests."""
    app, ops = f"{name}-prod", f"acme/{name}-ops"
    argo_sync(story, app, began, end, repository=ops, revision=revision, image=image)


def bumped(
    title: str, *, image: str = "", known: bool = True, pulls: bool = False, twice: bool = False
) -> Tell:
    """A bot writes a new image into a repository of manifests, which Argo CD applies. The change is
    that of the application."""

    def tell(story: Story, name: str) -> Wanted:
        app, ops = GitHub(story, f"acme/{name}"), GitHub(story, f"acme/{name}-ops")
        commit = f"{name} 1"
        if known and pulls:
            app.pull(1, "08:00", "09:00", title="Add x", pushed=True)
            commit = app.merge_of(1)
        elif known:
            app.push((commit, "08:00"))
        said = {"name": name, "sha": sha(commit), "short": sha(commit)[:7]}
        bump = title.format(**said)
        ops.push((bump, "09:50"))
        synced(story, name, bump, image=image.format(**said))
        wanted: Wanted = (
            {"lead": (2.0, 1), "unknown": 0} if known else {"lead": (None, 0), "unknown": 1}
        )
        return wanted | {"changes": 1.0, "fail": (0, 1), "project": ops.name}

    return tell


def bumped_several(story: Story, name: str) -> Wanted:
    """The second image has two commits more than the first one."""
    app, ops = GitHub(story, f"acme/{name}"), GitHub(story, f"acme/{name}-ops")
    for n, clock in ((1, "08:00"), (2, "09:30"), (3, "10:00")):
        app.push((f"{name} {n}", clock))
    for n, clock, end in ((1, "08:50", "09:00"), (3, "10:50", "11:00")):
        tag = sha(f"{name} {n}")
        bump = f"Bump {name} to {tag[:7]}"
        ops.push((bump, clock))
        synced(story, name, bump, clock, end, image=f"ghcr.io/acme/{name}:{tag}")
    return {"lead": (1.0, 3), "unknown": 0, "changes": 1.5, "project": ops.name}  # 1, 1.5 and 1 h


def config_change(story: Story, name: str) -> Wanted:
    """A person changes the manifests: that is a change like others."""
    ops = GitHub(story, f"acme/{name}-ops")
    ops.push(("Give the pods more memory", "09:00"))
    synced(story, name, "Give the pods more memory", image=f"ghcr.io/acme/{name}:1.0")
    return {"lead": (1.0, 1), "changes": 1.0, "project": ops.name}


def of_a_namespace(story: Story, name: str) -> Wanted:
    """A script deploys commits of a repository into a namespace with a name of its own."""
    app, script = GitHub(story, f"acme/{name}"), Script(story, f"{name}-space", name)
    for n, clock in ((1, "08:00"), (2, "09:00"), (3, "10:30")):
        app.push((f"{name} {n}", clock))
    script.deploy("10:00", commit=sha(f"{name} 2"))
    script.deploy("11:00", commit=sha(f"{name} 3"))
    return {"lead": (1.0, 3), "unknown": 0, "changes": 1.5, "project": script.name}


HISTORIES: dict[str, Tell] = {
    "space": of_a_namespace,
    "ops-image": bumped("Bump {name} to {short}", image="ghcr.io/acme/{name}:{sha}"),
    "ops-short": bumped(
        "Update image ghcr.io/acme/{name} to sha-{short}", image="ghcr.io/acme/{name}:sha-{short}"
    ),
    "ops-title": bumped("Deploy {name}@{sha}"),
    "ops-pull": bumped("Bump {name} to {short}", image="ghcr.io/acme/{name}:{sha}", pulls=True),
    "ops-unknown": bumped("Bump {name} to {short}", image="ghcr.io/acme/{name}:{sha}", known=False),
    "ops-updater": bumped(
        "build: automatic update of {name}", image="ghcr.io/acme/{name}:1.4.2", known=False
    ),
    "ops-several": bumped_several,
    "ops-person": config_change,
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_every_history_of_manifests_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, of_projects(HISTORIES)) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, of_projects(HISTORIES)) == {}

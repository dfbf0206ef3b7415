"""Repositories of manifests: what a deployment of them ships is the application's change. A sync of
Argo CD names that repository; what Flux says of it is a commit alone."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import Tell, of_projects, told_in
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.presets import flux
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


def applied(story: Story, name: str, revision: str, *told: str, **metadata: str) -> None:
    """Flux applies a revision."""
    began, end = told or ("09:55", "10:00")
    flux(
        story, name, revision, ("Progressing", began), ("ReconciliationSucceeded", end),
        kind="Kustomization", **metadata,
    )  # fmt: skip


def flux_bumped(title: str, *, known: bool = True, pulls: bool = False) -> Tell:
    """The same as `bumped`, with Flux. A repository with another name than the service."""

    def tell(story: Story, name: str) -> Wanted:
        app, ops = GitHub(story, f"acme/{name}"), GitHub(story, f"acme/{name}-fleet")
        commit = f"{name} 1"
        if known and pulls:
            app.pull(1, "08:00", "09:00", title=f"Update {name}", pushed=True)
            commit = app.merge_of(1)
        elif known:
            app.push((commit, "08:00"))
        bump = title.format(name=name, sha=sha(commit), short=sha(commit)[:7])
        ops.push((bump, "09:50"))
        applied(story, name, f"main@sha1:{sha(bump)}")
        wanted: Wanted = (
            {"lead": (2.0, 1), "unknown": 0} if known else {"lead": (None, 0), "unknown": 1}
        )
        return wanted | {"changes": 1.0, "fail": (0, 1), "project": f"prod/{name}"}

    return tell


def flux_several(story: Story, name: str) -> Wanted:
    """Commits of the application, and one of a person in the manifests: 1, 1.5, 1 and 0.5 h."""
    app, ops = GitHub(story, f"acme/{name}"), GitHub(story, f"acme/{name}-fleet")
    for n, clock in ((1, "08:00"), (2, "09:30"), (3, "10:00")):
        app.push((f"{name} {n}", clock))
    for n, clock, end in ((1, "08:50", "09:00"), (3, "10:50", "11:00")):
        if n == 3:
            ops.push((f"{name}: more memory", "10:30"))
        bump = f"Bump {name} to {sha(f'{name} {n}')[:7]}"
        ops.push((bump, clock))
        applied(story, name, f"main@sha1:{sha(bump)}", clock, end)
    return {"lead": (1.0, 4), "unknown": 0, "changes": 2.0, "project": f"prod/{name}"}


def flux_person(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}-fleet")
    own.push((f"Give the pods of {name} more memory", "09:00"))
    applied(story, name, f"main@sha1:{sha(f'Give the pods of {name} more memory')}")
    return {"lead": (1.0, 1), "changes": 1.0, "project": f"prod/{name}"}


def flux_image(story: Story, name: str) -> Wanted:
    """An annotation tells the image; the bot's commit tells nothing."""
    app, ops = GitHub(story, f"acme/{name}"), GitHub(story, f"acme/{name}-fleet")
    app.push((f"{name} 1", "08:00"))
    ops.push((f"Update {name}", "09:50"))
    image = f"ghcr.io/acme/{name}:main-{sha(f'{name} 1')[:8]}-1772445600"
    fleet = ops.name
    applied(story, name, f"main@sha1:{sha(f'Update {name}')}", image=image, repository=fleet)
    return {"lead": (2.0, 1), "unknown": 0, "changes": 1.0, "project": fleet}


def flux_artifact(story: Story, name: str) -> Wanted:
    """An OCI artifact is made of a commit of the application."""
    app = GitHub(story, f"acme/{name}")
    for n, clock in ((1, "08:00"), (2, "10:30")):
        app.push((f"{name} {n}", clock))
    for n, began, end in ((1, "09:55", "10:00"), (2, "10:55", "11:00")):
        digest = f"latest@sha256:{sha(f'digest {n}')}{'0' * 24}"
        applied(story, name, digest, began, end, originRevision=f"main@sha1:{sha(f'{name} {n}')}")
    return {"lead": (1.25, 2), "unknown": 0, "fail": (0, 2), "project": f"prod/{name}"}


def flux_chart(of: str) -> Tell:
    """A chart tells the commit of the application, in its own or the application's version."""

    def tell(story: Story, name: str) -> Wanted:
        app = GitHub(story, f"acme/{name}")
        for n, clock, end in ((1, "08:00", "10:00"), (2, "10:30", "11:00")):
            app.push((f"{name} {n}", clock))
            commit = sha(f"{name} {n}")
            told = {"app-version": commit} if of == "application" else {}
            chart = "0.1.0" if told else f"0.1.0+{commit[:12]}"
            flux(story, name, chart, ("UpgradeSucceeded", end), **told)
        return {"lead": (1.25, 2), "unknown": 0, "successes": 2, "project": f"prod/{name}"}

    return tell


def fleet(story: Story, name: str, *told: tuple[str, ...]) -> None:
    """Commits of the manifests, each told by its events."""
    for commit, *events in told:
        flux(
            story, name, f"main@sha1:{sha(f'{name} {commit}')}",
            *((word, clock) for word, clock in zip(events[::2], events[1::2], strict=True)),
            kind="Kustomization", cluster="eu",
        )  # fmt: skip


DONE = "ReconciliationSucceeded"


def flux_of_a_fleet(story: Story, name: str) -> Wanted:
    """Of seven commits of the manifests the first and the sixth change something here. The third
    fails, and the fourth takes it back, which changes nothing."""
    fleet(
        story,
        name,
        ("1", "Progressing", "09:00", DONE, "09:05"),
        ("2", DONE, "10:00"),
        ("3", "ValidationFailed", "11:00"),
        ("4", DONE, "11:30"),
        ("5", DONE, "12:00"),
        ("6", "Progressing", "13:00", DONE, "13:05"),
        ("7", DONE, "14:00"),
    )
    return {"project": f"prod/{name}", "fail": (1, 4), "successes": 3, "recovery": (30.0, 1)}


def flux_of_a_large_fleet(story: Story, name: str) -> Wanted:
    """Twenty commits change others. The alert is about the first one, which changed something."""
    fleet(story, name, ("0", "Progressing", "03:00", DONE, "03:05"))
    fleet(story, name, *((f"{n}", DONE, f"{4 + n // 2}:{n % 2}0") for n in range(1, 21)))
    alertmanager(story, name, "16:00", "16:20")
    return {"project": f"prod/{name}", "fail": (1, 1), "successes": 1, "recovery": (20.0, 1)}


def flux_without_starts(story: Story, name: str) -> Wanted:
    """An Alert that leaves Progressing out."""
    fleet(story, name, ("1", DONE, "09:00"), ("2", DONE, "10:00"))
    return {"project": f"prod/{name}", "fail": (0, 2), "successes": 2}


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
    "fx-short": flux_bumped("Bump {name} to {short}"),
    "fx-title": flux_bumped("Deploy {name}@{sha}"),
    "fx-pull": flux_bumped("Bump {name} to {short}", pulls=True),
    "fx-unknown": flux_bumped("Bump {name} to {short}", known=False),
    "fx-several": flux_several,
    "fx-person": flux_person,
    "fx-fleet": flux_of_a_fleet,
    "fx-large": flux_of_a_large_fleet,
    "fx-bare": flux_without_starts,
    "fx-image": flux_image,
    "fx-oci": flux_artifact,
    "fx-chart": flux_chart("chart"),
    "fx-app": flux_chart("application"),
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_every_history_of_manifests_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, of_projects(HISTORIES)) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, of_projects(HISTORIES)) == {}

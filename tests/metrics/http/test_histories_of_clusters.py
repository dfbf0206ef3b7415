"""Rollouts to several clusters, by tools that know no run that joins them: one version is one
deployment, which reaches one cluster after another."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import Tell, of_projects, told_in
from tests.metrics.http.presets import flux
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_rollouts import rollout, with_fields
from tests.metrics.http.tools import argo_sync


def helm(story: Story, name: str, *told: tuple[str, str, str, str]) -> Wanted:
    """Actions of Flux' Helm controllers, each (cluster, chart, reason, time)."""
    for cluster, chart, reason, clock in told:
        flux(story, name, chart, (reason, clock), cluster=cluster)
    return {"project": f"prod/{name}"}


def applied(story: Story, name: str, *told: tuple[str, str, str, str, str]) -> Wanted:
    """Kustomizations, each (cluster, commit, begin, reason, end)."""
    for cluster, commit, began, reason, end in told:
        flux(
            story, name, f"main@sha1:{sha(commit)}", ("Progressing", began), (reason, end),
            kind="Kustomization", cluster=cluster,
        )  # fmt: skip
    return {"project": f"prod/{name}"}


def synced(story: Story, name: str, *told: tuple[str, str, str, str, bool], user: str = "") -> None:
    """Syncs of one application in the Argo CD of each cluster, each (cluster, commit, begin, end,
    whether it got healthy)."""
    for cluster, commit, began, end, ok in told:
        argo_sync(story, f"{name}-prod", began, end, ok, repository=f"acme/{name}", revision=commit)
        url = f"https://argocd.{cluster}.example/applications/{name}-prod"
        with_fields(story, 3, url=url, user=user or None)


def helm_a_minute_apart(story: Story, name: str) -> Wanted:
    """An install, an upgrade and other values."""
    return helm(
        story,
        name,
        ("eu", "1.0.0", "InstallSucceeded", "09:00"),
        ("us", "1.0.0", "InstallSucceeded", "09:01"),
        ("eu", "1.1.0", "UpgradeSucceeded", "10:00"),
        ("us", "1.1.0", "UpgradeSucceeded", "10:01"),
        ("eu", "1.1.0", "UpgradeSucceeded", "12:00"),
        ("us", "1.1.0", "UpgradeSucceeded", "12:01"),
    ) | {"fail": (0, 3), "successes": 3, "rework": (0, 3)}


def helm_tried_again_in_one(story: Story, name: str) -> Wanted:
    return helm(
        story,
        name,
        ("eu", "1.0.0", "InstallSucceeded", "09:00"),
        ("us", "1.0.0", "InstallSucceeded", "09:01"),
        ("us", "1.1.0", "UpgradeFailed", "09:59"),
        ("eu", "1.1.0", "UpgradeSucceeded", "10:00"),
        ("us", "1.1.0", "UpgradeSucceeded", "10:06"),
    ) | {"fail": (0, 2), "successes": 2}


def helm_fails_in_one(story: Story, name: str) -> Wanted:
    return helm(
        story,
        name,
        ("eu", "1.0.0", "InstallSucceeded", "09:00"),
        ("us", "1.0.0", "InstallSucceeded", "09:01"),
        ("eu", "1.1.0", "UpgradeSucceeded", "10:00"),
        ("us", "1.1.0", "UpgradeFailed", "10:01"),
        ("eu", "1.2.0", "UpgradeSucceeded", "11:00"),
        ("us", "1.2.0", "UpgradeSucceeded", "11:01"),
    ) | {"fail": (1, 3), "successes": 2, "recovery": (60.0, 1), "rework": (0, 3)}


def helm_rolls_back_in_both(story: Story, name: str) -> Wanted:
    """Flux rolls back in each, a minute apart."""
    return helm(
        story,
        name,
        ("eu", "1.0.0", "InstallSucceeded", "09:00"),
        ("us", "1.0.0", "InstallSucceeded", "09:01"),
        ("eu", "1.1.0", "UpgradeFailed", "10:00"),
        ("us", "1.1.0", "UpgradeFailed", "10:01"),
        ("eu", "1.0.0", "RollbackSucceeded", "10:02"),
        ("us", "1.0.0", "RollbackSucceeded", "10:03"),
    ) | {"fail": (1, 3), "successes": 2, "recovery": (2.0, 1), "rework": (1, 3)}


def helm_tried_again_after_rollbacks(story: Story, name: str) -> Wanted:
    """Flux rolls back after each of two tries; the first version is innocent of both."""
    return helm(
        story,
        name,
        ("eu", "1.0.0", "InstallSucceeded", "09:00"),
        ("eu", "1.1.0", "UpgradeFailed", "10:00"),
        ("eu", "1.0.0", "RollbackSucceeded", "10:02"),
        ("eu", "1.1.0", "UpgradeFailed", "10:10"),
        ("eu", "1.0.0", "RollbackSucceeded", "10:13"),
        ("eu", "1.2.0", "UpgradeSucceeded", "11:00"),
    ) | {"fail": (2, 6), "rework": (2, 6), "recovery": (2.5, 2), "successes": 4}


def kustomization_in_waves(story: Story, name: str) -> Wanted:
    """The second cluster is three hours behind, where the first revision fails. Drift that is put
    right in the first one meanwhile is nothing."""
    done = "ReconciliationSucceeded"
    return applied(
        story,
        name,
        ("eu", "a", "10:00", done, "10:03"),
        ("us", "a", "13:00", "HealthCheckFailed", "13:05"),
        ("eu", "a", "13:30", done, "13:31"),
        ("eu", "b", "14:00", done, "14:02"),
        ("us", "b", "15:00", done, "15:02"),
    ) | {"fail": (1, 2), "successes": 1, "recovery": (117.0, 1), "rework": (0, 2)}


def argo_at_once(story: Story, name: str) -> Wanted:
    """One push starts the syncs in the same second; in one cluster the pods never get healthy."""
    synced(story, name, ("eu", "a", "10:00", "10:05", True), ("us", "a", "10:00", "10:04", False))
    return {"fail": (1, 1), "successes": 0}


def argo_in_waves(story: Story, name: str) -> Wanted:
    """The change has shipped when it has reached the last cluster."""
    GitHub(story, f"acme/{name}").push(("a", "08:00"))
    synced(story, name, ("eu", "a", "09:00", "09:05", True), ("us", "a", "12:00", "12:30", True))
    return {"fail": (0, 1), "successes": 1, "lead": (4.5, 1)}


def argo_fails_in_the_second_wave(story: Story, name: str) -> Wanted:
    """A sync by hand, which succeeds there, is a deployment of its own."""
    synced(story, name, ("eu", "a", "09:00", "09:05", True), ("us", "a", "12:00", "12:10", False))
    synced(story, name, ("us", "a", "12:30", "12:40", True), user="eva")
    return {"fail": (1, 2), "successes": 1, "recovery": (30.0, 1), "rework": (0, 2)}


def argo_overtaken(story: Story, name: str) -> Wanted:
    """The next version begins in the first cluster before the last one has reached the second."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} a", "08:00"))
    own.push((f"{name} b", "09:30"))
    for cluster, commit, began, end in (
        ("eu", "a", "09:00", "09:10"),
        ("eu", "b", "10:00", "10:10"),
        ("us", "a", "11:00", "11:10"),
        ("us", "b", "12:00", "12:10"),
    ):
        synced(story, name, (cluster, f"{name} {commit}", began, end, True))
    return {"fail": (0, 2), "successes": 2, "rework": (0, 2)}


def argo_back_in_one(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} a", "08:00"))
    own.push((f"{name} b", "09:30"))
    for cluster, commit, began, end in (
        ("eu", "a", "09:00", "09:10"),
        ("us", "a", "09:20", "09:25"),
        ("eu", "b", "10:00", "10:10"),
        ("us", "b", "10:20", "10:25"),
    ):
        synced(story, name, (cluster, f"{name} {commit}", began, end, True))
    synced(story, name, ("us", f"{name} a", "11:00", "11:08", True), user="eva")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (8.0, 1)}


def argo_in_a_new_cluster(story: Story, name: str) -> Wanted:
    """A cluster that is added days later gets a deployment of its own."""
    synced(
        story, name, ("eu", "a", "09:00", "09:05", True), ("us", "a", "Thu 9:00", "Thu 9:05", True)
    )
    return {"fail": (0, 2), "successes": 2, "rework": (0, 2)}


def rollouts_in_waves(story: Story, name: str) -> Wanted:
    for cluster, tag, began, end, word in (
        ("eu", "1.0", "09:00", "09:05", "Healthy"),
        ("us", "1.0", "10:00", "10:05", "Healthy"),
        ("eu", "1.1", "12:00", "12:05", "Healthy"),
        ("us", "1.1", "13:00", "13:10", "Degraded"),
    ):
        rollout(story, name, (tag, "Progressing", began), (tag, word, end))
        with_fields(story, 2, cluster=cluster)
    return {"fail": (1, 2), "successes": 1, "open": 1, "project": f"prod/{name}"}


def waves_of_many(story: Story, name: str) -> Wanted:
    """Twelve clusters, one an hour."""
    for commit, day in (("a", "Mon"), ("b", "Tue")):
        for hour in range(12):
            synced(
                story, name,
                (f"c{hour}", f"{name} {commit}", f"{day} {hour}:00", f"{day} {hour}:05", True),
            )  # fmt: skip
    return {"fail": (0, 2), "successes": 2}


HISTORIES: dict[str, Tell] = {
    "hcl1": helm_a_minute_apart,
    "hcl2": helm_tried_again_in_one,
    "hcl3": helm_fails_in_one,
    "hcl4": helm_rolls_back_in_both,
    "hcl5": helm_tried_again_after_rollbacks,
    "kcl1": kustomization_in_waves,
    "acl1": argo_at_once,
    "acl2": argo_in_waves,
    "acl3": argo_fails_in_the_second_wave,
    "acl4": argo_overtaken,
    "acl5": argo_back_in_one,
    "acl6": argo_in_a_new_cluster,
    "rcl1": rollouts_in_waves,
    "wcl1": waves_of_many,
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_every_history_of_clusters_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, of_projects(HISTORIES)) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, of_projects(HISTORIES)) == {}

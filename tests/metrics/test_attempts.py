"""Attempts, matrices and repeats: which deploys are one deployment, and how it ended."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.metrics.world import t
from vs_tui.metrics.attempts import (
    merge_attempts,
    merge_regions,
    merge_repeats,
    merge_runs,
    order,
)
from vs_tui.metrics.facts import Deployment, DeployOutcome

OK, FAILED = DeployOutcome.OK, DeployOutcome.FAILED
CANCELLED, PENDING = DeployOutcome.CANCELLED, DeployOutcome.PENDING


def deploy(began: str, ended: str, outcome: DeployOutcome, **more: Any) -> Deployment:
    values: dict[str, Any] = {"key": f"{began} {more.get('leg', '')}", "version": "1", **more}
    return Deployment(
        project="acme/api", service="api", environment="production",
        started_at=t(began), ended_at=t(ended), outcome=outcome, **values,
    )  # fmt: skip


def told(found: list[Deployment]) -> list[tuple[int, int, str]]:
    return [(d.started_at, d.ended_at, d.outcome.value) for d in found]


def meant(*found: tuple[str, str, DeployOutcome]) -> list[tuple[int, int, str]]:
    return [(t(began), t(ended), outcome.value) for began, ended, outcome in found]


TRIED = [
    ("once", [OK], [("10:00", "10:05", OK)]),
    ("again until it works", [FAILED, FAILED, OK], [("10:00", "10:25", OK)]),
    ("again in vain", [FAILED, FAILED], [("10:00", "10:15", FAILED)]),
    ("a cancelled retry says nothing", [FAILED, CANCELLED], [("10:00", "10:05", FAILED)]),
    ("only cancelled", [CANCELLED, CANCELLED], [("10:00", "10:15", CANCELLED)]),
    ("after a success anew", [OK, FAILED], [("10:00", "10:05", OK), ("10:10", "10:15", FAILED)]),
    ("still going on", [FAILED, PENDING], [("10:00", "10:15", PENDING)]),
]
CLOCKS = ("10:00", "10:10", "10:20")


@pytest.mark.parametrize(("outcomes", "wanted"), [t[1:] for t in TRIED], ids=[t[0] for t in TRIED])
@pytest.mark.parametrize("backwards", [False, True])
def test_attempts_are_one_deployment_with_the_last_outcome(outcomes, wanted, backwards) -> None:
    found = [
        deploy(began, f"{began[:-1]}5", outcome)
        for began, outcome in zip(CLOCKS, outcomes, strict=False)
    ]
    retry_of = {later.key: before.key for before, later in pairwise(found)}
    merged = merge_attempts(found[::-1] if backwards else found, retry_of)
    assert told(merged) == meant(*wanted)


def test_a_retry_after_a_rollback_is_a_new_deployment() -> None:
    """Else the rollback would take back what was there before the first try."""
    one, other = deploy("10:00", "10:05", FAILED, run="7"), deploy("10:20", "10:25", OK, run="7")
    back = deploy("10:10", "10:12", OK, version="0", marked="rollback")
    assert len(merge_attempts([one, back, other], {other.key: one.key})) == 3
    assert len(merge_runs([one, back, other])) == 3
    before = deploy("09:50", "09:55", OK, version="0", marked="rollback")
    assert len(merge_runs([before, one, other])) == 2


COMMIT = "5f0c1ab2" * 5


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({"version": COMMIT}, {"version": COMMIT[:8]}),
        ({"version": "v1.4"}, {"version": "1.4"}),
        ({"version": "1.4", "commit": COMMIT}, {"version": COMMIT, "commit": COMMIT}),
        ({"version": "1.4", "commit": COMMIT}, {"version": COMMIT[:7]}),
    ],
)
def test_what_two_tools_deploy_at_once_is_one_deployment(own, other) -> None:
    for attempt in (0, 1):
        pair = [
            deploy("10:00", "10:05", OK, key="ci", run="7", run_attempt=attempt, **own),
            deploy("10:03", "10:04", OK, key="script", **other),
        ]
        assert told(merge_runs(pair)) == meant(("10:00", "10:05", OK))
    later = deploy("10:05", "10:06", OK, key="script", **other)
    assert len(merge_runs([pair[0], later])) == 2


def test_two_builds_of_one_commit_are_two_deployments() -> None:
    pair = [deploy("10:00", "10:05", OK, key=v, version=v, commit=COMMIT) for v in ("b1", "b2")]
    assert len(merge_runs(pair)) == 2


def test_retries_that_name_each_other_are_one_deployment() -> None:
    one, other = deploy("10:00", "10:05", FAILED), deploy("10:10", "10:15", OK)
    found = merge_attempts([one, other], {one.key: other.key, other.key: one.key})
    assert told(found) == meant(("10:00", "10:15", OK))


RUNS = [
    (
        "a matrix fails with one part",
        [("10:00", "10:05", OK, "eu", 1), ("10:01", "10:06", FAILED, "us", 1)],
        [("10:00", "10:06", FAILED)],
    ),
    (
        "the next attempt runs only what failed",
        [
            ("10:00", "10:05", OK, "eu", 1),
            ("10:01", "10:06", FAILED, "us", 1),
            ("10:20", "10:25", OK, "us", 2),
        ],
        [("10:00", "10:25", OK)],
    ),
    (
        "all again after a success",
        [("10:00", "10:05", OK, "eu", 1), ("10:20", "10:25", OK, "eu", 2)],
        [("10:00", "10:05", OK), ("10:20", "10:25", OK)],
    ),
    (
        "a cancelled part says nothing",
        [("10:00", "10:05", OK, "eu", 1), ("10:01", "10:02", CANCELLED, "us", 1)],
        [("10:00", "10:05", OK)],
    ),
    (
        "not over while a part goes on",
        [("10:00", "10:05", FAILED, "eu", 1), ("10:01", "10:06", PENDING, "us", 1)],
        [("10:00", "10:06", PENDING)],
    ),
    (
        "regions one soon after the other, without attempts and jobs",
        [("10:00", "10:05", OK, "", 0), ("10:09", "10:12", OK, "", 0)],
        [("10:00", "10:12", OK)],
    ),
    (
        "two deployments an hour apart",
        [("10:00", "10:05", OK, "", 0), ("11:00", "11:05", OK, "", 0)],
        [("10:00", "10:05", OK), ("11:00", "11:05", OK)],
    ),
]


@pytest.mark.parametrize(("parts", "wanted"), [run[1:] for run in RUNS], ids=[r[0] for r in RUNS])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_deploys_of_a_run_are_one_deployment(parts, wanted, backwards) -> None:
    found = [
        deploy(began, ended, outcome, run="7", leg=leg, run_attempt=attempt)
        for began, ended, outcome, leg, attempt in parts
    ]
    assert told(merge_runs(found[::-1] if backwards else found)) == meant(*wanted)


@pytest.mark.parametrize(
    ("more", "deployments"),
    [({}, 1), ({"version": "2"}, 2), ({"version": "latest"}, 2), ({"correlation": "x"}, 2)],
    ids=["same version", "another version", "a name that moves", "another correlation"],
)
def test_deploys_at_once_without_a_run_are_one_if_of_one_version(more, deployments) -> None:
    name = {"version": "latest"} if more.get("version") == "latest" else {}
    pair = [deploy("10:00", "10:05", OK, **name), deploy("10:03", "10:08", OK, **more)]
    assert len(merge_runs(pair)) == deployments


@pytest.mark.parametrize(
    ("repeat", "of_same_span", "ended", "deployments"),
    [
        ("drift", False, "10:05", 1),
        ("promotion", True, "11:05", 1),
        ("promotion", False, "10:05", 2),
        ("", False, "10:05", 2),
    ],
)
def test_what_is_live_already_is_no_new_deployment(
    repeat, of_same_span, ended, deployments
) -> None:
    """Another build of the same commit is no promotion of the first one."""
    first = deploy("10:00", "10:05", OK, commit="c1")
    run_of = first.key if of_same_span else ""
    again = deploy("11:00", "11:05", OK, commit="c1", repeat=repeat, run_of=run_of)
    found = merge_repeats([first, again])
    assert (len(found), found[0].ended_at) == (deployments, t(ended))
    broken = deploy("10:00", "10:05", FAILED, commit="c1")
    assert len(merge_repeats([broken, again])) == 2, "what failed is not live"


WAVES = [
    ("one after another", [("eu", "09:00"), ("us", "11:00")], 1),
    ("back in one", [("eu", "09:00"), ("us", "09:10"), ("us", "10:00")], 2),
    ("back in both", [("eu", "09:00"), ("us", "09:10"), ("eu", "10:00"), ("us", "10:10")], 2),
    ("unknown", [("", "09:00"), ("", "11:00")], 2),
]


@pytest.mark.parametrize(("told_of", "count"), [w[1:] for w in WAVES], ids=[w[0] for w in WAVES])
@pytest.mark.parametrize("version", ["1", "latest"])
def test_a_version_reaches_one_region_after_another(told_of, count, version) -> None:
    """A name that moves is no version."""
    found = [
        deploy(began, began[:-1] + "5", OK, regions=(region,) if region else (), version=version)
        for region, began in told_of
    ]
    merged = merge_regions(reversed(found))
    assert len(merged) == (len(found) if version == "latest" else count)
    assert max(merged, key=order).ended_at == found[-1].ended_at


def test_a_region_fails_though_another_succeeds_later() -> None:
    one = deploy("09:00", "09:05", FAILED, regions=("eu",), leg="eu", name="api to production")
    other = deploy("09:10", "09:15", OK, regions=("us",), leg="us", name="api to production")
    assert told(merge_regions([other, one])) == meant(("09:00", "09:15", FAILED))


def test_what_is_live_in_another_region_is_no_repeat() -> None:
    own: dict[str, Any] = {"repeat": "drift", "commit": "c"}
    first = deploy("09:00", "09:05", OK, regions=("eu",), **own)
    again = deploy("10:00", "10:05", OK, regions=("eu",), **own)
    other = deploy("11:00", "11:05", FAILED, regions=("us",), **own)
    unknown = deploy("12:00", "12:05", OK, **own)
    assert merge_repeats([first, again, other]) == [first, other]
    assert merge_repeats([first, unknown]) == [first]

"""One incident of an alert, wherever its start moves to."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.store.tracing import World, custom, posted
from vs_tui.model.time import iso

DAY = "2026-03-02T"


def alert(start: str, end: str = "", fingerprint: str = "c8b5"):
    """What is told of an alert: firing, or resolved at `end`."""
    return {
        "status": "resolved" if end else "firing",
        "fingerprint": fingerprint,
        "startsAt": f"{DAY}{start}Z",
        "endsAt": f"{DAY}{end}Z" if end else "0001-01-01T00:00:00Z",
        "labels": {"alertname": "CartFails", "service": "cart", "environment": "production"},
    }


def told(source: str, *alerts):
    version = {"alertmanager": "4", "grafana": "1"}[source]
    return posted(source, {"version": version, "status": "firing", "alerts": list(alerts)})


def incidents(world: World) -> list[tuple[str, str, str]]:
    """(start, end, status) in order."""
    rows = world.db.execute(
        "SELECT started_at, ended_at, status FROM spans WHERE operation = 'incident' ORDER BY 1"
    )
    return [(iso(s)[11:19], iso(e)[11:19] if e else "", status) for s, e, status in rows]


def in_any_order(*deliveries) -> list[tuple[str, str, str]]:
    expected = World().deliver(*deliveries)
    for order in permutations(deliveries):
        world = World().deliver(*order)
        assert world.rows() == expected.rows(), [d.body for d in order]
    assert World().deliver(list(deliveries)).rows() == expected.rows()
    assert World().deliver(*deliveries, *deliveries).rows() == expected.rows()
    assert World().deliver(*deliveries[::-1]).rebuild().rows() == expected.rows()
    return incidents(expected)


CASES = {
    "the resolved start is earlier": (
        [("10:00:30",), ("10:00:15", "10:20:00")],
        [("10:00:15", "10:20:00", "ok")],
    ),
    "it is stated as the end": (
        [("10:00:00",), ("10:20:00", "10:20:00")],
        [("10:00:00", "10:20:00", "ok")],
    ),
    "it moves while firing": (
        [("10:00:30",), ("10:00:15",), ("10:00:15", "10:20:00")],
        [("10:00:15", "10:20:00", "ok")],
    ),
    "it moves and still fires": (
        [("10:00:30",), ("10:00:15",)],
        [("10:00:15", "", "in_flight")],
    ),
    "it fires again afterwards": (
        [("10:00:30",), ("10:00:15", "10:20:00"), ("11:00:00",)],
        [("10:00:15", "10:20:00", "ok"), ("11:00:00", "", "in_flight")],
    ),
    "it flaps": (
        [("10:00:00",), ("10:00:00", "10:03:00"), ("10:05:00",), ("10:05:00", "10:09:00")],
        [("10:00:00", "10:03:00", "ok"), ("10:05:00", "10:09:00", "ok")],
    ),
    "only its end is heard": (
        [("10:00:00", "10:03:00")],
        [("10:00:00", "10:03:00", "ok")],
    ),
    "the second of two ends in another name": (
        [("08:00:00",), ("08:00:00", "08:10:00"), ("09:00:00",), ("09:30:00", "09:40:00")],
        [("08:00:00", "08:10:00", "ok"), ("09:00:00", "09:40:00", "ok")],
    ),
}


@pytest.mark.parametrize("source", ["alertmanager", "grafana"])
@pytest.mark.parametrize("case", CASES)
def test_an_incident_is_one_wherever_its_start_moves(case, source) -> None:
    notifications, expected = CASES[case]
    deliveries = [told(source, alert(*each)) for each in notifications]
    assert in_any_order(*deliveries) == expected


def test_alerts_of_another_fingerprint_are_left_alone() -> None:
    deliveries = [
        told("alertmanager", alert("10:00:30", fingerprint="a")),
        told("alertmanager", alert("10:00:15", "10:20:00", fingerprint="a-1")),
    ]
    assert in_any_order(*deliveries) == [
        ("10:00:15", "10:20:00", "ok"),
        ("10:00:30", "", "in_flight"),
    ]


def test_the_names_of_before_lead_to_it_and_its_deploy_stays_linked() -> None:
    tags = {"service": "cart", "environment": "production"}
    deploys = [
        custom("deploy", 1, action, clock, tags=tags)
        for action, clock in (("start", "09:50:00"), ("end", "09:55:00"))
    ]
    world = World().deliver(*deploys, told("alertmanager", alert("10:00:30")))
    world.deliver(told("alertmanager", alert("10:00:15", "10:20:00")))
    ((key,),) = world.db.execute("SELECT key FROM spans WHERE operation = 'incident'")
    names = {
        value for (value,) in world.db.execute("SELECT value FROM offers WHERE key = ?", (key,))
    }
    assert any(name.endswith("-1772445630000000") for name in names)
    parents = world.db.execute("SELECT child, parent FROM links").fetchall()
    assert parents == [(key, "vstrace-customhttp-deploy-default-1")]

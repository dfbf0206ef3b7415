"""Which deliveries are repeats: what a sender's id, body and time each prove."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.store.conftest import T, rebuilt, rows_of
from vs_tui.log.delivery import dedupe_key
from vs_tui.model.time import DAY, HOUR, SECOND
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import Inbound
from vs_tui.sources.dispatch import intake_of, one_source, read

NIGHTLY = {"type": "build", "id": "nightly"}
DUPLICATE, ACCEPTED = Verdict.DUPLICATE, Verdict.ACCEPTED


def sent(body, *, at=0, source="customhttp", path="", proof="token", **headers):
    """A delivery that arrives `at` microseconds into the test; `idempotency_key` is a header."""
    tool = one_source(source)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    inbound = Inbound(path or tool.paths[0], named, orjson.dumps(body), T + at)
    return intake_of(tool, inbound, read(tool, inbound), proof)


def custom(action, *, at=0, **headers):
    return sent({**NIGHTLY, "action": action}, at=at, **headers)


async def verdicts(writer, intakes):
    return [(await writer.submit(intake)).verdict for intake in intakes]


async def told(writer, sql):
    return await writer.run(lambda db: db.execute(sql).fetchall())


def github(number):
    issue = {"number": number, "title": "t", "state": "open", "user": {"login": "x"}}
    issue |= dict.fromkeys(("created_at", "updated_at"), "2026-03-01T10:00:00Z")
    return {"action": "opened", "issue": issue, "repository": {"full_name": "o/r", "name": "r"}}


BODIES = {
    "customhttp": ("idempotency_key", {**NIGHTLY, "action": "start"}, {**NIGHTLY, "action": "end"}),
    "github": ("x_github_delivery", github(1), github(2)),
    "jira": (
        "x_atlassian_webhook_identifier",
        {"webhookEvent": "sprint_started", "sprint": {"id": 1, "state": "active", "name": "a"}},
        {"webhookEvent": "sprint_started", "sprint": {"id": 2, "state": "active", "name": "b"}},
    ),
    "linear": (
        "linear_delivery",
        {"type": "Issue", "action": "create", "data": {"id": "a", "identifier": "E-1"}},
        {"type": "Issue", "action": "create", "data": {"id": "b", "identifier": "E-2"}},
    ),
}


@pytest.mark.parametrize("source", BODIES)
async def test_another_body_under_an_id_is_stored_and_flagged(open_writer, source) -> None:
    """A script that reuses its build number as the key loses nothing."""
    name, first, second = BODIES[source]
    header = {name: "build-42", "x_github_event": "issues"}
    intakes = [sent(b, source=source, **header) for b in (first, second, first, second)]
    writer = await open_writer()
    outcomes = [await writer.submit(intake) for intake in intakes]
    assert [o.verdict is DUPLICATE for o in outcomes] == [False, False, True, True]
    assert outcomes[2].delivery_id == 1
    assert outcomes[3].delivery_id == 2
    bodies = [orjson.loads(b) for (b,) in await told(writer, "SELECT body FROM deliveries")]
    assert bodies == [first, second]
    reasons = [reason for (reason,) in await told(writer, "SELECT reason FROM deliveries")]
    assert "another body" not in reasons[0]
    assert "same id as delivery 1, another body" in reasons[1]
    await rebuilt(writer)
    assert [r for (r,) in await told(writer, "SELECT reason FROM deliveries")] == reasons


async def test_both_bodies_of_an_id_in_one_batch(open_writer) -> None:
    _, first, second = BODIES["github"]
    header = {"x_github_delivery": "a", "x_github_event": "issues"}
    writer = await open_writer()
    outcomes = await asyncio.gather(
        *(writer.submit(sent(b, source="github", **header)) for b in (first, second, second))
    )
    assert [o.verdict for o in outcomes] == [ACCEPTED, ACCEPTED, DUPLICATE]


def test_no_id_is_cut() -> None:
    long = "/" + "a" * 400
    names = {dedupe_key("/cdevents", b"{}", f"{long} id{n} type") for n in range(3)}
    assert len(names) == 3
    assert all(len(name) < 310 for name in names)
    assert dedupe_key("/x", b"{}", "short") == "id:short"


async def test_custom_events_without_key_and_time_are_runs(open_writer) -> None:
    writer = await open_writer()
    actions = ["start", "end", "start", "end"]
    intakes = [custom(action, at=n * SECOND) for n, action in enumerate(actions)]
    assert await verdicts(writer, intakes) == [ACCEPTED] * 4
    ((status, began, ended, reopens),) = await told(
        writer, "SELECT status, started_at, ended_at, reopens FROM spans WHERE operation = 'build'"
    )
    assert (status, began, ended, reopens) == ("ok", T, T + 3 * SECOND, 1)


async def test_a_retry_of_the_latest_is_a_repeat(open_writer) -> None:
    writer = await open_writer()
    intakes = [
        custom("start"),
        custom("start", at=SECOND),
        custom("end", at=2 * SECOND),
        custom("end", at=HOUR),
        custom("end", at=3 * DAY),
    ]
    expected = [ACCEPTED, DUPLICATE, ACCEPTED, DUPLICATE, ACCEPTED]
    assert await verdicts(writer, intakes) == expected


async def test_a_history_that_is_replayed_again_is_no_second_run(open_writer) -> None:
    writer = await open_writer()
    history = [custom(a, at=n * SECOND) for n, a in enumerate(("start", "end", "start", "end"))]
    await verdicts(writer, history)
    before = await rows_of(writer)
    assert await verdicts(writer, history) == [DUPLICATE] * 4
    assert await rows_of(writer) == before


@pytest.mark.parametrize("proof", ["signature, newest secret", "token, newest secret"])
async def test_a_custom_body_replayed_under_another_key_changes_nothing(open_writer, proof) -> None:
    writer = await open_writer()
    keys = ["a", "b", "c", "d"]
    intakes = [
        custom(action, at=n * HOUR, proof=proof, idempotency_key=key)
        for n, (key, action) in enumerate(zip(keys, ("start", "end") * 2, strict=True))
    ]
    assert await verdicts(writer, intakes[:2]) == [ACCEPTED] * 2
    before = await rows_of(writer)
    assert await verdicts(writer, intakes[2:]) == [DUPLICATE] * 2
    assert await rows_of(writer) == before
    await rebuilt(writer)
    assert await rows_of(writer) == before


async def test_a_signed_body_without_a_time_is_known_under_any_id(open_writer) -> None:
    """Jira signs the body and not its identifier; this body has no time."""
    name, first, second = BODIES["jira"]
    writer = await open_writer()
    bodies = enumerate((first, second, first, second))
    intakes = [
        sent(b, source="jira", at=n * HOUR, proof="signature, newest secret", **{name: f"id-{n}"})
        for n, b in bodies
    ]
    assert await verdicts(writer, intakes) == [ACCEPTED, ACCEPTED, DUPLICATE, DUPLICATE]


async def test_a_time_of_its_own_makes_an_event_another(open_writer) -> None:
    """A client that sends times may run one id as often as it likes."""
    writer = await open_writer()
    intakes = [
        sent({**NIGHTLY, "action": action, "timestamp": T + n}, idempotency_key=f"k{n}", at=HOUR)
        for n, action in enumerate(("start", "end", "start", "end"))
    ]
    assert await verdicts(writer, intakes) == [ACCEPTED] * 4

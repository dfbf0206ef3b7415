"""Decisions about links, as deliveries."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from tests.sources.webhook_tools import RECEIVED, assert_survives, malformed
from vs_tui.model.vocabulary import cuts
from vs_tui.sources.base import BadBody, Inbound, Unauthorized
from vs_tui.sources.decisions import SOURCE

CHILD, PARENT = "vstrace-customhttp-build-default-1", "vstrace-customhttp-build-default-2"


def inbound(body: Any, at: int = RECEIVED) -> Inbound:
    return Inbound("/api/links", {}, json.dumps(body).encode(), at)


def decision(action: str, parent: str = PARENT) -> dict[str, str]:
    return {"action": action, "child": CHILD, "parent": parent}


@pytest.mark.parametrize(
    ("action", "parent", "attributes"),
    [
        ("pin", PARENT, {"vs.pin": PARENT, f"vs.cut:{PARENT}": 0}),
        ("cut", PARENT, {f"vs.cut:{PARENT}": RECEIVED}),
        ("clear", PARENT, {f"vs.cut:{PARENT}": 0}),
        ("clear", "", {"vs.pin": "", "vs.cleared": RECEIVED}),
    ],
)
def test_a_decision_is_a_note_on_the_child(action, parent, attributes) -> None:
    parsed = SOURCE.parse(inbound(decision(action, parent)))
    (event,) = parsed.events
    assert (parsed.kind, parsed.requires, event.key) == (f"link.{action}", CHILD, CHILD)
    assert event.attributes == attributes
    assert [seek.key.value for seek in event.seeks] == ([PARENT] if action == "pin" else [])


def test_a_cut_counts_until_it_is_cleared_or_pinned() -> None:
    name = f"vs.cut:{PARENT}"
    assert cuts({name: 5}) == [PARENT]
    assert cuts({name: 5, "vs.cleared": 6}) == []
    assert cuts({name: 7, "vs.cleared": 6}) == [PARENT]
    assert cuts({name: 0}) == []
    assert cuts({name: "yes", "vs.cleared": "no"}) == [], "a sender's tags are no decisions"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "glue", "child": CHILD, "parent": PARENT}, "action"),
        ({"action": "pin", "parent": PARENT}, "child"),
        ({"action": "pin", "child": CHILD}, "parent"),
        ({"action": "cut", "child": CHILD, "parent": ""}, "parent"),
        ({"action": "pin", "child": CHILD, "parent": CHILD}, "parent"),
        ([], "body"),
    ],
)
def test_a_wrong_decision_names_the_field(body, field) -> None:
    with pytest.raises(BadBody) as refused:
        SOURCE.parse(inbound(body))
    assert refused.value.field == field


def test_the_same_decision_twice_is_meant_twice() -> None:
    first, second = inbound(decision("pin")), inbound(decision("pin"), RECEIVED + 1)
    at_once = inbound(decision("cut"))
    names = {SOURCE.dedupe_key(each) for each in (first, second, at_once)}
    assert len(names) == 3


BODY = json.dumps(decision("pin")).encode()


def signed(secret: bytes, sent: bytes = BODY, at: int = RECEIVED or 0) -> Inbound:
    proof = hmac.new(secret, str(at).encode() + b"." + BODY, "sha256").hexdigest()
    return Inbound("/api/links", {"x-vs-signature": f"t={at},v1={proof}"}, sent, RECEIVED)


def test_a_decision_is_proved_by_a_signature_of_its_body_and_its_time() -> None:
    """The receiver hands in the token: our own command signs with it and never sends it."""
    SOURCE.verify(signed(b"secret"), [b"old", b"secret"])
    other = json.dumps(decision("cut")).encode()
    later = signed(b"secret", at=RECEIVED - 1)
    moved = later.headers["x-vs-signature"].replace(str(RECEIVED - 1), str(RECEIVED))
    for odd, secrets in (
        (inbound(decision("pin")), [b"secret"]),
        (signed(b"other"), [b"secret"]),
        (signed(b""), [b""]),
        (signed(b"secret", other), [b"secret"]),
        (signed(b"secret"), []),
        (signed(b"secret", at=RECEIVED - 301_000_000), [b"secret"]),
        (signed(b"secret", at=RECEIVED + 301_000_000), [b"secret"]),
        (later._replace(headers={"x-vs-signature": moved}), [b"secret"]),
    ):
        with pytest.raises(Unauthorized, match="X-VS-Signature"):
            SOURCE.verify(odd, secrets)


def test_a_signature_without_a_time_is_refused() -> None:
    """It could be sent again for ever."""
    proof = hmac.new(b"secret", BODY, "sha256").hexdigest()
    plain = Inbound("/api/links", {"x-vs-signature": proof}, BODY, RECEIVED)
    with pytest.raises(Unauthorized, match="signs no time"):
        SOURCE.verify(plain, [b"secret"])


def test_malformed_decisions_are_read_or_refused() -> None:
    bodies = [decision("pin"), decision("cut"), decision("clear", "")]
    seen = assert_survives(
        SOURCE, (inbound(malformed(body, seed)) for seed in range(340) for body in bodies)
    )
    assert sum(seen.values()) >= 1_000
    assert set(seen) == {"BadBody", "Inexact", "accepted"}, "Inexact: it is read once more"

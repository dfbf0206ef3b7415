"""Presets: each folds the bodies of its vendor's documentation, whatever order they come in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import tomllib

import orjson
import pytest

from tests.sources.webhook_tools import (
    RECEIVED,
    assert_survives,
    fold_deliveries,
    same_spans,
    variants,
)
from vs_tui.model.display import clean
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import Inbound, Unauthorized
from vs_tui.sources.mapped import PRESETS, presets, recognised

NAMES = sorted(presets())


def inbounds(name: str) -> list[Inbound]:
    source = presets()[name]
    return [
        Inbound(
            source.paths[0],
            {key.lower(): value for key, value in sample.get("headers", {}).items()},
            sample["body"].strip().encode(),
            RECEIVED,
        )
        for sample in source.definition["samples"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_makes_of_each_sample_the_spans_that_it_names(name) -> None:
    source = presets()[name].check()
    for sample, inbound in zip(source.definition["samples"], inbounds(name), strict=True):
        parsed, problems = source.explain(inbound)
        assert not problems
        assert parsed.verdict is Verdict.ACCEPTED, parsed.reason
        spans = [folded.span for folded in fold_deliveries([parsed]).values()]
        shown = [f"{span.operation} {span.state.name.lower()} {span.name}" for span in spans]
        assert shown == sample["spans"]
        assert all(span.started_at or span.ended_at for span in spans)
        assert all(span.source == name for span in spans)


@pytest.mark.parametrize("name", ["incidentio", "rootly"])
def test_a_drill_is_ignored(name) -> None:
    """A test of an incident tool tells of no incident."""
    body = inbounds(name)[0].body.replace(b'"kind": "normal"', b'"kind": "test_sub"')
    body = body.replace(b'"mode": "standard"', b'"mode": "test"')
    inbound = inbounds(name)[0]._replace(body=body)
    assert presets()[name].parse(inbound).verdict is Verdict.IGNORED


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_of_a_preset_fold_alike_in_any_order(name) -> None:
    parsed = [presets()[name].parse(inbound) for inbound in inbounds(name)]
    told = fold_deliveries(parsed)
    for order in itertools.islice(itertools.permutations(parsed), 24):
        assert same_spans(fold_deliveries([*order, *order[:1]]), told)


@pytest.mark.parametrize("name", NAMES)
def test_odd_bodies_of_a_preset_are_read_ignored_or_kept_in_quarantine(name) -> None:
    seen = assert_survives(presets()[name], variants(inbounds(name), 300))
    assert seen["accepted"]


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_what_it_was_made_after_and_is_told_from_the_others(name) -> None:
    source = presets()[name]
    assert all(link.startswith("https://") for link in source.definition["documentation"])
    if "recognise" not in source.definition:
        return
    for inbound in inbounds(name):
        found = recognised(inbound, orjson.loads(inbound.body))
        assert found is source


def test_no_preset_takes_a_body_that_is_nobodys() -> None:
    for body in ({}, {"type": "build", "id": "1", "action": "go"}, {"id": 1, "status": "ok"}, []):
        assert recognised(Inbound("/customhttp", {}, b"", RECEIVED), body) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_presets_file_holds_nothing_a_terminal_would_obey(name) -> None:
    text = (PRESETS / f"{name}.toml").read_text("utf-8")
    assert "\n".join(clean(line) for line in text.splitlines()) == text.rstrip("\n")
    assert tomllib.loads(text)["title"]


SECRET = b"s3cret"
BODY = b'{"a": 1}'
STAMP = str(RECEIVED // 1_000_000)


def digest(message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(SECRET, message, algorithm).digest()


def signed(name: str) -> dict[str, str]:
    """The headers that the vendor's documentation asks for."""
    if name == "incidentio":
        proof = base64.b64encode(digest(b"msg_1." + STAMP.encode() + b"." + BODY)).decode()
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": STAMP,
            "webhook-signature": f"v1,{proof}",
        }
    if name == "rootly":
        proof = digest(STAMP.encode() + BODY).hex()
        return {"x-rootly-signature": f"t={STAMP},v1={proof}"}
    if name == "vercel":
        return {"x-vercel-signature": digest(BODY, "sha1").hex()}
    if name == "heroku":
        return {"heroku-webhook-hmac-sha256": base64.b64encode(digest(BODY)).decode()}
    if name == "netlify":
        claims = {"iss": "netlify", "sha256": hashlib.sha256(BODY).hexdigest()}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        ]
        head = b".".join(parts)
        proof = base64.urlsafe_b64encode(digest(head)).rstrip(b"=")
        return {"x-webhook-signature": (head + b"." + proof).decode()}
    if name == "flux":
        return {"x-signature": f"sha256={digest(BODY).hex()}"}
    return {presets()[name].signature_headers[0]: digest(BODY).hex()}


SIGNING = [name for name in NAMES if presets()[name].signature_headers]


@pytest.mark.parametrize("name", SIGNING)
def test_a_preset_verifies_its_vendors_signature_and_no_other(name) -> None:
    source, headers = presets()[name], signed(name)
    source.verify(Inbound(source.paths[0], headers, BODY, RECEIVED), [b"old", SECRET])
    with pytest.raises(Unauthorized):
        source.verify(Inbound(source.paths[0], headers, BODY + b" ", RECEIVED), [SECRET])
    with pytest.raises(Unauthorized):
        source.verify(Inbound(source.paths[0], headers, BODY, RECEIVED), [b"other"])
    with pytest.raises(Unauthorized):
        source.verify(Inbound(source.paths[0], headers, BODY, RECEIVED), [])
    for broken in ("", "x", "v1,", "t=,v1=", "a.b.c", "\ud800", "sha256=zz"):
        wrong = dict.fromkeys(headers, broken)
        with pytest.raises(Unauthorized):
            source.verify(Inbound(source.paths[0], wrong, BODY, RECEIVED), [SECRET])

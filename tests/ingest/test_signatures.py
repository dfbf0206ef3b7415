"""Every way in which a tool proves who it is, and every way in which that proof may be bent: only
the whole, right one under the source's own secret is taken."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable

import orjson
import pytest

from tests.ingest.bodies import honest
from tests.ingest.inside import TOKEN, Raw, post, receiving
from vs_tui.sources.dispatch import built_in, sources
from vs_tui.sources.grafana import TIMESTAMP_HEADER
from vs_tui.sources.mapped import presets
from vs_tui.sources.signatures import Scheme

Signer = Callable[[str, bytes], dict[str, str]]


def mac(secret: str, message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), message, algorithm).digest()


def hexed(header: str, before: str = "", algorithm: str = "sha256") -> Signer:
    return lambda secret, body: {header: before + mac(secret, body, algorithm).hex()}


def plain(header: str) -> Signer:
    return lambda secret, _: {header: secret}


def standard_webhook(secret: str, body: bytes) -> dict[str, str]:
    sent = str(int(time.time()))
    signature = base64.b64encode(mac(secret, f"msg_1.{sent}.".encode() + body)).decode()
    return {
        "webhook-signature": f"v1,{signature}",
        "webhook-id": "msg_1",
        "webhook-timestamp": sent,
    }


def buildkite(secret: str, body: bytes) -> dict[str, str]:
    sent = str(int(time.time()))
    digest = mac(secret, f"{sent}.".encode() + body).hex()
    return {"x-buildkite-signature": f"timestamp={sent},signature={digest}"}


def grafana(secret: str, body: bytes) -> dict[str, str]:
    sent = str(int(time.time()))
    digest = mac(secret, f"{sent}:".encode() + body).hex()
    return {"x-grafana-alerting-signature": digest, TIMESTAMP_HEADER: sent}


def trello(secret: str, body: bytes) -> dict[str, str]:
    message = body + b"https://test/trello"
    return {"x-trello-webhook": base64.b64encode(mac(secret, message, "sha1")).decode()}


SIGNERS: dict[str, tuple[str, Signer]] = {
    "github": ("github", hexed("x-hub-signature-256", "sha256=")),
    "gitlab, token": ("gitlab", plain("x-gitlab-token")),
    "gitlab, signing key": ("gitlab", standard_webhook),
    "gitea": ("gitea", hexed("x-gitea-signature")),
    "forgejo": ("gitea", hexed("x-forgejo-signature")),
    "bitbucket": ("bitbucket", hexed("x-hub-signature", "sha256=")),
    "jira": ("jira", hexed("x-hub-signature", "sha256=")),
    "linear": ("linear", hexed("linear-signature")),
    "pagerduty": ("pagerduty", hexed("x-pagerduty-signature", "v1=")),
    "buildkite, token": ("buildkite", plain("x-buildkite-token")),
    "buildkite, signature": ("buildkite", buildkite),
    "grafana": ("grafana", hexed("x-grafana-alerting-signature")),
    "grafana, with its time": ("grafana", grafana),
    "trello": ("trello", trello),
    "plyzen": ("plyzen", plain("x-api-key")),
    "custom": ("customhttp", hexed("x-vs-signature")),
    "custom, standard webhook": ("customhttp", standard_webhook),
}


def declared(scheme: Scheme) -> Signer:
    """How a tool signs whose source declares it, without a word in this file."""
    assert (scheme.scheme, scheme.encoding, scheme.timestamp) == ("hmac", "hex", "")
    before = f"{scheme.part}={scheme.prefix}" if scheme.part else scheme.prefix
    return hexed(scheme.header.lower(), before, scheme.algorithm)


SIGNERS |= {
    source.name: (source.name, declared(source.signature))
    for source in built_in()
    if isinstance(source.signature, Scheme)
    and source.name not in {name for name, _ in SIGNERS.values()}
}
SECRETS = {name: (f"secret-of-{name}",) for name, _ in SIGNERS.values()}


def signed_body(source: str) -> tuple[str, dict[str, str], bytes]:
    path, headers, body = honest(source)[0]
    if source == "linear":
        body = {**body, "webhookTimestamp": int(time.time() * 1000)}
    other = {"authorization", "content-type", *sources()[source].signature_headers}
    known = {name: value for name, value in headers.items() if name.lower() not in other}
    return path, known, orjson.dumps(body)


def bent(source: str, sign: Signer, body: bytes) -> dict[str, dict[str, str]]:
    """What an attacker makes of a delivery that was recorded, and of what is known to all."""
    good = sign(SECRETS[source][0], body)
    name, value = next(iter(good.items()))
    others = {other: sign(values[0], body) for other, values in SECRETS.items() if other != source}
    found = {
        "no proof": {},
        "an empty proof": {**good, name: ""},
        "cut": {**good, name: value[:-1]},
        "without its beginning": {**good, name: value[1:]},
        "twice": {**good, name: value + value},
        "not ASCII": {**good, name: "sch\xf6n"},
        "no secret": sign("", body),
        "our token as secret": sign(TOKEN, body),
        "SHA-1 only": {"x-hub-signature": f"sha1={mac(SECRETS[source][0], body, 'sha1').hex()}"},
        **{f"the secret of {other}": headers for other, headers in others.items()},
    }
    if name.lower() == "x-vs-signature":  # our own commands sign so
        del found["our token as secret"]
    if not value.startswith(SECRETS[source][0]):  # a token says nothing of the body
        found["another body's"] = sign(SECRETS[source][0], body + b" ")
    return found


@pytest.mark.parametrize("way", SIGNERS)
async def test_only_the_right_proof_is_taken(tmp_path, way) -> None:
    source, sign = SIGNERS[way]
    path, headers, body = signed_body(source)
    async with receiving(tmp_path, secrets=SECRETS) as runtime:
        connection = await Raw.to(runtime)

        async def status(proof: dict[str, str]) -> int:
            lines = [f"{name}: {value}" for name, value in {**headers, **proof}.items()]
            # One header that begins with x- keeps `post` from adding our token.
            await connection.send(post(body, path, "x-none: 1", *lines))
            code, told, answer = await connection.answer()
            assert code != 401 or (answer["error"], "www-authenticate" in told) == (
                "unauthorized",
                True,
            )
            return code

        for what, proof in bent(source, sign, body).items():
            assert await status(proof) == 401, what
        stored = "SELECT COUNT(*) FROM deliveries"
        assert await runtime.writer.run(lambda db: db.execute(stored).fetchone()) == (0,)
        assert await status(sign(SECRETS[source][0], body)) in (200, 201)
        assert await runtime.writer.run(lambda db: db.execute(stored).fetchone()) == (1,)
        connection.close()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/github", "with what `vs-tui secret show github` prints (header X-Hub-Signature-256)"),
        ("/gitlab", "show gitlab` prints (header X-Gitlab-Token or Webhook-Signature), or with"),
        ("/jenkins", "show token` prints (header Authorization, or ?token= in the URL)"),
    ],
)
async def test_a_request_without_a_proof_is_told_which_one_is_taken(tmp_path, path, said) -> None:
    async with receiving(tmp_path, secrets=SECRETS) as runtime:
        connection = await Raw.to(runtime)
        await connection.send(post(b"{}", path, "x-hub-signature: sha1=00"))
        status, _, answer = await connection.answer()
        assert status == 401
        assert said in answer["detail"]
        connection.close()


def test_every_source_that_signs_is_tried() -> None:
    """Presets' signatures are tried beside their bodies, in tests/sources/test_presets.py."""
    signing = {
        name: source
        for name, source in sources().items()
        if source.signature_headers and name not in presets()
    }
    del signing["user"]  # by the token: see tests/ingest/test_links.py
    assert signing.keys() == {source for source, _ in SIGNERS.values()}
    for name, source in signing.items():
        tried = {
            header for found, sign in SIGNERS.values() if found == name for header in sign("s", b"")
        }
        missing = set(source.signature_headers) - tried
        assert not missing, "a header of it is in none of the ways above"

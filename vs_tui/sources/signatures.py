"""Checks proofs of origin. All comparisons of secrets in this project are in this module.

All functions use raw bytes and constant time. Every error raises `Unauthorized`, even a bad
encoding: a malformed proof counts as missing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence

import orjson

from vs_tui.model.time import SECOND, Instant, parse_instant
from vs_tui.sources.base import Unauthorized

REPLAY_WINDOW = 300 * SECOND
"""Most difference between a signed timestamp and the local clock, in both directions (Standard
Webhooks: 5 min)."""


def same(given: str | bytes, expected: str | bytes) -> bool:
    """Whether two secrets are equal, in constant time; works with non-ASCII text too."""
    return hmac.compare_digest(_raw(given), _raw(expected))


def any_token(given: str, accepted: Iterable[bytes | str]) -> bool:
    """Whether `given` is one of the accepted secrets. Compares all of them; an empty secret never
    matches."""
    found = False
    for secret in accepted:
        found |= bool(secret) and same(given, secret)
    return found and bool(given)


def require_token(given: str, accepted: Iterable[bytes | str], what: str) -> None:
    if not any_token(given, accepted):
        raise Unauthorized(f"{what} is missing or wrong")


def digest(secret: bytes, message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret, message, algorithm).digest()


def require_hmac_hex(
    given: Sequence[str],
    message: bytes,
    secrets: Sequence[bytes],
    what: str,
    algorithm: str = "sha256",
) -> None:
    """Raise Unauthorized unless one of the hex digests in `given` is the HMAC of `message` with one
    of the secrets."""
    candidates = [g.strip().lower() for g in given]
    matched = False
    for secret in secrets:
        expected = digest(secret, message, algorithm).hex()
        for candidate in candidates:
            matched |= bool(secret) and same(candidate, expected)
    if not matched:
        raise Unauthorized(f"{what} is missing or does not match the body")


def require_sha256(given: str, body: bytes, secrets: Sequence[bytes], what: str) -> None:
    """Require `sha256=` with the hex HMAC-SHA256 of the raw body, as GitHub, Bitbucket and Jira
    send it."""
    algorithm, _, hexadecimal = given.strip().partition("=")
    if algorithm.lower() != "sha256" or not hexadecimal:
        raise Unauthorized(f"{what} is missing or not 'sha256=' and hex digits")
    require_hmac_hex([hexadecimal], body, secrets, what)


def require_hmac_any(given: str, message: bytes, secrets: Sequence[bytes], what: str) -> None:
    """Like `require_hmac_hex`, but the digest may be hex, `sha256=` hex, or base64."""
    value = given.strip().removeprefix("sha256=")
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        raw = base64_bytes(value)
    matched = False
    for secret in secrets:
        matched |= bool(secret) and hmac.compare_digest(raw, digest(secret, message))
    if not matched:
        raise Unauthorized(f"{what} is missing or does not match the body")


def require_hmac(
    given: Sequence[bytes],
    message: bytes,
    secrets: Sequence[bytes],
    what: str,
    algorithm: str = "sha256",
) -> None:
    """Raise Unauthorized unless one of the raw digests in `given` is the HMAC of `message` with one
    of the secrets."""
    matched = False
    for secret in secrets:
        expected = digest(secret, message, algorithm)
        for candidate in given:
            matched |= bool(secret) and hmac.compare_digest(candidate, expected)
    if not matched:
        raise Unauthorized(f"{what} is missing or does not match the body")


def require_jws(given: str, body: bytes, secrets: Sequence[bytes], what: str) -> None:
    """Require a JSON Web Signature with HS256 whose claim `sha256` is the body's digest
    (Netlify)."""
    head, _, rest = given.strip().partition(".")
    claims, _, signature = rest.partition(".")
    try:
        is_hs256 = orjson.loads(_base64_url(head)).get("alg") == "HS256"
        stated = orjson.loads(_base64_url(claims)).get("sha256")
    except (ValueError, AttributeError):
        raise Unauthorized(f"{what} is missing or no JSON Web Signature") from None
    message = f"{head}.{claims}".encode()
    require_hmac([_base64_url(signature)], message, secrets, what)
    if not is_hs256 or not isinstance(stated, str) or not same(stated.lower(), sha256_hex(body)):
        raise Unauthorized(f"{what} is missing or does not match the body")


def _base64_url(text: str) -> bytes:
    return base64_bytes(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


def require_fresh(timestamp: str, now: Instant, what: str) -> None:
    """Raise Unauthorized for a signed timestamp outside the replay window."""
    at = parse_instant(timestamp)
    if at is None or abs(now - at) > REPLAY_WINDOW:
        raise Unauthorized(f"{what} is missing or more than 5 minutes from this machine's clock")


def require_standard_webhook(
    headers: dict[str, str], body: bytes, secrets: Sequence[bytes], now: Instant
) -> None:
    """Require a Standard Webhooks signature: `webhook-signature: v1,BASE64` over
    `id.timestamp.body`, HMAC-SHA256.

    Secrets are base64 after `whsec_`; a secret without that prefix is used as it is.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    require_fresh(timestamp, now, "webhook-timestamp")
    message = b".".join((_raw(message_id), _raw(timestamp), body))
    given = [
        base64_bytes(part[3:])
        for part in headers.get("webhook-signature", "").split()
        if part.startswith("v1,")
    ]
    matched = False
    for secret in secrets:
        keys = [secret]
        if secret.startswith(b"whsec_"):
            keys = [base64_bytes(secret[6:].decode("latin-1"))]
        for key in keys:
            expected = digest(key, message)
            for candidate in given:
                matched |= bool(key) and hmac.compare_digest(candidate, expected)
    if not matched:
        raise Unauthorized("webhook-signature is missing or does not match the body")


def sha256_hex(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def base64_bytes(text: str) -> bytes:
    """The decoded base64; empty if it is invalid."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")

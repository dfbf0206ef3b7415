"""Checks proofs of origin. All comparisons of secrets in this project are in this module.

All functions use raw bytes and constant time. Every error raises `Unauthorized`, even a bad
encoding: a malformed proof counts as missing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from vs_tui.model.time import SECOND, Instant, parse_instant
from vs_tui.sources.base import Inbound, Unauthorized

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


def require_hmac(
    given: Iterable[bytes],
    message: bytes,
    secrets: Iterable[bytes],
    what: str,
    algorithm: str = "sha256",
) -> None:
    """Raise Unauthorized unless one of the digests in `given` is the HMAC of `message` with one of
    the secrets. Compares all of them; an empty secret never matches."""
    candidates = list(given)
    matched = False
    for secret in secrets:
        expected = digest(secret, message, algorithm)
        for candidate in candidates:
            matched |= bool(secret) and hmac.compare_digest(candidate, expected)
    if not matched:
        raise Unauthorized(f"{what} is missing or does not match the body")


def require_hmac_hex(
    given: Iterable[str], message: bytes, secrets: Iterable[bytes], what: str
) -> None:
    """Like `require_hmac`, for HMAC-SHA256 in hex digits."""
    require_hmac([hex_bytes(each) for each in given], message, secrets, what)


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
    require_hmac([hex_bytes(value) or base64_bytes(value)], message, secrets, what)


def require_jws(given: str, body: bytes, secrets: Sequence[bytes], what: str) -> None:
    """Require a JSON Web Signature with HS256 whose claim `sha256` is the body's digest
    (Netlify)."""
    head, _, rest = given.strip().partition(".")
    claims, _, signature = rest.partition(".")
    try:
        require_hmac([_base64_url(signature)], _raw(f"{head}.{claims}"), secrets, what)
        is_hs256 = orjson.loads(_base64_url(head)).get("alg") == "HS256"
        stated = orjson.loads(_base64_url(claims)).get("sha256")
    except (ValueError, AttributeError):
        raise Unauthorized(f"{what} is no JSON Web Signature") from None
    if not is_hs256 or not isinstance(stated, str) or not same(stated.lower(), sha256_hex(body)):
        raise Unauthorized(f"{what} does not match the body")


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
    keys = [
        base64_bytes(secret[6:].decode("latin-1")) if secret.startswith(b"whsec_") else secret
        for secret in secrets
    ]
    require_hmac(given, message, keys, "webhook-signature")


def sha256_hex(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def hex_bytes(text: str) -> bytes:
    """The bytes of hex digits in any case; empty if they are anything else."""
    try:
        return bytes.fromhex(text) if (text := text.strip()).isalnum() else b""
    except ValueError:
        return b""


def base64_bytes(text: str) -> bytes:
    """The decoded base64; empty if it is invalid."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


SCHEMES: Final = ("hmac", "token", "standard-webhooks", "jws")
"""Schemes that a table may name. `sha256` is for modules: `require_sha256` of the header."""
ALGORITHMS: Final = ("sha256", "sha1", "sha512")
ENCODINGS: Final = ("hex", "base64")
SETTINGS: Final = (
    *("scheme", "header", "algorithm", "encoding", "prefix", "part"),
    *("timestamp", "timestamp_part", "message"),
)
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")
_PLACES: Final = re.compile(r"(\{timestamp\}|\{body\})")
_STANDARD: Final = ("webhook-signature", "svix-signature")


class Scheme(NamedTuple):
    """What a tool signs, and where the signature is; also the `signature` table of a mapped
    source."""

    header: str = ""
    scheme: str = "hmac"
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    """Text before the digest, such as `sha256=`."""
    part: str = ""
    """Name of the digest if the header is a list such as `t=1,v1=ab`."""
    timestamp: str = ""
    """The header with the signed time."""
    timestamp_part: str = ""
    """Name of the time in the list."""
    message: str = "{body}"

    @property
    def headers(self) -> tuple[str, ...]:
        """Headers with the proof, in lower case."""
        return _STANDARD if self.scheme == "standard-webhooks" else (self.header.lower(),)

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Raise Unauthorized unless the raw body is signed with one of `secrets`."""
        given = inbound.header(self.header.lower())
        if self.scheme == "standard-webhooks":
            headers = {
                name.replace("svix-", "webhook-", 1): v for name, v in inbound.headers.items()
            }
            require_standard_webhook(headers, inbound.body, secrets, inbound.received_at)
        elif self.scheme == "token":
            require_token(given.removeprefix(self.prefix), secrets, self.header)
        elif self.scheme == "sha256":
            require_sha256(given, inbound.body, secrets, self.header)
        elif self.scheme == "jws":
            require_jws(given, inbound.body, secrets, self.header)
        else:
            self._verify_hmac(given, inbound, secrets)

    def _verify_hmac(self, given: str, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        parts = [part.strip().partition("=")[::2] for part in given.split(",")]
        digests = [value for name, value in parts if name == self.part] if self.part else [given]
        stamp = inbound.header(self.timestamp.lower()) if self.timestamp else ""
        if self.timestamp_part:
            stamp = next((value for name, value in parts if name == self.timestamp_part), "")
        if self.timestamp or self.timestamp_part:
            require_fresh(stamp, inbound.received_at, self.timestamp or self.header)
        message = b"".join(
            {"{timestamp}": stamp.encode(), "{body}": inbound.body}.get(piece, piece.encode())
            for piece in _PLACES.split(self.message)
        )
        raw = [self._decoded(each.strip().removeprefix(self.prefix)) for each in digests]
        require_hmac(raw, message, secrets, self.header, self.algorithm)

    def _decoded(self, text: str) -> bytes:
        return base64_bytes(text) if self.encoding == "base64" else hex_bytes(text)


def scheme_of(table: Mapping[str, Any]) -> Scheme:
    """The scheme of a `signature` table. ValueError names the wrong setting and the accepted
    values."""
    for name, value in table.items():
        if name not in SETTINGS:
            raise ValueError(f"{name} is not a setting; use one of {', '.join(SETTINGS)}")
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a text, not {value!r}")
    found = Scheme(**table)
    for name, chosen, choices in (
        ("scheme", found.scheme, SCHEMES),
        ("algorithm", found.algorithm, ALGORITHMS),
        ("encoding", found.encoding, ENCODINGS),
    ):
        if chosen not in choices:
            raise ValueError(f"{name} is '{chosen}'; use one of {', '.join(choices)}")
    if found.scheme != "standard-webhooks" and not _HEADER.fullmatch(found.header):
        raise ValueError('header is missing; write header = "X-Tool-Signature"')
    if found.timestamp and not _HEADER.fullmatch(found.timestamp):
        raise ValueError(f"timestamp is '{found.timestamp}', which is not a header's name")
    if "{body}" not in found.message:
        raise ValueError('message must hold {body}, such as "{timestamp}.{body}"')
    if found.header.lower() in ("authorization", "cookie"):
        raise ValueError("header is Authorization, which holds our token; leave signature out")
    return found

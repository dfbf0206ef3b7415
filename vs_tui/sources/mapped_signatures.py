"""Verifies the signatures of mapped sources, by the scheme that their table declares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from vs_tui.sources.base import Inbound
from vs_tui.sources.signatures import (
    base64_bytes,
    require_fresh,
    require_hmac,
    require_jws,
    require_standard_webhook,
    require_token,
)

SCHEMES: Final = ("hmac", "token", "standard-webhooks", "jws")
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
    """What the tool signs, and where the signature is."""

    scheme: str
    header: str = ""
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
        if self.encoding == "base64":
            return base64_bytes(text)
        try:
            return bytes.fromhex(text)
        except ValueError:
            return b""


def scheme_of(table: Mapping[str, Any]) -> Scheme:
    """The scheme of a `signature` table. ValueError names the wrong setting and the accepted
    values."""
    for name, value in table.items():
        if name not in SETTINGS:
            raise ValueError(f"{name} is not a setting; use one of {', '.join(SETTINGS)}")
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a text, not {value!r}")
    found = Scheme(**{"scheme": "hmac", **table})
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

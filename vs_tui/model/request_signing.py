"""How our own commands prove themselves to a receiver without sending it their token.

A stranger that listens at the receiver's address learns the signature of one request at one time.
The signing key is the token; for a named token (`vst_...`) it is the hash of the token, which is
all that a receiver stores. Uses the standard library only, so that commands start fast.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

NAMED_TOKEN: Final = "vst_"  # noqa: S105 - how it begins
"""Prefix of tokens made by `vs-tui secret add`."""


def signing_key(token: str) -> bytes:
    """The key that signs requests in place of a token."""
    if not token.startswith(NAMED_TOKEN):
        return token.encode("utf-8", "surrogateescape")
    from hashlib import sha256

    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest().encode()


def signed_head(token: str, method: str, path: str) -> dict[str, str]:
    """`Authorization: VS1 SECONDS:HMAC` for a request without a body. `path` includes the query, as
    sent. Empty without a token."""
    if not token:
        return {}
    now = str(int(time.time()))
    return {"Authorization": f"VS1 {now}:{_hmac(token, f'{method} {path} {now}'.encode())}"}


def signed_delivery(
    token: str, path: str, headers: Mapping[str, str], body: bytes
) -> dict[str, str]:
    """`Authorization: VS1 SECONDS;NAME,...:HMAC` for a tool's delivery that we send: its path as it
    is sent, those headers and the body are signed. Empty without a token."""
    if not token:
        return {}
    named = {name.lower(): value for name, value in headers.items()}
    head = f"{int(time.time())};{','.join(sorted(named))}"
    proof = _hmac(token, delivery_message(head, path, named, body))
    return {"Authorization": f"VS1 {head}:{proof}"}


def delivery_message(head: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """What is signed of a delivery; `head` is what stands before the signature."""
    from hashlib import sha256

    names = filter(None, head.partition(";")[2].split(","))
    lines = [f"POST {path} {head}", *(f"{name}:{headers.get(name, '').strip()}" for name in names)]
    return "\n".join([*lines, sha256(body).hexdigest()]).encode("utf-8", "replace")


def signed_body(token: str, body: bytes) -> dict[str, str]:
    """`X-VS-Signature: t=MICROSECONDS,v1=HMAC` for a decision; the receiver accepts each only
    once."""
    if not token:
        return {}
    now = str(time.time_ns() // 1_000)
    return {"X-VS-Signature": f"t={now},v1={_hmac(token, now.encode() + b'.' + body)}"}


def _hmac(token: str, message: bytes) -> str:
    import hmac

    return hmac.new(signing_key(token), message, "sha256").hexdigest()

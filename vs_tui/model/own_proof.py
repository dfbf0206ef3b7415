"""How our own commands prove themselves to a receiver without handing it their token.

Whoever listens at the receiver's address learns a signature of one request at one time. The key is
the token; for a named token (`vst_...`) it is the token's hash, which is all that a receiver knows.
Standard library only: commands start fast.
"""

from __future__ import annotations

import time
from typing import Final

NAMED_TOKEN: Final = "vst_"  # noqa: S105 - how it begins
"""What a token begins with that `vs-tui secret add` made."""


def signing_key(token: str) -> bytes:
    """What signs in place of a token."""
    if not token.startswith(NAMED_TOKEN):
        return token.encode("utf-8", "surrogateescape")
    from hashlib import sha256

    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest().encode()


def signed_head(token: str, method: str, path: str) -> dict[str, str]:
    """`Authorization: VS1 SECONDS:HMAC` for a request without a body; `path` with its query, as it
    is sent. Empty without a token."""
    if not token:
        return {}
    now = str(int(time.time()))
    return {"Authorization": f"VS1 {now}:{_hmac(token, f'{method} {path} {now}'.encode())}"}


def signed_body(token: str, body: bytes) -> dict[str, str]:
    """`X-VS-Signature: t=MICROSECONDS,v1=HMAC` for a decision, which must not come twice."""
    if not token:
        return {}
    now = str(time.time_ns() // 1_000)
    return {"X-VS-Signature": f"t={now},v1={_hmac(token, now.encode() + b'.' + body)}"}


def _hmac(token: str, message: bytes) -> str:
    import hmac

    return hmac.new(signing_key(token), message, "sha256").hexdigest()

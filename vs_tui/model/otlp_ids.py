"""The trace and span ids of an OTLP backend.

They are derived from our own keys, so the API, an export and a link in a document agree without a
table. The OTLP specification gives the sizes: 16 bytes for a trace, 8 for a span.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}\Z")


def otel_trace_id(trace_id: str) -> bytes:
    """The 16 bytes of a trace id: itself if it is 32 hex digits, else the start of its SHA-256."""
    if _TRACE_ID.match(trace_id) and trace_id.strip("0"):
        return bytes.fromhex(trace_id)
    return sha256(trace_id.encode()).digest()[:16]


def otel_span_id(key: str) -> bytes:
    """The first 8 bytes of the SHA-256 of a span's key."""
    return sha256(key.encode()).digest()[:8]

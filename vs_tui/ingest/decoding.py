"""Compressed bodies: decoded in bounded pieces, and whole only if the sender's checksum says so."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

PIECE: Final = 1024 * 1024
"""Bytes that are decoded at once."""
ENCODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})


class Broken(ValueError):
    """The body is cut, or no body of its encoding."""


def decoded(encoding: str, raw: bytes) -> Iterator[bytes]:
    """The pieces of a body. Broken at its end when something is missing, also the checksum."""
    window = zlib.MAX_WBITS | 16
    if encoding == "deflate":
        # Some senders mean the bare stream, without the header that RFC 9110 wants.
        has_header = len(raw) > 1 and raw[0] & 15 == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
        window = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
    rest = raw
    while True:
        stream = zlib.decompressobj(window)
        while not stream.eof:
            try:
                piece = stream.decompress(rest, PIECE)
            except zlib.error:
                raise Broken("the body is cut or its encoding is broken") from None
            rest = stream.unconsumed_tail
            if not piece and not rest and not stream.eof:
                raise Broken("the body is cut: the end of its encoding is missing")
            yield piece
        rest = stream.unused_data
        if not rest:
            return
        if encoding == "deflate":
            raise Broken("something follows the body's encoding")

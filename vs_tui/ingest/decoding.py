"""Decoding of compressed bodies, in bounded pieces; a body is whole only if its checksum
matches."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Final

PIECE: Final = 1024 * 1024
"""Most bytes that are decoded at once."""
_PLACES: Final = ("compression", "backports")
ZSTD: Final = next((p for p in _PLACES if find_spec(p) and find_spec(f"{p}.zstd")), "")
"""The package of zstd: part of Python since 3.14, before that in the extra `zstd`."""
ENCODINGS: Final = ("gzip", "x-gzip", "deflate", *(("zstd",) if ZSTD else ()))
_ZSTD_WINDOW: Final = 23
"""The window size that RFC 9659 allows, as a power of two: 8 MiB."""


class Broken(ValueError):
    """The body is cut or is not valid in its encoding."""


def decoded(encoding: str, raw: bytes) -> Iterator[bytes]:
    """The decoded pieces of a body. Raises Broken at the end if anything is missing, such as the
    checksum."""
    if encoding == "zstd":
        yield from _zstd(raw)
        return
    window = zlib.MAX_WBITS | 16
    if encoding == "deflate":
        # Some senders omit the zlib header that RFC 9110 requires.
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


def _zstd(raw: bytes) -> Iterator[bytes]:
    zstd = import_module(f"{ZSTD}.zstd")
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
    while raw:
        frame, rest = zstd.ZstdDecompressor(options=options), raw
        while not frame.eof:
            try:
                piece = frame.decompress(rest, PIECE)
            except zstd.ZstdError:
                raise Broken("the body is cut or its encoding is broken") from None
            rest = b""
            if not piece and frame.needs_input and not frame.eof:
                raise Broken("the body is cut: the end of its encoding is missing")
            yield piece
        raw = frame.unused_data

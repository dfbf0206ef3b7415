"""Bodies that are not simply parsed: compressed ones are decoded in bounded pieces, and are whole
only if their checksum matches; large ones are parsed in a process of their own, so that other
requests and the dashboard go on.

A thread or smaller steps would not help: the JSON parser holds the interpreter until it is done,
which takes seconds for a body of very many small values. A process costs some tenths of a second,
only for such bodies, and frees all its memory when it ends.

In the body of a decision about links the names of spans become span keys before it is stored. A
short ref may become ambiguous later and an alias may move; a stored decision must mean the same
spans at every rebuild.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
import zlib
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

import vs_tui
from vs_tui.ingest.http_errors import Refused, unavailable
from vs_tui.model.display import clean
from vs_tui.model.limits import MIB, READ_AT_ONCE, values_in
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source
from vs_tui.sources.dispatch import portable, read, unreadable
from vs_tui.store.queries.reader_protocol import Reader

PIECE: Final = 1024 * 1024
"""Most bytes that are decoded at once."""
RATIO_UNPROVEN: Final = 50
"""A body that is yet to be proven by its signature may grow this many times when it is decoded;
JSON grows 5 to 20 times. Else 24 KB of a stranger would be 25 MiB to decode and to digest."""
_PLACES: Final = ("compression", "backports")
ZSTD: Final = next((p for p in _PLACES if find_spec(p) and find_spec(f"{p}.zstd")), "")
"""The package of zstd: part of Python since 3.14, before that in the extra `zstd`."""
ENCODINGS: Final = ("gzip", "x-gzip", "deflate", *(("zstd",) if ZSTD else ()))
_TOO_MANY_PARTS: Final = "the body is encoded in too many parts; encode it as one"
_ZSTD_WINDOW: Final = 23
"""The window size that RFC 9659 allows, as a power of two: 8 MiB."""
MOST_PARTS: Final = 100
"""Most members (gzip) or frames (zstd) of a body; senders write one. 25 MiB of empty ones would be
over a million, and the rest of the body is copied after each."""
SIZE_AT_ONCE: Final = MIB
"""Most bytes that are parsed in this process; longer bodies also take long to check."""
SECONDS: Final = 6.0
"""Longest time for parsing. GitHub and GitLab hang up after ten seconds, and the body must be
stored by then as well."""
AT_ONCE: Final = 2
"""Most such processes at once; further bodies wait, and get 503 after `SECONDS`."""
_PROGRAM: Final = "from vs_tui.sources.dispatch import read_piped; read_piped()"
_PACKAGE: Final = Path(vs_tui.__file__).parents[1]


class Broken(ValueError):
    """The body is cut or is not valid in its encoding."""


def decoded(encoding: str, raw: bytes, at_once: int = PIECE) -> Iterator[bytes]:
    """The decoded pieces of a body, of at most `at_once` bytes. Raises Broken at the end if
    anything is missing, such as the checksum."""
    if encoding == "zstd":
        yield from _zstd(raw, at_once)
        return
    window = zlib.MAX_WBITS | 16
    if encoding == "deflate":
        # Some senders omit the zlib header that RFC 9110 requires.
        has_header = len(raw) > 1 and raw[0] & 15 == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
        window = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
    rest = raw
    for _ in range(MOST_PARTS):
        stream = zlib.decompressobj(window)
        while not stream.eof:
            try:
                piece = stream.decompress(rest, at_once)
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
    raise Broken(_TOO_MANY_PARTS)


def _zstd(raw: bytes, at_once: int) -> Iterator[bytes]:
    zstd = import_module(f"{ZSTD}.zstd")
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
    for _ in range(MOST_PARTS):
        frame, rest = zstd.ZstdDecompressor(options=options), raw
        while not frame.eof:
            try:
                piece = frame.decompress(rest, at_once)
            except zstd.ZstdError:
                raise Broken("the body is cut or its encoding is broken") from None
            rest = b""
            if not piece and frame.needs_input and not frame.eof:
                raise Broken("the body is cut: the end of its encoding is missing")
            yield piece
        raw = frame.unused_data
        if not raw:
            return
    raise Broken(_TOO_MANY_PARTS)


class SubprocessParser:
    """Parses small bodies in this process and large ones in another."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def read(self, source: Source, inbound: Inbound) -> Parsed:
        """Parse a body as `sources.dispatch.read` does. Refused (503) if too many large bodies come
        at once."""
        if not is_large(inbound):
            return read(source, inbound)
        try:
            async with asyncio.timeout(SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise unavailable("too many large bodies at once; send it again") from None
        try:
            return await _read_apart(portable(source), inbound)
        finally:
            self._places.release()


def is_large(inbound: Inbound) -> bool:
    """Whether parsing the body here would block other requests too long."""
    if len(inbound.body) > SIZE_AT_ONCE:
        return True
    return values_in(inbound.body, inbound.header("content-type")) > READ_AT_ONCE


async def _read_apart(source: str | tuple[str, Any], inbound: Inbound) -> Parsed:
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # import nothing from the current folder
            "-c",
            _PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # in the dashboard stderr is the screen
            start_new_session=True,  # ctrl-c must not end it: the body must still be stored
            env=_environment(),
        )
    except OSError as error:
        raise unavailable(f"no process for a large body ({error.strerror}); send it again") from (
            None
        )
    try:
        async with asyncio.timeout(SECONDS):
            found, _ = await process.communicate(pickle.dumps((source, inbound)))
    except TimeoutError:
        return unreadable(f"it could not be read within {SECONDS:g} seconds; send less at once")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode != 0 or not found:
        return unreadable("reading it took more memory than there is; send less at once")
    outcome = pickle.loads(found)  # noqa: S301 - from our own process, of values that we made
    if isinstance(outcome, Parsed):
        return outcome
    raise BadBody(*outcome)


def _environment() -> dict[str, str]:
    """The environment of the process: ours without possible secrets, and with the path of this
    package."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("VS_", "EM_METRICS_"))}
    folders = (str(_PACKAGE), kept.get("PYTHONPATH", ""))
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


class Resolver:
    """Rewrites `child` and `parent` in the body of POST /api/links to full keys."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def __call__(self, inbound: Inbound) -> Inbound:
        """The rewritten request. Refused with 404 if there is no such span, with 400 if it cannot
        be moved."""
        try:
            body = orjson.loads(inbound.body)
        except orjson.JSONDecodeError:
            return inbound  # the source reports the error
        if not isinstance(body, dict):
            return inbound
        found = {role: await self._key(body, role) for role in ("child", "parent")}
        try:
            return inbound._replace(body=orjson.dumps({**body, **found}))
        except TypeError:  # orjson reads deeper nesting than it writes
            raise Refused(400, "bad_request", "body: is nested too deep; send it flatter") from None

    async def _key(self, body: Mapping[str, Any], role: str) -> str:
        name = body.get(role)
        if not isinstance(name, str) or not name.strip():
            return ""
        span = await self._reader.span(name.strip())
        if span is None:
            raise Refused(
                404,
                "not_found",
                f"{role}: there is no span {clean(name)[:100]}; `vs-tui ls` lists them by ref",
            )
        if role == "child" and span.operation == "stage":
            raise Refused(
                400, "bad_request", "child: a stage belongs to its span; name that span instead"
            )
        return span.key

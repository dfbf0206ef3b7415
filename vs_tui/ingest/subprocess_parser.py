"""Parses large bodies in a process of its own, so that other requests and the dashboard go on.

A thread or smaller steps would not help: the JSON parser holds the interpreter until it is done,
which takes seconds for a body of very many small values. A process costs some tenths of a second,
only for such bodies, and frees all its memory when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any, Final

import vs_tui
from vs_tui.ingest.http_errors import unavailable
from vs_tui.model.limits import MIB, READ_AT_ONCE, values_in
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source
from vs_tui.sources.reading import read, unreadable
from vs_tui.sources.registry import portable

SIZE_AT_ONCE: Final = MIB
"""Most bytes that are parsed in this process; longer bodies also take long to check."""
SECONDS: Final = 6.0
"""Longest time for parsing. GitHub and GitLab hang up after ten seconds, and the body must be
stored by then as well."""
AT_ONCE: Final = 2
"""Most such processes at once; further bodies wait, and get 503 after `SECONDS`."""
_PROGRAM: Final = "from vs_tui.sources.reading import read_piped; read_piped()"
_PACKAGE: Final = Path(vs_tui.__file__).parents[1]


class SubprocessParser:
    """Parses small bodies in this process and large ones in another."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def read(self, source: Source, inbound: Inbound) -> Parsed:
        """Parse a body as `sources.reading.read` does. Refused (503) if too many large bodies come
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

"""A receiver inside the test's own event loop, with small limits, and raw sockets to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, Secrets
from vs_tui.model.limits import Limits

TOKEN = "inside-token-0123456789"
START = b'{"type":"build","id":"1","action":"start"}'


@contextlib.asynccontextmanager
async def receiving(
    folder: Path,
    limits: Limits | None = None,
    metrics_port: int = 0,
    secrets: Mapping[str, tuple[str, ...]] | None = None,
) -> AsyncIterator[Runtime]:
    config = Config(
        port=0,
        metrics_port=metrics_port,
        db=folder / "inside.db",
        secrets=Secrets(TOKEN, secrets or {"github": ("gh-secret",)}),
        limits=_patient(limits or Limits()),
    )
    runtime = Runtime(config, now)
    await runtime.open_store()
    try:
        await runtime.listen()
        yield runtime
    finally:
        await runtime.close()


def _patient(limits: Limits) -> Limits:
    """Nothing is cut because the machine is slow, unless a test says when."""
    usual = Limits()
    names = ("read_seconds", "idle_seconds")
    unsaid = [name for name in names if getattr(limits, name) == getattr(usual, name)]
    return replace(limits, **dict.fromkeys(unsaid, 4 * PATIENCE))


async def busy(runtime: Runtime, number: int) -> None:
    """Returns when the receiver handles so many requests."""
    async with asyncio.timeout(PATIENCE):
        while runtime.receiver.connections.busy != number:
            await asyncio.sleep(0)


class Raw:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, runtime: Runtime, own: str = "127.0.0.1") -> Raw:
        host, port = runtime.url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port), local_addr=(own, 0)))

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """(status, headers, decoded body); status 0 when the connection was closed instead."""
        try:
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, {}, None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        try:
            return int(first.split()[1]), headers, json.loads(body)
        except ValueError:
            return int(first.split()[1]), headers, body

    async def closed(self) -> bool:
        """Whether the other side hangs up, sooner than the limits for silence would make it."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(1), PATIENCE) == b""
        return True

    def close(self) -> None:
        self.writer.close()


def post(body: bytes = START, path: str = "/customhttp", *headers: str, length: int = -1) -> bytes:
    """A whole request, with our token unless `headers` bring a proof."""
    proof = (
        ()
        if any(h.lower().startswith(("auth", "x-")) for h in headers)
        else (f"Authorization: Bearer {TOKEN}",)
    )
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: test",
        "Content-Type: application/json",
        *proof,
        *headers,
        f"Content-Length: {len(body) if length < 0 else length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

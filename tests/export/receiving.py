"""A receiver with an export, and what is posted to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, Secrets
from vs_tui.config.model import ExportSettings
from vs_tui.model.vocabulary import Verdict


@contextlib.asynccontextmanager
async def receiver(
    folder: Path, url: str, settings: dict[str, Any] | None = None, **export: Any
) -> AsyncIterator[Runtime]:
    config = Config(
        **(settings or {}),
        port=0,
        db=folder / "export.db",
        secrets=Secrets("token-0123456789", {}),
        export=ExportSettings(url, **{"settle": 0, **export}),
    )
    runtime = Runtime(config, now)
    await runtime.open_store()
    try:
        await runtime.listen()
        yield runtime
    finally:
        await runtime.close()


async def post(runtime: Runtime, path: str, **body: Any) -> None:
    raw = json.dumps(body).encode()
    outcome = await runtime.ingest(path, {"content-type": "application/json"}, raw)
    assert outcome is not None
    assert outcome.verdict is Verdict.ACCEPTED, outcome.reason


async def event(runtime: Runtime, kind: str, name: str, action: str, **more: Any) -> None:
    await post(runtime, "/customhttp", type=kind, id=name, action=action, **more)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)

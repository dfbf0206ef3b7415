"""`vs-tui db`: care for the database file."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vs_tui.cli.common import CommandError, add_store_options, load_config, now
from vs_tui.config import Config
from vs_tui.domain.instants import parse_duration

_HELP = {
    "backup": "copy the database while it is in use, and check the copy",
    "verify": "check structure and every body's hash; changes nothing",
    "prune": "delete old traces that are over, and the bodies of their deliveries",
    "rebuild": "fold all deliveries again, after an upgrade of an adapter",
    "stats": "what is stored, and how large it is",
}


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("db", help="backup, verify, prune, rebuild, stats")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in _HELP.items():
        action = actions.add_parser(name, help=text, description=text)
        add_store_options(action)
        action.add_argument("--json", action="store_true", help="print JSON")
        if name == "backup":
            action.add_argument("target", metavar="FILE", help="where the copy goes")
        if name == "prune":
            action.add_argument(
                "--older-than", metavar="AGE", help="such as 90d (default: [retention] age)"
            )
            action.add_argument(
                "--dry-run", action="store_true", help="say what would be deleted, delete nothing"
            )


def run(args: argparse.Namespace) -> int:
    actions: dict[str, Callable[[Config, argparse.Namespace], dict[str, Any]]] = {
        "backup": _backup,
        "verify": _verify,
        "prune": _prune,
        "rebuild": _rebuild,
        "stats": _stats,
    }
    result = actions[args.action](load_config(args), args)
    show(result, as_json=args.json)
    return 0 if result.get("ok", True) else 1


def show(result: dict[str, Any], *, as_json: bool) -> None:
    """Print a result as JSON or as aligned `name value` lines."""
    if as_json:
        import orjson

        print(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
        return
    for name, value in result.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<18} {shown}")


def _existing(config: Config) -> Path:
    if not config.db.is_file():
        raise CommandError(f"{config.db} does not exist; name the database with --db")
    return config.db


def _backup(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance import backup

    target = Path(args.target).expanduser()
    backup(_existing(config), target)
    return {"ok": True, "backup": str(target), "bytes": target.stat().st_size}


def _verify(config: Config, _: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance import verify

    problems = verify(_existing(config))
    advice = (
        [] if not problems else ["stop the receiver and restore a backup: copy it over the file"]
    )
    return {
        "ok": not problems,
        "problems": problems or ["none"],
        "next": advice or ["nothing to do"],
    }


def _prune(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance import prune

    age = args.older_than or config.retention.get("age", "")
    if not age:
        raise CommandError("say how old: --older-than 90d, or age in [retention] of the config")
    try:
        before = now() - parse_duration(age)
    except ValueError as error:
        raise CommandError(str(error)) from None
    path = _existing(config)
    return asyncio.run(_write(config, lambda db: prune(db, before, dry_run=args.dry_run))) | {
        "database": str(path)
    }


def _rebuild(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.intaking import parse_stored
    from vs_tui.store.rebuild import rebuild

    _existing(config)
    began = time.monotonic()
    quiet = args.json or not sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if not quiet:
            print(f"\r{done}/{total} deliveries", end="", file=sys.stderr, flush=True)

    async def work() -> Any:
        from vs_tui.cli.runtime import writer_settings
        from vs_tui.store.writer import Writer

        writer = Writer(config.db, now, writer_settings(config))
        await writer.open()
        try:
            return await writer.transaction(lambda db, f: rebuild(db, f, parse_stored, progress))
        finally:
            await writer.close()

    result = asyncio.run(work())
    if not quiet:
        print(file=sys.stderr)
    took = max(time.monotonic() - began, 1e-9)
    return {
        "ok": True,
        "deliveries": result.deliveries,
        "spans": result.spans,
        "quarantined": result.quarantined,
        "per_second": round(result.deliveries / took),
    }


async def _write(config: Config, work: Callable[[sqlite3.Connection], Any]) -> dict[str, Any]:
    from vs_tui.cli.runtime import writer_settings
    from vs_tui.store.writer import Writer

    writer = Writer(config.db, now, writer_settings(config))
    await writer.open()
    try:
        result: dict[str, Any] = await writer.transaction(lambda db, _: work(db))
    finally:
        await writer.close()
    return result


def _stats(config: Config, _: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance import stats

    return stats(_existing(config))

"""`vs-tui db`: maintenance of the database file."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vs_tui.cli import postgres
from vs_tui.cli.commands import UsageError, add_command, usage
from vs_tui.cli.common import Bar, CommandError, add_store_options, load_config, now, print_json
from vs_tui.config import Config
from vs_tui.model.display import clean_lines
from vs_tui.model.limits import Retention, format_size
from vs_tui.model.time import Instant, iso, parse_duration
from vs_tui.store.lock import InUse, refuse_neighbour

if TYPE_CHECKING:
    from vs_tui.store.maintenance.retention import Pruned
    from vs_tui.store.writer import Writer

T = TypeVar("T")

_HELP = {
    "backup": "copy the database while it is in use, and check the copy",
    "restore": "put a checked backup in the place of the database, which is kept beside it",
    "verify": "check structure and every body's hash; changes nothing",
    "prune": "delete old traces that are over, with their deliveries, and give the space back",
    "rebuild": "fold all deliveries again, after an upgrade of an adapter",
    "forget": "replace a person's names in everything stored, deliveries included",
    "stats": "what is stored, and how large it is",
    "copy-log": "copy all deliveries between a database file and a PostgreSQL log",
}


_LABELS = {
    "bytes": "size",
    "wal_bytes": "write-ahead log",
    "free_bytes": "free inside",
    "freed_bytes": "given back",
    "kept": "previous database",
}
"""Labels for people where the JSON field has another name."""
_ELSEWHERE = "delete every backup elsewhere, or make it again: copies cannot be reached from here"
_BESIDE = "once the database is checked, delete the copies beside it, or use --delete-copies"


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "db",
        run,
        epilog="""
        examples:
          vs-tui db stats
          vs-tui db backup /backups/vs-tui.db    while it is in use
          vs-tui db restore /backups/vs-tui.db   while the receiver is stopped
          vs-tui db verify --json
          vs-tui db prune --older-than 180d --dry-run
          vs-tui db rebuild                      after an upgrade
          vs-tui db copy-log team.db postgresql://db/vstui
          vs-tui db forget --actor bob --actor bob@acme.com --delete-copies
        """,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in _HELP.items():
        action = actions.add_parser(name, help=text, description=text)
        add_store_options(action)
        action.add_argument("--json", action="store_true", help="print JSON")
        if name == "backup":
            action.add_argument("target", metavar="FILE", help="where the copy goes")
        if name == "copy-log":
            action.add_argument("source", metavar="FROM", help="a database file, or a URL")
            action.add_argument("target", metavar="TO", help="a URL, or a new database file")
        if name == "restore":
            action.add_argument("copy", metavar="BACKUP", help="a file that `db backup` made")
        if name in ("forget", "prune"):
            action.add_argument(
                "--delete-copies",
                action="store_true",
                help="delete the copies beside the database, too: they still hold all of it",
            )
        if name == "forget":
            action.add_argument(
                "--actor",
                metavar="NAME",
                action="append",
                required=True,
                help="a login, name or e-mail of the person; may be repeated",
            )
            action.add_argument(
                "--dry-run", action="store_true", help="say what would be changed, change nothing"
            )
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
        "restore": _restore,
        "verify": _verify,
        "prune": _prune,
        "rebuild": _rebuild,
        "forget": _forget,
        "stats": _stats,
        "copy-log": postgres.copy_log,
    }
    try:
        result = actions[args.action](load_config(args), args)
    except InUse as error:
        raise CommandError(_in_use(error, args)) from None
    show(result, as_json=args.json)
    return 0 if result.get("ok", True) else 1


def _in_use(error: InUse, args: argparse.Namespace) -> str:
    again = f"stop it, run `vs-tui db {args.action}` again and start it"
    if args.action == "prune":
        again += "; a running receiver prunes by itself: set age in [retention]"
    return f"{error.path} is in use by the receiver with process id {error.holder}: {again}"


def show(result: dict[str, Any], *, as_json: bool) -> None:
    """Print a result as JSON or as aligned `name value` lines."""
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        print(f"{_LABELS.get(name, name.replace('_', ' ')):<18} {clean_lines(_shown(name, value))}")


def _shown(name: str, value: object) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("bytes"):
        return format_size(value)
    if isinstance(value, dict):
        return ", ".join(f"{each} {name}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return "\n".join(str(each) for each in value).replace("\n", f"\n{'':19}") or "none"
    return "-" if value is None else str(value)


def _existing(config: Config) -> Path:
    if not config.db.is_file():
        raise CommandError(f"{config.db} does not exist; name the database with --db")
    return config.db


def _backup(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance.backup import backup

    target = Path(args.target).expanduser()
    refuse_neighbour(target)
    backup(_existing(config), target)
    return {"ok": True, "backup": str(target), "bytes": target.stat().st_size}


def _restore(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance.backup import restore

    copy = Path(args.copy).expanduser()
    if not copy.is_file():
        raise CommandError(f"{copy} is no file; name one that `vs-tui db backup` wrote")
    done = restore(copy, config.db)
    return {
        "ok": True,
        "database": str(config.db),
        "restored_from": str(copy),
        "deliveries": done.deliveries,
        "kept": str(done.kept) if done.kept else None,
    }


def _verify(config: Config, _: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance.backup import verify

    problems = verify(_existing(config))
    result: dict[str, Any] = {
        "ok": not problems,
        "database": str(config.db),
        "problems": problems,
    }
    if problems:
        from vs_tui.store.storage_errors import RECOVER

        result["next"] = RECOVER
    return result


def _prune(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    with usage("--older-than: "):
        age = parse_duration(args.older_than) if args.older_than else config.retention.age
    if not age:
        given = "at least 1s" if args.older_than else "or set age in [retention] of the config"
        raise UsageError(f"say how old: --older-than 90d, {given}")
    before = _counted_from(config.db) - age
    if config.log is not None:
        if args.dry_run:
            raise UsageError("--dry-run: not with a shared log; `vs-tui ls` lists what is old")
        return postgres.prune(config, config.log, before)
    _existing(config)
    if args.dry_run:
        pruned, freed = _count_prunable(config.db, before), 0
    else:
        size = config.db.stat().st_size
        pruned = asyncio.run(_with_writer(config, lambda writer: writer.prune(before)))
        freed = max(size - config.db.stat().st_size, 0)
    copies = _copies(config.db, args)
    return {
        "ok": True,
        "database": str(config.db),
        "older_than": iso(before),
        "traces": pruned.traces,
        "spans": pruned.spans,
        "deliveries": pruned.deliveries,
        "traces_kept_for_others": pruned.held,
        "deleted": not args.dry_run,
        "freed_bytes": freed,
        "copies_that_still_hold_it": copies,
        "next": [_ELSEWHERE, *([_BESIDE] if copies else [])],
    }


def _counted_from(path: Path) -> Instant:
    """The time from which ages are counted: now, or an earlier time if the clock is impossibly far
    ahead."""
    from vs_tui.store.clock import TOLERANCE, deleting
    from vs_tui.store.schema import StoreError, open_reader

    found = now()
    with (
        contextlib.suppress(StoreError, sqlite3.Error),  # the delete reports the error
        contextlib.closing(open_reader(path, older=True)) as reader,
    ):
        found = deleting(reader, found)
    if found < now() - TOLERANCE:
        print(
            f"the clock is far ahead of what this database knows: ages count from {iso(found)}",
            file=sys.stderr,
        )
    return found


def _copies(path: Path, args: argparse.Namespace) -> list[str]:
    """Backup copies next to the database."""
    from vs_tui.store.maintenance.forgetting import copies_beside, delete_copies

    delete = args.delete_copies and not args.dry_run
    return [str(copy) for copy in (delete_copies if delete else copies_beside)(path)]


def _count_prunable(path: Path, before: Instant) -> Pruned:
    from vs_tui.store.maintenance.retention import count_prunable
    from vs_tui.store.schema import open_reader

    connection = open_reader(path)
    try:
        return count_prunable(connection, before)
    finally:
        connection.close()


def _rebuild(config: Config, _: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.cli.runtime import writer_settings
    from vs_tui.store.maintenance.rebuild import rebuild
    from vs_tui.store.schema import spare_collector

    _existing(config)
    began = time.monotonic()
    with Bar(sys.stderr) as bar:
        spare_collector()
        result = asyncio.run(rebuild(config.db, now, writer_settings(config), bar.show))
    took = max(time.monotonic() - began, 1e-9)
    return {
        "ok": True,
        "deliveries": result.deliveries,
        "spans": result.spans,
        "quarantined": result.quarantined,
        "pruned_deploys_kept": result.kept,
        "per_second": round(result.deliveries / took),
    }


def _forget(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance import forgetting

    with usage("--actor: "):
        person = forgetting.Person(args.actor)
    if config.log is not None:
        advice = _after_forgetting(config, args.actor, 0, False)
        return postgres.forget(config, config.log, person, dry_run=args.dry_run, advice=advice)
    path = _existing(config)

    async def work(writer: Writer) -> forgetting.Forgotten:
        done = await writer.start_over(
            lambda db, folding: forgetting.forget(db, folding.bodies, person, now())
        )
        await writer.folded()
        await writer.run(forgetting.wipe)
        return done

    if args.dry_run:
        from vs_tui.store.schema import open_reader

        with contextlib.closing(open_reader(path)) as connection:
            found = forgetting.count_named(connection, person)
    else:
        found = asyncio.run(_with_writer(config, work))
    copies = _copies(path, args)
    return {
        "ok": True,
        "deliveries": found.deliveries,
        "refusals": found.refusals,
        "forgotten": not args.dry_run,
        "now_called": None if args.dry_run else person.word,
        "left_inside_longer_words": found.inside_words,
        "copies_that_still_name_them": copies,
        "next": _after_forgetting(config, args.actor, found.inside_words, bool(copies)),
    }


def _after_forgetting(
    config: Config, names: Sequence[str], inside_words: int, copies: bool
) -> list[str]:
    wanted = {name.casefold() for name in names}
    advice = [_ELSEWHERE]
    if copies:
        advice.append(_BESIDE)
    if inside_words:
        advice.append("give the longer words with --actor as well, where they mean the person")
    if any(user.casefold() in wanted for team in config.teams.teams for user in team.users):
        advice.append(f"take the name out of [teams] in {config.path}")
    return advice


async def _with_writer(config: Config, work: Callable[[Writer], Awaitable[T]]) -> T:
    from vs_tui.cli.runtime import open_log, writer_settings

    # Without retention: what a command deletes is what it was asked to delete.
    writer = open_log(config, now, replace(writer_settings(config), retention=Retention()))
    await writer.open()
    try:
        return await work(writer)
    finally:
        await writer.close()


def _stats(config: Config, _: argparse.Namespace) -> dict[str, Any]:
    from vs_tui.store.maintenance.backup import stats

    return stats(_existing(config))

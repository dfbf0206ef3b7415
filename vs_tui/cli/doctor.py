"""`vs-tui doctor`: what could be wrong with this installation, each with what to do."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sqlite3
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.common import add_store_options, load_config, now
from vs_tui.config import Config, readable_by_others
from vs_tui.domain.instants import DAY, format_duration, iso

FIXED_SQLITE: Final = (3, 51, 3)
"""SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two connections checkpoint at once; we
write and checkpoint on one connection only, so it is a warning and no error."""
LOW_SPACE: Final = 256 * 1024 * 1024
_NGROK: Final = "http://127.0.0.1:4040/api/tunnels"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `ok`, `warn` or `fail`, what was found, and what to do."""

    level: str
    check: str
    found: str
    advice: str = ""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="check the installation, and say what to do",
        description="Checks SQLite, disk, file modes, configuration, port, tunnel and each source. "
        "Exit code 1 when something is broken; warnings alone exit 0.",
    )
    add_store_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    config = load_config(args)
    findings = list(examine(config))
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        marks = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
        for finding in findings:
            print(f"{marks[finding.level]}  {finding.check:<14} {finding.found}")
            if finding.advice:
                print(f"{'':22}-> {finding.advice}")
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def examine(config: Config) -> Iterator[Finding]:
    """Every check, in the order a person would want to read them."""
    yield _configuration(config)
    yield from _secrets(config)
    yield _user()
    yield _sqlite()
    yield _http_parser()
    yield from _database(config)
    yield _receiver(config)
    yield _tunnel(config)
    yield from _sources(config)


def _configuration(config: Config) -> Finding:
    if not config.path.is_file():
        return Finding(
            "ok",
            "config",
            "none, defaults are in force",
            "`vs-tui config init` writes a commented one",
        )
    return Finding("ok", "config", str(config.path))


def _secrets(config: Config) -> Iterator[Finding]:
    if config.no_auth:
        yield Finding(
            "warn", "auth", "open: no_auth is set", "remove it before a tunnel points here"
        )
    if not config.secrets.token:
        yield Finding("warn", "secrets", "none yet", "the first start of `vs-tui` creates them")
    elif readable_by_others(config.secrets_path):
        yield Finding(
            "fail",
            "secrets",
            f"{config.secrets_path} is readable by other users",
            f"chmod 600 {config.secrets_path}",
        )
    else:
        yield Finding(
            "ok", "secrets", f"set for {len(config.secrets.sources)} sources, and a token"
        )


def _user() -> Finding:
    if os.geteuid() == 0:
        return Finding(
            "warn", "user", "root", "run it as a user of its own; it needs no privileges"
        )
    return Finding("ok", "user", "not root")


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version_info
    if version < FIXED_SQLITE:
        return Finding(
            "warn",
            "sqlite",
            f"{sqlite3.sqlite_version} has the WAL-reset bug",
            "harmless with one receiver a file; a Python with SQLite 3.51.3 or later is free of it",
        )
    return Finding("ok", "sqlite", sqlite3.sqlite_version)


def _http_parser() -> Finding:
    from aiohttp import http_parser

    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        return Finding(
            "warn", "http parser", "pure Python", "install an aiohttp wheel with its C extension"
        )
    return Finding("ok", "http parser", "C")


def _database(config: Config) -> Iterator[Finding]:
    path = config.db
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    level = "ok" if free > LOW_SPACE else "warn"
    advice = "" if level == "ok" else "free some space, or `vs-tui db prune --older-than 90d`"
    yield Finding(level, "disk", f"{free // 1024 // 1024} MiB free at {folder}", advice)
    if not path.is_file():
        yield Finding("ok", "database", f"{path} does not exist yet", "the first start creates it")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("fail", "database", f"{path} has mode {mode:o}", f"chmod 600 {path}")
    yield from _stored(path)


def _stored(path: Path) -> Iterator[Finding]:
    from vs_tui.store.maintenance import stats
    from vs_tui.store.schema import StoreError

    try:
        found = stats(path)
    except (StoreError, sqlite3.DatabaseError) as error:
        yield Finding("fail", "database", str(error), "`vs-tui db verify` tells more")
        return
    yield Finding(
        "ok",
        "database",
        f"{path}: {found['deliveries']} deliveries, {found['spans']} spans, "
        f"{found['bytes'] // 1024} KiB",
    )


def _receiver(config: Config) -> Finding:
    address = f"{config.host}:{config.port}"
    if config.port == 0:
        return Finding("ok", "receiver", "port 0: any free one")
    began = time.time()
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=2) as response:
            sent = response.headers.get("Date", "")
    except urllib.error.HTTPError as error:
        return Finding(
            "fail", "receiver", f"{address} answers {error.code}", "see its banner or log"
        )
    except OSError:
        with socket.socket() as probe:
            taken = probe.connect_ex((config.host or "127.0.0.1", config.port)) == 0
        if taken:
            return Finding(
                "fail", "receiver", f"{address} is another program", "choose another with --port"
            )
        return Finding("ok", "receiver", f"not running at {address}", "start it with `vs-tui`")
    return Finding("ok", "receiver", f"ready at {address}{_skew(sent, began)}")


def _skew(sent: str, began: float) -> str:
    from email.utils import parsedate_to_datetime

    try:
        skew = abs(parsedate_to_datetime(sent).timestamp() - began)
    except (TypeError, ValueError):
        return ""
    return f", its clock is {skew:.0f} s off" if skew > 5 else ""


def tunnel_url() -> str:
    """The public URL of an ngrok agent on this machine, from its local API; `` without one."""
    try:
        with urllib.request.urlopen(_NGROK, timeout=0.5) as response:
            tunnels = json.load(response).get("tunnels", [])
    except (OSError, ValueError, AttributeError):
        return ""
    urls = [str(t.get("public_url", "")) for t in tunnels if isinstance(t, dict)]
    return next((url for url in urls if url.startswith("https://")), "")


def _tunnel(config: Config) -> Finding:
    found = config.public_url or tunnel_url()
    if not found:
        return Finding(
            "ok", "tunnel", "none seen", f"`ngrok http {config.port}` makes this port reachable"
        )
    if config.no_auth:
        return Finding("fail", "tunnel", f"{found} is open to everyone", "remove no_auth now")
    return Finding("ok", "tunnel", found)


def _sources(config: Config) -> Iterator[Finding]:
    if not config.db.is_file():
        return
    from vs_tui.store.schema import StoreError, open_reader

    try:
        connection = open_reader(config.db)
    except StoreError:
        return
    try:
        rows = connection.execute(
            "SELECT source, MAX(last_at), SUM(n), SUM(n * (verdict = 'ignored')), "
            "SUM(n * (verdict = 'quarantined')), SUM(n * (verdict = 'rejected')) "
            "FROM counts GROUP BY source ORDER BY source"
        ).fetchall()
    finally:
        connection.close()
    if not rows:
        yield Finding(
            "warn", "sources", "nothing was received yet", "the README shows how to connect a tool"
        )
    for source, last_at, received, ignored, quarantined, rejected in rows:
        age = now() - last_at
        found = (
            f"{received} received, last {iso(last_at)} ({format_duration(age)} ago), "
            f"{ignored} ignored, {quarantined} quarantined, {rejected} rejected"
        )
        if quarantined:
            advice = "upgrade, then `vs-tui db rebuild`; Events shows why"
            yield Finding("warn", source, found, advice)
        elif age > 7 * DAY:
            advice = "silent for a week: see whether the tool disabled its webhook"
            yield Finding("warn", source, found, advice)
        else:
            yield Finding("ok", source, found)

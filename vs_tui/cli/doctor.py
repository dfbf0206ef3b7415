"""`vs-tui doctor`: check this installation, and say what to do about each problem."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import add_store_options, load_config, now
from vs_tui.cli.dashboard import check_keys
from vs_tui.cli.doctor_store import (
    Finding,
    database_findings,
    look_deep,
    stored_findings,
    to_the_second,
)
from vs_tui.cli.http_client import HttpError, get
from vs_tui.cli.reachability import agent_url
from vs_tui.cli.runtime import writer_settings
from vs_tui.config import Config, ConfigError, readable_by_others
from vs_tui.model import filters
from vs_tui.model.display import clean, shown_url
from vs_tui.model.errors import Explained
from vs_tui.sources.dispatch import tools
from vs_tui.store.lock import holder

FIXED_SQLITE: Final = (3, 51, 3)
"""SQLite 3.7.0 to 3.51.2 can corrupt a WAL database if two connections checkpoint at once. We write
and checkpoint on one connection only, so this is a warning."""

ASK_SECONDS: Final = 3.0
"""Seconds to wait for an answer of the receiver, here or through its tunnel."""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "doctor",
        run,
        description="Checks SQLite, disk, file modes, clock, configuration, authentication, "
        "receiver, tunnel, each source, the exports, and which spans the metrics count. Exit code "
        "1 when something is broken; warnings alone exit 0.",
        epilog="""
        examples:
          vs-tui doctor
          vs-tui doctor --deep                   reads the whole database, too
          vs-tui doctor --json | jq '.[] | select(.level != "ok")'
        """,
    )
    add_store_options(parser)
    parser.add_argument("--deep", action="store_true", help="read the whole database, too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    config = load_config(args)
    findings = [*examine(config), *(look_deep(config) if args.deep else ())]
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            show(finding)
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def show(finding: Finding) -> None:
    """One line for the finding, and below it what to do."""
    marks = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
    print(f"{marks[finding.level]}  {finding.check:<14} {clean(finding.found)}")
    if finding.advice:
        print(f"{'':22}-> {clean(finding.advice)}")


def examine(config: Config) -> Iterator[Finding]:
    """The findings of every check."""
    for check in CHECKS:
        yield from check(config)


def _configuration(config: Config) -> Iterator[Finding]:
    if config.path.is_file():
        yield Finding("ok", "config", str(config.path))
    else:
        advice = "`vs-tui config init` writes a commented one"
        yield Finding("ok", "config", f"{config.path} does not exist: defaults", advice)
    origins = {name: origin for name, origin in config.origins.items() if name != "token"}
    if origins:
        found = ", ".join(f"{name} from {origin}" for name, origin in sorted(origins.items()))
        yield Finding("ok", "settings", found)


def _names(config: Config) -> Iterator[Finding]:
    """Names in the configuration that are only read when they are needed."""
    try:
        writer_settings(config)
    except ConfigError as error:
        found = f"{config.path}: {error}"
        yield Finding("fail", "correlation", found, "no receiver starts before it is mended")
    try:
        yield Finding("ok", "mappings", f"{len(tools())} sources, {len(config.sources)} of yours")
    except ConfigError as error:
        found = f"{config.path}: {error}"
        yield Finding("fail", "mappings", found, "no receiver starts before it is mended")
    try:
        check_keys(config)
    except ConfigError as error:
        yield Finding("fail", "keys", str(error), "no dashboard starts before it is mended")
    for name, text in config.views.items():
        try:
            filters.parse(text)
        except ValueError as error:
            yield Finding("warn", "views", f"{name}: {error}", f"mend it in {config.path}")


def _clock(_: Config) -> Iterator[Finding]:
    built = Path(__file__).stat().st_mtime
    # The program cannot be younger than now: then the clock stands wrong.
    if time.time() < built - 86_400:
        found = f"{to_the_second(now())} is before this program was installed"
        advice = "set the clock (timedatectl set-ntp true): signed webhooks expire after 5 minutes"
        yield Finding("fail", "clock", found, advice)
    else:
        yield Finding("ok", "clock", to_the_second(now()))


def _secrets(config: Config) -> Iterator[Finding]:
    path, number = config.secrets_path, len(config.secrets.sources)
    if config.no_auth:
        advice = "remove it before a tunnel points here"
        yield Finding("warn", "auth", "open: no_auth is set", advice)
    if not config.secrets.token:
        yield Finding("warn", "secrets", "none yet", "the first start of `vs-tui` creates them")
    elif readable_by_others(path):
        found = f"{path} is readable by other users"
        yield Finding("fail", "secrets", found, f"chmod 600 {path}")
    else:
        yield Finding("ok", "secrets", f"set for {number} sources, and a token")


def _user(_: Config) -> Iterator[Finding]:
    if os.geteuid() == 0:
        advice = "run it as a user of its own; it needs no privileges"
        yield Finding("warn", "user", "root", advice)
    else:
        yield Finding("ok", "user", "not root")


def _sqlite(_: Config) -> Iterator[Finding]:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < FIXED_SQLITE:
        advice = (
            "harmless with one receiver a file; a Python with SQLite 3.51.3 or later is free of it"
        )
        yield Finding("warn", "sqlite", f"{version} has the WAL-reset bug", advice)
    else:
        yield Finding("ok", "sqlite", version)


def _http_parser(_: Config) -> Iterator[Finding]:
    from aiohttp import http_parser

    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        advice = "install an aiohttp wheel with its C extension"
        yield Finding("warn", "http parser", "pure Python", advice)
    else:
        yield Finding("ok", "http parser", "C")


def _log(config: Config) -> Iterator[Finding]:
    """Whether the shared log can be reached and written, and whether this node follows it."""
    if config.log is None:
        return
    from vs_tui.cli.postgres import look

    try:
        found, behind = asyncio.run(look(config, config.log))
    except Explained as error:
        advice = "senders get 503 until it answers; dashboards show what they have read"
        yield Finding("fail", "log", str(error), advice)
        return
    held = "wait for a transaction" in found
    advice = "see pg_stat_activity: nodes read below the oldest transaction that writes"
    yield Finding("warn" if held else "ok", "log", f"{config.log}: {found}", advice if held else "")
    if behind and not holder(config.db):
        yield Finding(
            "warn",
            "follower",
            f"{config.db} lacks the newest entries of the log, and no process follows it",
            "start `vs-tui serve` or `vs-tui view` with this log: it catches up by itself",
        )


def _network(config: Config) -> Iterator[Finding]:
    """Whether the receiver answers here, and through its tunnel."""
    receiver = _receiver(config)
    yield receiver
    yield _tunnel(config, ready=receiver.found.startswith("ready"))


def _receiver(config: Config) -> Finding:
    address = f"{f'[{config.host}]' if ':' in config.host else config.host}:{config.port}"
    if config.port == 0:
        return Finding("ok", "receiver", "port 0: any free one")
    began = time.time()
    try:
        answer = get(f"http://{address}/readyz", ASK_SECONDS)
    except (OSError, HttpError):
        with socket.socket() as probe:
            taken = probe.connect_ex((config.host or "127.0.0.1", config.port)) == 0
        return _another(address) if taken else _absent(config, address)
    said = answer.fields
    if "detail" not in said and "behind" not in said:
        return _another(f"{address} answers {answer.status}: it")
    if answer.status != 200:
        return Finding("fail", "receiver", f"{address} is not ready", str(said.get("detail", "")))
    skew = _skew(answer.headers.get("date", ""), began)
    return Finding("ok", "receiver", f"ready at {address}{skew}")


def _another(subject: str) -> Finding:
    advice = "end it, or choose another port: --port, or port in [server]"
    return Finding("fail", "receiver", f"{subject} is another program", advice)


def _absent(config: Config, address: str) -> Finding:
    """No receiver at the configured address; perhaps one was started with another."""
    if (process := holder(config.db)) and config.log is None:
        return Finding(
            "warn",
            "receiver",
            f"process {process} receives into {config.db}, but not at {address}",
            "write its address into the configuration ([server] host, port) or VS_ADDR, so that "
            "`vs-tui event` and the other commands find it",
        )
    return Finding("ok", "receiver", f"not running at {address}", "start it with `vs-tui`")


def _skew(sent: str, began: float) -> str:
    from email.utils import parsedate_to_datetime

    try:
        skew = abs(parsedate_to_datetime(sent).timestamp() - began)
    except (TypeError, ValueError):
        return ""
    return f", its clock is {skew:.0f} s off" if skew > 5 else ""


def _tunnel(config: Config, *, ready: bool) -> Finding:
    """`ready`: whether the receiver answers here, so that it must answer through the tunnel."""
    found = shown_url(config.public_url) or agent_url(config.port)
    if not found:
        return Finding(
            "ok", "tunnel", "none seen", f"`ngrok http {config.port}` makes this port reachable"
        )
    if config.no_auth:
        level = "warn" if config.no_auth_public else "fail"
        return Finding(level, "tunnel", f"{found} is open to everyone", "remove no_auth now")
    if config.public_url and ready and (wrong := _not_here(config.public_url)):
        return Finding(
            "warn",
            "tunnel",
            f"{found} does not lead here: {wrong}",
            f"start the tunnel again (such as `ngrok http {config.port}`), or mend public_url in "
            "[server]; until then no tool outside reaches this receiver",
        )
    return Finding("ok", "tunnel", found)


def _not_here(url: str) -> str:
    """Why a public URL does not lead to a receiver; empty if it does."""
    try:
        answer = get(f"{url.rstrip('/')}/healthz", ASK_SECONDS)
    except (OSError, HttpError) as error:
        return str(error) or type(error).__name__
    return "" if answer.fields.get("status") else f"it answers {answer.status}"


CHECKS: Final[Sequence[Callable[[Config], Iterator[Finding]]]] = (
    *(_configuration, _names, _secrets, _user, _clock, _sqlite, _http_parser, _log),
    *(database_findings, _network, stored_findings),
)
"""What is examined, in the order in which people want to read it."""

"""The checks of `vs-tui doctor`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vs_tui.cli.common import now
from vs_tui.cli.dashboard import check_keys
from vs_tui.cli.runtime import writer_settings
from vs_tui.cli.source_setup import connections
from vs_tui.cli.tunnel import agent_url
from vs_tui.config import Config, ConfigError, readable_by_others
from vs_tui.log.delivery import UNKNOWN_SOURCE
from vs_tui.model import filters
from vs_tui.model.display import shown_url
from vs_tui.model.errors import Explained, Proof
from vs_tui.model.errors import advice as advise
from vs_tui.model.limits import LAG_SHOWN, MIB, format_size
from vs_tui.model.time import DAY, SECOND, Instant, format_duration, iso
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.registry import sources
from vs_tui.store.queries.reader_protocol import DeliveryRow, SourceHealth

FIXED_SQLITE: Final = (3, 51, 3)
"""SQLite 3.7.0 to 3.51.2 can corrupt a WAL database if two connections checkpoint at once. We write
and checkpoint on one connection only, so this is a warning."""

LARGE_WAL: Final = 256 * MIB
"""Bytes of a WAL that is too large. It is emptied every 4 MiB unless a reader holds an old
snapshot."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `ok`, `warn` or `fail`, what was found, and what to do."""

    level: str
    check: str
    found: str
    advice: str = ""


def examine(config: Config) -> Iterator[Finding]:
    """Run every check, in the order in which people want to read them."""
    yield from _configuration(config)
    yield from _names(config)
    yield from _secrets(config)
    yield _user()
    yield _clock()
    yield _sqlite()
    yield _http_parser()
    yield from _log(config)
    yield from _database(config)
    yield _receiver(config)
    yield _tunnel(config)
    yield from _sources(config)


def look_deep(config: Config) -> Iterator[Finding]:
    """Check every page and every body of the database; takes minutes on a large one."""
    from vs_tui.store.maintenance.backup import verify
    from vs_tui.store.storage_errors import RECOVER

    if not config.db.is_file():
        return
    problems = verify(config.db)
    for problem in problems:
        yield Finding("fail", "contents", problem, RECOVER)
    if not problems:
        yield Finding("ok", "contents", "every page and every body is as it was written")


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
        yield Finding("ok", "mappings", f"{len(sources())} sources, {len(config.sources)} of yours")
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


def _clock() -> Finding:
    built = Path(__file__).stat().st_mtime
    # The program cannot be younger than now: then the clock stands wrong.
    if time.time() < built - 86_400:
        return Finding(
            "fail",
            "clock",
            f"{_to_the_second(now())} is before this program was installed",
            "set the clock (timedatectl set-ntp true): signed webhooks expire after 5 minutes",
        )
    return Finding("ok", "clock", _to_the_second(now()))


def _to_the_second(instant: Instant | None) -> str:
    """A time rounded to the second; `-` for never."""
    return iso(instant - instant % SECOND) or "-" if instant is not None else "-"


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
    yield _space(config, folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "make it this user's own (chown), or choose another place with --db or VS_DATA_DIR"
        yield Finding("fail", "folder", f"{folder} cannot be written by you", advice)
    if not path.is_file():
        yield Finding("ok", "database", f"{path} does not exist yet", "the first start creates it")
        return
    yield from _modes(config)
    yield from _stored(path)


def _log(config: Config) -> Iterator[Finding]:
    """Whether the shared log can be reached and written."""
    if config.log is None:
        return
    from vs_tui.cli.shared_log import look

    try:
        found = asyncio.run(look(config, config.log))
    except Explained as error:
        advice = "senders get 503 until it answers; dashboards show what they have read"
        yield Finding("fail", "log", str(error), advice)
        return
    held = "wait for a transaction" in found
    advice = "see pg_stat_activity: nodes read below the oldest transaction that writes"
    yield Finding("warn" if held else "ok", "log", f"{config.log}: {found}", advice if held else "")


def _space(config: Config, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{format_size(free)} free at {folder}"
    advice = "free some space, or `vs-tui db prune --older-than 90d`"
    if free < config.low_space:
        mark = format_size(config.low_space)
        return Finding("fail", "disk", f"{found}: below {mark} deliveries get 503", advice)
    if free < 4 * config.low_space:
        return Finding("warn", "disk", found, advice)
    return Finding("ok", "disk", found)


def _modes(config: Config) -> Iterator[Finding]:
    """Whether other users can read files that hold deliveries or secrets."""
    database = config.db
    files = [database, *sorted(database.parent.glob(f"{database.name}[-.]*"))]
    open_ones = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in open_ones:
        mode = stat.S_IMODE(path.stat().st_mode)
        yield Finding("fail", "file mode", f"{path} has mode {mode:o}", f"chmod 600 {path}")
    if not open_ones:
        yield Finding("ok", "file mode", "only you can read the database")


def _stored(path: Path) -> Iterator[Finding]:
    from vs_tui.store.maintenance.backup import stats
    from vs_tui.store.schema import StoreError
    from vs_tui.store.storage_errors import explain

    try:
        found = stats(path)
    except (StoreError, sqlite3.DatabaseError) as error:
        yield Finding("fail", "database", explain(error, path), "`vs-tui db verify` tells more")
        return
    yield Finding(
        "ok",
        "database",
        f"{path}: {found['deliveries']} deliveries, {found['spans']} spans, "
        f"{format_size(found['bytes'])}",
    )
    if waiting := _waiting(path):
        yield Finding(
            "warn", "clock", waiting, "nothing is lost: it is done once the time is right"
        )
    if (behind := _behind(path)) > 0:
        yield Finding(
            "warn",
            "lag",
            f"{behind} deliveries are stored and not folded for more than a second",
            "a running receiver catches up by itself, a stopped one at its next start",
        )
    if found["wal_bytes"] > LARGE_WAL:
        yield Finding(
            "warn",
            "wal",
            f"{format_size(found['wal_bytes'])} wait to go into the database",
            "end what reads it for long (a shell in the middle of a query, a backup tool); "
            "`vs-tui view` does not",
        )


def _waiting(path: Path) -> str:
    """The work that is suspended because the clock is wrong; empty if none is."""
    from vs_tui.store.clock import trouble
    from vs_tui.store.schema import open_reader

    with closing(open_reader(path)) as reader:
        return trouble(reader, now())


def _behind(path: Path) -> int:
    """Number of stored deliveries that are still unfolded after a second."""
    from vs_tui.store.queries.reader import SqliteReader

    async def look() -> int:
        reader = await SqliteReader(path, now).open()
        try:
            return 0 if await reader.caught_up(LAG_SHOWN) else (await reader.health()).behind
        finally:
            await reader.close()

    return asyncio.run(look())


def _receiver(config: Config) -> Finding:
    address = f"{f'[{config.host}]' if ':' in config.host else config.host}:{config.port}"
    if config.port == 0:
        return Finding("ok", "receiver", "port 0: any free one")
    began = time.time()
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=2) as response:
            sent = response.headers.get("Date", "")
    except urllib.error.HTTPError as error:
        return Finding("fail", "receiver", f"{address} is not ready", _reason(error))
    except OSError:
        with socket.socket() as probe:
            taken = probe.connect_ex((config.host or "127.0.0.1", config.port)) == 0
        if taken:
            return Finding(
                "fail", "receiver", f"{address} is another program", "choose another with --port"
            )
        return Finding("ok", "receiver", f"not running at {address}", "start it with `vs-tui`")
    return Finding("ok", "receiver", f"ready at {address}{_skew(sent, began)}")


def _reason(error: urllib.error.HTTPError) -> str:
    """Why the receiver is not ready; its own message says what to do."""
    try:
        return str(json.loads(error.read(4_096))["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"it answers {error.code}: see its log, or whether another program has the port"


def _skew(sent: str, began: float) -> str:
    from email.utils import parsedate_to_datetime

    try:
        skew = abs(parsedate_to_datetime(sent).timestamp() - began)
    except (TypeError, ValueError):
        return ""
    return f", its clock is {skew:.0f} s off" if skew > 5 else ""


def _tunnel(config: Config) -> Finding:
    found = shown_url(config.public_url) or agent_url(config.port)
    if not found:
        return Finding(
            "ok", "tunnel", "none seen", f"`ngrok http {config.port}` makes this port reachable"
        )
    if config.no_auth:
        level = "warn" if config.no_auth_public else "fail"
        return Finding(level, "tunnel", f"{found} is open to everyone", "remove no_auth now")
    return Finding("ok", "tunnel", found)


def _sources(config: Config) -> Iterator[Finding]:
    from vs_tui.store.queries.reader import SqliteReader
    from vs_tui.store.schema import StoreError
    from vs_tui.tui.source_status import refused_last

    async def read() -> tuple[Sequence[SourceHealth], Mapping[str, DeliveryRow]]:
        reader = await SqliteReader(config.db, now).open()
        try:
            heard = await reader.sources()
            return heard, await refused_last(reader, heard)
        finally:
            await reader.close()

    if not config.db.is_file():
        return
    try:
        heard, refused = asyncio.run(read())
    except (StoreError, sqlite3.DatabaseError):
        return  # the database's own check says why
    if not heard:
        yield Finding(
            "warn", "sources", "nothing was received yet", "the README shows how to connect a tool"
        )
    try:
        proofs = {connection.name: connection.how for connection in connections(config)}
    except ConfigError:
        proofs = {}  # the check of the mappings says why
    for health in heard:
        yield _heard(health, refused.get(health.source), proofs.get(health.source, Proof()))


def _heard(health: SourceHealth, refused: DeliveryRow | None, proof: Proof) -> Finding:
    """The deliveries of a source, and whether it seems to have stopped or is refused."""
    count = {verdict: health.counts.get(verdict, 0) for verdict in Verdict}
    # A clock that was set back must not show a negative age.
    age = max(now() - health.last_received_at, 0) if health.last_received_at is not None else None
    when = f"{_to_the_second(health.last_received_at)} ({format_duration(age)} ago)"
    found = (
        f"{sum(count.values())} received, last {when if age is not None else 'never'}, "
        f"{count[Verdict.IGNORED]} ignored, "
        f"{count[Verdict.QUARANTINED]} quarantined, {count[Verdict.REJECTED]} rejected"
    )
    if health.source == UNKNOWN_SOURCE:
        found = f"{sum(count.values())} requests to paths that no source has, last {when}"
        return Finding("warn", "paths", found, "Events names them; `vs-tui source list` the paths")
    if refused is not None:
        wrong = advise(refused.verdict, refused.status, refused.reason, proof)
        return Finding("warn", health.source, f"{found}: {wrong.what}", wrong.do)
    if count[Verdict.QUARANTINED]:
        advice = "upgrade, then `vs-tui db rebuild`; Events shows why"
        return Finding("warn", health.source, found, advice)
    if age is not None and age > 7 * DAY:
        advice = "silent for a week: see whether the tool disabled its webhook"
        return Finding("warn", health.source, found, advice)
    return Finding("ok", health.source, found)

"""The checks of `vs-tui doctor` on what is stored: the database, sources, exports and metrics."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vs_tui.cli.common import now, reading
from vs_tui.cli.reachability import connections
from vs_tui.config import Config, ConfigError
from vs_tui.log.delivery import UNKNOWN_SOURCE
from vs_tui.model.display import counted
from vs_tui.model.limits import LAG_SHOWN, MIB, format_size
from vs_tui.model.request_advice import Proof
from vs_tui.model.request_advice import advice as advise
from vs_tui.model.time import SECOND, Instant, format_duration, iso
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.reader_protocol import DeliveryRow, SourceHealth

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


def database_findings(config: Config) -> Iterator[Finding]:
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
    yield from _stored(config)


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


def _stored(config: Config) -> Iterator[Finding]:
    from vs_tui.store.maintenance.backup import stats
    from vs_tui.store.schema import StoreError
    from vs_tui.store.storage_errors import explain

    path = config.db
    try:
        found = stats(path)
    except StoreError as error:
        yield Finding("fail", "database", str(error))  # it says what to do
        return
    except sqlite3.DatabaseError as error:
        yield Finding("fail", "database", explain(error, path), "`vs-tui db verify` tells more")
        return
    yield Finding(
        "ok",
        "database",
        f"{path}: {counted(found['deliveries'], 'delivery', 'deliveries')}, "
        f"{counted(found['spans'], 'span')}, "
        f"{format_size(found['bytes'])}",
    )
    if waiting := _waiting(path):
        yield Finding(
            "warn", "clock", waiting, "nothing is lost: it is done once the time is right"
        )
    if (behind := _behind(config)) > 0:
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


def _behind(config: Config) -> int:
    """Number of stored deliveries that are still unfolded after a second."""

    async def look() -> int:
        async with reading(config) as reader:
            return 0 if await reader.caught_up(LAG_SHOWN) else (await reader.health()).behind

    return asyncio.run(look())


def stored_findings(config: Config) -> Iterator[Finding]:
    """Sources, exports and metrics; nothing if the database cannot be read, which its own check
    says."""
    from vs_tui.store.schema import StoreError

    if config.db.is_file():
        with suppress(StoreError, sqlite3.DatabaseError):
            for check in (source_findings, export_findings, metrics_findings):
                yield from check(config)


def source_findings(config: Config) -> Iterator[Finding]:
    from vs_tui.tui.source_status import refused_last

    async def read() -> tuple[Sequence[SourceHealth], Mapping[str, DeliveryRow]]:
        async with reading(config) as reader:
            heard = await reader.sources()
            return heard, await refused_last(reader, heard)

    heard, refused = asyncio.run(read())
    if not heard:
        advice = "the README shows how to connect a tool"
        yield Finding("warn", "sources", "nothing was received yet", advice)
    try:
        proofs = {connection.name: connection.how for connection in connections(config)}
    except ConfigError:
        proofs = {}  # the check of the mappings says why
    for health in heard:
        yield _heard(health, refused.get(health.source), proofs.get(health.source, Proof()))


def _heard(health: SourceHealth, refused: DeliveryRow | None, proof: Proof) -> Finding:
    """The deliveries of a source, and whether it seems to have stopped or is refused."""
    from vs_tui.tui.source_status import is_silent

    count = {verdict: health.counts.get(verdict, 0) for verdict in Verdict}
    # A clock that was set back must not show a negative age.
    age = max(now() - health.last_received_at, 0) if health.last_received_at is not None else None
    when = f"{to_the_second(health.last_received_at)} ({format_duration(age)} ago)"
    found = (
        f"{sum(count.values())} received, last {when if age is not None else 'never'}, "
        f"{count[Verdict.IGNORED]} ignored, "
        f"{count[Verdict.QUARANTINED]} quarantined, {count[Verdict.REJECTED]} rejected"
    )
    if health.source == UNKNOWN_SOURCE:
        requests = counted(sum(count.values()), "request")
        found = f"{requests} to paths that no source has, last {when}"
        return Finding("warn", "paths", found, "Events names them; `vs-tui source list` the paths")
    if refused is not None:
        wrong = advise(refused.verdict, refused.status, refused.reason, proof)
        return Finding("warn", health.source, f"{found}: {wrong.what}", wrong.do)
    if count[Verdict.QUARANTINED]:
        advice = "upgrade, then `vs-tui db rebuild`; Events shows why"
        return Finding("warn", health.source, found, advice)
    if is_silent(health, now()):
        advice = "silent for a week: see whether the tool disabled its webhook"
        return Finding("warn", health.source, found, advice)
    return Finding("ok", health.source, found)


def to_the_second(instant: Instant | None) -> str:
    """A time rounded to the second; `-` for never."""
    return iso(instant - instant % SECOND) or "-" if instant is not None else "-"


_NOT_TAKEN: Final = ("answered 404", "answered 405", "answered 501")


def export_findings(config: Config) -> Iterator[Finding]:
    """Whether a collector accepts what is sent, as the receiver saw it last."""
    from vs_tui.store.export_queue import read_states
    from vs_tui.store.schema import open_reader

    if not config.export.otlp:
        return
    with closing(open_reader(config.db)) as db:
        states = read_states(db)
    for signal in config.export.signals:
        state, check = states.get(signal), f"otlp {signal}"
        if state is None:
            yield Finding("ok", check, "nothing was sent yet")
        elif state.trouble:
            found = f"the collector {state.trouble} since {iso(state.trouble_since)}"
            advice = "see whether it runs and takes OTLP over HTTP; what is due waits here"
            yield Finding("warn", check, found, advice)
        elif state.refused:
            found = (
                f"{state.sent} sent, {state.refused} refused: {state.refusal or 'no reason given'}"
            )
            advice = "the collector's log says more"
            if state.refusal in _NOT_TAKEN:
                others = ", ".join(
                    f'"{other}"' for other in config.export.signals if other != signal
                )
                advice = (
                    f"if it takes no {signal}, leave them out: signals = [{others}] in [export]"
                )
            yield Finding("warn", check, found, advice)
        else:
            yield Finding("ok", check, f"{state.sent} sent since the receiver started")


MOST_NAMED: Final = 8


def metrics_findings(config: Config) -> Iterator[Finding]:
    """Environments, rules and teams of the metrics, with the number of spans of each."""
    from vs_tui.store.queries.span_reports import read_coverage

    coverage = read_coverage(config.db, _filters(config), config.teams, now())
    yield from _environments(config, coverage.deploys)
    for text, matches in coverage.matched.items():
        status = "ok" if matches else "warn"
        advice = "" if matches else "try the filter with `vs-tui ls`"
        yield Finding(status, "metrics", f"the rule {text!r} matches {matches} spans", advice)
    for host, (merged, missing) in coverage.unseen.items():
        yield Finding(
            "warn",
            "metrics",
            f"{host}: {counted(merged, 'merged pull request')}, and no {' and no '.join(missing)}",
            f"lead times and their stages miss these: `vs-tui connect {host}` lists the events to "
            "tick",
        )
    if coverage.without_team:
        total = sum(coverage.without_team.values())
        yield Finding(
            "warn",
            "teams",
            f"{total} deploys of projects without a team: {_listed(coverage.without_team)}",
            "add the projects to [teams.NAME]; until then they count in `(no team)`",
        )
    for project, names in coverage.shared.items():
        yield Finding(
            "ok",
            "teams",
            f"{project} is listed by {' and '.join(names)}: it counts for each of them",
        )


def _filters(config: Config) -> list[str]:
    """The filters of rules that make further spans count."""
    return [*(rule.filter for rule in config.metrics.deployments), *config.metrics.incidents]


def _environments(config: Config, deploys: Mapping[str, int]) -> Iterator[Finding]:
    """The environments that count."""
    if not deploys:
        return
    counted = {e: n for e, n in deploys.items() if config.environments.is_production(e)}
    others = {e: n for e, n in deploys.items() if e not in counted}
    found = f"production by name: {_listed(counted) or 'no deploy'}"
    if others:
        found += f"; not counted unless the tool says production: {_listed(others)}"
    if counted:
        yield Finding("ok", "environments", found)
    else:
        advice = "[environments] production says which names count"
        yield Finding("warn", "environments", found, advice)


def _listed(counts: Mapping[str, int]) -> str:
    """`NAME N, NAME N and 3 more`, largest first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = ", ".join(f"{name or 'no name'} {n}" for name, n in ordered[:MOST_NAMED])
    more = len(ordered) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown

"""The database: schema, migrations, and the opening of connections.

`deliveries` is the source of truth; `events`, `spans`, `offers`, `seeks` and `links` are derived
from it and can be rebuilt. Instants are INTEGER microseconds.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from vs_tui.model.errors import Explained
from vs_tui.model.limits import format_size
from vs_tui.store.metrics.first_shipment import MARK_AGAIN
from vs_tui.store.rows import CREATE_REPORTED
from vs_tui.store.sql_views import CREATE_VIEWS, DEPLOYMENTS, INCIDENTS
from vs_tui.store.storage_errors import RECOVER, explain

if TYPE_CHECKING:
    import aiosqlite

log = logging.getLogger(__name__)

T = TypeVar("T")
SCHEMA_VERSION: Final = 8


def _script(name: str) -> str:
    """A file of `sql/`."""
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text("utf-8")


_V6: Final = "\n".join(
    (
        _script("schema_6"),
        *(_script("history_6"), _script("metrics_6")),
        f"{MARK_AGAIN};",
        CREATE_REPORTED,
        CREATE_VIEWS,
    )
)
"""The second edition, with one constant for each concern."""

_V7: Final = """
ALTER TABLE dora_deployments ADD COLUMN run TEXT NOT NULL DEFAULT '';
CREATE INDEX dora_deployments_run ON dora_deployments (run) WHERE run <> '';
"""
"""The run of a deployment, by which all its attempts and regions are found."""

_V8: Final = f"DROP VIEW v_deployments; DROP VIEW v_incidents; {DEPLOYMENTS}{INCIDENTS}"
"""No duration of what only its end was received of."""

MIGRATIONS: Final[Sequence[str]] = (
    _script("schema_1"),
    *("", "", ""),  # their tables do not exist in schema 6
    _script("schema_5"),
    _V6,
    _V7,
    _V8,
)
"""MIGRATIONS[n] migrates a database from user_version n to n + 1."""

LOG_TABLES: Final = (
    *("deliveries", "rejections", "counts", "meta"),
    *("exported_spans", "counted_facts", "counted_totals", "notices", "notified"),
)
"""Tables of received and sent data and of positions; a rebuild never replaces them."""

DERIVED_TABLES: Final = (
    *("events", "spans", "offers", "seeks", "links", "crowded_keys", "link_queue"),
    *("repository_names", "renamed_spans"),
    *("vcs_history", "vcs_commits", "vcs_defaults", "vcs_deploys", "vcs_applications"),
    *("metric_deploys", "judge_queue"),
)
"""Tables that a rebuild makes again. The read models of the metrics keep pruned data (`forget`)."""
HEARD_TABLES: Final = ("repository_names", "vcs_defaults")
"""Those of them that a rebuild only adds to once deliveries were pruned: former names of
repositories, under which other tools may still report, and default branches."""


BUSY_MILLISECONDS: Final = 3_000
"""How long the writer waits for another process that is writing, such as a rebuild."""

STATEMENTS: Final = 512
"""Most prepared statements that the writer keeps; it uses about 170. With Python's default of 128
they push each other out: a fifth of the CPU time of folding eight GitHub bodies (medians of paired
runs)."""


class StoreError(Explained):
    """The database cannot be used; the message says why and what to do next."""


class NewerSchema(StoreError):
    """A newer version of vs-tui wrote this database."""


def open_writer(
    path: Path, *, used: bool = False, notice: Callable[[str], object] = log.info
) -> sqlite3.Connection:
    """The one writing connection: WAL, synchronous=FULL, file mode 0600. Creates the file.

    `used` means that the file held data before, so that an empty file is an error. `notice` is
    told when an older schema is migrated.
    """
    used = used and path.is_file()
    _create_private(path)
    connection = sqlite3.connect(
        path.absolute().as_uri(),
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        if schema_version(connection) == 0:
            if used:  # not decided by its old size: a journal may have emptied it just now
                raise StoreError(
                    f"{path} is empty, but it held data when it was open last: run `vs-tui db "
                    "restore BACKUP`, or remove it to begin a new one"
                )
            # Lets pruning return space; it can only be set before the first table.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        # 12 MiB. SQLite's 4 MiB cost a fifth more CPU time a delivery (medians of paired runs of
        # wrk): pages that folding changes often are written back at each checkpoint.
        connection.execute("PRAGMA wal_autocheckpoint = 3000")
        # Deleted data is overwritten if that costs no extra page.
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute("PRAGMA cache_size = -16000")
        migrate(connection, path, notice)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(explain(error, path)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_checked(path: Path) -> sqlite3.Connection:
    """A writing connection after a storage error; StoreError if the file is damaged."""
    connection = open_writer(path, used=True)
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        connection.close()
        raise StoreError(f"{path}: the database is damaged ({found}); {RECOVER}")
    return connection


def open_reader(path: Path, *, older: bool = False) -> sqlite3.Connection:
    """A read-only connection. StoreError if there is no such database. `older` also opens an older
    schema, which is only good for a copy."""
    if not path.is_file():
        raise StoreError(f"{path} does not exist; start `vs-tui` or `vs-tui serve` to create it")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA query_only = ON")
        # The system keeps these pages, too. Going through all screens of 1,000,000 spans left the
        # dashboard at 117 MB, at 135 with 16 MB, and took as much CPU time.
        connection.execute("PRAGMA cache_size = -4000")
        connection.create_function("vs_lower", 1, _lower, deterministic=True)
        if not (older and 0 < schema_version(connection) < SCHEMA_VERSION):
            check_version(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(explain(error, path)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _lower(text: str) -> str:
    """Lower-case text. SQLite's lower() and LIKE handle only ASCII."""
    return text.lower()


def schema_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database with a newer or an older schema, or one that was never initialised."""
    found = schema_version(connection)
    if found > SCHEMA_VERSION:
        raise NewerSchema(
            f"{path} has schema {found}, this version knows up to {SCHEMA_VERSION}: "
            f"upgrade vs-tui, {_older_copy(path)}or use another file with --db"
        )
    if found == 0:
        raise StoreError(
            f"{path} holds nothing of vs-tui: start `vs-tui serve --db {path}` to begin with it, "
            "or `vs-tui db restore BACKUP` if it held something"
        )
    if found < SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {found}: start `vs-tui serve --db {path}` once to bring it to "
            f"{SCHEMA_VERSION}"
        )


def _older_copy(path: Path) -> str:
    """Advice to restore the backup that an upgrade left, if this version can open it; else
    empty."""
    for version in range(SCHEMA_VERSION, 0, -1):
        copy = backup_name(path, version)
        if copy.is_file():
            return f"or run `vs-tui db restore {copy}` (as it was before), "
    return ""


def backup_name(path: Path, version: int) -> Path:
    """The path of the backup that is made before a schema is migrated."""
    return path.with_name(f"{path.name}.v{version}.bak")


def migrate(
    connection: sqlite3.Connection, path: Path, notice: Callable[[str], object] = log.info
) -> None:
    """Migrate the schema, each step in one transaction, after a backup beside the file. `notice`
    is told before, because a large database takes minutes."""
    found = schema_version(connection)
    if found > SCHEMA_VERSION:
        check_version(connection, path)
    try:
        if 0 < found < SCHEMA_VERSION:
            notice(
                f"migrating {path} ({format_size(path.stat().st_size)}) from schema {found} to "
                f"{SCHEMA_VERSION} first; a copy as it was stays in {backup_name(path, found).name}"
            )
            _backup_before(connection, path, found)
        for version in range(found, SCHEMA_VERSION):
            script = f"{MIGRATIONS[version]};PRAGMA user_version = {version + 1}"
            connection.executescript(f"BEGIN IMMEDIATE;{script};COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not found:
            raise
        why = explain(error, path).replace(", it goes on by itself", " and start vs-tui again")
        was = schema_version(connection)
        raise StoreError(f"{why}; nothing is lost, it still has schema {was}") from error


def _backup_before(connection: sqlite3.Connection, path: Path, version: int) -> None:
    target = backup_name(path, version)
    part = target.with_name(f"{target.name}.part")  # an earlier backup stays until this is whole
    part.unlink(missing_ok=True)
    _create_private(part)
    try:
        copy = sqlite3.connect(part)
        try:
            connection.backup(copy)
            # No WAL: people forget a WAL beside a backup when they copy it back.
            copy.execute("PRAGMA journal_mode = DELETE")
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            copy.close()
        if found != "ok":
            raise StoreError(f"{path} is damaged ({found}) and was left as it is; {RECOVER}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _create_private(path: Path) -> None:
    """Create the file with mode 0600, because SQLite would make it readable by all.

    An existing file is never opened here. Closing it would release the locks that SQLite holds on
    it for our readers (POSIX releases all locks of a process), and another tool that has it open
    would then delete the WAL when it closes.
    """
    if path.is_symlink():
        raise StoreError(f"{path} is a symbolic link; name the real file with --db")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}; choose another with --db"
        ) from error
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o600)


YOUNG: Final = 20_000
"""Threshold of the garbage collector's first generation. A delivery leaves no cycles behind, but
Python's default of 700 would scan its objects again and again: 13 % of the CPU time of folding
GitHub bodies (medians of paired runs)."""


def spare_collector() -> None:
    """Collect garbage rarely, and exclude what exists at the first call (modules and classes): it
    lives as long as the process."""
    young, *older = gc.get_threshold()
    if young != YOUNG:
        gc.set_threshold(YOUNG, *older)
        gc.freeze()


async def connect(opener: Callable[[], sqlite3.Connection]) -> aiosqlite.Connection:
    """An aiosqlite connection around a connection that `opener` opens on another thread.

    aiosqlite does not open it itself: if that fails, its thread ends later than the caller and
    finds the event loop closed. Its thread keeps no process from ending: one that an error ends
    before it closes the connection would never end, and a commit is whole or absent anyway.
    """
    import aiosqlite  # not for the commands that read without a loop

    opened = await asyncio.to_thread(opener)
    connection = aiosqlite.Connection(lambda: opened, 64)
    connection._thread.daemon = True
    return await connection


async def run_on(database: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run a function on the connection's thread: one thread switch for all its statements, and no
    other function between two of them. It goes on if the caller is cancelled.

    aiosqlite offers only single statements, each with its own thread switch, and other coroutines
    may run between two of them. Its one way to run a function is private, so it is used only here.
    """
    result: T = await database._execute(  # type: ignore[no-untyped-call]
        lambda: work(database._conn)
    )
    return result

"""What commands share: options, configuration, and errors that end a command with a message."""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from vs_tui.cli.commands import UsageError
from vs_tui.cli.http_client import HttpError, ReceiverAccess, address, is_loopback, sender_settings
from vs_tui.config import Config, load
from vs_tui.config.loading import Signing
from vs_tui.config.model import checked_url, configure
from vs_tui.log.address import parse_log_url
from vs_tui.model.display import clean, escaped_json
from vs_tui.model.errors import Explained
from vs_tui.model.time import SECOND, Duration, Instant, parse_duration, parse_instant

if TYPE_CHECKING:
    import asyncio

    from vs_tui.store.queries.reader import SqliteReader


Question = Callable[["SqliteReader"], Awaitable[object]]


class SourceName(str):
    """An argument that names a source; completion offers the known ones."""

    __slots__ = ()

    @staticmethod
    def words() -> Sequence[str]:
        from vs_tui.sources.dispatch import tools

        return [*tools()]


class SecretName(str):
    """An argument that names a secret."""

    __slots__ = ()

    @staticmethod
    def words() -> Sequence[str]:
        from vs_tui.sources.dispatch import signing_sources

        return ["token", *signing_sources()]


class CommandError(Explained):
    """Ends the command with exit code 1; the message says what to do next."""


def now() -> Instant:
    """The current time in microseconds since 1970."""
    return time.time_ns() // 1_000


def moment(option: str, text: str, example: str = "2h") -> Instant:
    """The instant of a day (midnight UTC), a time or an age; UsageError says how to write one."""
    day = f"{text}T00:00:00Z" if len(text) == 10 and text.count("-") == 2 else text
    # Bare digits are an instant to `parse_instant`, and nobody means that.
    if "-" in text and (instant := parse_instant(day)) is not None:
        return instant
    try:
        return now() - parse_duration(text)
    except ValueError:
        raise UsageError(
            f"{option} '{text}': write 2026-03-02, 2026-03-02T10:00:00Z or an age such as {example}"
        ) from None


def pause(option: str, text: str, least: Duration, example: str) -> Duration:
    """The pause between two rounds of a command that goes on; UsageError if it is no time, or
    shorter than `least`."""
    try:
        found = parse_duration(text)
    except ValueError:
        found = 0
    if found < least:
        raise UsageError(
            f"{option} {text}: write a time of {least // SECOND}s or longer, such as {example}"
        )
    return found


def print_json(value: Any, *, indent: bool = True) -> None:
    """Print data as JSON, whose texts cannot control the terminal."""
    import orjson

    print(escaped_json(orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()))


def shortened(text: str, width: int) -> str:
    """A text cleaned for the terminal; `-` if it is empty. What takes more than `width` cells ends
    with an ellipsis; wide characters count as two."""
    from rich.cells import cell_len, set_cell_size

    shown = clean(text) or "-"
    return shown if cell_len(shown) <= width else f"{set_cell_size(shown, width - 1)}…"


def table_line(cells: Iterable[str], widths: Iterable[int]) -> str:
    """A line of a table: texts that are cleaned already, each padded to its width in cells of a
    terminal; a negative width aligns to the right, 0 leaves the text as it is."""
    from rich.cells import cell_len

    padded = []
    for text, width in zip(cells, widths, strict=True):
        gap = " " * (abs(width) - cell_len(text))
        padded.append(gap + text if width < 0 else text + gap)
    return "  ".join(padded).rstrip()


def add_store_options(
    parser: argparse.ArgumentParser, default: str = "the user's data folder"
) -> None:
    """--db and --config, for every command that reads the store."""
    parser.add_argument("--db", metavar="PATH", help=f"database file (default: {default})")
    parser.add_argument("--config", metavar="PATH", type=Path, help="configuration file")


def add_log_option(parser: argparse.ArgumentParser) -> None:
    """--log, for every command that may follow a shared log."""
    parser.add_argument(
        "--log",
        metavar="URL",
        type=log_url,
        help="PostgreSQL that holds the delivery log for several nodes, such as "
        "postgresql://USER@HOST/DATABASE; --db is then a cache (a password: PGPASSFILE, VS_LOG)",
    )


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """The options that `vs-tui` and `vs-tui serve` share."""
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=port_number, help="port to listen on (default 5000; 0: any free one)"
    )
    add_store_options(parser)
    add_log_option(parser)
    parser.add_argument("--token", help="token for reading and for senders that cannot sign")
    parser.add_argument(
        "--metrics-port",
        metavar="PORT",
        type=port_number,
        help="a second port that serves /metrics without the token (default: none)",
    )
    parser.add_argument(
        "--export-otlp",
        metavar="URL",
        type=collector_url,
        help="send traces and metrics to this OTLP/HTTP collector, such as http://collector:4318",
    )
    parser.add_argument(
        "--no-auth",
        action="store_const",
        const=True,
        help="accept everything from everyone who reaches the port (shown by a banner)",
    )
    parser.add_argument(
        "--no-auth-public",
        action="store_const",
        const=True,
        help="the same on any address and behind a tunnel or proxy: open to whoever finds it",
    )


def port_number(text: str) -> int:
    """For argparse: 0 (any free one) to 65535."""
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port; give a number from 0 to 65535")
    return int(text)


def log_url(text: str) -> str:
    """For argparse: the address of a shared log, as written."""
    try:
        parse_log_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def collector_url(text: str) -> str:
    """For argparse: the address of a collector, as written; empty for none."""
    try:
        return checked_url("it", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def load_config(
    args: argparse.Namespace, *, create_secrets: bool = False, quick: bool = False
) -> Config:
    """Configuration of a command line: file, then environment, then flags. Its mapped sources are
    those of this process; with `create_secrets` they are compiled, too. `quick`: the secrets of
    sources are made when the receiver listens, because that imports every source."""

    def signing(tables: Mapping[str, Any]) -> Sequence[str]:
        configure(tables)
        if quick and not tables:
            return ()
        from vs_tui.sources.dispatch import signing_sources

        return signing_sources()

    config = read_config(args, signing if create_secrets else None)
    configure(config.sources)
    return config


def read_config(args: argparse.Namespace, signing: Signing | None = None) -> Config:
    """Like `load_config`, but keeps the mapped sources that this process already has."""
    names = (
        *("host", "port", "db", "token", "metrics_port"),
        *("no_auth", "no_auth_public", "export_otlp", "log"),
    )
    flags = {name: getattr(args, name, None) for name in names}
    path: Path | None = getattr(args, "config", None)
    return load(path, flags=flags, signing=signing)


def checked_config(
    args: argparse.Namespace, *checks: Callable[[Config], object]
) -> Callable[[], Config]:
    """Reads the configuration again, and lets each check raise ConfigError for settings that cannot
    be used."""

    def read() -> Config:
        found = read_config(args)
        for check in checks:
            check(found)
        return found

    return read


def reader_settings(config: Config) -> dict[str, Any]:
    """The part of the configuration that a reader of the database goes by."""
    return {
        "team_names": config.teams.names,
        "environments": config.environments,
        "thresholds": config.thresholds,
        "people": config.people_names,
    }


@asynccontextmanager
async def reading(
    config: Config, clock: Callable[[], Instant] = now, judge: Question | None = None
) -> AsyncIterator[SqliteReader]:
    """The database of a configuration, open for reading. StoreError says what is wrong with it;
    before that, `judge` asks an empty database, so that a wrong argument is its ValueError
    whatever the state of the files."""
    from vs_tui.store.queries.reader import SqliteReader
    from vs_tui.store.schema import StoreError

    reader = SqliteReader(config.db, clock, **reader_settings(config))
    try:
        await reader.open()
    except StoreError:
        if judge is not None:
            await _ask_nothing(judge, config, clock)
        raise
    try:
        yield reader
    finally:
        await reader.close()


async def _ask_nothing(question: Question, config: Config, clock: Callable[[], Instant]) -> None:
    """Ask an empty database."""
    from tempfile import TemporaryDirectory

    from vs_tui.store.queries.reader import SqliteReader
    from vs_tui.store.schema import open_writer

    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        open_writer(path).close()
        reader = await SqliteReader(path, clock, **reader_settings(config)).open()
        try:
            await question(reader)
        finally:
            await reader.close()


def receiver(url: str = "", token: str = "") -> ReceiverAccess:
    """The address of the running receiver: from the command line, else VS_URL and VS_TOKEN, else
    this machine's. UsageError if it is none, CommandError if our token is not meant for it."""
    found = sender_settings(url=url, token=token)
    plain = found.url.partition("?")[0]
    try:
        address(plain)
    except HttpError:
        shown = plain.rpartition("@")[2][:100]  # never a password
        raise UsageError(f"'{shown}' is no receiver's address; write http://HOST:PORT") from None
    if found.refusal:
        raise CommandError(found.refusal)
    return found


def token_for(url: str, named: str, config: Config) -> str:
    """The token for a receiver: the one in its address, else --token or VS_TOKEN, else on this
    machine the configured one. CommandError if only a token for another receiver is known."""
    if named or "token" in config.origins or is_loopback(url):
        return named or config.secrets.token
    return receiver(url).token


def stop_event() -> asyncio.Event:
    """An event that is set when somebody asks this process to end. Needs a running loop."""
    import asyncio
    import signal

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read. FileExistsError if the file exists."""
    with open(new_file(path), "w", encoding="utf-8") as out:
        out.write(text)


def new_file(path: str | Path) -> int:
    """The descriptor of a new private file, never of an existing one, which may be the database,
    nor of a name that belongs to one. A pipe or a device is allowed."""
    import os

    from vs_tui.store.lock import refuse_neighbour

    path = Path(path)
    if not path.exists():
        refuse_neighbour(path)
    elif not path.is_file() and not path.is_dir():
        return os.open(path, os.O_WRONLY | os.O_NOCTTY)
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)


class Bar:
    """The progress of a command, below what it prints. Leave it as a context, so that the terminal
    has its cursor back."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, Task, TextColumn
        from rich.text import Text

        class Gauge(BarColumn):
            """A bar, where something is counted."""

            def render(self, task: Task) -> Text:  # type: ignore[override]  # also a bar
                counted = task.fields["counted"]
                return super().render(task) if counted else Text()  # type: ignore[return-value]

        self.live = stream.isatty()
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            Gauge(24),
            TextColumn("{task.fields[counted]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self.live,
        )
        self._task = self._progress.add_task("", total=None, counted="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, text: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        """What is being done, and how much of it: `done` of `total` (0 if unknown) of a unit."""
        counted = f"{done}/{total} {unit}" if total else f"{done} {unit}" if unit else ""
        self._progress.start()
        self._progress.update(
            self._task,
            description=text,
            completed=done,
            total=total or None,
            counted=counted,
            refresh=True,
        )

    def finish(self, text: str = "") -> None:
        """Replace the bar by a final line; without one, clear it."""
        from rich.text import Text

        self._progress.stop()
        if text:
            self._console.print(Text(text), soft_wrap=True)

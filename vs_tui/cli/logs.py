"""What a process writes about itself: log lines, and crash reports that people can attach to an
issue.

A report is a traceback without the values of local variables. Every known secret is masked, in
reports and in log lines: exceptions quote the values that they could not handle.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from vs_tui import __version__
from vs_tui.cli.commands import at_end
from vs_tui.cli.common import CommandError, write_private
from vs_tui.config import Config, ConfigError, data_dir, read_secrets
from vs_tui.model.display import clean

MASK: Final = "(secret)"
REPORTS: Final = "crashes"
"""Folder of the reports, in the data folder."""
KEPT: Final = 10
"""Number of crash reports kept; older ones are deleted."""


def secrets_of(config: Config) -> list[str]:
    """The secrets to mask, longest first. Very short ones are left out: masking three letters would
    mask words."""
    found = {*config.secrets.values, *(config.log.secrets if config.log else ())}
    with suppress(ConfigError, OSError):  # one may have been made since the start
        found.update(read_secrets(config.secrets_path).values)
    return sorted((secret for secret in found if len(secret) >= 4), key=len, reverse=True)


def scrub(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


class ScrubbedFormatter(logging.Formatter):
    """Masks secrets in the lines of another formatter, because libraries log, too."""

    def __init__(self, inner: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = list(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return scrub(self._inner.format(record), self._secrets)


def scrub_logs(config: Config) -> None:
    """Mask secrets in everything that the root logger's handlers write from now on."""
    secrets = secrets_of(config)
    for handler in logging.getLogger().handlers:
        inner = handler.formatter or logging.Formatter()
        handler.setFormatter(ScrubbedFormatter(inner, secrets))


def write_report(error: BaseException, config: Config, folder: Path | None = None) -> Path | None:
    """Write the report (mode 0600) and return its path; None if that fails as well."""
    folder = folder or data_dir() / REPORTS
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = folder / f"crash-{stamp}-{os.getpid()}.txt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, scrub(report(error), secrets_of(config)))
        for old in sorted(folder.glob("crash-*.txt"))[:-KEPT]:
            old.unlink()
    except OSError:
        return None
    return path


def guard(app: Any, config: Config) -> None:
    """Turn a crash of the dashboard into a report and one line. Textual's own traceback shows local
    variables: raw event text, and secrets. Textual has no public hook for it."""

    def fatal() -> None:
        from rich.text import Text

        app.panic(Text(farewell(app._exception, config)))

    app._fatal_error = fatal


def farewell(error: BaseException, config: Config) -> str:
    """Write the report, and return what to tell the user after a crash."""
    path = write_report(error, config)
    where = f"; the report without secrets is {clean(str(path))}" if path else ""
    return f"vs-tui: {type(error).__name__} is a bug in vs-tui{where}"


def report(error: BaseException) -> str:
    """Versions and the traceback, without the command line and the environment, which hold
    tokens."""
    import platform

    lines = [
        f"vs-tui {__version__} crashed",
        f"python {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"sqlite {sqlite3.sqlite_version}, aiohttp {_version('aiohttp')}, "
        f"textual {_version('textual')}",
        f"command {sys.argv[1] if len(sys.argv) > 1 else 'dashboard'}",
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def set_up_logging(config: Config) -> None:
    """Log to stderr, one line a record, text or JSON; control characters are escaped."""
    _log_by(logging.StreamHandler(sys.stderr), config)


def log_to_file(config: Config) -> None:
    """Log to `vs-tui.log` in the data folder, for commands that draw on the terminal. Only its
    owner can read the file; it is rotated at 1 MB, and two old ones are kept."""
    import os
    from io import TextIOWrapper
    from logging.handlers import RotatingFileHandler

    class Private(RotatingFileHandler):
        def _open(self) -> TextIOWrapper:
            os.close(os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY, 0o600))
            return super()._open()

    folder = data_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "vs-tui.log"
    if path.is_symlink():
        raise CommandError(f"{path} is a symbolic link; remove it, a log is written here")
    _log_by(Private(path, maxBytes=1_000_000, backupCount=2, delay=True), config)


def _log_by(handler: logging.Handler, config: Config) -> None:
    handler.setFormatter(JsonLines() if config.log_format == "json" else TextLines())
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    handlers, level, server_level = root.handlers[:], root.level, server.level

    @at_end.callback
    def as_before() -> None:
        handler.close()
        root.handlers[:], root.level, server.level = handlers, level, server_level

    logging.basicConfig(level=config.log_level.upper(), handlers=[handler], force=True)
    # aiohttp logs a traceback for every malformed request of a stranger.
    server.setLevel(logging.CRITICAL)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class TextLines(logging.Formatter):
    """`2026-03-02T10:00:00Z INFO vs_tui.store message`."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = f"{stamp} {record.levelname} {record.name} {_one_line(record.getMessage())}"
        if record.exc_info:
            line += " | " + _one_line(self.formatException(record.exc_info).replace("\n", " / "))
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        import json

        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)

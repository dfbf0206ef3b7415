"""Send events to the receiver's /customhttp without ever delaying the caller, and keep them on disk
until it has them: private, bounded, in order, sent once.

Every event is written to disk before it is sent and removed after the receiver has committed it, so
nothing is lost if the receiver is down or this process is killed. An event sent twice after a kill
carries the same idempotency key and is stored once.

Standard library only: the whole `vs-tui event` process stays under 150 ms (100 ms measured, 28 of
them for `http.client`). One call waits at most two seconds for the network; events not sent by then
stay in the spool and are sent before the events of the next call.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from vs_tui.cli.http_client import (
    Connection,
    HttpError,
    ReceiverAccess,
    Response,
    address,
    data_folder,
    sender_settings,
)

MAX_EVENTS: Final = 5_000
"""Most events kept; beyond it the oldest are dropped."""
MAX_BODY: Final = 64 * 1024
"""Most bytes of one event's body."""
SLOW_SECONDS: Final = 60
"""Seconds for which a receiver that timed out is not waited for again."""

_MAX_FILE: Final = 8 * MAX_BODY
"""Most bytes of an event's file; JSON encodes some characters with six bytes."""
_WAITING: Final = ".event"
_REFUSED: Final = ".refused"
_ORPHAN_SECONDS: Final = 60


class Entry(NamedTuple):
    """One event: its URL, its idempotency key, and the exact bytes to send and sign."""

    url: str
    key: str
    body: str


class Spool:
    """A folder of events. Every method may raise OSError: a read-only home, a full disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dropped = 0
        """Events deleted to make room for newer ones."""

    def add(self, entry: Entry) -> Path:
        """Write an event atomically."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        name = f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(4).hex()}"
        temporary, path = self.folder / f"{name}.tmp", self.folder / f"{name}{_WAITING}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as out:
                json.dump({"url": entry.url, "key": entry.key, "body": entry.body}, out)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        # Whether it can be sent or not: the limit always holds.
        self.dropped += self.prune()
        return path

    def waiting(self) -> list[Path]:
        """Events not sent yet, oldest first."""
        return [self.folder / name for name in self._names() if name.endswith(_WAITING)]

    def refused(self) -> list[Path]:
        """Events that the receiver refused for good, kept for inspection."""
        return [self.folder / name for name in self._names() if name.endswith(_REFUSED)]

    def read(self, path: Path) -> Entry | None:
        """The event in a file; None if another process has sent it or it is not an event."""
        try:
            fields = json.loads(_content(path))
            entry = Entry(str(fields["url"]), str(fields["key"]), str(fields["body"]))
            if not (entry.key.isascii() and entry.key.isprintable()):
                raise ValueError("the key goes into a header")
            return entry
        except OSError:
            return None  # sent by another process, or another user's: it holds nobody up
        except (ValueError, KeyError, TypeError, RecursionError):
            with contextlib.suppress(OSError):
                self.refuse(path)
            return None

    def refuse(self, path: Path) -> Path:
        """Move an event aside so that it does not block later ones."""
        aside = path.with_suffix(_REFUSED)
        path.replace(aside)
        return aside

    def prune(self) -> int:
        """Drop the oldest events beyond MAX_EVENTS and leftovers of killed writers; returns the
        number of dropped events."""
        names = self._names()
        kept = [name for name in names if name.endswith((_WAITING, _REFUSED))]
        dropped = kept[: max(0, len(kept) - MAX_EVENTS)]
        for name in dropped:
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        horizon = time.time() - _ORPHAN_SECONDS
        for name in names:
            orphan = self.folder / name
            if name.endswith(".tmp") and _modified(orphan) < horizon:
                with contextlib.suppress(OSError):
                    orphan.unlink(missing_ok=True)
        return len(dropped)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Allow one sender at a time; waits for another one."""
        # The folder itself: a file in it may be another user's, after one `sudo vs-tui event`.
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @property
    def slow(self) -> bool:
        """Whether the receiver timed out lately."""
        return time.time() - _modified(self.folder / ".slow") < SLOW_SECONDS

    def mark_slow(self, slow: bool) -> None:
        marker = self.folder / ".slow"
        if slow:
            marker.touch(mode=0o600)
        else:
            marker.unlink(missing_ok=True)

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.folder))  # noqa: PTH208 - names are enough, and faster
        except FileNotFoundError:
            return []


def _content(path: Path) -> bytes:
    """The bytes of a file. OSError for a link, pipe or device, which could block for ever;
    ValueError if it is larger than an event can be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no file")
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise ValueError("it is larger than an event")
    return content


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


LIMIT: Final = 2.0
"""Seconds that a call may take if the receiver does not answer."""
QUICK_LIMIT: Final = 0.25
"""Seconds for each further call after the receiver failed to answer."""
ENDPOINT: Final = "/customhttp"

_NEVER: Final = frozenset({400, 413, 415, 422})
"""Status codes that no retry will change."""
_PROOF: Final = frozenset({401, 403})
_NOT_OURS: Final = (
    "{} answered {}, but not as a receiver does: something else listens there; check VS_URL"
)


class TooLarge(ValueError):
    """An event too large for the spool; the message says what to shorten."""


class Report:
    """The outcome of the events of a call."""

    def __init__(self) -> None:
        self.sent = 0
        self.waiting = 0
        """Still in the spool, for this receiver or another one."""
        self.lost = 0
        """Neither sent nor kept, because there is no place to keep them."""
        self.refused: dict[str, str] = {}
        """Idempotency key -> why the receiver will never take the event."""
        self.dropped = 0
        """Oldest events thrown away, because the spool was full."""
        self.trouble = ""
        """Why sending stopped; empty when it did not."""


def endpoint(url: str, env: Mapping[str, str] | None = None) -> str:
    """The URL to post to. A receiver's base URL gets `/customhttp`; ValueStream's variable holds
    the whole URL."""
    env = os.environ if env is None else env
    base, mark, query = url.partition("?")
    base = base.rstrip("/")
    has_path = base.count("/") > 2
    whole = env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_URL", "").strip()
    if base.endswith(ENDPOINT) or (has_path and url == whole):
        return url
    return f"{base}{ENDPOINT}{mark}{query}"


class Client:
    """Sends events with the settings of this machine or with given ones."""

    def __init__(self, url: str = "", secret: str = "", spool: Spool | None = None) -> None:
        found = sender_settings(url=url)
        self.access = found._replace(secret=secret or found.secret)
        self.target = endpoint(self.access.url)
        self.spool = spool or Spool(Path(data_folder()) / "spool")
        self._memory: list[Entry] = []

    def add(self, body: Mapping[str, Any]) -> Entry:
        """Keep an event for sending; TooLarge says what to shorten."""
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        # Arguments that are no UTF-8 arrive as lone surrogates, which are no JSON.
        raw = text.encode("utf-8", "replace")
        if len(raw) > MAX_BODY:
            raise TooLarge(f"the event is larger than {MAX_BODY // 1024} KiB; shorten its tags")
        entry = Entry(self.target, os.urandom(16).hex(), raw.decode())
        try:
            self.spool.add(entry)
        except OSError:
            # No place to keep it: it can still be sent now.
            self._memory.append(entry)
        return entry

    def send(self, limit: float = LIMIT) -> Report:
        """Send what waits, oldest first, within `limit` seconds, and report. Name resolution and
        locks have no timeout, so this runs in a thread that is abandoned at the limit."""
        limit = QUICK_LIMIT if self.spool.slow else limit
        deadline = time.monotonic() + limit
        report = Report()
        thread = threading.Thread(target=self._drain, args=(report, deadline), daemon=True)
        thread.start()
        thread.join(limit + 0.05)
        late = thread.is_alive() or time.monotonic() >= deadline
        self._count_rest(report)
        if late and not report.sent:
            self._note_slow()
            report.trouble = report.trouble or f"{self.target} did not answer within {limit:g} s"
        elif late and report.waiting:  # much was waiting: the next calls send more of it
            report.trouble = f"sent so far, within {limit:g} s: {report.sent}"
        return report

    def flush(self, *, any_url: bool = False, limit: float = 600.0) -> Report:
        """Send all that waits, without a time limit. `any_url`: also events for another
        receiver."""
        report = Report()
        self._drain(report, time.monotonic() + limit, any_url=any_url)
        self._count_rest(report)
        return report

    def _count_rest(self, report: Report) -> None:
        """Count the events that were not sent."""
        report.lost = len(self._memory)
        report.dropped, self.spool.dropped = report.dropped + self.spool.dropped, 0
        with contextlib.suppress(OSError):
            report.waiting = len(self.spool.waiting())

    def _drain(self, report: Report, deadline: float, *, any_url: bool = False) -> None:
        """Send in order until nothing is left, the deadline passes or the receiver fails; `report`
        gets the failure."""
        if self.access.refusal and not self.access.secret:
            report.trouble = self.access.refusal
            return
        with contextlib.closing(_Wire(self.target, self.access, deadline)) as wire:
            try:
                self._drain_memory(wire, report)
                self._drain_spool(wire, report, any_url)
                self.spool.mark_slow(False)
            except _Stopped as stopped:
                report.trouble = str(stopped)
            except OSError as error:
                if not report.sent:
                    report.trouble = f"the spool {self.spool.folder} cannot be used: {error}"

    def _drain_memory(self, wire: _Wire, report: Report) -> None:
        while self._memory:
            entry = self._memory[0]
            _count(report, entry, wire.post(entry))
            del self._memory[0]

    def _drain_spool(self, wire: _Wire, report: Report, any_url: bool) -> None:
        if not self.spool.waiting():
            return
        with self.spool.lock():
            seen: set[str] = set()
            # Others may add while we send; what they add meanwhile goes with us.
            while fresh := [path for path in self.spool.waiting() if path.name not in seen]:
                for path in fresh:
                    seen.add(path.name)
                    entry = self.spool.read(path)
                    if entry is None or not (any_url or entry.url == self.target):
                        continue
                    refusal = wire.post(entry)
                    # What cannot be moved is sent again, under the same key.
                    with contextlib.suppress(OSError):
                        if refusal:
                            refusal += f" (kept as {self.spool.refuse(path)})"
                        else:
                            path.unlink(missing_ok=True)
                    _count(report, entry, refusal)

    def _note_slow(self) -> None:
        """Remember that the receiver did not answer in time."""
        # Once a minute someone waits the whole time, to see. Without a spool everyone does.
        with contextlib.suppress(OSError):
            if not self.spool.slow:
                self.spool.mark_slow(True)


def _count(report: Report, entry: Entry, refusal: str) -> None:
    if refusal:
        report.refused[entry.key] = refusal
    else:
        report.sent += 1


class _Stopped(Exception):
    """The receiver cannot take events now; the message says what to do."""


class _Wire:
    """One connection, kept open for all events of a call."""

    def __init__(self, target: str, access: ReceiverAccess, deadline: float) -> None:
        self._target = target
        self._access = access
        self._deadline = deadline
        self._connection: Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def post(self, entry: Entry) -> str:
        """Empty if the receiver has committed the event, else why it never will. Raises _Stopped if
        a later try may succeed."""
        answer = self._exchange(entry)
        status, fields = answer.status, answer.fields
        accepted = 200 <= status < 300
        # Other servers may answer 2xx to anything.
        if accepted and fields.get("result") == "success":
            return ""
        if accepted or "detail" not in fields:
            raise _Stopped(_NOT_OURS.format(self._target, status))
        words = str(fields["detail"])[:300]
        detail = "".join(c if c.isprintable() else " " for c in words).strip()
        if status in _NEVER:
            return f"the receiver refused the event: {status} {detail}"
        if status in _PROOF:
            said = "" if status == 401 else f" {detail}"  # all that a 401 says is said here
            raise _Stopped(
                f"{self._target} did not accept our proof: {status}{said}; set VS_TOKEN to what "
                "`vs-tui secret show token` prints there, or VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET"
            )
        raise _Stopped(f"{self._target} answered {status} {detail}; check VS_URL")

    def _exchange(self, entry: Entry) -> Response:
        body = entry.body.encode()
        try:
            where = address(self._target)
            self._connection = self._connection or Connection(where)
            # The key makes a repeat harmless.
            headers = self._headers(entry.key, body)
            if (left := self._deadline - time.monotonic()) <= 0:
                raise TimeoutError
            return self._connection.request("POST", where.path, headers, body, timeout=left)
        except TimeoutError:
            raise _Stopped(f"{self._target} did not answer in time") from None
        except (OSError, HttpError) as error:
            why = str(error) or type(error).__name__
            raise _Stopped(
                f"{self._target} cannot be reached: {why}; is `vs-tui serve` running?"
            ) from None

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "User-Agent": "vs-tui",
        }
        secret, token = self._access.secret, self._access.token
        if secret or token:
            # Whoever listens there must not learn it.
            import hmac

            from vs_tui.model.request_signing import signing_key

            signer = secret.encode() if secret else signing_key(token)
            headers["X-VS-Signature"] = hmac.new(signer, body, "sha256").hexdigest()
        return headers

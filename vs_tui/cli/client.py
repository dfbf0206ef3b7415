"""Send events to the receiver's /customhttp without ever delaying the caller.

Standard library only: the whole `vs-tui event` process stays under 150 ms (100 ms measured, 28 of
them for `http.client`). One call waits at most two seconds for the network; events not sent by then
stay in the spool and are sent before the events of the next call.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.http_client import (
    Connection,
    HttpError,
    ReceiverAccess,
    Response,
    address,
    data_folder,
    sender_settings,
)
from vs_tui.cli.spool import MAX_BODY, Entry, Spool

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
    if base.endswith(ENDPOINT) or (has_path and url == env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_URL")):
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
        limit = QUICK_LIMIT if self._slow() else limit
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
            report.trouble = f"{report.sent} event(s) sent within {limit:g} s"
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
        try:
            report.waiting = len(self.spool.waiting())
        except OSError:
            report.waiting = 0

    def _drain(self, report: Report, deadline: float, *, any_url: bool = False) -> None:
        """Send in order until nothing is left, the deadline passes or the receiver fails; `report`
        gets the failure."""
        if self.access.refusal and not self.access.secret:
            report.trouble = self.access.refusal
            return
        with _Wire(self.target, self.access, deadline) as wire:
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
                            self.spool.remove(path)
                    _count(report, entry, refusal)

    def _slow(self) -> bool:
        try:
            return self.spool.slow
        except OSError:
            return False

    def _note_slow(self) -> None:
        """Remember that the receiver did not answer in time."""
        try:
            if not self.spool.slow:  # once a minute someone waits the whole time, to see
                self.spool.mark_slow(True)
        except OSError:
            return  # without a spool every call waits its own limit


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

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_: object) -> None:
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

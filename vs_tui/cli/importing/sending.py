"""Send imported deliveries to the receiver."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.cli.commands import UsageError
from vs_tui.cli.common import CommandError
from vs_tui.cli.importing.model import Delivery
from vs_tui.model.request_signing import signed_delivery, signed_head

_ATTEMPTS: Final = 5
_TIMEOUT: Final = 60.0


class Sender:
    """One connection to a receiver; each delivery is committed before the next one is sent."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"'{url}' is no receiver's address; write http://HOST:PORT")
        self._url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT)
        self._token = token
        self.verdicts: Counter[str] = Counter()

    def close(self) -> None:
        self._connection.close()

    def check(self) -> None:
        """Raise CommandError if no receiver answers, before the tool is asked anything."""
        status, body = self._request("GET", "/api/health", None)
        self._require_proof(status)
        if "ready" not in _fields(body):
            raise CommandError(_NOT_OURS.format(self._url, status))

    def send(self, deliveries: Iterable[Delivery]) -> None:
        """Send each delivery; `verdicts` counts the answers."""
        for delivery in deliveries:
            self.verdicts[self._send(delivery)] += 1

    def _send(self, delivery: Delivery) -> str:
        for attempt in range(_ATTEMPTS):
            status, body = self._request("POST", delivery.path, delivery)
            if status != 503:
                break
            time.sleep(0.2 * 2**attempt)
        self._require_proof(status)
        fields = _fields(body)
        if status == 503 or status >= 500:
            raise CommandError(
                f"{self._url} cannot store now: {status} {str(fields.get('detail', ''))[:200]}; "
                "run the same command again: it goes on where it stopped"
            )
        if status < 300 and fields.get("result") != "success":
            raise CommandError(_NOT_OURS.format(self._url, status))
        return str(fields.get("verdict", "refused"))

    def _require_proof(self, status: int) -> None:
        if status in (401, 403):
            raise CommandError(
                f"{self._url} does not accept our token; set VS_TOKEN to what `vs-tui secret show "
                "token` prints on its machine"
            )

    def _request(self, method: str, path: str, delivery: Delivery | None) -> tuple[int, bytes]:
        body, headers = None, signed_head(self._token, method, path)
        if delivery:
            body, sent = delivery.body, delivery.headers
            headers = {**sent, **signed_delivery(self._token, path, sent, body)}
        for last in (False, True):  # the receiver closes connections that were idle
            try:
                self._connection.request(method, self._base + path, body, headers)
                response = self._connection.getresponse()
                return response.status, response.read()
            except (OSError, HTTPException) as error:
                self._connection.close()
                if last:
                    raise CommandError(
                        f"{self._url} cannot be reached: {error}; start it with `vs-tui serve`, or "
                        "name another one with --to"
                    ) from None
        raise AssertionError("the loop returns or raises")


_NOT_OURS: Final = (
    "{} answered {}, but not as a receiver does: something else listens there; is the "
    "address right?"
)


def _fields(answer: bytes) -> dict[str, Any]:
    """The answer parsed as a JSON object; empty if it is not one."""
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

"""Send imported deliveries to the receiver."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from vs_tui.cli.commands import UsageError
from vs_tui.cli.common import CommandError
from vs_tui.cli.http_client import Connection, HttpError, Response, address
from vs_tui.cli.importing.model import Delivery
from vs_tui.model.request_signing import signed_delivery, signed_head

_ATTEMPTS: Final = 5
_TIMEOUT: Final = 60.0


class Sender:
    """One connection to a receiver; each delivery is committed before the next one is sent."""

    def __init__(self, url: str, token: str) -> None:
        try:
            where = address(url)
        except HttpError:
            raise UsageError(f"'{url}' is no receiver's address; write http://HOST:PORT") from None
        self._url = url.rstrip("/")
        self._base = where.path.rstrip("/")
        self._connection = Connection(where)
        self._token = token
        self.verdicts: Counter[str] = Counter()

    def close(self) -> None:
        self._connection.close()

    def check(self) -> None:
        """Raise CommandError if no receiver answers, before the tool is asked anything."""
        status, _, body = self._request("GET", "/api/health", None)
        self._require_proof(status)
        if "ready" not in _fields(body):
            raise CommandError(_NOT_OURS.format(self._url, status))

    def send(self, deliveries: Iterable[Delivery]) -> None:
        """Send each delivery; `verdicts` counts the answers."""
        for delivery in deliveries:
            self.verdicts[self._send(delivery)] += 1

    def _send(self, delivery: Delivery) -> str:
        for attempt in range(_ATTEMPTS):
            status, _, body = self._request("POST", delivery.path, delivery)
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

    def _request(self, method: str, path: str, delivery: Delivery | None) -> Response:
        body, headers = None, signed_head(self._token, method, path)
        if delivery:
            body, sent = delivery.body, delivery.headers
            headers = {**sent, **signed_delivery(self._token, path, sent, body)}
        whole = self._base + path
        try:
            return self._connection.request(method, whole, headers, body, timeout=_TIMEOUT)
        except (OSError, HttpError) as error:
            raise CommandError(
                f"{self._url} cannot be reached: {error}; start it with `vs-tui serve`, or set "
                "VS_URL to another one"
            ) from None


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

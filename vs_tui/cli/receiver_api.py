"""Signed requests of commands to a running receiver. A CommandError says what to do about a
failure."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from vs_tui.cli.common import CommandError, receiver
from vs_tui.cli.http_client import Connection, HttpError, Response, address
from vs_tui.cli.importing import Delivery
from vs_tui.model.display import clean
from vs_tui.model.request_signing import signed_body, signed_delivery, signed_head

_PAUSES: Final = (0.2, 0.4, 0.8, 1.6)
"""Seconds before each further attempt to deliver."""
_OURS: Final = frozenset({"authorization", "content-length", "host"})
"""Headers of a recorded request that belong to its connection."""
PROTOBUF: Final = "application/x-protobuf"
_ANSWER_SECONDS: Final = 10.0
_COMMIT_SECONDS: Final = 60.0
"""A delivery waits for its commit, and folding may hold that up."""
_MOST: Final = 64 * 1024 * 1024
"""Bytes of an answer that are read."""


class Away(CommandError):
    """The receiver cannot be reached."""


class Missing(CommandError):
    """The receiver does not have what was asked for."""


class ReceiverApi:
    """One connection to a receiver: the named one, else that of VS_URL or of this machine."""

    def __init__(self, url: str = "", token: str = "") -> None:
        found = receiver(url, token)
        self._token = found.token
        where = address(found.url.partition("?")[0])
        self._base = where.path.rstrip("/").removesuffix("/customhttp")
        self._shown = f"{'https' if where.secure else 'http'}://{where.name}{self._base}"
        self._connection = Connection(where)
        self._aborted = False
        self.verdicts: Counter[str] = Counter()

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        """Break off what another thread waits for, and try nothing again."""
        self._aborted = True
        self._connection.abort()

    def check(self) -> None:
        """Raise CommandError if no receiver answers, before a tool is asked anything."""
        answer = self._question("/api/health")
        if "ready" not in answer.fields:
            raise CommandError(self._foreign(answer))

    def get(self, path: str) -> dict[str, Any]:
        """The object at a path of the API. Missing if there is none."""
        return self._object(self._question(path))

    def decide(self, path: str, decision: Mapping[str, str]) -> None:
        """Post a decision, which the receiver accepts once."""
        body = json.dumps(decision).encode()
        headers = {"Content-Type": "application/json", **signed_body(self._token, body)}
        self._object(self._request("POST", path, headers, body, _ANSWER_SECONDS))

    def send(self, deliveries: Iterable[Delivery]) -> None:
        """Send each delivery once the one before is committed; `verdicts` counts the answers."""
        for delivery in deliveries:
            verdict = self.deliver(delivery.path, delivery.headers, delivery.body)
            self.verdicts[verdict] += 1

    def deliver(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Send one delivery; the verdict, or `refused`. A receiver that cannot store or does not
        answer is asked again for some seconds."""
        path = quote(f"/{path.lstrip('/')}", safe="/?%&=+,;:@!$'()*~")
        sent = {name: text for name, text in headers.items() if name.lower() not in _OURS}
        for pause in (*_PAUSES, None):
            signed = signed_delivery(self._token, path, sent, body)
            try:
                answer = self._request("POST", path, {**sent, **signed}, body, _COMMIT_SECONDS)
            except Away:
                if pause is None or self._aborted:
                    raise
            else:
                if answer.status != 503 or pause is None:
                    break
            time.sleep(pause)
        fields = answer.fields
        if answer.status >= 500:
            raise CommandError(
                f"{self._shown} cannot store now: {answer.status} "
                f"{str(fields.get('detail', ''))[:200]}; "
                "run the same command again: it goes on where it stopped"
            )
        if answer.status < 300 and answer.headers.get("content-type") == PROTOBUF:
            return "accepted"
        if answer.status < 400 and fields.get("result") != "success":
            raise CommandError(self._foreign(answer))
        return str(fields.get("verdict", "refused"))

    def _question(self, path: str) -> Response:
        return self._request("GET", path, signed_head(self._token, "GET", path))

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float = _ANSWER_SECONDS,
    ) -> Response:
        """The answer of any status but those about our token. A decision is not repeated: it may
        have taken effect."""
        try:
            answer = self._connection.request(
                method,
                self._base + path,
                headers,
                body,
                timeout=timeout,
                repeat="X-VS-Signature" not in headers,
                limit=_MOST,
            )
        except (OSError, HttpError) as error:
            raise Away(
                f"{self._shown} cannot be reached: {error}; start it with `vs-tui serve`, or set "
                "VS_URL to another one"
            ) from None
        if answer.status in (401, 403):
            raise CommandError(
                f"{self._shown} does not accept our token; set VS_TOKEN to what `vs-tui secret "
                "show token` prints on its machine"
            )
        return answer

    def _object(self, answer: Response) -> dict[str, Any]:
        """The object of a 2xx answer; else CommandError with the receiver's words."""
        fields = answer.fields
        if 200 <= answer.status < 300 and fields:
            return fields
        if "detail" not in fields:
            raise CommandError(self._foreign(answer))
        kind = Missing if answer.status == 404 else CommandError
        raise kind(f"{answer.status}: {clean(str(fields['detail']))}")

    def _foreign(self, answer: Response) -> str:
        return (
            f"{self._shown} answered {answer.status}, but not as a receiver does: something else "
            "listens there; is the address right?"
        )

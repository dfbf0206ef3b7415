"""Notify a service manager (sd_notify): ready, stopping, in trouble, alive."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class ServiceManager:
    """Notifies systemd if it started us; else every call does nothing."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        self._address = env.get("NOTIFY_SOCKET", "")
        self._failed = False
        self.watchdog_seconds = _watchdog(env)
        """Seconds without a notification after which the service manager restarts us; 0: no
        watchdog."""

    def tell(self, *states: str) -> None:
        """Send one datagram, such as `READY=1`; the first failure is logged."""
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            try:
                channel.sendto("\n".join(states).encode(), address)
            except OSError as error:
                if not self._failed:
                    log.warning("the service manager could not be told %s: %s", states[0], error)
                self._failed = True

    async def watch(self, alive: Callable[[], bool], trouble: Callable[[], str]) -> None:
        """Notify twice within each watchdog period while the writer runs, with its trouble; ends
        with the task. A full disk is no reason for a restart, a dead writer is."""
        period = self.watchdog_seconds / 2 if self.watchdog_seconds else 5.0
        while True:
            status = f"STATUS={trouble() or 'receiving'}"
            if alive() and self.watchdog_seconds:
                self.tell("WATCHDOG=1", status)
            else:
                self.tell(status)
            await asyncio.sleep(period)


def _watchdog(env: Mapping[str, str]) -> float:
    pid = env.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return 0.0
    text = env.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdigit() else 0.0

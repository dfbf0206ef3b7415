"""A load generator that costs less than the server: raw HTTP/1.1 over keep-alive sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of requests gave."""

    seconds: float
    latencies: Sequence[float]
    statuses: dict[int, int]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Nearest-rank percentile of the latencies, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


async def post_all(
    url: str,
    path: str,
    bodies: Sequence[bytes],
    headers: Callable[[int], str] = lambda _: "",
    connections: int = 32,
    per_second: float = 0,
) -> Load:
    """POST every body once over `connections` sockets; `per_second` 0 is as fast as it goes."""
    target = urlsplit(url)
    host, port = target.hostname or "127.0.0.1", target.port or 80
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    queue = iter(range(len(bodies)))
    began = time.perf_counter()

    async def worker() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for index in queue:
            if per_second:
                delay = began + index / per_second - time.perf_counter()
                if delay > 0:
                    await asyncio.sleep(delay)
            body = bodies[index]
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                f"{headers(index)}Content-Length: {len(body)}\r\n\r\n"
            )
            sent = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - sent)
            status = int(answer[9:12])
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return Load(time.perf_counter() - began, latencies, statuses)

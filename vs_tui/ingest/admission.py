"""Limits on requests at once: rate, requests and bytes, per source and in total.

Anything over a limit gets 503 with Retry-After before it uses memory; tools send again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from vs_tui.ingest.http_errors import unavailable
from vs_tui.model.limits import Limits, fits

BURST_SECONDS: Final = 5
"""A source may save up this many seconds of its rate."""
STRANGER_RATE: Final = 400.0
"""Requests a second without a valid proof that get a 401 with details, and 503 beyond it. One
address may use half."""
MOST_PEERS: Final = 10_000
_PEER: Final = "peer "
SHARE: Final = 0.75
"""Most of the requests at once that one source may take, so that no source starves the others. The
same share limits requests whose body is still arriving, so that slow senders do not starve complete
requests."""


class Admission:
    """The counters of one receiver. `clock` is monotonic seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._running: Counter[str] = Counter()
        self._arriving: Counter[str] = Counter()
        self._bytes = 0
        self.running = 0
        """Requests being handled."""

    def request(self, source: str, *, arriving: bool = False) -> Load:
        """Reserve a place while a request is handled; Refused (503) if there is none. `arriving`
        means that its body is not complete yet."""
        most = self._limits.concurrent
        of_source = _share(most)
        if (
            self.running >= most
            or self._running[source] >= of_source
            or (arriving and self._arriving.total() >= of_source)
            or (arriving and self._arriving[source] >= _share(of_source))
        ):
            raise unavailable(f"too many requests of {source} at once; send it again")
        self.running += 1
        self._running[source] += 1
        self._arriving[source] += arriving
        return Load(self, source, arriving=arriving)

    def arrived(self, load: Load) -> None:
        self._arriving[load.source] -= load.arriving
        load.arriving = False

    def leave(self, load: Load) -> None:
        self.arrived(load)
        self.running -= 1
        self._running[load.source] -= 1
        self._bytes -= load.size

    def hold(self, size: int, whole: int) -> None:
        """Reserve memory for a piece of a body of `whole` bytes; large bodies leave room for small
        ones."""
        if not fits(self._bytes, size, self._limits.bodies, whole):
            raise unavailable("too many large bodies at once; send it again")
        self._bytes += size

    def pay(self, source: str) -> None:
        """Spend one request of a source's rate. Call it only for a proven sender; others use
        `pay_as_stranger`. Refused (503) if the rate is used up."""
        rate = self._limits.rate
        if rate and not self._spend(source, rate):
            raise unavailable(
                f"more than {rate:g} requests a second from {source}; send it again later, or "
                "raise rate in [limits]"
            )

    def pay_as_stranger(self, peer: str) -> None:
        """Spend one request without a proof, of this address and in total. Refused (503) if either
        rate is used up."""
        if len(self._buckets) > MOST_PEERS:
            self._buckets = {k: v for k, v in self._buckets.items() if not k.startswith(_PEER)}
        alone = self._spend(f"{_PEER}{peer}", STRANGER_RATE / 2)
        if not self._spend(_PEER, STRANGER_RATE) or not alone:
            raise unavailable("too many requests without a valid proof")

    def _spend(self, name: str, rate: float) -> bool:
        """Take one token out of a bucket. Returns False if the bucket is empty."""
        full = rate * BURST_SECONDS
        now = self._clock()
        left, at = self._buckets.get(name, (full, now))
        left = min(full, left + (now - at) * rate)
        paid = left >= 1
        self._buckets[name] = (left - 1 if paid else left, now)
        return paid


def _share(places: int) -> int:
    return max(1, int(places * SHARE))


class Load:
    """The place and the bytes that one request holds; both are released when it ends."""

    __slots__ = ("_admission", "arriving", "size", "source")

    def __init__(self, admission: Admission, source: str, *, arriving: bool) -> None:
        self._admission = admission
        self.source = source
        self.arriving = arriving
        self.size = 0

    def add(self, size: int, whole: int) -> None:
        """Reserve memory for a piece of a body of `whole` announced bytes. Refused (503) if all
        bodies together would be too large."""
        self._admission.hold(size, max(whole, self.size + size))
        self.size += size

    def arrived(self) -> None:
        """Note that the whole body has arrived."""
        self._admission.arrived(self)

    def end(self) -> None:
        self._admission.leave(self)

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

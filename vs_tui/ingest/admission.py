"""Limits on requests at once: rate, requests and bytes, per source and in total.

Anything over a limit gets 503 with Retry-After before it uses memory; tools send again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from vs_tui.ingest.http_errors import Refused, unavailable
from vs_tui.model.limits import Limits, fits

BURST_SECONDS: Final = 5
"""A source may save up this many seconds of its rate."""
STRANGER_RATE: Final = 400.0
"""Requests a second without a valid proof that get a 401 with details, and 503 beyond it. One
address may use half."""
MOST_PEERS: Final = 10_000
_PEER: Final = "peer "
_STRANGERS: Final = "strangers"
SHARE: Final = 0.75
"""Most of the requests at once that one source may take, so that no source starves the others. The
same share limits requests whose body is still arriving, so that slow senders do not starve complete
requests."""


class Admission:
    """The counters of one receiver. `clock` is monotonic seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self.of_source: Counter[str] = Counter()
        self.arriving: dict[Load, None] = {}
        """Requests whose body is arriving, longest without a new piece first."""
        self.bytes = 0
        self.running = 0
        """Requests being handled."""

    def request(self, source: str, *, arriving: bool = False) -> Load:
        """Reserve a place while a request is handled; Refused (503) if there is none. `arriving`
        means that its body is not complete yet."""
        most = self.limits.concurrent
        share = _share(most)
        if (
            self.running >= most
            or self.of_source[source] >= share
            or (arriving and not self._make_room(source, share))
        ):
            raise too_many(source)
        self.running += 1
        self.of_source[source] += 1
        load = Load(self, source)
        if arriving:
            self.arriving[load] = None
        return load

    def _make_room(self, source: str, most: int) -> bool:
        """Whether one more body may arrive. If not, the request without a proof that has waited
        longest for a piece of its body gives way: a sender that proves itself by its body sends it
        at once, and one that never proves itself keeps nobody out."""
        same = [load for load in self.arriving if load.source == source]
        full = same if len(same) >= _share(most) else self.arriving
        if full is self.arriving and len(full) < most:
            return True
        stalled = next((load for load in full if load.give_way is not None), None)
        if stalled is None or stalled.give_way is None:
            return False
        stalled.give_way()
        stalled.arrived()
        return True

    def pay(self, source: str) -> None:
        """Spend one request of a source's rate. Call it only for a proven sender; others use
        `pay_as_stranger`. Refused (503) if the rate is used up."""
        rate = self.limits.rate
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
        alone = self._spend(f"{_PEER}{_site(peer)}", STRANGER_RATE / 2)
        if not alone or not self._spend(_STRANGERS, STRANGER_RATE):
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


def _site(peer: str) -> str:
    """The address, or the /64 of an IPv6 address: one site has all addresses of it."""
    if ":" not in peer:
        return peer
    address = IPv6Address(peer.partition("%")[0])
    return str(address.ipv4_mapped or int(address) >> 64)


def too_many(source: str) -> Refused:
    return unavailable(f"too many requests of {source} at once; send it again")


class Load:
    """The place and the bytes that one request holds; both are released when it ends."""

    __slots__ = ("_admission", "give_way", "size", "source")

    def __init__(self, admission: Admission, source: str) -> None:
        self._admission = admission
        self.source = source
        self.size = 0
        self.give_way: Callable[[], None] | None = None
        """Ends the wait for its body, so that another request gets its place; None if it keeps
        it."""

    def add(self, size: int, whole: int) -> None:
        """Reserve memory for a piece of a body of `whole` announced bytes; large bodies leave room
        for small ones. Refused (503) if all bodies together would be too large."""
        admission = self._admission
        if not fits(admission.bytes, size, admission.limits.bodies, max(whole, self.size + size)):
            raise unavailable("too many large bodies at once; send it again")
        admission.bytes += size
        self.size += size
        if self in admission.arriving:
            admission.arriving[self] = admission.arriving.pop(self)

    def arrived(self) -> None:
        """Note that the whole body has arrived."""
        self._admission.arriving.pop(self, None)

    def end(self) -> None:
        self.arrived()
        self._admission.bytes -= self.size
        self._admission.running -= 1
        self._admission.of_source[self.source] -= 1

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

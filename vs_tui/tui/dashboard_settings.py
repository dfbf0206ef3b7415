"""What the dashboard is given by the command that starts it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vs_tui.model.thresholds import DEFAULTS, Thresholds
from vs_tui.model.time import Instant

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card
    from vs_tui.metrics.report import Detail
    from vs_tui.store.reader_protocol import DeliveryDetail, Reader
    from vs_tui.tui.source_status import Connection

CardsReader = Callable[[str, int, Instant | None, str], Awaitable[Sequence["Card"]]]
"""(team or empty, window in microseconds or 0 for all time, its end or None for now, bucket of the
trend or empty) -> cards."""


DetailReader = Callable[[str, str, int, Instant | None, str], Awaitable["Detail"]]
"""(team or empty, metric, window, its end, bucket) -> what is behind the number."""


async def no_cards(
    _team: str, _window: int, _at: Instant | None = None, _bucket: str = ""
) -> Sequence[Card]:
    """When there is nothing to compute metrics with."""
    return ()


@dataclass
class Setup:
    """Everything the dashboard is given."""

    reader: Reader
    clock: Callable[[], Instant]
    cards: CardsReader = no_cards
    detail: DetailReader | None = None
    """What is behind a card."""
    after_paint: Callable[[], Awaitable[str]] | None = None
    """Starts the receiver once the first screen is up; returns its URL."""
    send_links: Callable[[str, str, str], Awaitable[None]] | None = None
    """(action, child key, parent key): a person's decision about a link."""
    refold: Callable[[int], Awaitable[str]] | None = None
    resend: Callable[[DeliveryDetail, str], Awaitable[str]] | None = None
    """(delivery, URL or empty for this receiver): send it once more; what was answered."""
    send_trial: Callable[[Callable[[str], None]], Awaitable[None]] | None = None
    """Sends a trial run to this receiver, and says what was answered."""
    connections: Callable[[], Sequence[Connection]] = tuple
    """How each tool reaches the receiver; may take a while, so it is called in a thread."""
    find_public_url: Callable[[], Awaitable[str]] | None = None
    """The URL of a tunnel or proxy in front of the receiver; empty when there is none."""
    known_secrets: Sequence[str] = field(default=(), repr=False)
    """Our own token and secrets: never shown, wherever an event holds one."""
    url: str = ""
    program: str = "vs-tui"
    """How this program is called from the shell it was started in."""
    open_mode: bool = False
    theme: str = "auto"
    ascii: bool = False
    zone: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    stops_receiver: bool = False
    """Whether quitting stops a receiver that tools depend on: then it is asked for twice."""
    by_trace: bool = True
    """Whether Live begins with the list of traces, and not with that of spans."""
    thresholds: Thresholds = DEFAULTS
    reopen: bool = False
    """Whether it begins with the view that was shown last: a page that a browser loads again."""
    watch_command: str = ""
    state_path: str = ""
    at: Instant | None = None
    """Show this past moment, frozen."""
    source_name: str = ""
    """What is looked at, for `view`."""

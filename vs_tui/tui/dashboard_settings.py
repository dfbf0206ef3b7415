"""What the session is given: the settings that a command passes, the state kept between starts, and
protocols of screens, navigation and output, which it cannot import."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vs_tui.model.limits import DEFAULT_THRESHOLDS, Thresholds
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.tui.filtering import Range

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card
    from vs_tui.metrics.report import Detail
    from vs_tui.store.queries.reader_protocol import DeliveryDetail, Reader
    from vs_tui.tui.source_status import Connection


CardsReader = Callable[[str, int, Instant | None, str], Awaitable[Sequence["Card"]]]
"""(team or empty, window in microseconds or 0 for all time, end of the window or None for now,
bucket of the trend or empty) -> cards."""


DetailReader = Callable[[str, str, int, Instant | None, str], Awaitable["Detail"]]
"""(team or empty, metric, window, end of the window, bucket) -> the items and facts behind the
number."""


async def no_cards(
    _team: str, _window: int, _at: Instant | None = None, _bucket: str = ""
) -> Sequence[Card]:
    """No cards, for a dashboard without metrics."""
    return ()


@dataclass
class Setup:
    """All settings of the dashboard."""

    reader: Reader
    clock: Callable[[], Instant]
    cards: CardsReader = no_cards
    detail: DetailReader | None = None
    """Reads the items and facts behind a card."""
    after_paint: Callable[[], Awaitable[str]] | None = None
    """Starts the receiver once the first screen is up; returns its URL."""
    send_links: Callable[[str, str, str], Awaitable[None]] | None = None
    """(action, child key, parent key): stores a user's decision about a link."""
    refold: Callable[[int], Awaitable[str]] | None = None
    resend: Callable[[DeliveryDetail, str], Awaitable[str]] | None = None
    """(delivery, URL or empty for this receiver): sends the delivery again and returns the
    answer."""
    send_trial: Callable[[Callable[[str], None]], Awaitable[None]] | None = None
    """Sends a trial run to this receiver; calls its argument with the first answer and any
    refusal."""
    connections: Callable[[], Sequence[Connection]] = tuple
    """How each tool reaches the receiver. Slow, so it runs in a thread."""
    find_public_url: Callable[[], Awaitable[str]] | None = None
    """Finds the URL of a tunnel or proxy in front of the receiver; empty if there is none."""
    known_secrets: Sequence[str] = field(default=(), repr=False)
    """Our own token and secrets; never shown, wherever an event contains one."""
    url: str = ""
    program: str = "vs-tui"
    """The shell command that starts this program."""
    open_mode: bool = False
    theme: str = "auto"
    ascii: bool = False
    zone: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    stops_receiver: bool = False
    """Whether quitting stops a receiver that tools depend on; quitting then needs the key twice."""
    by_trace: bool = True
    """Whether Live starts with the list of traces instead of spans."""
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    reopen: bool = False
    """Whether to start with the view shown last, for a web page that a browser reloads."""
    watch_command: str = ""
    state_path: str = ""
    at: Instant | None = None
    """Past moment to show, frozen."""
    source_name: str = ""
    """Name of the store or receiver that `view` reads."""


@dataclass
class Remembered:
    """Saved state of the dashboard; a missing or broken file means defaults."""

    filters: dict[str, str] = field(default_factory=dict)
    """View -> filter."""
    sorts: dict[str, str] = field(default_factory=dict)
    """View -> sort order."""
    ranges: dict[str, str] = field(default_factory=dict)
    """View -> time range."""
    used: dict[str, list[str]] = field(default_factory=dict)
    """View -> filters used before, the newest last."""
    team: str = ""
    theme: str = ""
    view: str = ""
    """The view shown last."""

    @classmethod
    def load(cls, path: str) -> Remembered:
        if not path:
            return cls()
        try:
            found = json.loads(Path(path).read_text("utf-8"))
            return cls(
                filters={str(k): str(v) for k, v in found.get("filters", {}).items()},
                sorts={str(k): str(v) for k, v in found.get("sorts", {}).items()},
                ranges={str(k): str(v) for k, v in found.get("ranges", {}).items()},
                used={str(k): list(map(str, v)) for k, v in found.get("used", {}).items()},
                team=str(found.get("team", "")),
                theme=str(found.get("theme", "")),
                view=str(found.get("view", "")),
            )
        except (OSError, ValueError, AttributeError, TypeError):
            return cls()

    def save(self, path: str) -> None:
        if not path:
            return
        try:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                json.dump(asdict(self), out)
        except OSError:
            return  # go on with a read-only home


class Shown(Protocol):
    """The part of a screen that other modules use."""

    where: str
    tab: str
    range: Range
    filter_text: str
    sort: str
    ranged: bool

    @property
    def complete(self) -> bool: ...

    def paint_frame(self) -> None: ...

    def paint_header(self) -> None: ...

    def paint_notice(self) -> None: ...

    def start_reload(self) -> None: ...

    def conceal(self) -> None: ...

    async def reload(self) -> None: ...

    def selection(self) -> str: ...

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]: ...


class Navigator(Protocol):
    """The ways to open a screen."""

    current: str

    @property
    def base(self) -> Shown | None: ...

    @property
    def ranged(self) -> Shown | None: ...

    @property
    def metrics_range(self) -> Range: ...

    @property
    def views(self) -> Mapping[str, Shown]: ...

    @property
    def kept_filter(self) -> str: ...

    def crumbs(self) -> list[str]: ...

    def open_span(self, ref: str) -> None: ...

    def open_trace(self, trace_id: str, span_key: str = "") -> None: ...

    def open_delivery(self, delivery_id: int) -> None: ...

    def open_deliveries(self, filter_text: str) -> None: ...

    def open_deliveries_of(self, span: Span) -> None: ...

    def named_view(self, filter_text: str) -> None: ...

    def find(self, filter_text: str) -> None: ...


class Copier(Protocol):
    """The ways out of the dashboard: clipboard and watch command."""

    def copy(self, text: str) -> bool: ...

    def yank_in_turns(self, texts: Sequence[tuple[str, str]]) -> None: ...

    def run_watch_command(self, span: Span, command: str) -> None: ...

"""Protocols of screens, navigation and output for the session, which cannot import them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from vs_tui.model.vocabulary import Span
from vs_tui.tui.filtering import Range


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


class Copier(Protocol):
    """The ways out of the dashboard: clipboard and watch command."""

    def copy(self, text: str) -> bool: ...

    def yank_in_turns(self, texts: Sequence[tuple[str, str]]) -> None: ...

    def run_watch_command(self, span: Span, command: str) -> None: ...

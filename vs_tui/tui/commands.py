"""The command palette: every action of the table and every named view, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from vs_tui.domain.display import clean

if TYPE_CHECKING:
    from vs_tui.tui.app import VsTuiApp

Command = tuple[str, str, Callable[[], None]]
"""(name, what it does, call)."""


class Commands(Provider):
    """Names are `Content`: a team's or a view's name is never read as markup."""

    async def discover(self) -> Hits:
        for name, help_text, run in self._all():
            yield DiscoveryHit(Content(name), run, name, help_text.replace("[", r"\["))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, help_text, run in self._all():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, Content(name), run, name, help_text.replace("[", r"\["))

    def _all(self) -> list[Command]:
        app = cast("VsTuiApp", self.app)
        found: list[Command] = [
            (f"{action.label} ({action.key})", action.help, partial(app.do, action.id))
            for action in app.actions
            if action.id != "palette"
        ]
        found += [
            (f"view {clean(name, 80)}", clean(text), partial(app.navigation.named_view, text))
            for name, text in app.setup.views.items()
        ]
        found += [
            (f"team {clean(team, 80) or 'all'}", "only this team", partial(app.choose_team, team))
            for team in ("", *app.teams)
        ]
        return found

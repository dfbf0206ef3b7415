"""The palette: all commands by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from vs_tui.model.display import clean
from vs_tui.tui import filtering
from vs_tui.tui.actions import VIEWS
from vs_tui.tui.session import Session

_LAST: Final = 0.01
"""Score of the search for what was typed: below that of each command."""
Command = tuple[str, str, Callable[[], None]]
"""(name, help text, function to call)."""


class Commands(Provider):
    """The palette's commands. Names are `Content`, so a team's or a view's name is never read as
    markup."""

    async def discover(self) -> Hits:
        for name, help_text, run in self._all():
            yield DiscoveryHit(Content(name), run, name, help_text.replace("[", r"\["))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, help_text, run in self._all():
            score = matcher.match(name) or (query.lower() in help_text.lower()) / 10
            if score > 0:
                yield Hit(score, Content(name), run, name, help_text.replace("[", r"\["))
        app = cast(Session, self.app)
        if not filtering.problem(query, "traces"):
            name, run = f"find {clean(query, 80)}", partial(app.navigation.find, query)
            yield Hit(_LAST, Content(name), run, name, "traces of all time that match it")

    def _all(self) -> list[Command]:
        """All commands: views and teams first, then actions."""
        app = cast(Session, self.app)
        actions = sorted(app.actions, key=lambda action: action.id not in VIEWS)
        found: list[Command] = [
            (
                f"{action.label} ({action.key})" if action.keys else action.label,
                action.help,
                partial(app.do, action.id),
            )
            for action in actions
            if action.id != "palette"
        ]
        places: list[Command] = [
            (f"view {clean(name, 80)}", clean(text), partial(app.navigation.named_view, text))
            for name, text in app.setup.views.items()
        ]
        places += [
            (
                f"team {clean(team, 80) or 'all'}",
                "only this team" if team else "every team",
                partial(app.choose_team, team),
            )
            for team in ("", *app.teams)
        ]
        found[len(VIEWS) : len(VIEWS)] = places
        return found

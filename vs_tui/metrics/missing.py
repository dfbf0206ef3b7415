"""Explains a missing number: which deploys were received, and how to make them count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vs_tui.metrics.report import Scorecard
from vs_tui.metrics.windows import Window
from vs_tui.model.teams import PRODUCTION, Environments

MOST_NAMED = 6


class Seen(NamedTuple):
    """The deploys of a team (or of all) by environment, whatever their result."""

    team: str
    environments: Environments
    deploys: Mapping[str, int]
    """Environment (empty if none is named) -> number of deploys."""
    counted: bool
    """Whether at least one is a production deployment that ended and was not cancelled."""

    @property
    def elsewhere(self) -> Mapping[str, int]:
        """Deploys outside production by environment, most first."""
        others = ((e, n) for e, n in self.deploys.items() if not self.environments.is_production(e))
        return dict(sorted(others, key=lambda other: (-other[1], other[0])))

    @property
    def production(self) -> Sequence[str]:
        """Globs of environment names that count as production."""
        return tuple(self.environments.globs.get(PRODUCTION, ()))


def hints(seen: Seen) -> list[str]:
    """Hints for the user, one sentence each."""
    whose = f" of team {seen.team}" if seen.team else ""
    elsewhere = seen.elsewhere
    listed = _listed(elsewhere)
    if seen.counted:
        return [f"Not counted, because not production: deploys to {listed}."] if elsewhere else []
    if not seen.deploys:
        found = [f"No deploy{whose} was received yet: the metrics begin with the first one."]
        if seen.team:
            return [*found, "[teams] in the configuration says which projects are whose."]
        return [
            *found,
            "Sources (5) shows where to point each tool; `vs-tui import` fetches its history.",
        ]
    if len(elsewhere) < len(seen.deploys):
        return [f"Production deploys{whose} began, but none ended yet, or they were cancelled."]
    found = [
        f"No production deploy{whose} yet. Deploys were seen to {listed}.",
        f"Production is what is called {', '.join(seen.production)}.",
    ]
    if any(elsewhere):
        found.append(f"To count others, write {_setting(seen)} in the configuration.")
    return found


def _listed(counts: Mapping[str, int]) -> str:
    named = [f"{name or 'no name'} {n}" for name, n in counts.items()]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return ", ".join(named[:MOST_NAMED]) + more


def _setting(seen: Seen) -> str:
    """`[environments] production = [...]` with the likeliest of the others added."""
    names = [name for name in seen.elsewhere if name]
    likely = next((n for n in names if "prod" in n.lower() or "live" in n.lower()), names[0])
    values = ", ".join(f'"{name}"' for name in (*seen.production, likely))
    return f"[environments] production = [{values}]"


def unowned(projects: Mapping[str, int]) -> list[str]:
    """Hints how to assign projects without a team; empty without such projects."""
    if not projects:
        return []
    globs = ", ".join(f'"{name}"' for name in list(projects)[:MOST_NAMED] if name)
    return [
        f"No team lists the projects of these deployments: {_listed(projects)}.",
        "To count them for a team, write in the configuration:",
        f"[teams.NAME] projects = [{globs}]",
    ]


def explained(cards: Sequence[Scorecard], window: Window, seen: Seen) -> list[str]:
    """Why numbers are missing or do not count all deploys, one sentence each."""
    if window.since >= window.now:
        return ["This window has not begun: nothing in it has happened yet."]
    quiet = not any(figure.n for card in cards for figure in card.figures.values())
    said = ["No production deployment ended in this window."] if quiet and seen.counted else []
    return [*said, *hints(seen), *filter(None, map(_unlinked, cards))]


def _unlinked(card: Scorecard) -> str:
    """A hint about incidents that are not linked to a deployment, so that a rate of 0 % does not
    hide them."""
    found = card.beside
    if found is None or found.incidents_linked == found.incidents:
        return ""
    whose = f" of team {card.name}" if card.name else ""
    without = found.incidents - found.incidents_linked
    return (
        f"Incidents{whose} that fail no deployment: {without} of {found.incidents}. They name no "
        "service, environment or version of one, or began too long after it ([metrics] "
        "incident_window)."
    )

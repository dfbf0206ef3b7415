"""Reports as JSON and as rows of a table. Durations are seconds, instants RFC 3339 in UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from vs_tui.metrics import texts
from vs_tui.metrics.cards import (
    before_text,
    delta_text,
    is_small,
    level_text,
    remarks,
    value_text,
)
from vs_tui.metrics.definitions import Figure, Unit
from vs_tui.metrics.goals import is_met
from vs_tui.metrics.levels import YEARS
from vs_tui.metrics.missing import Seen, hints
from vs_tui.metrics.report import Behind, Beside, Detail, Scorecard
from vs_tui.metrics.stages import Regression, StageTime
from vs_tui.metrics.windows import Window
from vs_tui.model.time import SECOND, iso


def seconds(duration: float | None) -> float | None:
    """Microseconds as seconds; None stays None."""
    return None if duration is None else duration / SECOND


def measured(figure: Figure, value: float | None) -> float | None:
    """A value in the metric's unit."""
    return seconds(value) if figure.definition.unit is Unit.DURATION else value


def window_json(window: Window) -> dict[str, Any]:
    """A window, with the zone its days are those of and the period it is compared with."""
    return {
        "since": iso(window.since),
        "until": iso(window.until),
        "zone": str(window.zone),
        "days": round(window.length, 6),
        "before": {"since": iso(window.previous.since), "until": iso(window.previous.until)},
    }


_TOLD: Final[Mapping[str, tuple[str, Callable[[Figure], Any]]]] = {
    "working_days": ("working_days", lambda f: f.working_days),
    "working_days_with": ("working_days_with_deployment", lambda f: f.working_days_with),
    "since": ("data_since", lambda f: iso(f.since)),
    "p90": ("p90", lambda f: measured(f, f.p90)),
    "starts": ("starts", lambda f: dict(f.starts)),
    "unknown": ("unknown", lambda f: f.unknown),
    "open": ("open", lambda f: f.open),
    "open_for": ("open_for", lambda f: seconds(f.open_for) if f.open else None),
    "hits": ("hits", lambda f: f.hits),
}
"""What only some metrics say: field of a figure -> (name in JSON, value)."""


def figure_json(figure: Figure, window: Window) -> dict[str, Any]:
    """One metric over a window; null is missing."""
    found: dict[str, Any] = {
        "value": measured(figure, figure.value),
        "unit": figure.definition.unit.value,
        "text": value_text(figure),
        "n": figure.n,
        "small_sample": is_small(figure),
        "before": measured(figure, figure.before),
        "before_n": figure.before_n,
        "change": delta_text(figure) or None,
        "direction": figure.direction or None,
        "levels": {str(year): level for year, level in sorted(figure.levels.items())},
    }
    if figure.goal is not None:
        found["goal"] = measured(figure, figure.goal)
        found["goal_met"] = (
            None if figure.value is None else is_met(figure.metric, figure.value, figure.goal)
        )
    for name in figure.definition.tells:
        told, value_of = _TOLD[name]
        found[told] = value_of(figure)
    found["series"] = [measured(figure, value) for value in figure.series]
    found["points"] = [
        {"at": iso(at), "value": value}
        for at, value in zip(window.bucket_starts, found["series"], strict=False)
    ]
    return found


def beside_json(beside: Beside) -> dict[str, Any]:
    """em-metrics' numbers."""
    incidents = beside.incidents
    return {
        "incidents": incidents.n,
        "incidents_linked": incidents.linked,
        "incidents_restored": incidents.restored,
        "incidents_finished": incidents.finished,
        "time_to_restore_p50": seconds(incidents.restore_median),
        "time_to_restore_p90": seconds(incidents.restore_p90),
        "time_to_detect_p50": seconds(incidents.detect_median),
        "time_to_detect_n": incidents.detect_n,
        "deploys_started": beside.started,
        "deployed": beside.deployed,
        "deployment_duration_p50": seconds(beside.duration_median),
        "deployment_duration_p90": seconds(beside.duration_p90),
        "merged_pull_requests": beside.merged,
        "engineers": beside.engineers,
        "merged_per_engineer_week": beside.merged_per_engineer_week,
        "innovation_ratio": beside.innovation_ratio,
    }


def scorecard_json(card: Scorecard) -> dict[str, Any]:
    """The five metrics of one group under their full names."""
    return {
        "by": card.by,
        "name": card.name or None,
        "metrics": {
            each.definition.key: figure_json(each, card.window) for each in card.figures.values()
        },
        "beside": beside_json(card.beside) if card.beside else None,
        "data_since": iso(card.data_since),
    }


def explained(cards: Sequence[Scorecard], window: Window, seen: Seen) -> list[str]:
    """Why there are no numbers, or why not all deploys are in them: a sentence each."""
    if window.since >= window.now:
        return ["This window has not begun: nothing in it has happened yet."]
    quiet = not any(figure.n for card in cards for figure in card.figures.values())
    said = ["No production deployment ended in this window."] if quiet and seen.counted else []
    return [*said, *hints(seen), *filter(None, map(_unlinked, cards))]


def _unlinked(card: Scorecard) -> str:
    """Incidents that make no deployment failed: a rate of 0 % must not hide them."""
    found = card.beside.incidents if card.beside else None
    if found is None or found.linked == found.n:
        return ""
    whose = f" of team {card.name}" if card.name else ""
    return (
        f"Incidents{whose} that fail no deployment: {found.n - found.linked} of {found.n}. They "
        "name no service, environment or version of one, or began too long after it ([metrics] "
        "incident_window)."
    )


Periods = Sequence[Sequence[Scorecard]]
"""The cards of each week or month."""


def dora_json(
    cards: Sequence[Scorecard], window: Window, seen: Seen, periods: Periods = ()
) -> dict[str, Any]:
    """The whole answer of `report dora --format json` and of /api/dora."""
    parts = [
        {
            "window": window_json(period[0].window),
            "items": [scorecard_json(card) for card in period],
        }
        for period in periods
        if period
    ]
    return {
        **({"periods": parts} if periods else {}),
        "window": window_json(window),
        "production": list(seen.production),
        "not_counted": dict(seen.elsewhere),
        "hints": explained(cards, window, seen),
        "items": [scorecard_json(card) for card in cards],
    }


Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""(titles, rows)."""


def dora_table(cards: Iterable[Scorecard]) -> Table:
    """For people: a line a metric."""
    titles = ("", "metric", "value", "n", "p90", "before", "change", "level", "")
    lines = []
    for card in cards:
        name = card.name or "all"
        for figure in card.figures.values():
            lines.append(
                (
                    name,
                    figure.definition.key.replace("_", " "),
                    value_text(figure),
                    str(figure.n),
                    texts.brief(figure.p90) if "p90" in figure.definition.tells else "",
                    before_text(figure),
                    delta_text(figure) or texts.MISSING,
                    level_text(figure) or texts.MISSING,
                    ", ".join([*remarks(figure), *(["small sample"] if is_small(figure) else [])]),
                )
            )
            name = ""
    return titles, lines


def period_table(cards: Iterable[Scorecard], periods: Periods) -> Table:
    """For people: a line a metric, a column a week or month; `*` marks what stands on few."""
    whole = [period for period in periods if period]
    starts = [period[0].window.since_text for period in whole]
    found = {
        (start, card.name, name): value_text(figure) + ("*" if is_small(figure) else "")
        for start, period in zip(starts, whole, strict=True)
        for card in period
        for name, figure in card.figures.items()
    }
    lines = [
        [
            (card.name or "all") if number == 0 else "",
            figure.definition.key.replace("_", " "),
            *(found.get((start, card.name, name), texts.MISSING) for start in starts),
        ]
        for card in cards
        for number, (name, figure) in enumerate(card.figures.items())
    ]
    return ("", "metric", *starts), lines


def period_cells(periods: Periods) -> Table:
    """For machines: the raw values of each week or month."""
    titles, _ = dora_cells(())
    lines = []
    for period in periods:
        for card in period:
            bounds = [str(iso(card.window.since)), str(iso(card.window.until))]
            lines += [[*bounds, *row] for row in dora_cells([card])[1]]
    return ("since", "until", *titles), lines


def dora_cells(cards: Iterable[Scorecard]) -> Table:
    """For machines: raw values, empty where missing."""
    years = tuple(f"level_{year}" for year in YEARS)
    titles = ("by", "name", "metric", "value", "unit", "n", "hits", "p90", "before", "before_n")
    lines = []
    for card in cards:
        for figure in card.figures.values():
            cells: list[object] = [
                card.by,
                card.name,
                figure.definition.key,
                measured(figure, figure.value),
                figure.definition.unit.value,
                figure.n,
                figure.hits if figure.definition.hits else None,
                measured(figure, figure.p90),
                measured(figure, figure.before),
                figure.before_n,
                *(figure.levels.get(year) for year in YEARS),
            ]
            lines.append(_cells(cells))
    return (*titles, *years), lines


def teams_table(cards: Iterable[Scorecard]) -> Table:
    """For people: a line a team."""
    titles = (
        *("team", "incidents", "restored", "finished", "to restore", "to detect", "started"),
        *("deployed", "deploy takes", "merged", "engineers", "per engineer week", "innovation"),
    )
    lines = []
    for card in cards:
        beside = card.beside
        if beside is None:
            continue
        per_week = beside.merged_per_engineer_week
        lines.append(
            (
                card.name or "all",
                str(beside.incidents.n),
                str(beside.incidents.restored),
                str(beside.incidents.finished),
                texts.brief(beside.incidents.restore_median),
                texts.brief(beside.incidents.detect_median),
                str(beside.started),
                str(beside.deployed),
                texts.brief(beside.duration_median),
                str(beside.merged),
                str(beside.engineers),
                texts.MISSING if per_week is None else f"{per_week:.1f}",
                texts.percent(beside.innovation_ratio),
            )
        )
    return titles, lines


def teams_cells(cards: Iterable[Scorecard]) -> Table:
    """For machines."""
    listed = [(card.name, beside_json(card.beside)) for card in cards if card.beside]
    titles = ("team", *(listed[0][1] if listed else ()))
    return titles, [_cells([name, *values.values()]) for name, values in listed]


def _cells(values: Iterable[object]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def stage_json(stage: StageTime) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "n": stage.n,
        "p50": seconds(stage.median),
        "p90": seconds(stage.p90),
        "mean": seconds(stage.mean),
        "share": stage.share,
    }


def regression_json(regression: Regression) -> dict[str, Any]:
    return {
        "stage": regression.name,
        "p50": seconds(regression.median),
        "before_p50": seconds(regression.before),
        "n": regression.n,
        "before_n": regression.n_before,
        "factor": round(regression.factor, 3),
    }


def behind_json(entry: Behind) -> dict[str, Any]:
    return {**asdict(entry), "at": iso(entry.at), "value": seconds(entry.value)}


def detail_json(detail: Detail) -> dict[str, Any]:
    """What is behind one metric of one team; a viewer elsewhere is shown it."""
    return {
        "team": detail.team or None,
        "metric": detail.figure.definition.key,
        "window": window_json(detail.window),
        "figure": figure_json(detail.figure, detail.window),
        "distribution": [{"bin": name, "n": n} for name, n in detail.distribution],
        "stages": [stage_json(stage) for stage in detail.stages],
        "bottleneck": detail.bottleneck or None,
        "regressions": [regression_json(found) for found in detail.regressions],
        "marks": dict(detail.marks),
        "of": detail.of,
        "hints": list(detail.hints),
        "left_out": list(detail.left_out),
        "bucket": detail.window.wanted or None,
        "behind": [behind_json(entry) for entry in detail.behind],
    }

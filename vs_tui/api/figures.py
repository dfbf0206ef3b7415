"""The delivery metrics as JSON: each shape is written and read here. Durations are seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from vs_tui.api.json_shape import (
    COUNT,
    COUNTS,
    INSTANT,
    MAYBE_TEXT,
    OBJECT,
    RATIO,
    SECONDS,
    TEXT,
    Field,
    Shape,
    Type,
    computed,
    list_of,
)
from vs_tui.export.report_tables import BESIDE, record
from vs_tui.metrics.cards import delta_text, is_small, measured, seconds, value_text
from vs_tui.metrics.definitions import BY_KEY, Figure, Unit
from vs_tui.metrics.goals import is_met
from vs_tui.metrics.missing import Seen, explained
from vs_tui.metrics.report import Behind, Detail, Scorecard
from vs_tui.metrics.stages import Regression, StageTime
from vs_tui.metrics.windows import BUCKETS, Window, zone_of
from vs_tui.model.time import SECOND, Instant, iso, parse_instant

EXACT: Final = Type(RATIO.schema, seconds, lambda s: None if s is None else s * SECOND)
"""A duration that need not be a whole number of microseconds."""


def _window(since: Instant, until: Instant, zone: str) -> Window:
    try:
        return Window(since, until, until, zone_of(zone))
    except ValueError:  # an offset without a name: the days were counted over there
        return Window(since, until, until)


WINDOW: Final = Shape(
    "Window",
    _window,
    {
        **{"since": INSTANT, "until": INSTANT},
        "zone": Field(TEXT, "zone", lambda window: str(window.zone)),
        "days": computed(RATIO, lambda window: round(window.length, 6)),
        "before": computed(
            OBJECT,
            lambda w: {"since": iso(w.previous.since), "until": iso(w.previous.until)},
        ),
    },
)
"""A window, with the time zone of its days and the period it is compared with."""

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
"""Fields that only some metrics have: field of a figure -> (name in JSON, function of the
value)."""


def figure_json(figure: Figure, window: Window) -> dict[str, Any]:
    """One metric over a window as JSON; null means missing."""
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
        met = None if figure.value is None else is_met(figure.metric, figure.value, figure.goal)
        found["goal_met"] = met
    found |= {_TOLD[name][0]: _TOLD[name][1](figure) for name in figure.definition.tells}
    found["series"] = [measured(figure, value) for value in figure.series]
    found["points"] = [
        {"at": iso(at), "value": value}
        for at, value in zip(window.bucket_starts, found["series"], strict=False)
    ]
    return found


def _figure(key: str, item: Mapping[str, Any]) -> Figure:
    """A figure from its JSON."""
    metric = BY_KEY[key]
    scale = SECOND if metric.unit is Unit.DURATION else 1
    told = {field: item[name] for field, (name, _) in _TOLD.items() if item.get(name) is not None}
    values = {name: item.get(name) for name in ("value", "before", "p90", "goal")}
    scaled = {name: None if value is None else value * scale for name, value in values.items()}
    return Figure(
        metric.name,
        **{
            **told,
            **scaled,
            "n": item["n"],
            "open_for": round((item.get("open_for") or 0) * SECOND),
            "since": parse_instant(item.get("data_since")),
            "series": [None if value is None else value * scale for value in item["series"]],
            "before_n": item["before_n"],
            "level": next(iter(item["levels"].values()), "") if metric.level is None else "",
        },
    )


STAGE: Final = Shape(
    "Stage",
    StageTime,
    {
        **{"stage": TEXT, "n": COUNT, "p50": Field(EXACT, "median"), "p90": EXACT},
        **{"mean": EXACT, "share": RATIO},
    },
)
REGRESSION: Final = Shape(
    "Regression",
    Regression,
    {
        "stage": Field(TEXT, "name"),
        "p50": Field(EXACT, "median"),
        "before_p50": Field(EXACT, "before"),
        "n": COUNT,
        "before_n": Field(COUNT, "n_before"),
        "factor": computed(RATIO, lambda regression: round(regression.factor, 3)),
    },
)
BEHIND: Final = Shape(
    "Behind",
    Behind,
    {
        "at": INSTANT,
        **dict.fromkeys(("trace_id", "key", "title", "service", "version", "result"), TEXT),
        **{"value": SECONDS, "note": TEXT, "longest": TEXT},
    },
)
_BIN: Final = Shape(
    "",
    lambda name, n: (name, n),
    {
        "bin": Field(TEXT, "name", lambda found: found[0]),
        "n": Field(COUNT, "n", lambda found: found[1]),
    },
)


def _detail(
    metric: str, figure: Mapping[str, Any], window: Window, bucket: str = "", **more: Any
) -> Detail:
    wanted = bucket if bucket in BUCKETS else ""
    window = replace(window, wanted=wanted)
    return Detail(figure=_figure(metric, figure), window=window, **more)


DETAIL: Final = Shape(
    "Detail",
    _detail,
    {
        "team": MAYBE_TEXT,
        "metric": Field(TEXT, "metric", lambda detail: detail.figure.definition.key),
        "window": WINDOW.type,
        "figure": Field(OBJECT, "figure", lambda d: figure_json(d.figure, d.window)),
        "distribution": list_of(_BIN.type),
        "stages": list_of(STAGE.type),
        "bottleneck": MAYBE_TEXT,
        "regressions": list_of(REGRESSION.type),
        **{"marks": COUNTS, "of": COUNT, "hints": list_of(TEXT), "left_out": list_of(TEXT)},
        "bucket": Field(MAYBE_TEXT, "bucket", lambda detail: detail.window.wanted),
        "behind": list_of(BEHIND.type),
    },
)
"""The items and facts behind one metric of one team."""
SHAPES: Final[Sequence[Shape[Any]]] = (WINDOW, STAGE, REGRESSION, BEHIND, DETAIL)

Periods = Sequence[Sequence[Scorecard]]
"""The cards of each week or month."""


def scorecard_json(card: Scorecard) -> dict[str, Any]:
    """The metrics of one group under their full names."""
    return {
        "by": card.by,
        "name": card.name or None,
        "metrics": {
            each.definition.key: figure_json(each, card.window) for each in card.figures.values()
        },
        "beside": record(BESIDE, card) if card.beside else None,
        "data_since": iso(card.data_since),
    }


def dora_json(
    cards: Sequence[Scorecard], window: Window, seen: Seen, periods: Periods = ()
) -> dict[str, Any]:
    """The complete answer of `report dora --format json` and of /api/dora."""
    parts = [
        {"window": WINDOW.write(period[0].window), "items": list(map(scorecard_json, period))}
        for period in periods
        if period
    ]
    return {
        **({"periods": parts} if periods else {}),
        "window": WINDOW.write(window),
        "production": list(seen.production),
        "not_counted": dict(seen.elsewhere),
        "hints": explained(cards, window, seen),
        "items": list(map(scorecard_json, cards)),
    }

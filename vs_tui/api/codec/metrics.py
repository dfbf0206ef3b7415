"""The delivery metrics as JSON: each shape is written and read here. Durations are seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from vs_tui.api.codec import (
    COUNT,
    COUNTS,
    INSTANT,
    MAYBE_TEXT,
    OBJECT,
    RATIO,
    SECONDS,
    TEXT,
    TEXTS,
    TIME,
    TRUTH,
    Field,
    Shape,
    Type,
    computed,
    list_of,
    maybe,
    object_of,
    table_of,
    word_of,
    written,
)
from vs_tui.export.report_tables import BESIDE, record
from vs_tui.metrics.cards import delta_text, is_met, is_small, measured, seconds, value_text
from vs_tui.metrics.definitions import BY_KEY, Figure, Unit
from vs_tui.metrics.lead_time import Regression, StageTime
from vs_tui.metrics.missing import Seen, explained
from vs_tui.metrics.report import Detail, MetricRow, Scorecard
from vs_tui.metrics.windows import BUCKETS, Window, zone_of
from vs_tui.model.time import SECOND, Instant, iso

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

_OPEN_FOR: Final = SECONDS._replace(read=lambda found: round((found or 0) * SECOND))


def _has_goal(figure: Figure, _: Window) -> bool:
    return figure.goal is not None


def _measured(name: str) -> Callable[[Figure, Window], float | None]:
    return lambda figure, _: measured(figure, getattr(figure, name))


def _series(figure: Figure, _: Window) -> list[float | None]:
    return [measured(figure, value) for value in figure.series]


def _points(figure: Figure, window: Window) -> list[dict[str, Any]]:
    return [
        {"at": iso(at), "value": value}
        for at, value in zip(window.bucket_starts, _series(figure, window), strict=False)
    ]


def _told(kind: Type, name: str, get: Callable[[Figure, Window], Any] | None = None) -> Field:
    """A field that only some metrics have."""
    found = get or (lambda figure, _: getattr(figure, name))
    return Field(kind, name, found, lambda figure, _: name in figure.definition.tells)


FIGURE: Final = Shape(
    "Figure",
    dict[str, Any],
    {
        "value": Field(RATIO, "value", _measured("value")),
        "unit": computed(word_of(Unit), lambda figure, _: figure.definition.unit),
        "text": computed(TEXT, lambda figure, _: value_text(figure)),
        "n": COUNT,
        "small_sample": computed(TRUTH, lambda figure, _: is_small(figure)),
        "before": Field(RATIO, "before", _measured("before")),
        "before_n": COUNT,
        "change": computed(MAYBE_TEXT, lambda figure, _: delta_text(figure)),
        "direction": computed(MAYBE_TEXT, lambda figure, _: figure.direction),
        "levels": Field(
            TEXTS,
            "levels",
            lambda f, _: {str(year): level for year, level in sorted(f.levels.items())},
        ),
        "goal": Field(RATIO, "goal", _measured("goal"), _has_goal),
        "goal_met": computed(maybe(TRUTH), lambda f, _: is_met(f, f.value), _has_goal),
        "working_days": _told(COUNT, "working_days"),
        "working_days_with_deployment": _told(COUNT, "working_days_with"),
        "data_since": _told(TIME, "since"),
        "p90": _told(RATIO, "p90", _measured("p90")),
        "starts": _told(COUNTS, "starts"),
        "unknown": _told(COUNT, "unknown"),
        "open": _told(COUNT, "open"),
        "open_for": _told(_OPEN_FOR, "open_for", lambda f, _: f.open_for if f.open else None),
        "hits": _told(COUNT, "hits"),
        "series": Field(list_of(RATIO), "series", _series),
        "points": computed(
            written(list_of(Type(object_of({"at": TIME.schema, "value": RATIO.schema})))), _points
        ),
    },
)
"""One metric over a window; null means missing."""


def _figure(key: str, item: Mapping[str, Any]) -> Figure:
    """A figure from its JSON."""
    metric, found = BY_KEY[key], FIGURE.read(item)
    scale = SECOND if metric.unit is Unit.DURATION else 1
    for name in ("value", "before", "p90", "goal"):
        if found.get(name) is not None:
            found[name] *= scale
    found["series"] = [None if value is None else value * scale for value in found["series"]]
    levels = found.pop("levels")
    level = next(iter(levels.values()), "") if metric.level is None else ""
    return Figure(metric.name, level=level, **found)


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
    MetricRow,
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
        "figure": Field(
            Type(FIGURE.type.schema), "figure", lambda d: FIGURE.write(d.figure, d.window)
        ),
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
SCORECARD: Final = Shape(
    "Scorecard",
    dict[str, Any],
    {
        "by": TEXT,
        "name": MAYBE_TEXT,
        "metrics": computed(
            written(table_of(FIGURE.type)),
            lambda card: {
                figure.definition.key: FIGURE.write(figure, card.window)
                for figure in card.figures.values()
            },
        ),
        "beside": computed(
            maybe(table_of(RATIO)), lambda card: record(BESIDE, card) if card.beside else None
        ),
        "data_since": computed(TIME, lambda card: card.figures["deploys"].since),
    },
)
"""The metrics of one group under their full names."""
_CARDS: Final = list_of(SCORECARD.type)
_PERIOD: Final = Shape(
    "",
    dict[str, Any],
    {
        "window": computed(WINDOW.type, lambda cards: cards[0].window),
        "items": computed(_CARDS, lambda cards: cards),
    },
)
Periods = Sequence[Sequence[Scorecard]]
"""The cards of each week or month."""


def _periods(_: object, _window: Window, _seen: Seen, periods: Periods) -> Periods:
    return [cards for cards in periods if cards]


DORA: Final = Shape(
    "",
    dict[str, Any],
    {
        "periods": computed(list_of(_PERIOD.type), _periods, lambda *given: bool(given[-1])),
        "window": computed(WINDOW.type, lambda _, window, *__: window),
        "production": computed(list_of(TEXT), lambda _cards, _window, seen, _: seen.production),
        "not_counted": computed(COUNTS, lambda _cards, _window, seen, _: seen.elsewhere),
        "hints": computed(
            list_of(TEXT), lambda cards, window, seen, _: explained(cards, window, seen)
        ),
        "items": computed(_CARDS, lambda cards, *_: cards),
    },
)
"""The answer of `report dora --format json` and of /api/dora. Arguments to write: the cards, their
window, the environments that were seen, and the periods, if the answer is split."""
SHAPES: Final[Sequence[Shape[Any]]] = (WINDOW, FIGURE, SCORECARD, STAGE, REGRESSION, BEHIND, DETAIL)

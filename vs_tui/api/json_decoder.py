"""What is behind a number, out of the API's JSON: the inverse of `exporters.report.detail_json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vs_tui.metrics.definitions import BY_KEY, Figure, Metric, Unit
from vs_tui.metrics.report import Behind, Detail
from vs_tui.metrics.stages import Regression, StageTime
from vs_tui.metrics.windows import Window, zone_of
from vs_tui.model.time import SECOND, parse_instant


def detail_of(item: Mapping[str, Any]) -> Detail:
    """A detail as the receiver's own viewer has it."""
    return Detail(
        team=item["team"] or "",
        figure=_figure(BY_KEY[item["metric"]], item["figure"]),
        window=_window(item["window"], item.get("bucket") or ""),
        distribution=[(entry["bin"], entry["n"]) for entry in item["distribution"]],
        stages=[
            StageTime(
                *(s["stage"], s["n"], _micros(s["p50"]), _whole(s["p90"]), s["share"]),
                mean=_micros(s.get("mean")),
            )
            for s in item["stages"]
        ],
        bottleneck=item["bottleneck"] or "",
        regressions=[
            Regression(
                r["stage"], r["p50"] * SECOND, r["before_p50"] * SECOND, r["n"], r["before_n"]
            )
            for r in item["regressions"]
        ],
        behind=[
            Behind(**{**b, "at": parse_instant(b["at"]) or 0, "value": _whole(b["value"])})
            for b in item["behind"]
        ],
        of=item["of"],
        marks=item["marks"],
        hints=item.get("hints", ()),
        left_out=item.get("left_out", ()),
    )


def _figure(metric: Metric, item: Mapping[str, Any]) -> Figure:
    def value(number: float | None) -> float | None:
        return _micros(number) if metric.unit is Unit.DURATION else number

    return Figure(
        metric.name,
        value(item["value"]),
        item["n"],
        p90=value(item.get("p90")),
        hits=item.get("hits", 0),
        open=item.get("open", 0),
        open_for=_whole(item.get("open_for")) or 0,
        unknown=item.get("unknown", 0),
        starts=item.get("starts", {}),
        working_days=item.get("working_days", 0),
        working_days_with=item.get("working_days_with_deployment", 0),
        series=[value(number) for number in item["series"]],
        before=value(item["before"]),
        before_n=item["before_n"],
        level=next(iter(item["levels"].values()), "") if metric.level is None else "",
        since=parse_instant(item.get("data_since")),
        goal=value(item.get("goal")),
    )


def _window(item: Mapping[str, Any], bucket: str) -> Window:
    until = parse_instant(item["until"]) or 0
    try:
        zone = zone_of(item["zone"])
    except ValueError:
        zone = zone_of("")  # an offset without a name: the days were counted over there
    return Window(parse_instant(item["since"]) or 0, until, until, zone, bucket)


def _micros(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * SECOND


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)

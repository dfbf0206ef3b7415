"""The columns of each report: name, value and format. JSON, CSV, text and Markdown are all written
from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, tzinfo
from operator import attrgetter
from typing import Any, Final, NamedTuple

from vs_tui.metrics import texts
from vs_tui.metrics.cards import (
    before_text,
    delta_text,
    is_small,
    level_text,
    measured,
    remarks,
    seconds,
    since_text,
    value_text,
)
from vs_tui.metrics.definitions import Figure
from vs_tui.metrics.lead_time import StageTime
from vs_tui.metrics.levels import YEARS
from vs_tui.metrics.report import Detail, Scorecard
from vs_tui.metrics.statistics import ratio
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Instant, iso, to_datetime

Row = Any
Get = Callable[[Row], Any]


class Kind(NamedTuple):
    """How a value is written to JSON and CSV, and how it is shown to people."""

    write: Callable[[Any], Any] = lambda value: value
    say: Callable[[Any], str] = lambda value: (
        texts.MISSING if value is None or value == "" else str(value)
    )


PLAIN: Final = Kind()
NUMBER: Final = Kind(say=lambda v: texts.MISSING if v is None else f"{v:.2f}")
DURATION: Final = Kind(seconds, texts.brief)
SHARE: Final = Kind(say=texts.percent)
RATE: Final = Kind(say=texts.rate)


def clock(zone: tzinfo) -> Kind:
    """A time: UTC in JSON and CSV, in `zone` for people."""
    return Kind(
        iso,
        lambda at: (
            texts.MISSING if at is None else f"{to_datetime(at).astimezone(zone):%Y-%m-%d %H:%M}"
        ),
    )


class Column(NamedTuple):
    """A column of a report."""

    name: str
    """Its name in JSON and CSV; empty if it is only shown to people."""
    get: Get
    """Returns the value of a row."""
    kind: Kind = PLAIN
    title: str | None = None
    """Its title for people; None if it is only in JSON and CSV."""


def columns(source: str, **named: tuple[Kind, str | None]) -> list[Column]:
    """Columns with the row's attributes of the same names, or with those of its attribute
    `source`."""
    prefix = f"{source}." if source else ""
    return [Column(name, attrgetter(prefix + name), *more) for name, more in named.items()]


def record(table: Sequence[Column], row: Row) -> dict[str, Any]:
    """The row as a JSON object."""
    return {c.name: c.kind.write(c.get(row)) for c in table if c.name}


def raw_cells(table: Sequence[Column], row: Row) -> list[object]:
    """The cells of a CSV row."""
    return [c.kind.write(c.get(row)) for c in table if c.name]


def said_cells(table: Sequence[Column], row: Row) -> list[str]:
    """The cells of a row for people."""
    return [c.kind.say(c.get(row)) for c in table if c.title is not None]


# The delivery metrics: a row is one figure of a card.

Measured = tuple[Scorecard, Figure]


def figures_of(cards: Sequence[Scorecard]) -> list[Measured]:
    return [(card, figure) for card in cards for figure in card.figures.values()]


def _named(row: Measured) -> str:
    """The group's name in its first line, empty in the others."""
    card, figure = row
    return (card.name or "all") if figure is next(iter(card.figures.values())) else ""


def _said(say: Callable[[Figure], str]) -> Get:
    return lambda row: say(row[1])


def _raw(get: Callable[[Figure], Any]) -> Get:
    return lambda row: get(row[1])


def _notes(row: Measured) -> str:
    card, figure = row
    small = "small sample" if is_small(figure) else ""
    notes = [since_text(figure, card.window.zone), *remarks(figure), small]
    return ", ".join(filter(None, notes))


def _level(year: int) -> Get:
    return lambda row: row[1].levels.get(year)


_AS_IT_IS: Final = Kind(say=str)
_METRIC: Final = (
    Column("", _named, _AS_IT_IS, ""),
    Column("", _said(lambda f: f.definition.key.replace("_", " ")), _AS_IT_IS, "metric"),
)
FIGURES: Final = (
    *_METRIC,
    Column("by", lambda row: row[0].by),
    Column("name", lambda row: row[0].name),
    Column("metric", _raw(lambda f: f.definition.key)),
    Column("", _said(value_text), _AS_IT_IS, "value"),
    Column("value", _raw(lambda f: measured(f, f.value))),
    Column("unit", _raw(lambda f: f.definition.unit.value)),
    Column("n", _raw(lambda f: f.n), title="n"),
    Column("hits", _raw(lambda f: f.hits if f.definition.hits else None)),
    Column("p90", _raw(lambda f: measured(f, f.p90))),
    Column(
        "",
        _said(lambda f: texts.brief(f.p90) if "p90" in f.definition.tells else ""),
        _AS_IT_IS,
        "p90",
    ),
    Column("", _said(before_text), _AS_IT_IS, "before"),
    Column("before", _raw(lambda f: measured(f, f.before))),
    Column("before_n", _raw(lambda f: f.before_n)),
    Column("", _said(delta_text), PLAIN, "change"),
    Column("", _said(level_text), PLAIN, "level"),
    *(Column(f"level_{year}", _level(year)) for year in YEARS),
    Column("unknown", _raw(lambda f: f.unknown if "unknown" in f.definition.tells else None)),
    Column("open", _raw(lambda f: f.open if "open" in f.definition.tells else None)),
    Column("data_since", _raw(lambda f: f.since), Kind(iso)),
    Column("small_sample", _raw(is_small)),
    Column("", _notes, _AS_IT_IS, ""),
)
PERIOD_FIGURES: Final = (
    Column("since", lambda row: row[0].window.since, Kind(iso)),
    Column("until", lambda row: row[0].window.until, Kind(iso)),
    *FIGURES,
)
"""The raw values of each week or month, for JSON and CSV."""


def by_period(periods: Sequence[Sequence[Scorecard]]) -> list[Column]:
    """Columns for people, one per week or month; `*` marks values of small samples."""

    def of(cards: Sequence[Scorecard]) -> Get:
        found = {
            (card.name, name): value_text(figure) + ("*" if is_small(figure) else "")
            for card in cards
            for name, figure in card.figures.items()
        }
        return lambda row: found.get((row[0].name, row[1].metric))

    return [
        *_METRIC,
        Column("", lambda row: since_text(row[1], row[0].window.zone), _AS_IT_IS, ""),
        *(Column("", of(cards), PLAIN, cards[0].window.since_text) for cards in periods if cards),
    ]


BESIDE: Final = (
    *columns("beside", incidents=(PLAIN, "incidents"), incidents_linked=(PLAIN, None)),
    Column("incidents_restored", attrgetter("beside.incidents_restored"), PLAIN, "restored"),
    *columns("beside", incidents_finished=(PLAIN, "finished")),
    Column("time_to_restore_p50", attrgetter("beside.time_to_restore.p50"), DURATION, "to restore"),
    Column("time_to_restore_p90", attrgetter("beside.time_to_restore.p90"), DURATION),
    Column("time_to_detect_p50", attrgetter("beside.time_to_detect.p50"), DURATION, "to detect"),
    Column("time_to_detect_n", attrgetter("beside.time_to_detect.n")),
    *columns("beside", deploys_started=(PLAIN, "started"), deployed=(PLAIN, "deployed")),
    Column(
        *("deployment_duration_p50", attrgetter("beside.deployment_duration.p50")),
        *(DURATION, "deploy takes"),
    ),
    Column("deployment_duration_p90", attrgetter("beside.deployment_duration.p90"), DURATION),
    *columns(
        "beside",
        merged_pull_requests=(PLAIN, "merged"),
        engineers=(PLAIN, "engineers"),
        merged_per_engineer_week=(
            Kind(say=lambda v: texts.MISSING if v is None else f"{v:.1f}"),
            "per engineer week",
        ),
        innovation_ratio=(SHARE, "innovation"),
    ),
)
"""em-metrics' figures of a team; a row is the team's card."""
TEAMS: Final = (
    Column("team", lambda card: card.name or None),
    Column("", lambda card: card.name or "all", PLAIN, "team"),
    *BESIDE,
)


# The reports on spans.


def _group(number: int) -> Get:
    return lambda row: row.group[number]


def duration_columns(grouping: Sequence[str], window: Window) -> list[Column]:
    """The columns of span groups; the rate is of finished spans per day."""
    groups = [Column(name, _group(n), PLAIN, name) for n, name in enumerate(grouping)]
    return [
        *groups,
        *columns("", started=(PLAIN, "started"), finished=(PLAIN, "finished")),
        *columns("", ok=(PLAIN, None), failed=(PLAIN, None), cancelled=(PLAIN, None)),
        *columns("", in_progress=(PLAIN, "in progress"), success_ratio=(SHARE, "success")),
        Column("per_day", lambda group: ratio(group.finished, window.length), RATE, "rate"),
        *columns("duration", n=(PLAIN, None)),
        *columns("duration", **{name: (DURATION, name) for name in _SPREAD}),
        Column("", attrgetter("duration.n"), PLAIN, "n"),
    ]


_SPREAD: Final = ("mean", "p50", "p90", "p95", "p99")


def pull_request_columns(now: Instant) -> list[Column]:
    """The columns of pull requests, with ValueStream's names."""
    return [
        Column("", lambda pr: f"{pr.owner}/{pr.repo}", PLAIN, "repository"),
        Column("", lambda pr: pr.id, _AS_IT_IS, "id"),
        Column("", lambda pr: pr.title[:60], _AS_IT_IS, "title"),
        Column("", lambda pr: pr.author, _AS_IT_IS, "author"),
        Column("", _state, PLAIN, "state"),
        *columns("", owner=(PLAIN, None), repo=(PLAIN, None), created_at=(Kind(iso), None)),
        *columns("", merged=(PLAIN, None)),
        Column("duration", lambda pr: pr.duration(now), DURATION, "took"),
        *columns("", comments=(PLAIN, None), additions=(PLAIN, None), deletions=(PLAIN, None)),
        *columns("", total_changes=(PLAIN, "lines")),
        Column("duration_per_comment", lambda pr: pr.duration_per_comment(now)),
        Column("duration_per_line", lambda pr: pr.duration_per_line(now)),
        Column("", lambda pr: pr.comments, PLAIN, "comments"),
        *columns("", id=(PLAIN, None), merged_at=(Kind(iso), None), closed_at=(Kind(iso), None)),
        *columns("", updated_at=(Kind(iso), None), author=(PLAIN, None), url=(PLAIN, None)),
        *columns("", title=(PLAIN, None), reviewers=(PLAIN, None)),
    ]


def _state(pr: Row) -> str:
    return "merged" if pr.merged else "open" if pr.closed_at is None else "closed"


def valuestream_columns(now: Instant) -> list[Column]:
    """The pull-request columns in the format that ValueStream's `vsperformancereport agg
    pull-request` reads.

    Unknown values are Go's zero values, because that tool rejects an empty time. Reviewers are
    separated by `|`. The tool divides by the changed lines, and +Inf would make every mean
    infinite, so that column is 0 too if there are none.
    """

    def zero(column: Column) -> Column:
        missing = _NO_TIME if column.name.endswith("_at") else 0
        kind = Kind(lambda value: missing if (raw := column.kind.write(value)) is None else raw)
        return column._replace(name=_CALLED.get(column.name, column.name), kind=kind)

    found = [zero(column) for column in pull_request_columns(now) if column.name]
    joined = Kind(lambda names: names.replace(",", "|"))
    return [c._replace(kind=joined) if c.name == "Reviewers" else c for c in found]


_CALLED: Final = {"id": "ID", "reviewers": "Reviewers"}
_NO_TIME: Final = "0001-01-01T00:00:00Z"
"""Go's zero time."""


def _period_columns() -> list[Column]:
    names: Mapping[str, tuple[str, Kind]] = {
        "period": ("period", Kind(date.isoformat, date.isoformat)),
        **{name: (name, PLAIN) for name in ("owner", "repo", "total", "merged")},
        **{name: (name, NUMBER) for name in ("merge_ratio", "lines")},
        "duration_h": ("hours", NUMBER),
        **{name: (name, NUMBER) for name in ("seconds_per_line", "seconds_per_comment")},
        "comments": ("comments", NUMBER),
        **{f"running_{p}_h": (f"running_{p}", NUMBER) for p in ("p50", "p95", "p99")},
    }
    return [
        Column(name, attrgetter(field), kind, name.replace("_", " "))
        for name, (field, kind) in names.items()
    ]


PULL_REQUEST_PERIODS: Final = _period_columns()
"""A row is one period of one repository."""


def stage_columns(detail: Detail) -> list[Column]:
    """The columns of the stages of the lead time; marks the bottleneck and the stages that became
    slower."""
    slower = {found.name: found for found in detail.regressions}

    def marks(stage: StageTime) -> str:
        said = ["bottleneck"] if stage.stage == detail.bottleneck else []
        if found := slower.get(stage.stage):
            said.append(f"{found.factor:.1f}x of the {texts.brief(found.before)} before")
        return ", ".join(said)

    return [
        *columns("", stage=(PLAIN, "stage"), n=(PLAIN, None)),
        Column("p50", attrgetter("median"), DURATION, "p50"),
        *columns("", p90=(DURATION, "p90"), mean=(DURATION, "mean")),
        *columns("", share=(SHARE, "share of means")),
        Column("", attrgetter("n"), PLAIN, "n"),
        Column("", marks, _AS_IT_IS, ""),
    ]


def flaky_columns(zone: tzinfo) -> list[Column]:
    """The columns of flaky jobs."""
    return [
        Column("", attrgetter("job"), PLAIN, "job"),
        *columns("", project=(PLAIN, "project"), job=(PLAIN, None)),
        Column("flaky_commits", attrgetter("flaky"), PLAIN, "flaky"),
        *columns("", commits=(PLAIN, "of commits"), rate=(SHARE, "rate")),
        Column("last_at", attrgetter("last_at"), clock(zone), "last"),
        *columns("", example=(PLAIN, None)),
    ]


def expected_columns(zone: tzinfo) -> list[Column]:
    """The columns of spans in flight."""

    def end(name: str) -> Get:
        return lambda row: row.span.started_at + getattr(row.usual, name) if row.usual else None

    def overdue(row: Any) -> bool | None:
        return row.usual.is_overdue(row.span.started_at, row.now) if row.usual else None

    return [
        Column("span_id", attrgetter("span.ref")),
        Column("operation", attrgetter("span.operation"), PLAIN, "kind"),
        Column("name", attrgetter("span.name"), PLAIN, "name"),
        Column("started_at", attrgetter("span.started_at"), clock(zone), "began"),
        Column("expected_p50", end("p50"), clock(zone), "half end by"),
        Column("expected_p90", end("p90"), clock(zone), "90 % end by"),
        Column("n", lambda row: row.usual.n if row.usual else 0, PLAIN, "n"),
        Column("overdue", overdue, Kind(say=lambda late: "overdue" if late else ""), ""),
    ]


DIGEST: Final = (
    Column("team", lambda row: row[0]),
    Column("", lambda row: row[0] if row[2] else "", _AS_IT_IS, "team"),
    Column("text", lambda row: row[1], PLAIN, ""),
)
"""A row is (team, sentence, whether it is the team's first sentence)."""


def window_title(window: Window) -> str:
    """The window as text for the head of a report, in its zone."""
    since, end = (to_datetime(at).astimezone(window.zone) for at in (window.since, window.end))
    return f"{since:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({window.zone})"

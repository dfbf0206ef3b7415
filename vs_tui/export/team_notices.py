"""Notices that no single span causes: waiting traces, slower stages and missed goals."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.metrics.cards import value_text
from vs_tui.metrics.definitions import METRICS
from vs_tui.metrics.goals import is_met
from vs_tui.metrics.windows import day_of
from vs_tui.model.filters import parse
from vs_tui.model.settings import NotifyRule
from vs_tui.model.time import Instant, format_duration
from vs_tui.store.notices import Notice
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.report_query import Asked
from vs_tui.store.queries.reports import Reports


async def waiting_notices(reader: SqliteReader, rule: NotifyRule) -> Sequence[Notice]:
    """Notices for the traces of the board that match the rule's filter, one per waiting step."""
    now = reader.now()
    board = await reader.board(rule.filter_of("waiting"))
    found = []
    for row in board.rows:
        if row.trace_id in board.outside:
            continue
        waited = row.waited(now)
        since = row.action.since
        who = ", ".join(row.action.who) or row.action.nobody
        body = {
            "event": "waiting",
            "title": " ".join(part for part in (row.label, row.title) if part),
            "text": f"{row.action.verb} {row.action.what}".strip()
            + (f", {who}" if who else "")
            + (f", for {format_duration(waited)}" if waited is not None else ""),
            "url": row.action.step.url if row.action.step is not None else row.root.url,
        }
        fact = f"waiting\n{row.trace_id}\n{row.action.rule}\n{since}"
        found.append(Notice(rule.target, fact, body))
    return found


async def team_notices(reports: Reports, rule: NotifyRule, now: Instant) -> Sequence[Notice]:
    """Notices for stages that became slower and for missed goals, each once a week, for the teams
    that match the rule's filter."""
    admits = parse(rule.filter, traces=True).admits_team
    week = day_of(now, Asked().window(reports.config, now).zone).isocalendar()[:2]
    found = []
    for team in filter(admits, reports.config.teams.names or [""]):
        if "regressed" in rule.on:
            detail = await reports.stages(Asked(team=team))
            for slower in detail.regressions:
                title = (
                    f"{team or 'everyone'}: {slower.name} takes {slower.factor:.1f} times as long"
                )
                found.append(_of_team(rule, "regressed", team, slower.name, title, week))
    if "goal_missed" in rule.on:
        for card in await reports.scorecards(Asked(), beside=False):
            if not admits(card.name):
                continue
            for name, figure in card.figures.items():
                goal, value = figure.goal, figure.value
                if goal is None or value is None or is_met(name, value, goal):
                    continue
                named, text = METRICS[name].title, value_text(figure)
                title = f"{card.name}: {named} is {text}, its goal is missed"
                found.append(_of_team(rule, "goal_missed", card.name, name, title, week))
    return found


def _of_team(
    rule: NotifyRule, event: str, team: str, of: str, title: str, week: tuple[int, int]
) -> Notice:
    body = {"event": event, "title": title, "text": "", "url": "", "team": team, "of": of}
    return Notice(rule.target, f"{event}\n{team}\n{of}\n{week}", body)

"""Gives spans that name no project that of the span above them.

Only the root of a run of Jenkins' OpenTelemetry plugin names its job, and it is sent last: the
exporter sends spans when they have ended, in several requests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from vs_tui.store import rows
from vs_tui.store.folding.span_folding import INHERITING, Change, Context, load_spans, refold
from vs_tui.store.folding.stored_events import EventCache

_DEEPEST: Final = 64
"""Most levels of steps within steps."""
_BELOW: Final = (
    "SELECT c.key, p.key FROM spans c JOIN spans p ON p.key = c.parent_key "
    f"WHERE c.source = '{INHERITING}' AND c.derived = 0 AND p.project <> '' "
    "AND c.project <> p.project AND c.{} IN (SELECT value FROM json_each(?)) "
    "AND (c.project = '' OR instr(c.attributes, '\"jenkins.pipeline.step.') > 0)"
)
"""SQL: spans that may lack a project of their own, with the span above them."""


def with_projects(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    context: Context,
    cache: EventCache,
    relink: Callable[[Sequence[Change]], None],
) -> list[Change]:
    """Fold the spans without a project again that are below one with a project, and those below.
    Returns all changes, each span once. The result depends only on the spans, not on their order
    of arrival."""
    merged = {change.new.key: change for change in changes}
    level: Sequence[Change] = changes
    for _ in range(_DEEPEST):
        bare = [c.new.key for c in level if _inherits(c)] if level is changes else []
        moved = [c.new.key for c in level if c.new.project and _is_moved(c)]
        wanted = {
            key: parent
            for column, keys in (("key", bare), ("parent_key", moved))
            if keys
            for key, parent in rows.select_in(connection, _BELOW.format(column), keys)
        }
        if not wanted:
            break
        parents = load_spans(connection, set(wanted.values()))
        context.above = {key: parents[parent] for key, parent in wanted.items()}
        try:
            level = refold(connection, list(wanted), context, cache)
        finally:
            context.above = {}
        relink(level)
        for change in level:
            first = merged.get(change.new.key)
            joined = first and change._replace(old=first.old, fresh=first.fresh)
            merged[change.new.key] = joined or change
    return list(merged.values())


def _inherits(change: Change) -> bool:
    return change.new.source == INHERITING and not change.folded.span.project


def _is_moved(change: Change) -> bool:
    is_source = change.new.source == INHERITING
    return is_source and (change.old is None or change.old.project != change.new.project)

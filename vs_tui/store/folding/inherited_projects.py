"""Gives spans that name no project that of the span above them.

Only the root of a run of Jenkins' OpenTelemetry plugin names its job, and it is sent last: the
exporter sends spans when they have ended, in several requests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vs_tui.store import rows
from vs_tui.store.folding.span_folding import INHERITING, Change, Context, load_spans, refold
from vs_tui.store.folding.stored_events import EventCache

_BELOW: Final = (
    "SELECT c.key, p.key FROM spans c JOIN spans p ON p.key = c.parent_key "
    f"WHERE c.source = '{INHERITING}' AND c.derived = 0 AND p.project <> '' "
    "AND c.project <> p.project AND c.{} IN (SELECT value FROM json_each(?)) "
    "AND (c.project = '' OR instr(c.attributes, '\"jenkins.pipeline.step.') > 0)"
)
"""SQL: spans that may lack a project of their own, with the span above them."""


def with_projects(
    connection: sqlite3.Connection, changes: Sequence[Change], context: Context, cache: EventCache
) -> list[Change]:
    """Fold the spans without a project again that are below one with a project. Returns their
    changes. The result depends only on the spans, not on their order of arrival."""
    bare = [c.new.key for c in changes if _inherits(c)]
    moved = [c.new.key for c in changes if c.new.project and _is_moved(c)]
    wanted = {
        key: parent
        for column, keys in (("key", bare), ("parent_key", moved))
        if keys
        for key, parent in rows.select_in(connection, _BELOW.format(column), keys)
    }
    if not wanted:
        return []
    parents = load_spans(connection, set(wanted.values()))
    above = {key: parents[parent] for key, parent in wanted.items()}
    return refold(connection, wanted, replace(context, above=above), cache)


def _inherits(change: Change) -> bool:
    return change.new.source == INHERITING and not change.folded.span.project


def _is_moved(change: Change) -> bool:
    is_source = change.new.source == INHERITING
    return is_source and (change.old is None or change.old.project != change.new.project)

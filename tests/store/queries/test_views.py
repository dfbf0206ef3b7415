"""The SQL views say what the API says, to any SQLite, and docs/sql.md lists their columns."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import orjson
import pytest

from tests.store.conftest import custom, ref
from vs_tui.api.codec.spans import span_json
from vs_tui.store.queries.reader import SqliteReader

DOCS = (Path(__file__).parents[3] / "docs" / "sql.md").read_text("utf-8")
VIEWS = re.findall(r"^## (v_\w+)$", DOCS, re.MULTILINE)
SAME = (
    *("trace_id", "parent_key", "source", "operation", "name", "status", "duration_s", "active_s"),
    *("project", "team", "service", "environment", "actor", "url", "attempt", "reopens", "error"),
)


def rows(path: Path, sql: str) -> list[dict]:
    """Read as another program would: read-only, without our functions."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(sql)]


async def test_a_span_is_what_the_api_says(open_writer, clock) -> None:
    writer = await open_writer()
    await writer.submit(custom("pipeline", "p", "start"))
    more = {"parent_id": ref("pipeline", "p"), "tags": {"service": "api", "who's": 'a"b'}}
    await writer.submit(custom("deploy", "d", "start", 5, **more))
    await writer.submit(custom("deploy", "d", "end", 65, error=True))
    await writer.caught_up()
    found = {row["key"]: row for row in rows(writer.path, "SELECT * FROM v_spans")}
    reader = await SqliteReader(writer.path, clock).open()
    try:
        for key, row in found.items():
            span = await reader.span(key)
            assert span is not None
            expected = span_json(span, (), {})
            assert {name: row[name] for name in SAME} == {name: expected[name] for name in SAME}
            assert orjson.loads(row["attributes"]) == expected["attributes"]
            assert row["ref"] == expected["span_id"]
    finally:
        await reader.close()
    deploy = found[ref("deploy", "d")]
    assert (deploy["started_at"], deploy["duration_s"]) == ("2026-03-02T10:00:05.000Z", 60.0)
    assert found[ref("pipeline", "p")]["ended_at"] is None
    (link,) = rows(writer.path, "SELECT * FROM v_links")
    assert (link["child_ref"], link["parent_ref"]) == (ref("deploy", "d"), ref("pipeline", "p"))
    assert link["is_parent"] == 1 and link["child_trace_id"] == link["parent_trace_id"]


def test_the_examples_of_the_page_run(tmp_path) -> None:
    from vs_tui.store.schema import open_writer

    open_writer(tmp_path / "t.db").close()
    (block,) = re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL)
    statements = [each for each in block.split(";") if each.strip()]
    assert len(statements) == 2
    for statement in statements:
        assert rows(tmp_path / "t.db", statement) == []


def test_every_view_is_documented(tmp_path) -> None:
    from vs_tui.store.schema import open_writer

    open_writer(tmp_path / "t.db").close()
    # Those of another name are our own, like the tables.
    names = rows(
        tmp_path / "t.db", "SELECT name FROM sqlite_master WHERE name GLOB 'v_*' AND type = 'view'"
    )
    assert sorted(row["name"] for row in names) == sorted(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_the_columns_of_a_view_are_documented(tmp_path, view) -> None:
    from vs_tui.store.schema import open_writer

    open_writer(tmp_path / "t.db").close()
    section = DOCS.partition(f"## {view}\n")[2].partition("\n## ")[0]
    listed = [
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    columns = [row["name"] for row in rows(tmp_path / "t.db", f"PRAGMA table_info({view})")]
    assert sorted(listed) == sorted(columns)
    assert len(rows(tmp_path / "t.db", f"SELECT * FROM {view} LIMIT 1")) == 0

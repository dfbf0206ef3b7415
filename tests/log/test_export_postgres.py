"""`vs-tui export postgres`: tables that say what the views say."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.log.postgres import PASSWORD, PASSWORD_IN_URL
from tests.store.conftest import Clock, custom, ref
from vs_tui.cli.main import main
from vs_tui.export.postgres_tables import VIEWS, type_of
from vs_tui.store.writer import Writer


@pytest.fixture
async def database(tmp_path):
    writer = Writer(tmp_path / "t.db", Clock())
    await writer.open()
    tags = {"service": "api", "environment": "production"}
    await writer.submit(custom("pipeline", "p", "start", name="nul \0 and 'quote'"))
    parent = ref("pipeline", "p")
    await writer.submit(custom("deploy", "d", "start", 5, parent_id=parent, tags=tags))
    await writer.submit(custom("deploy", "d", "end", 65, error=True))
    await writer.caught_up()
    await writer.close()
    return tmp_path / "t.db"


def tables(url: str) -> dict[str, list[dict[str, Any]]]:
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        return {
            view: connection.execute(f"SELECT * FROM vs_tui_views.{view} ORDER BY 1").fetchall()
            for view in VIEWS
        }


def views(path) -> dict[str, list[dict[str, Any]]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return {
            view: [dict(row) for row in db.execute(f"SELECT * FROM {view} ORDER BY 1")]
            for view in VIEWS
        }


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of PostgreSQL as SQLite has it."""
    found = {}
    for name, value in row.items():
        if isinstance(value, datetime):
            value = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        elif isinstance(value, bool | Decimal):
            value = int(value)
        found[name] = value
    return {name: value for name, value in found.items() if name != "attributes"}


def test_tables_say_what_the_views_say(database, url, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    assert main(["export", "postgres", url, "--db", str(database)]) == 0
    said = capsys.readouterr()
    assert "2 spans, 1 links, " in said.err and said.out == ""
    for secret in (PASSWORD, PASSWORD_IN_URL):
        assert secret not in said.err
    expected = views(database)
    for view, rows in tables(url).items():
        wanted = [
            {name: value for name, value in row.items() if name != "attributes"}
            for row in expected[view]
        ]
        for row in wanted:
            if row.get("name"):
                row["name"] = row["name"].replace("\0", "\N{REPLACEMENT CHARACTER}")
        assert [plain(row) for row in rows] == wanted, view
    spans = {row["operation"]: row for row in tables(url)["v_spans"]}
    assert spans["deploy"]["attributes"]["service"] == "api"
    assert spans["deploy"]["ended_at"] == datetime(2026, 3, 2, 10, 1, 5, tzinfo=UTC)


def test_a_second_run_replaces_and_mends_an_old_table(database, url, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA vs_tui_views")
        connection.execute("CREATE TABLE vs_tui_views.v_links (child text, old text)")
    for _ in range(2):
        assert main(["export", "postgres", url, "--db", str(database)]) == 0
    assert len(tables(url)["v_spans"]) == 2 and len(tables(url)["v_links"]) == 1


def test_what_is_wrong_is_said_without_the_password(
    database, url, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    options = ["--db", str(database)]
    assert main(["export", "postgres", *options]) == 2
    assert main(["export", "postgres", url, "--schema", "No-Name", *options]) == 2
    for every in ("soon", "0m", "0.5s"):
        assert main(["export", "postgres", url, "--every", every, *options]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f"vs-tui: --every {every}: write a time of 1s or longer, such as")
    wrong = url.replace(PASSWORD_IN_URL, "wr0ng-word")
    assert main(["export", "postgres", wrong, *options]) == 1
    said = capsys.readouterr().err
    assert "password authentication failed" in said
    assert "wr0ng-word" not in said and PASSWORD not in said


def test_every_column_has_a_fitting_type() -> None:
    assert type_of("started_at") == "timestamptz"
    assert type_of("lead_s") == "double precision"
    assert type_of("is_first") == type_of("failed") == "boolean"
    assert type_of("attributes") == "jsonb"
    assert type_of("status") == type_of("failure_signs") == type_of("child_ref") == "text"


async def test_an_export_that_ends_does_not_say_that_it_goes_on(database, capsys) -> None:
    url = "postgresql://127.0.0.1:1/nowhere"

    assert main(["export", "postgres", url, "--db", str(database)]) == 1
    said = capsys.readouterr().err
    assert "it works again once the server answers" in said
    assert "by itself" not in said

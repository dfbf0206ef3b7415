"""Forgets a person: replaces their names in all stored data by a random word.

The word also replaces the names in the bodies of deliveries, so that folding them again does not
bring the person back. All names given at once get the same word, so that the person's numbers still
add up.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import orjson

from vs_tui.log import sqlite_log
from vs_tui.log.delivery import FORGET_PATH, SameBodies, decision
from vs_tui.model.time import Instant
from vs_tui.store.schema import DERIVED_TABLES, HEARD_TABLES

CHUNK: Final = 200
_BODY_ESCAPE: Final = b"\\u"
_DELIVERY: Final = ("path", "kind", "headers", "reason", "dedupe", "keys")
_REJECTION: Final = ("path", "kind", "headers", "reason")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Numbers of rows that named the person."""

    deliveries: int
    refusals: int
    inside_words: int
    """Deliveries that still have a name as part of a longer word, which may be another person's."""


class Person:
    """The names of one person, and the word that replaces them."""

    def __init__(self, names: Sequence[str], word: str = "") -> None:
        """ValueError if a name is too short to identify a person."""
        known = sorted({name.strip() for name in names}, key=len, reverse=True)
        if not known or len(known[-1]) < 2:
            raise ValueError("a name needs two characters or more; write the login, or an e-mail")
        self.word = word or f"forgotten-{token_hex(4)}"
        any_of = "|".join(re.escape(name) for name in known)
        # A login may have hyphens: bob is not bob-smith. A word may follow %22 in a form.
        whole = rf"(?:(?<![\w-])|(?<=%[0-9A-Fa-f]{{2}}))(?:{any_of})(?![\w-])"
        self._whole = re.compile(whole, re.IGNORECASE)
        self._part = re.compile(any_of, re.IGNORECASE)
        any_bytes = b"|".join(re.escape(name.encode()) for name in known)
        self._bytes = re.compile(any_bytes, re.IGNORECASE)
        self._ascii = all(name.isascii() for name in known)

    def text(self, text: str) -> str:
        """The text with the names replaced."""
        return self._whole.sub(self.word, text)

    def body(self, body: bytes) -> bytes:
        """The body with the names replaced; the same object if it has none."""
        if not self.may_be_in(body):
            return body
        try:
            document = orjson.loads(body)
            found = self._json(document)
            return body if found == document else orjson.dumps(found)
        except (orjson.JSONDecodeError, TypeError, RecursionError):
            pass
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            # It contains lengths (protobuf), so the replacement must be as long.
            return self._bytes.sub(lambda match: b"x" * len(match[0]), body)
        shown = self.text(text)
        return body if shown == text else shown.encode()

    def may_be_in(self, body: bytes) -> bool:
        """Whether a body may have a name; a fast check, because most bodies have none."""
        return bool(self._bytes.search(body)) or (not self._ascii and _BODY_ESCAPE in body)

    def is_left_in(self, text: str) -> bool:
        return bool(self._part.search(text))

    def _json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self._json(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._json(each) for each in value]
        return value


def count_named(connection: sqlite3.Connection, person: Person) -> Forgotten:
    """The numbers that `forget` would return, without changing anything."""
    deliveries, inside = _replace(connection, person, "deliveries", _DELIVERY, write=False)
    refusals, _ = _replace(connection, person, "rejections", _REJECTION, write=False)
    return Forgotten(deliveries, refusals, inside)


def forget(
    connection: sqlite3.Connection, bodies: SameBodies, person: Person, now: Instant
) -> Forgotten:
    """Replace the names in everything that was received. Run it in `Writer.start_over`, whose
    transaction folds everything again, and call `wipe` afterwards to remove the old pages from the
    file."""
    deliveries, inside = _replace(connection, person, "deliveries", _DELIVERY, write=True)
    refusals, _ = _replace(connection, person, "rejections", _REJECTION, write=True)
    _replace_kept(connection, person)
    if deliveries:
        decided = decision(FORGET_PATH, {"now_called": person.word}, now)
        sqlite_log.append(connection, [decided], bodies, lambda _: False)
    return Forgotten(deliveries, refusals, inside)


def _replace(
    connection: sqlite3.Connection,
    person: Person,
    table: str,
    columns: Sequence[str],
    *,
    write: bool,
) -> tuple[int, int]:
    """(rows that named the person, rows that still have a name inside a longer word)."""
    named = left = last = 0
    names = ", ".join(columns)
    while found := connection.execute(
        f"SELECT id, body, {names} FROM {table} WHERE id > ? ORDER BY id LIMIT ?", (last, CHUNK)
    ).fetchall():
        for row in found:
            row_id, body, *texts = row
            last = row_id
            new_body, new_texts = person.body(body), [person.text(text) for text in texts]
            if any(person.is_left_in(text) for text in new_texts) or person.may_be_in(new_body):
                left += person.is_left_in(" ".join([*new_texts, _decoded(new_body)]))
            if new_body is body and new_texts == texts:
                continue
            named += 1
            if write:
                values = {**dict(zip(columns, new_texts, strict=True)), "body": new_body}
                if table == "deliveries":
                    values["sha256"] = sha256(new_body).digest()
                sets = ", ".join(f"{name} = ?" for name in values)
                connection.execute(
                    f"UPDATE {table} SET {sets} WHERE id = ?", (*values.values(), row_id)
                )
    return named, left


def _replace_kept(connection: sqlite3.Connection, person: Person) -> None:
    """Replace the names in the tables that a rebuild keeps: read models of pruned traces, and
    marks."""
    # These rows name people in the teams' configuration; they are made again.
    connection.execute("DELETE FROM meta WHERE name IN ('teams', 'teams_from')")
    connection.create_function("vs_forget", 1, _on_text(person.text), deterministic=True)
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if name not in {*DERIVED_TABLES, "deliveries", "rejections"}.difference(HEARD_TABLES)
        and not name.startswith("sqlite_")
    ]
    for table in tables:
        for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
            if kind in ("TEXT", ""):
                connection.execute(
                    f"UPDATE {table} SET {column} = vs_forget({column}) "
                    f"WHERE {column} <> vs_forget({column})"
                )


def _on_text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: change(value) if isinstance(value, str) else value


def _decoded(body: bytes) -> str:
    try:
        return str(orjson.loads(body))
    except (orjson.JSONDecodeError, RecursionError):
        return body.decode("utf-8", "replace")


def wipe(connection: sqlite3.Connection) -> None:
    """Rewrite the file, so that no free page holds old data. Call it outside a transaction; it
    needs as much free space as the size of the file."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("VACUUM")
    connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall()


def copies_beside(path: Path) -> list[Path]:
    """Files beside a database that are older copies of it; they still hold deleted data."""
    live = {path.name, f"{path.name}.lock"}
    return sorted(each for each in path.parent.glob(f"{path.name}.*") if each.name not in live)


def delete_copies(path: Path) -> list[Path]:
    """Delete the SQLite copies beside a database, with their own logs. Returns the files that are
    left."""
    for copy in copies_beside(path):
        if copy.is_file() and _is_database(copy):
            for part in ("", "-wal", "-shm"):
                copy.with_name(copy.name + part).unlink(missing_ok=True)
    return copies_beside(path)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"

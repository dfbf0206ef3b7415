"""One PostgreSQL for all tests of this folder; each test has a database of its own in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.log.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres.new_database()

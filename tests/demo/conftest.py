"""The sample story, told once and read into a database."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from vs_tui.cli.demo import demo_config, prepare
from vs_tui.demo.story import END, story


@pytest.fixture(scope="session")
def deliveries():
    return story()


@pytest.fixture(scope="session")
def progress():
    """What `prepare` told of its progress."""
    return []


@pytest.fixture(scope="session")
def db_path(tmp_path_factory, progress):
    config = demo_config(tmp_path_factory.mktemp("story"))
    asyncio.run(prepare(config, END, lambda *told: progress.append(told)))
    return config.db


@pytest.fixture(scope="session")
def db(db_path):
    connection = sqlite3.connect(db_path)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()

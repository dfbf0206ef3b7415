"""One receiver for the examples of a file; each example has a repository of its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ingest.server import Server, nearby


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with nearby(tmp_path_factory.mktemp("receiver")) as server:
        yield server


@pytest.fixture
def configured(tmp_path: Any) -> Iterator[Callable[[str], Server]]:
    """Starts a receiver with a configuration of its own."""
    opened: list[Any] = []

    def start(config: str) -> Server:
        (tmp_path / "config.toml").write_text(config)
        serving_one = nearby(tmp_path)
        opened.append(serving_one)
        return serving_one.__enter__()

    yield start
    for one in opened:
        one.__exit__(None, None, None)

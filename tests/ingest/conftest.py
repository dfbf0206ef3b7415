from collections.abc import Iterator

import pytest

from tests.ingest.server import Server, nearby, serving
from tests.patience import PATIENCE
from vs_tui.ingest import bodies

bodies.SECONDS = PATIENCE


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with nearby(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Server]:
    """One receiver for tests that do not mind each other's data."""
    with nearby(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def process(tmp_path) -> Iterator[Server]:
    """A receiver that can be killed."""
    with serving(tmp_path) as running:
        yield running

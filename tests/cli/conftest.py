import socket
from collections.abc import Iterator

import pytest

from tests.cli.patient import be_patient
from tests.cli.shell import Shell
from tests.ingest.server import Server, nearby
from tests.patience import PATIENCE
from vs_tui.cli import doctor, reachability

be_patient()
doctor.ASK_SECONDS = reachability.SECONDS = PATIENCE


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    folder = tmp_path / "receiver"
    folder.mkdir()
    with nearby(folder) as running:
        yield running


@pytest.fixture
def shell(tmp_path, server) -> Shell:
    return Shell(tmp_path / "machine", server.url)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"

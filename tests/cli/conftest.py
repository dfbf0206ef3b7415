import socket
from collections.abc import Iterator

import pytest

from tests.cli.shell import Shell, free_port
from tests.receiver.server import Server


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    """A receiver that comes back on the same port when it is started again."""
    folder = tmp_path / "receiver"
    folder.mkdir()
    running = Server(folder, "--port", str(free_port()))
    yield running
    running.stop()


@pytest.fixture
def shell(tmp_path, server) -> Shell:
    return Shell(tmp_path / "machine", server.url)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"

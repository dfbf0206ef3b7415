import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.cli.shell import Shell, free_port
from tests.ingest.server import Server
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import load


class Nearby(Server):
    """A receiver in a thread of the tests, for commands that are processes of their own: it starts
    in a twentieth of the time, and comes back on the same port."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        super().__init__(folder)

    def start(self) -> None:
        config = self.folder / "config.toml"
        config.touch(mode=0o600)
        self._config = load(config, env=self.env, flags={"port": self._port, "db": self.db})
        url: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(url)))
        self._thread.start()
        self.url = url.result(30)

    async def _serve(self, url: "Future[str]") -> None:
        runtime = Runtime(self._config, now)
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        try:
            await runtime.open_store()
            url.set_result(await runtime.listen())
            await self._told.wait()
        except Exception as error:
            url.set_exception(error)
        finally:
            await runtime.close()

    def kill(self) -> None:
        """Gone: nobody answers."""
        self.stop()

    def stop(self, *_: object) -> int:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._told.set)
            self._thread.join(15)
        return 0


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    folder = tmp_path / "receiver"
    folder.mkdir()
    running = Nearby(folder)
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

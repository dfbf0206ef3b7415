"""A bug anywhere in the dashboard costs no delivery: the receiver beside it goes on."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.message_pump import MessagePump
from textual.pilot import Pilot

import vs_tui.tui
from tests.benchmarks.load import post_all
from tests.ingest.inside import TOKEN
from tests.ingest.server import TOKEN as SERVER_TOKEN
from tests.ingest.server import configure
from tests.patience import PATIENCE
from tests.tui.stage import Stage
from tests.tui.terminal import Terminal
from vs_tui.cli import dashboard
from vs_tui.cli.commands import at_end
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, Secrets
from vs_tui.tui.app import VsTuiApp

EVENTS = 100
TOUR = (
    *("2", "enter", "i", "l", "plus", "j", "escape", "c", "j", "c", "escape"),
    *("3", "j", "enter", "escape", "4", "enter", "right_square_bracket", "escape"),
    *("5", "j", "v", "1", "j", "n", "tab", "slash", "f", "o", "o", "escape", "escape"),
    *("s", "t", "m", "p", "p", "z", "z", "w", "T", "question_mark", "escape", "colon", "escape"),
)
"""Every screen, and what can be done there."""


def classes() -> dict[str, type[MessagePump]]:
    """All screens and widgets of ours, and the app."""
    found = {}
    for module in pkgutil.walk_packages(vs_tui.tui.__path__, "vs_tui.tui."):
        for name, what in vars(importlib.import_module(module.name)).items():
            ours = inspect.isclass(what) and what.__module__ == module.name
            if ours and issubclass(what, MessagePump):
                found[name] = what
    return found


AT_THE_START = {("VsTuiApp", "get_driver_class"), ("VsTuiApp", "_start_receiver")}
"""Without these there is neither dashboard nor receiver: the start fails, and says so."""


def methods() -> Iterator[tuple[str, str]]:
    """Whatever code of theirs can have a bug."""
    for name, what in classes().items():
        for method, function in vars(what).items():
            if inspect.isfunction(function) and method != "__init__":
                if (name, method) in AT_THE_START:
                    continue
                yield name, method


SHORT = (
    ("VsTuiApp", "paint_frame", ""), ("VsTuiApp", "_take_key", "1"), ("View", "paint_header", ""),
    ("LiveView", "_cells", ""), ("Line", "render_line", ""),
    ("TracesView", "load", "2"), ("Waterfall", "paint_head", "2 enter"), ("DoraView", "body", "3"),
    ("Scoreboard", "paint_row", "3"), ("EventsView", "_row", "4"),
    ("Document", "on_focus", "4 enter"), ("SourcesView", "on_screen_resume", "5"),
    ("HelpView", "on_mount", "question_mark"), ("View", "on_input_changed", "slash f"),
)  # fmt: skip


def bodies(number: int) -> Iterator[bytes]:
    """A pipeline with its stages, one of them failed, and a deploy."""
    at = now() - (60 - number) * 60_000_000
    pipeline = f"vstrace-customhttp-pipeline-acme/shop-{number}"
    for kind, name, took, more in (
        ("pipeline", f"{number}", 50, {}),
        ("build", f"b{number}", 20, {"error": number % 3 == 0}),
        ("deploy", f"d{number}", 20, {"environment": "prod", "service": "shop"}),
    ):
        told = {"type": kind, "id": name, "namespace": "acme/shop", "name": f"step {name}", **more}
        if kind != "pipeline":
            told["parentid"] = pipeline
        yield json.dumps({**told, "action": "start", "timestamp": at}).encode()
        if number < 55:
            end = {**told, "action": "end", "timestamp": at + took * 1_000_000}
            yield json.dumps(end).encode()


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Path:
    """A database in which every screen has something to show."""
    path = tmp_path_factory.mktemp("story") / "t.db"

    async def fill() -> None:
        runtime = Runtime(Config(db=path, secrets=Secrets(TOKEN, {})), now)
        await runtime.open_store()
        for number in range(60):
            for body in bodies(number):
                await runtime.ingest("/customhttp", {}, body)
        await runtime.close()

    asyncio.run(fill())
    return path


async def send(url: str, token: str = TOKEN) -> None:
    """A hundred events, each acknowledged."""
    load = await post_all(
        url,
        "/customhttp",
        [b'{"type":"test","id":"after-%d","action":"start"}' % n for n in range(EVENTS)],
        lambda _: f"Authorization: Bearer {token}\r\n",
        connections=4,
    )
    assert load.statuses == {200: EVENTS}


def stored(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        count = "SELECT COUNT(*) FROM spans WHERE key LIKE '%-test-%-after-%'"
        return database.execute(count).fetchone()[0]


class Show:
    """Receiver and dashboard as `vs-tui` runs them, on no terminal, walked through by keys."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        folder: Path,
        keys: Sequence[str],
        came: Callable[[], bool] = lambda: True,
    ) -> None:
        """`came`: whether what the keys are pressed for has happened, which is waited for."""
        self.path = folder / "t.db"
        self.keys = keys
        self.came = came
        self.pressed = 0
        self.toured = asyncio.Event()
        self.app: Any = None
        self.goes_on = self.over = False
        self.listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        monkeypatch.setenv("VS_DATA_DIR", str(folder))
        monkeypatch.setattr(dashboard, "terminal_is_there", self.crashed)
        run = functools.partialmethod(
            VsTuiApp.run_async, headless=True, size=(120, 40), auto_pilot=self.tour
        )
        monkeypatch.setattr(VsTuiApp, "run_async", run)
        listen = Runtime.listen

        async def noted(runtime: Runtime) -> str:
            self.listening.set_result(await listen(runtime))
            return self.listening.result()

        monkeypatch.setattr(Runtime, "listen", noted)

    def crashed(self) -> bool:
        """Asked after a crash, also after one that came before the first key."""
        self.toured.set()
        self.goes_on = not self.over
        return self.goes_on

    async def tour(self, pilot: Pilot[int]) -> None:
        self.app = app = pilot.app
        on = Stage(app, pilot, None, now)  # type: ignore[arg-type]
        with contextlib.suppress(Exception):  # what a crash does to the keys is not the question
            while not (app.begun or app.unreadable or app._exception):
                await pilot.pause(0.01)
            for key in self.keys:
                if app._exception is not None:
                    break
                self.pressed += 1
                await on.press(key)
            while not (self.came() or app._exception):
                await pilot.pause(0.01)
        self.toured.set()

    async def run(self) -> None:
        """A tour, then a hundred events."""
        config = Config(port=0, db=self.path, secrets=Secrets(TOKEN, {}))
        arguments = argparse.Namespace(theme=None, ascii=None)
        running = asyncio.create_task(dashboard.with_receiver(config, arguments, outlive=True))
        try:
            async with asyncio.timeout(60):
                await asyncio.wait(
                    {running, asyncio.create_task(self.toured.wait())},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                await asyncio.wait({running, self.listening}, return_when=asyncio.FIRST_COMPLETED)
                await send(await self.listening)
        finally:
            self.over = True
            if self.app is not None:
                self.app.exit()
            if self.goes_on:
                running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            at_end.close()


async def with_a_bug(
    story: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    bug_in: tuple[str, str],
    keys: Sequence[str] = TOUR,
    *,
    sure: bool = False,
) -> bool:
    """Whether the keys came to the bug; a hundred events were acknowledged and stored after it.
    `sure`: they do, and are given the time."""
    came = []

    def bug(*_: Any, **__: Any) -> Any:
        came.append(1)
        raise RuntimeError("a bug in the dashboard")

    shutil.copyfile(story, folder / "t.db")
    show = Show(monkeypatch, folder, keys, lambda: bool(came) or not sure)
    monkeypatch.setattr(classes()[bug_in[0]], bug_in[1], bug)
    await show.run()
    assert stored(show.path) == EVENTS
    return bool(came)


@pytest.mark.parametrize(("name", "method", "keys"), SHORT)
async def test_the_receiver_outlives_a_bug_in(
    story, tmp_path, monkeypatch, name, method, keys
) -> None:
    bug_in = (name, method)
    came = await with_a_bug(story, tmp_path, monkeypatch, bug_in, keys.split(), sure=True)
    assert came, "the keys came there"


async def reached(story: Path, folder: Path) -> dict[tuple[str, str], int]:
    """Methods that the tour comes to, and after how many of its keys."""
    at: dict[tuple[str, str], int] = {}
    with pytest.MonkeyPatch.context() as patched:
        shutil.copyfile(story, folder / "t.db")
        show = Show(patched, folder, TOUR)

        def noting(where: tuple[str, str], function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def noted(*arguments: Any, **named: Any) -> Any:
                at.setdefault(where, show.pressed)
                return function(*arguments, **named)

            return noted

        for name, method in methods():
            what = classes()[name]
            patched.setattr(what, method, noting((name, method), vars(what)[method]))
        await show.run()
    assert stored(folder / "t.db") == EVENTS
    return at


@pytest.mark.full
@pytest.mark.timeout(0)
async def test_the_receiver_outlives_a_bug_in_any_method(story, tmp_path) -> None:
    (tmp_path / "first").mkdir()
    found = await reached(story, tmp_path / "first")
    assert len(found) > 150
    came = 0
    for number, (where, keys) in enumerate(sorted(found.items(), key=lambda item: item[1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patched:
            came += await with_a_bug(story, folder, patched, where, TOUR[:keys])
        shutil.rmtree(folder)
        if number % 20 == 0:
            print(f"{number + 1} of {len(found)} methods, {came} bugs met", flush=True)
    print(f"{len(found)} methods, {came} bugs met, {EVENTS} events after each")
    assert came > 0.9 * len(found)


CRASHING = """
import sys
from vs_tui.cli.main import main
from vs_tui.tui.screens.help import HelpView

def bug(*_):
    raise RuntimeError("a bug in the dashboard")

HelpView.load = HelpView.on_mount = bug
sys.exit(main())
"""


def test_on_a_terminal_it_says_so_and_receives_until_it_is_told_to_stop(tmp_path) -> None:
    configure(tmp_path)
    env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path)}
    path = tmp_path / "t.db"
    options = ("dashboard", "--port", "0", "--db", str(path))
    terminal = Terminal(sys.executable, "-c", CRASHING, *options, env=env)
    try:
        terminal.read_until(b"Live")
        terminal.press(b"?")
        terminal.read_until(b"in another terminal shows the dashboard")
        said = terminal.written[-2_000:].decode("utf-8", "replace")
        assert "RuntimeError is a bug in vs-tui; the report" in said.replace("\r\n", " ")
        url = re.search(r"goes on at (http://\S+);", said)
        assert url is not None
        asyncio.run(send(url[1], SERVER_TOKEN))
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(PATIENCE) == 1, "the crash is not forgotten"
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)
    assert stored(path) == EVENTS
    assert not path.with_name("t.db-wal").exists(), "the last checkpoint was done"

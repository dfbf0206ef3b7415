"""What a start imports before the first rows are on the screen: not timed, so that it holds on any
machine. Every module takes its time, most of all where no bytecode of it is kept."""

from __future__ import annotations

import compileall
import sys
from pathlib import Path

import pytest

import vs_tui
from tests.benchmarks.terminal import Terminal
from tests.benchmarks.test_dashboard import make_database, painted

UNTIL_ROWS = """
import os, sys
bare = set(sys.modules)  # what this machine's Python brings along
from pathlib import Path
from vs_tui.tui.driver import TerminalDriver

write = TerminalDriver.write

def noting(self, data):
    noted = Path(os.environ["NOTED"])
    if "service-" in data and not noted.exists():
        modules = {name: getattr(module, "__file__", "") for name, module in sys.modules.items()
                   if name not in bare}
        noted.write_text("\\n".join(f"{name} {file or ''}" for name, file in modules.items()))
    write(self, data)

TerminalDriver.write = noting
import vs_tui.tui.app

vs_tui.tui.app.RECEIVER_AFTER = 60.0  # on a slow machine the receiver would begin before the rows
from vs_tui.cli.main import main
main(sys.argv[1:])
"""
LATER = {
    *("aiohttp", "plotext", "prometheus_client", "pydantic", "textual_serve"),
    *("email", "http.client", "importlib.metadata", "urllib.request", "zipfile", "zoneinfo"),
    *(
        "vs_tui.demo",
        "vs_tui.export",
        "vs_tui.ingest",
        "vs_tui.sources.dispatch",
        "vs_tui.cli.serve",
    ),
    *("vs_tui.metrics.judging", "vs_tui.metrics.report"),
    *("vs_tui.store.folding.linker", "vs_tui.store.metrics.keeper", "vs_tui.store.queries.reports"),
    *(f"vs_tui.tui.screens.{name}" for name in ("dora", "events", "help", "sources", "trace")),
}
"""Asked for by a key, by a delivery, or by the receiver once the rows are there."""


@pytest.mark.parametrize(
    ("command", "modules", "kilobytes"), [("dashboard", 145, 980), ("view", 125, 850)]
)
def test_what_is_imported_before_the_first_rows(
    command: str, modules: int, kilobytes: int, tmp_path: Path
) -> None:
    """Too many? See who imports the new ones: `python -X importtime -m vs_tui`. What the first
    rows do without belongs into the function that needs it."""
    # Without bytecode the screen is so slow that the receiver begins its own work before the rows.
    compileall.compile_dir(Path(vs_tui.__file__).parent, quiet=2)
    database = str(make_database(tmp_path / "some.db", 200))
    options = ["--db", database, "--port", "0"] if command == "dashboard" else [database]
    noted = tmp_path / "noted"
    folders = {"VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path), "NOTED": str(noted)}
    terminal = Terminal.start([sys.executable, "-c", UNTIL_ROWS, command, *options], folders)
    try:
        terminal.read(30, painted)
    finally:
        terminal.close()
    found = dict(line.split(" ", 1) for line in noted.read_text().splitlines())
    assert not sorted(LATER & found.keys())
    own = {name: Path(file) for name, file in found.items() if name.split(".")[0] == "vs_tui"}
    size = sum(file.stat().st_size for file in own.values()) / 1_000
    said = f"{len(own)} modules, {size:.0f} kB: {', '.join(sorted(own))}"
    assert len(own) <= modules, said
    assert size <= kilobytes, said

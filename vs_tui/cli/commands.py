"""The commands of `vs-tui` and their modules."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

COMMANDS: Final = {
    "dashboard": "receiver and dashboard in one process (the default)",
    "serve": "the receiver alone",
    "view": "the dashboard alone, read-only, on a database or a remote receiver",
    "demo": "the dashboard on sample data that keeps coming",
    "replay": "send recorded deliveries",
    "record": "write deliveries to a file that replay reads",
    "event": "start or end a span from a script",
    "run": "run a command as a span",
    "flush": "send events that were spooled while the receiver was down",
    "ls": "list spans that match a filter",
    "link": "list, show, pin or cut the links between spans",
    "report": "DORA, durations, pull requests, teams",
    "connect": "make a tool's webhook, or say what to enter where",
    "export": "keep the SQL views as tables in PostgreSQL",
    "import": "backfill history from GitHub, GitLab or Jira",
    "config": "create or show the configuration",
    "source": "list sources, or see what one makes of a body",
    "secret": "show or rotate the token and the sources' secrets",
    "doctor": "check the installation, and say what to do",
    "db": "backup, restore, verify, prune, rebuild, forget, stats",
    "screenshot": "render the dashboard's views to files",
    "completion": "shell completion for bash, zsh and fish",
}
"""Command -> its one-line description. Each command is a module of this package with register() and
run()."""


def command_module(name: str) -> ModuleType:
    """Import the module of a command."""
    return import_module(f"vs_tui.cli.{'import_' if name == 'import' else name}")

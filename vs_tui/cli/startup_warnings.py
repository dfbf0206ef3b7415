"""Warnings at the start of a receiver about settings that weaken its protection."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vs_tui.config import Config, readable_by_others


def risks(config: Config) -> Iterator[str]:
    """One sentence for each, with what to do."""
    if os.geteuid() == 0:
        yield "running as root: run it as a user of its own, it needs no privileges"
    if config.log and config.log.has_password and config.origins.get("log") == "flag":
        yield "the password in --log shows in `ps`: use PGPASSFILE, VS_LOG_FILE or [log] url"
    for path in (config.secrets_path, config.path):
        # The configuration is no secret by itself; commands and URLs in it may hold one.
        if readable_by_others(path) and (path == config.secrets_path or _may_hold_secrets(config)):
            yield f"{path} can be read by other users: chmod 600 {path}"


def _may_hold_secrets(config: Config) -> bool:
    stored = config.log is not None and config.log.has_password
    return stored or "@" in config.public_url or bool(config.watch_command)

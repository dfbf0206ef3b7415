"""Where events go and how they are proven, found out fast.

`vs_tui.config` says the same and more, but reading all settings takes longer than sending an
event. Only what a sender needs is looked at here; a test holds both to one answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_TOKENS: Final = (
    "VS_TOKEN",
    # em-metrics' own names, as the receiver takes them.
    "EM_METRICS_TOKEN_AUTH",
    "EM_METRICS_BASIC_AUTH_PASSWORD",
    "EM_METRICS_BASIC_AUTH_USERNAME",
)
_APP: Final = "vs-tui"


class Settings(NamedTuple):
    """What a sender needs; printing it would print secrets."""

    url: str
    """The receiver's, or the whole URL that ValueStream's variable holds."""
    token: str
    secret: str
    """Signs bodies in place of the token."""


def sender_settings(env: Mapping[str, str] | None = None) -> Settings:
    """The receiver's URL, our token and the secret of custom events. A configuration that cannot
    be read counts as none: an event is kept then, and `vs-tui doctor` says what is wrong."""
    env = os.environ if env is None else env
    url = env.get("VS_URL") or env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_URL") or ""
    token = next((found for name in _TOKENS if (found := _value(env, name))), "")
    if not (url and token):
        files = _files(env)
        url = url or _local_url(env, _toml(files[0]))
        token = token or str(_toml(files[1]).get("token", ""))
    return Settings(url, token, env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET") or "")


def data_folder() -> str:
    """`vs_tui.config.data_dir`, without asking platformdirs where the answer is known."""
    return os.environ.get("VS_DATA_DIR") or _folder("XDG_DATA_HOME", "~/.local/share", "data")


def _files(env: Mapping[str, str]) -> tuple[str, str]:
    """config.toml and the secrets.toml beside it."""
    chosen = env.get("VS_CONFIG")
    if not chosen:
        folder = os.environ.get("VS_CONFIG_DIR") or _folder(
            "XDG_CONFIG_HOME", "~/.config", "config"
        )
        chosen = f"{folder}/config.toml"
    return chosen, f"{chosen.rpartition('/')[0] or '.'}/secrets.toml"


def _folder(variable: str, default: str, kind: str) -> str:
    if sys.platform == "linux":
        base = os.environ.get(variable, "").strip() or os.path.expanduser(default)  # noqa: PTH111
        return f"{base}/{_APP}"
    from vs_tui import config

    return str(config.data_dir() if kind == "data" else config.config_dir())


def _local_url(env: Mapping[str, str], document: Mapping[str, Any]) -> str:
    server = document.get("server")
    table = server if isinstance(server, dict) else {}
    host, port = str(table.get("host", "127.0.0.1")), str(table.get("port", 5000))
    if address := _value(env, "VS_ADDR"):
        given, _, port = address.rpartition(":")
        host = given.strip("[]") or "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _value(env: Mapping[str, str], name: str) -> str:
    """A variable, or the content of the file that NAME_FILE names."""
    if env.get(name):
        return env[name]
    try:
        with open(env[f"{name}_FILE"], encoding="utf-8") as file:  # noqa: PTH123 - fast
            return file.read().strip()
    except (KeyError, OSError, UnicodeDecodeError):
        return ""


def _toml(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            import tomllib

            return tomllib.load(file)
    except (OSError, ValueError):  # what is no TOML and what is no UTF-8 are ValueErrors
        return {}

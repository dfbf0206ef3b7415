"""Find the receiver's address and the proof of events, fast.

`vs_tui.config` gives the same and more, but reading all settings takes longer than sending an
event. This module reads only what a sender needs; a test checks that both agree.

The token in secrets.toml belongs to this machine's receiver and is never sent to another address.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from vs_tui.cli.http_client import HttpError, address, is_loopback

_TOKENS: Final = (
    "VS_TOKEN",
    # em-metrics' own names, as the receiver takes them.
    "EM_METRICS_TOKEN_AUTH",
    "EM_METRICS_BASIC_AUTH_PASSWORD",
    "EM_METRICS_BASIC_AUTH_USERNAME",
)
_APP: Final = "vs-tui"


class Settings(NamedTuple):
    """What a sender needs; its repr holds secrets."""

    url: str
    """The receiver's base URL, or the whole URL from ValueStream's variable."""
    token: str
    secret: str
    """Signs bodies in place of the token."""
    withheld: bool = False
    """There is a token, but it is not meant for this URL."""

    @property
    def refusal(self) -> str:
        """Why nothing may be sent without another proof, and what to do; empty if it may."""
        if not self.withheld:
            return ""
        try:
            name = address(self.url).name
        except HttpError as error:
            return str(error)
        return (
            f"{name} is not this machine, so it does not get this machine's token; set "
            "VS_TOKEN to what `vs-tui secret show token` prints there"
        )


def sender_settings(
    env: Mapping[str, str] | None = None, *, url: str = "", token: str = ""
) -> Settings:
    """The receiver's URL, our token and the secret of custom events; `url` and `token` come from
    the command line. A configuration that cannot be read counts as empty: the event is spooled, and
    `vs-tui doctor` says what is wrong."""
    env = os.environ if env is None else env
    url = url or env.get("VS_URL") or env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_URL") or ""
    token = token or next((found for name in _TOKENS if (found := _value(env, name))), "")
    withheld = False
    if not (url and token):
        config, secrets = _files(env)
        own = "" if token else str(_toml(secrets).get("token", ""))
        withheld = bool(own and url) and not is_loopback(url)
        url = url or _local_url(env, _toml(config))
        token = token or ("" if withheld else own)
    return Settings(url, token, env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET") or "", withheld)


def data_folder() -> str:
    """Like `vs_tui.config.data_dir`, but does not import platformdirs if the answer is known."""
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
    if listening := _value(env, "VS_ADDR"):
        given, _, port = listening.rpartition(":")
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

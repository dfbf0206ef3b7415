"""The public URL in front of the receiver: what the configuration says, else that of an ngrok
agent on this machine, which tells it on a local port."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.cli.common import CommandError
from vs_tui.cli.surroundings import without_password
from vs_tui.cli.wire import is_loopback
from vs_tui.config import Config

AGENT: Final = "http://127.0.0.1:4040/api/tunnels"
SECONDS: Final = 0.5
_MAX_ANSWER: Final = 256 * 1024


def refuse_open(config: Config) -> None:
    """CommandError when the receiver would be open to others than this machine without that being
    wanted in so many words. A tunnel that begins later is found out request by request."""
    if not config.no_auth or config.no_auth_public:
        return
    where = config.public_url or (agent_url(config.port) if config.port else "")
    host = f"[{config.host}]" if ":" in config.host else config.host
    if not where and not is_loopback(f"http://{host}"):
        where = f"{host}:{config.port}"
    if where:
        raise CommandError(
            f"without authentication everyone who finds {without_password(where)} could send and "
            "read: leave no_auth out (`vs-tui secret show token` prints the token), or say "
            "--no-auth-public if that is meant"
        )


async def find_public_url(configured: str, port: int) -> str:
    """`` when there is neither. The agent is asked in a thread: it may be slow to answer."""
    return without_password(configured) or await asyncio.to_thread(agent_url, port)


def agent_url(port: int, agent: str = AGENT) -> str:
    """The URL of the agent's tunnel to our port; `` without an agent or without such a tunnel.

    Fields of the agent's API: `tunnels[].public_url`, `tunnels[].config.addr`
    (https://ngrok.com/docs/agent/api). A proxy of the environment is never asked.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(agent, timeout=SECONDS) as response:
            answer = json.loads(response.read(_MAX_ANSWER))
        tunnels = answer["tunnels"]
        urls = [str(t["public_url"]) for t in tunnels if _leads_to(t, port)]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    # An agent may offer http and https for one port; secrets belong into https.
    urls.sort(key=lambda url: not url.startswith("https://"))
    return next((url for url in urls if urlsplit(url).hostname), "")


def _leads_to(tunnel: Any, port: int) -> bool:
    address = str(tunnel["config"]["addr"])
    parts = urlsplit(address if "://" in address else f"http://{address}")
    # The address may be a bare port.
    return parts.port == port or address == str(port)

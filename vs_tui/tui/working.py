"""Work beside the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from textual.dom import DOMNode


def start(
    node: DOMNode,
    work: Callable[[], Awaitable[None]],
    group: str,
    *,
    exclusive: bool = False,
    exit_on_error: bool = True,
) -> None:
    """Run `work` until it ends or the node goes; `exclusive` gives up what the group was doing.

    It takes the function, not the coroutine: a worker that never starts, because the app ends,
    then leaves no coroutine that was never awaited.
    """
    # Textual's type of it also covers threads, and so fits no coroutine function.
    run = cast("Any", node.run_worker)
    run(work, group=group, exclusive=exclusive, exit_on_error=exit_on_error)

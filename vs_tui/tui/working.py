"""Work beside the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from textual.dom import DOMNode

from vs_tui.store.api import Unreachable


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

    async def guarded() -> None:
        try:
            await work()
        except Unreachable as error:
            # A far receiver may be away for a while; that ends nothing here.
            cast("Any", node.app).notify_text(str(error), "warning")

    # Textual's type of it also covers threads, and so fits no coroutine function.
    run = cast("Any", node.run_worker)
    run(guarded, group=group, exclusive=exclusive, exit_on_error=exit_on_error)

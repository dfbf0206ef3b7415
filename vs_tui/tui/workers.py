"""Work beside the screen."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from textual.dom import DOMNode
from textual.worker import Worker

_log = logging.getLogger(__name__)


class _Runner(Protocol):
    """`DOMNode.run_worker` for coroutine functions: its own type fits none of them."""

    def __call__(
        self, work: Callable[[], Awaitable[None]], *, group: str, exclusive: bool
    ) -> Worker[None]: ...


class _Tells(Protocol):
    def tell_trouble(self, text: str) -> None: ...


def start(
    node: DOMNode, work: Callable[[], Awaitable[None]], group: str, *, exclusive: bool = False
) -> None:
    """Run `work` until it ends or the node goes; `exclusive` gives up what the group was doing.

    A fault is told on the screen and logged, and the dashboard goes on: a disk or a receiver that
    is away comes back. It takes the function, not the coroutine: a worker that never starts,
    because the app ends, then leaves no coroutine that was never awaited.
    """

    async def guarded() -> None:
        try:
            await work()
        except Exception as error:
            _log.exception("%s failed", group)
            cast("_Tells", node.app).tell_trouble(str(error) or type(error).__name__)

    run = cast("_Runner", node.run_worker)
    run(guarded, group=group, exclusive=exclusive)

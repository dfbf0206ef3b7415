"""Background work beside the screen."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from textual.dom import DOMNode
from textual.worker import Worker

_log = logging.getLogger(__name__)


class _Runner(Protocol):
    """The type of `DOMNode.run_worker` for coroutine functions; Textual's own type accepts none of
    them."""

    def __call__(
        self, work: Callable[[], Awaitable[None]], *, group: str, exclusive: bool
    ) -> Worker[None]: ...


class _Tells(Protocol):
    def tell_trouble(self, text: str) -> None: ...


def start(
    node: DOMNode, work: Callable[[], Awaitable[None]], group: str, *, exclusive: bool = False
) -> None:
    """Run `work` until it ends or the node is removed; `exclusive` cancels earlier work of the
    group.

    An error is logged and shown on the screen, and the dashboard goes on, because a disk or
    receiver may come back. `work` is a function, not a coroutine, so that a worker that never
    starts because the app ends leaves no coroutine unawaited.
    """

    async def guarded() -> None:
        try:
            await work()
        except Exception as error:
            _log.exception("%s failed", group)
            cast("_Tells", node.app).tell_trouble(str(error) or type(error).__name__)

    run = cast("_Runner", node.run_worker)
    run(guarded, group=group, exclusive=exclusive)

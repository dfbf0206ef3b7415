"""A person's decisions about links: cuts one, and takes the last cut back."""

from __future__ import annotations

from vs_tui.tui.session import Session, start


def cut(app: Session, child: str, parent: str) -> None:
    """Separate a span from its parent, on the second request. A rebuild keeps the cut."""
    send = app.setup.send_links
    if send is None:
        app.notify_text("this dashboard is read-only; cut links where the receiver runs")
        return

    if not app.asked_twice("cut", child):
        app.notify_text(app.worded("press {cut} again to cut this span from its parent"))
        return

    async def work() -> None:
        await send("cut", child, parent)
        app.cut_last = child, parent
        told = f"link cut; {{undo}} restores it, as does vs-tui link clear {child}"
        app.notify_text(app.worded(told))

    start(app, work, "links")


def undo(app: Session) -> None:
    """Undo the last cut: the rules decide about the link again."""
    send, last = app.setup.send_links, app.cut_last
    if send is None or last is None:
        app.notify_text("nothing was cut here that could be joined again")
        return

    async def work() -> None:
        await send("clear", *last)
        app.cut_last = None
        app.notify_text("the link is decided by the rules again")

    start(app, work, "links")

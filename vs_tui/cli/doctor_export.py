"""The checks of `vs-tui doctor` on exports by OTLP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from vs_tui.cli.doctor_checks import Finding
from vs_tui.config import Config
from vs_tui.model.time import iso

_NOT_TAKEN: Final = ("answered 404", "answered 405", "answered 501")


def export_findings(config: Config) -> Iterator[Finding]:
    """Whether a collector accepts what is sent, as the receiver saw it last."""
    if not config.export.otlp or not config.db.is_file():
        return
    from vs_tui.store.export_queue import read_states
    from vs_tui.store.schema import StoreError, open_reader

    try:
        with closing(open_reader(config.db)) as db:
            states = read_states(db)
    except StoreError:
        return  # said by the check of the database
    for signal in config.export.signals:
        state, check = states.get(signal), f"otlp {signal}"
        if state is None:
            yield Finding("ok", check, "nothing was sent yet")
        elif state.trouble:
            found = f"the collector {state.trouble} since {iso(state.trouble_since)}"
            advice = "see whether it runs and takes OTLP over HTTP; what is due waits here"
            yield Finding("warn", check, found, advice)
        elif state.refused:
            found = (
                f"{state.sent} sent, {state.refused} refused: {state.refusal or 'no reason given'}"
            )
            advice = "the collector's log says more"
            if state.refusal in _NOT_TAKEN:
                others = ", ".join(
                    f'"{other}"' for other in config.export.signals if other != signal
                )
                advice = (
                    f"if it takes no {signal}, leave them out: signals = [{others}] in [export]"
                )
            yield Finding("warn", check, found, advice)
        else:
            yield Finding("ok", check, f"{state.sent} sent since the receiver started")

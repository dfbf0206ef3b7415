"""`vs-tui report digest`: the results of the teams in a week, as sentences for a message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vs_tui.metrics import texts
from vs_tui.metrics.cards import delta_text, goal_text, is_small, remarks, value_text
from vs_tui.metrics.definitions import Figure
from vs_tui.metrics.report import Detail, Scorecard

_ALL: Final = "(all)"


def digest_rows(cards: Sequence[Scorecard], details: Sequence[Detail]) -> list[tuple[str, str]]:
    """(team, sentence) rows of the digest; `details` are the lead times of the cards."""
    found = []
    for card, detail in zip(cards, details, strict=True):
        found += [(card.name or _ALL, line) for line in _lines(card, detail)]
    return found


def _lines(card: Scorecard, detail: Detail) -> Iterator[str]:
    figures = card.figures
    if not any(figure.n or figure.open for figure in figures.values()):
        yield "No production deployment."
        return
    for figure in figures.values():
        if figure.n or figure.open:
            yield f"{figure.definition.title.capitalize()}: {_figure(figure)}"
    if beside := card.beside:
        counts = [
            (beside.merged, "pull request", "merged"),
            (beside.incidents.n, "incident", "began"),
        ]
        said = [f"{n} {noun}{'' if n == 1 else 's'} {verb}" for n, noun, verb in counts if n]
        if said:
            yield f"{', '.join(said)}."
    if detail.bottleneck:
        yield f"The bottleneck is {detail.bottleneck}."
    for slower in detail.regressions:
        yield (
            f"{slower.name} takes {texts.brief(slower.median)}; it took "
            f"{texts.brief(slower.before)} in the period before."
        )


def _figure(figure: Figure) -> str:
    changed = delta_text(figure)
    if changed and figure.direction and figure.direction != "same":
        changed = f"{changed} {figure.direction} than before"
    elif changed:
        changed = "as before"
    small = f"n={figure.n}, a small sample" if is_small(figure) else ""
    goal = goal_text(figure)
    parts = [value_text(figure), changed, *remarks(figure), goal, small]
    return ", ".join(part for part in parts if part)

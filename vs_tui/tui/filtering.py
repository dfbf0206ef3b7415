"""The filter language on a screen: errors of a filter and its possible completions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vs_tui.model import filters
from vs_tui.model.filters import ALIASES, ATTRIBUTE_KEYS, FLAGS, MOMENTS, STATES, TEXT_KEYS, quoted
from vs_tui.model.vocabulary import Operation, Span, Verdict
from vs_tui.traces.next_action import Section

_DELIVERY_KEYS: Final = ("source", "verdict", "kind")
_TRACE_TERMS: Final = ("section:", "next:", "step:", "wait>", "over>")
_KNOWN_KEYS: Final = ("kind", "service", "env", "project", "source", "actor", "stage")


def problem(text: str, where: str) -> str:
    """The reason why a filter is invalid on a screen, with the accepted terms; empty if it is
    valid."""
    try:
        if where == "events":
            from vs_tui.store.queries.delivery_filter import delivery_where

            delivery_where(text)
        else:
            filters.parse(text, traces=where == "board")
    except ValueError as error:
        return str(error)
    return ""


def completions(text: str, where: str, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Whole filters that the text could become, the likeliest first."""
    head, _, last = text.rpartition(" ")
    key, colon, begun = last.partition(":")
    if where == "board":
        more = [term for term in _TRACE_TERMS if not colon and term.startswith(last)]
        if key in ("section", "next", "step") and colon:
            values = [str(s) for s in Section] if key == "section" else known.get(key, ())
            more = [f"{key}:{value}" for value in values if value.startswith(begun)]
        return [f"{head} {term}".lstrip() for term in more] + term_completions(text, known)
    if where != "events":
        return term_completions(text, known)
    if not colon:
        options = [f"{name}:" for name in _DELIVERY_KEYS if name.startswith(key)]
    else:
        fixed = {"verdict": [verdict.value for verdict in Verdict]}
        values = fixed.get(key) or known.get(key, ())
        options = [f"{key}:{value}" for value in values if value.startswith(begun)]
    return [f"{head} {option}".lstrip() for option in options]


def term_completions(text: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    """Possible completions of a filter's last word. `known` gives the values of keys such as team
    and service."""
    head, _, last = text.rpartition(" ")
    bare = last.removeprefix("-")
    sign = "-" if last.startswith("-") else ""
    key, colon, begun = bare.partition(":")
    if not colon:
        names = [f"{name}:" for name in (*TEXT_KEYS, *ATTRIBUTE_KEYS, "state", "is", *MOMENTS)]
        options = [*names, "dur>", "dur<", "age>", "age<"]
        found = [option for option in options if option.startswith(bare.lower())]
    else:
        fixed: Mapping[str, Sequence[str]] = {"state": STATES, "is": FLAGS}
        name = ALIASES.get(key, key)
        values = fixed.get(name) or known.get(name, ())
        *before, begun = begun.split(",")
        prefix = "".join(f"{value}," for value in before)
        found = [
            f"{key}:{prefix}{quoted(value)}"
            for value in values
            if value.lower().startswith(begun.lower())
        ]
    return [f"{head} {sign}{option}".lstrip() for option in found]


def known_values(spans: Iterable[Span], teams: Sequence[str]) -> dict[str, list[str]]:
    """Values to offer for each filter key, from the listed spans; it makes no query."""
    found: dict[str, set[str]] = {key: set() for key in _KNOWN_KEYS}
    found["kind"].update(Operation)
    for span in spans:
        for key in _KNOWN_KEYS:
            value = str(getattr(span, filters.TEXT_KEYS[key]))
            if value:
                found[key].add(value)
    return {"team": list(teams), **{key: sorted(values) for key, values in found.items()}}


def effective(text: str, team: str, window: str) -> str:
    """A screen's filter with the terms of the team and of the time range added."""
    terms = [text]
    if team:
        terms.append(f'team:"{team}"')
    if window:
        terms.append(window)
    return " ".join(term for term in terms if term)

"""One table of actions. Key bindings, footer, help and palette are all built from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Action:
    """An action and the keys that run it."""

    id: str
    keys: str
    """Key names of Textual, comma separated; the first one is shown."""
    label: str
    """One or two words for the footer."""
    help: str
    where: str = "everywhere"
    """A key of `PLACES`: the place where the action applies."""
    shown: int = 0
    """Rank in the footer, 1 first; 0: not in the footer."""

    @property
    def key(self) -> str:
        return display_key(self.keys.split(",")[0])


FILTERING: Final = (
    ("enter", "keep it"),
    ("tab", "complete"),
    ("up", "the one before"),
    ("esc", "clear the filter"),
)
"""Keys of the filter box, and what they do."""
ASKED: Final = (("enter", "ok"), ("esc", "cancel"))
"""Keys while a question or a choice covers the screen."""
ACTIONS: Final = (
    Action(
        "open", "enter", "open", "open the selected row; fold a span that has children", shown=1
    ),
    Action("back", "escape", "back", "back to where you came from; clear the filter", shown=2),
    Action("filter", "slash", "filter", "filter the list", shown=3),
    Action("freeze", "p", "freeze", "freeze the screen; the receiver goes on", shown=4),
    Action("sort", "s", "sort", "next sort order", "list", shown=5),
    Action("sort_reverse", "S", "reverse", "reverse the sort order", "list"),
    Action(
        "time",
        "t",
        "time",
        "time range of this view: 1h, 24h, 7d, 30d, all, since..until",
        "list",
        shown=6,
    ),
    Action("deliveries", "d", "deliveries", "the deliveries that this span was made from"),
    Action("zoom", "z", "zoom", "give the focused panel the whole screen", shown=7),
    Action("next_failed", "n", "next fail", "next failed row", shown=8),
    Action("previous_failed", "N", "previous", "previous failed row"),
    Action("watch", "w", "watch", "notify when this span ends: toast and bell", shown=9),
    Action("yank", "y", "yank", "copy the id, the link or the row", shown=10),
    Action("browser", "o", "browser", "open its page in the browser", shown=11),
    Action("export", "e", "export", "write what is on screen: csv, json, txt, svg"),
    Action("follow", "f", "follow", "keep the newest row selected", "list"),
    Action("compare", "c", "compare", "compare with another trace: mark one, then the other"),
    Action("why", "i", "why", "show why each link of the trace exists", "trace", shown=3),
    Action("cut", "x", "cut link", "cut the link of this span to its parent", "trace"),
    Action("undo", "U", "undo", "restore the link that was cut last", "trace"),
    Action("earlier", "h,left", "pan", "show earlier times", "trace"),
    Action("later", "l,right", "pan", "show later times", "trace"),
    Action("zoom_in", "plus,equals_sign", "zoom time", "stretch the time axis", "trace", shown=4),
    Action("zoom_out", "minus", "zoom out", "shrink the time axis", "trace"),
    Action("fit", "f", "fit step", "fit the selected step to the width", "trace"),
    Action("whole", "0", "all", "show the whole trace", "trace"),
    Action("true_axis", "a", "true axis", "show idle time on the axis, or leave it out", "trace"),
    Action("fold_all", "left_square_bracket", "fold", "fold all", "trace"),
    Action("unfold_all", "right_square_bracket", "unfold", "unfold all", "trace"),
    Action(
        "refold",
        "r",
        "reread",
        "read this delivery again with today's adapters",
        "inspector",
        3,
    ),
    Action("resend", "R", "resend", "send this delivery to this receiver again", "inspector", 4),
    Action("resend_to", "u", "send to", "send this delivery to another address", "inspector"),
    Action("fold_body", "left_square_bracket", "fold", "fold all of the body", "inspector"),
    Action("unfold_body", "right_square_bracket", "unfold", "unfold all of the body", "inspector"),
    Action("reveal", "v", "reveal", "show the secret of this source, or hide it", "sources", 3),
    Action("copy_secret", "Y", "copy secret", "copy the secret of this source", "sources", 4),
    Action("unfold", "space", "unfold", "show the steps of this trace, or of a section", "board"),
    Action("by_trace", "b", "by span", "Live by trace or by span", "list"),
    Action("next_section", "J", "section", "next section of the list", "board"),
    Action("previous_section", "K", "section", "previous section of the list", "board"),
    Action("why_next", "i", "why", "the rule that chose this section and this person", "board"),
    Action("next_tool", "l,right", "tool", "next tool", "first", shown=2),
    Action("previous_tool", "h,left", "tool", "previous tool", "first"),
    Action("previous_metric", "h,left", "metric", "previous metric", "dora"),
    Action("next_metric", "l,right", "metric", "next metric", "dora"),
    Action("bucket", "b", "bars", "length of a bar in the trends: day, week, month", "dora"),
    Action("counts", "i", "what counts", "what the number counts, and what it leaves out", "dora"),
    Action(
        "first_page",
        "f2",
        "first page",
        "how to connect a tool, and the requests received",
        "board",
    ),
    Action("down", "j,down", "down", "one row down"),
    Action("up", "k,up", "up", "one row up"),
    Action("page_down", "ctrl+d,pagedown", "page down", "a page down"),
    Action("page_up", "ctrl+u,pageup", "page up", "a page up"),
    Action("top", "g,home", "top", "first row"),
    Action("bottom", "G,end", "bottom", "last row"),
    Action("live", "1", "Live", "open work, its step now and who acts next"),
    Action("traces", "2", "Traces", "a row per trace, from issue to deploy"),
    Action("dora", "3", "DORA", "the delivery metrics of each team"),
    Action("events", "4", "Events", "every delivery received, and what became of it"),
    Action("sources", "5", "Sources", "where to point each tool, and what it has sent"),
    Action("last_view", "minus,backspace", "last", "switch to the previous view"),
    Action("next_panel", "tab", "panel", "next panel"),
    Action("team", "m", "team", "show one team only; again: the next team"),
    Action("theme", "T", "theme", "next theme: dark, light, the terminal's own, none"),
    Action("redraw", "ctrl+l", "redraw", "repaint the whole screen"),
    Action("suspend", "ctrl+z", "suspend", "back to the shell; `fg` resumes"),
    Action("palette", "colon,ctrl+p", "cmd", "all commands by name", shown=4),
    Action("help", "question_mark", "help", "all keys", shown=13),
    Action("quit", "q,ctrl+c", "quit", "quit; asks twice if the receiver stops with it", shown=14),
)
VIEWS: Final[Mapping[str, str]] = {
    "live": "LiveView",
    "traces": "TracesView",
    "dora": "DoraView",
    "events": "EventsView",
    "sources": "SourcesView",
}
"""Action id (also the module's name) -> class of the view that it shows."""
BY_ID: Final[Mapping[str, Action]] = {action.id: action for action in ACTIONS}

PLACES: Final = {
    "everywhere": "Everywhere",
    "list": "In lists",
    "board": "In Live by trace",
    "first": "On the first page",
    "dora": "In DORA",
    "trace": "In a trace",
    "inspector": "In a delivery",
    "sources": "In Sources",
}
"""Places where actions apply -> heading in the help, in the order of the help."""

_NAMES: Final = {
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "escape": "esc",
    "grave_accent": "`",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "pagedown": "pgdn",
    "pageup": "pgup",
}


_FUNCTION_KEY: Final = re.compile(r"f\d+")
_PLACE_OF_KEY: Final = re.compile(r"\{(\w+)\}")


_KEYS: Final = {name: key for key, name in _NAMES.items()} | {"return": "enter", "del": "delete"}


def display_key(key: str) -> str:
    """The name of a key as shown to users."""
    return key.upper() if _FUNCTION_KEY.fullmatch(key) else _NAMES.get(key, key)


def key_named(text: str) -> str:
    """Textual's name of a key that a user wrote: `F5` is f5, `esc` escape, `ctrl-D` ctrl+d."""
    text = text.strip()
    if len(text) > 1:
        text = text.lower()
    modifier, dash, rest = text.partition("-")
    if dash and rest and modifier in ("ctrl", "alt", "shift", "super"):
        text = f"{modifier}+{rest}"
    return _KEYS.get(text, text)


def worded(text: str, actions: Iterable[Action]) -> str:
    """A text of ours in which each `{id}` is replaced by the key now bound to that action."""
    keys = {a.id: a.key or f":{a.label}" for a in actions}  # without a key: its name in the palette
    return _PLACE_OF_KEY.sub(lambda found: keys.get(found[1], found[0]), text)


def with_keys(overrides: Mapping[str, str]) -> tuple[Action, ...]:
    """The table with a user's keys. A key that a user binds is removed from other actions of the
    same place. ValueError names an unknown action."""
    unknown = sorted(set(overrides) - set(BY_ID))
    if unknown:
        raise ValueError(f"[keys] {unknown[0]} is not an action; use one of {', '.join(BY_ID)}")
    bound = {
        id: ",".join(key_named(key) for key in keys.split(",")) for id, keys in overrides.items()
    }
    taken = {(BY_ID[id].where, key) for id, keys in bound.items() for key in keys.split(",")}

    def keys_of(action: Action) -> str:
        free = [key for key in action.keys.split(",") if (action.where, key) not in taken]
        return bound.get(action.id, ",".join(free))

    return tuple(replace(a, keys=keys_of(a)) for a in ACTIONS)


def by_key(actions: Iterable[Action]) -> dict[str, list[Action]]:
    """Key -> actions; the screen decides which of them applies."""
    found: dict[str, list[Action]] = {}
    for action in actions:
        for key in action.keys.split(","):
            found.setdefault(key, []).append(action)
    return found


def elsewhere(candidates: Iterable[Action]) -> str:
    """The reason why a key does nothing on this screen: `cut link: in a trace`; empty if no action
    uses the key."""
    return next((f"{a.label}: {PLACES[a.where].lower()}" for a in candidates), "")


def meant(candidates: Iterable[Action], where: str) -> Action | None:
    """The action of a key on a screen: the screen's own action first, then one that applies
    everywhere."""
    listed = list(candidates)
    for place in places(where):
        for action in listed:
            if action.where == place:
                return action
    return None


def footer(
    actions: Iterable[Action],
    where: str,
    width: int,
    *,
    words: Mapping[str, str] | None = None,
    offered: Sequence[str] = (),
) -> list[Action]:
    """The actions in the footer: as many as fit in one line, always with help and quit.

    `words` maps ids to labels for this moment; `offered` chooses actions by id instead of by rank.
    """
    here = [a for a in actions if a.keys and a.where in places(where)]
    if offered:
        usable = [a for id in offered for a in here if a.id == id]
        usable += [a for a in here if a.id in _ALWAYS]
    else:
        usable = sorted((a for a in here if a.shown), key=lambda a: a.shown)
    usable = [replace(a, label=(words or {}).get(a.id, a.label)) for a in usable]
    always = [a for a in usable if a.id in _ALWAYS]
    room = width - sum(map(_cells, always))
    chosen: list[Action] = []
    for action in usable:
        if action in always:
            continue
        if _cells(action) > room:
            break
        chosen.append(action)
        room -= _cells(action)
    return sorted([*chosen, *always], key=lambda a: _LAST.index(a.id) if a.id in _LAST else -1)


_ALWAYS: Final = ("help", "quit")
_LAST: Final = ("palette", *_ALWAYS)
"""Actions at the right end of the footer, in this order, whatever their rank."""


def _cells(action: Action) -> int:
    return len(action.key) + len(action.label) + 3


def places(where: str) -> tuple[str, ...]:
    """The places whose actions apply on a screen, its own first. Events shows the selected delivery
    beside the list, so the actions of a delivery apply there too."""
    if where == "events":
        return (where, "inspector", "list", "everywhere")
    if where == "first":  # it shows a source, so the actions of Sources apply
        return (where, "sources", "board", "list", "everywhere")
    if where in ("live", "board", "traces", "sources", "compare", "dora"):
        return (where, "list", "everywhere")
    return (where, "everywhere")

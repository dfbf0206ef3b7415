"""Current names of repositories; rewrites events with former names to the current ones, and names
that tools write in different cases to one spelling.

Bodies carry an id that a rename does not change. Two names with the same id mean that the
repository was renamed or moved to another owner; the name reported last is the current one. Events
under a former name, from the same tool or from a tool without ids, are read under the current name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HOME: Final = re.compile(rf"-id:([^/]+/(?:\d+|{_UUID}))(?:-|\Z)")


PROJECT: Final = "vs.project.id"
"""Attribute with the id of a project whose key is in the names of its issues."""


class Name(NamedTuple):
    """A name of a repository, and when it was last reported."""

    repository: str
    """Host and id: `github.com/1296269`."""
    name: str
    """`owner/name` as written."""
    heard_at: Instant


def home(event: Event) -> str:
    """The repository whose id is in the key of the event's span, or the project of a Jira issue;
    empty for other events."""
    if told := event.attributes.get(PROJECT):
        return str(told).removeprefix("id:")
    found = _HOME.search(event.key) if "-id:" in event.key else None
    return found[1] if found and "/" in event.project else ""


def names_in(events: Iterable[Event]) -> dict[tuple[str, str], Instant]:
    """(repository, name) -> the latest time at which an event reported it."""
    found: dict[tuple[str, str], Instant] = {}
    for event in events:
        if repository := home(event):
            told = (repository, event.project)
            found[told] = max(found.get(told, 0), event.snapshot_at)
    return found


@dataclass(frozen=True, slots=True)
class Renames:
    """Former names, in lower case, with the current ones."""

    of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Repository -> its former names -> the current name."""
    everywhere: Mapping[str, str] = field(default_factory=dict)
    """Former name -> current name, for names that only one repository ever had. Tools without ids
    are matched by these."""
    spelt: Mapping[str, str] = field(default_factory=dict)
    """Project, in lower case -> its one spelling, for projects with several: that of the host of
    the repository, or else the one with the most small letters."""

    @classmethod
    def by(cls, names: Iterable[Name], spellings: Mapping[str, set[str]] = {}) -> Renames:
        """`spellings`: project, in lower case -> all its spellings."""
        heard: dict[str, list[Name]] = defaultdict(list)
        owners: dict[str, set[str]] = defaultdict(set)
        for name in names:
            heard[name.repository].append(name)
            owners[name.name.lower()].add(name.repository)
        of: dict[str, dict[str, str]] = {}
        hosted: dict[str, str] = {}
        for repository, called in heard.items():
            now = max(called, key=lambda name: (name.heard_at, name.name)).name
            if "/" in now:
                hosted[now.lower()] = max(now, hosted.get(now.lower(), ""))
            if len(called) > 1:
                of[repository] = {name.name.lower(): now for name in called}
        everywhere = {
            former: now
            for former_names in of.values()
            for former, now in former_names.items()
            if len(owners[former]) == 1 and former != now.lower()
        }
        spelt = {
            name: hosted.get(name) or max(written)
            for name, written in spellings.items()
            if len(written) > 1
        }
        return cls(of, everywhere, spelt)

    def changed(self, other: Renames) -> set[str]:
        """Names, in lower case, that `self` and `other` map differently."""
        found: set[str] = set()
        for mine, theirs in (
            (self.everywhere, other.everywhere),
            (self.spelt, other.spelt),
            *(
                (self.of.get(repository, {}), other.of.get(repository, {}))
                for repository in self.of.keys() | other.of.keys()
            ),
        ):
            for former in mine.keys() | theirs.keys():
                if mine.get(former) != theirs.get(former):
                    now = (mine.get(former, ""), theirs.get(former, ""))
                    found.update((former, *(name.lower() for name in now if name)))
        return found

    def __bool__(self) -> bool:
        return bool(self.of or self.spelt)

    def today(self, event: Event) -> Event:
        """The event under current names; it also offers its former refs."""
        event = self._renamed(event) if self.of else event
        spelt = self.spelt.get(event.project.lower(), event.project)
        return event if spelt == event.project else event._replace(project=spelt)

    def _renamed(self, event: Event) -> Event:
        own = self.of.get(home(event), {})

        def now(name: str) -> str:
            return own.get(name) or self.everywhere.get(name, "")

        def moved(key: Key) -> Key:
            name = now(key.scope) if key.scope else ""
            return key._replace(scope=name.lower()) if name else key

        project = now(event.project.lower()) or event.project
        service = event.service
        if own and service == _service(event.project):
            service = _service(project)
        event = event._replace(
            offers=tuple([moved(key) for key in event.offers]),
            seeks=tuple([seek._replace(key=moved(seek.key)) for seek in event.seeks]),
            project=project,
            service=service,
        )
        if not own or not event.full_ref:
            return event
        if PROJECT in event.attributes:
            names = [name for name in own if name in self.everywhere or own[name] == name.upper()]
            return _with_keys_of(event, names)
        return _with_refs_of(event)


def _service(project: str) -> str:
    """Default service name of a repository."""
    return project.rpartition("/")[2].lower()


def _with_refs_of(event: Event) -> Event:
    """The event with the refs of its span under the repository's current name."""
    start, _, rest = event.key.partition(f"id:{home(event)}")
    full = f"{start}{event.project}{rest}"
    if event.full_ref == full:
        return event
    former = event.full_ref.removeprefix(start).removesuffix(rest)
    before, after = (f"{start}{path.rpartition('/')[2]}-" for path in (former, event.project))
    ref = after + event.ref.removeprefix(before) if event.ref.startswith(before) else event.ref
    refs = [Key("ref", name) for name in (event.ref, event.full_ref) if name]
    return event._replace(ref=ref, full_ref=full, offers=(*event.offers, *refs))


def _with_keys_of(event: Event, projects: Iterable[str]) -> Event:
    """The issue under its project's current key. It also offers the former keys, so that mentions
    of these still link to it."""
    before = str(event.attributes.get("vs.issue.key", ""))
    number = before.rpartition("-")[2]
    key = f"{event.project}-{number}"
    others = [f"{project.upper()}-{number}" for project in projects]
    found = [Key("issue_key", other, "", "former ticket") for other in others if other != key]
    found += [Key("ref", f"vstrace-{event.source}-issue-{other}") for other in others]
    ref = f"vstrace-{event.source}-issue-{key}"
    return event._replace(
        ref=ref,
        full_ref=ref,
        name=event.name.replace(before, key, 1) if event.name.startswith(before) else event.name,
        attributes={**event.attributes, "vs.issue.key": key},
        offers=tuple(dict.fromkeys([Key("issue_key", key, "", "ticket"), *event.offers, *found])),
    )

"""What a repository is called now, and events of before as they would be told today.

Bodies carry an id that a rename leaves. Whoever tells two names of one id says that it was renamed
or moved to another owner; the name told last is the one of today. What was told under a former
name, by the same tool or by one that only knows the name, is read under today's.
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
"""The id of a project whose key is in its issues' names."""


class Name(NamedTuple):
    """That a repository was called something, and until when this was heard."""

    repository: str
    """Host and id: `github.com/1296269`."""
    name: str
    """`owner/name` as it is written."""
    heard_at: Instant


def home(event: Event) -> str:
    """The repository that a span's key names by its id, or the project of a Jira issue; empty for
    all others."""
    if told := event.attributes.get(PROJECT):
        return str(told).removeprefix("id:")
    found = _HOME.search(event.key) if "-id:" in event.key else None
    return found[1] if found and "/" in event.project else ""


def names_in(events: Iterable[Event]) -> dict[tuple[str, str], Instant]:
    """The names that events tell of repositories, each with the latest time it was heard."""
    found: dict[tuple[str, str], Instant] = {}
    for event in events:
        if repository := home(event):
            told = (repository, event.project)
            found[told] = max(found.get(told, 0), event.snapshot_at)
    return found


@dataclass(frozen=True, slots=True)
class Renames:
    """Former names, in lower case, and what they are today."""

    of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Repository -> its former names."""
    everywhere: Mapping[str, str] = field(default_factory=dict)
    """The former names that only one repository ever had: those that a tool without ids means."""

    @classmethod
    def by(cls, names: Iterable[Name]) -> Renames:
        heard: dict[str, list[Name]] = defaultdict(list)
        owners: dict[str, set[str]] = defaultdict(set)
        for name in names:
            heard[name.repository].append(name)
            owners[name.name.lower()].add(name.repository)
        of: dict[str, dict[str, str]] = {}
        for repository, called in heard.items():
            if len(called) > 1:
                now = max(called, key=lambda name: (name.heard_at, name.name)).name
                of[repository] = {name.name.lower(): now for name in called}
        everywhere = {
            former: now
            for former_names in of.values()
            for former, now in former_names.items()
            if len(owners[former]) == 1 and former != now.lower()
        }
        return cls(of, everywhere)

    def changed(self, other: Renames) -> set[str]:
        """Names, in lower case, that one of the two reads otherwise than the other."""
        found: set[str] = set()
        for mine, theirs in (
            (self.everywhere, other.everywhere),
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

    def today(self, event: Event) -> Event:
        """The event as it would be told now; its refs of before are offered as well."""
        if not self.of:
            return event
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
    """What a repository is when it is deployed, if nothing else says so."""
    return project.rpartition("/")[2].lower()


def _with_refs_of(event: Event) -> Event:
    """The event with the refs that its span has under its repository's name of today."""
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
    """The issue under its project's key of today, and found by those of before: whoever named it
    by one of them meant it."""
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

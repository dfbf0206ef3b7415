"""What the tests of several webhook sources share: folding, malforming, and real bodies."""

from __future__ import annotations

import copy
import csv
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings

from vs_tui.model.time import parse_instant
from vs_tui.model.vocabulary import Event, Key, event_from_row, event_to_row
from vs_tui.sources.base import BadBody, Inbound, Parsed, Unreadable
from vs_tui.sources.fields import Inexact
from vs_tui.traces.folding import Folded, fold

RECEIVED = parse_instant("2026-03-04T12:00:00Z")
assert RECEIVED is not None


def at(clock: str) -> int:
    """An instant on 2 March 2026, or of a whole timestamp."""
    instant = parse_instant(clock if "T" in clock else f"2026-03-02T{clock}Z")
    assert instant is not None
    return instant


def fold_all(events: Iterable[Event]) -> dict[str, Folded]:
    """Every span the events make, by its full ref."""
    by_key: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_key[event.key].append(event)
    made = [fold(found) for found in by_key.values()]
    return {folded.full_ref or folded.span.key: folded for folded in made}


def same_spans(left: dict[str, Folded], right: dict[str, Folded]) -> bool:
    """Equal spans, stages, and equal sets of keys: the order of keys carries no meaning."""
    return left.keys() == right.keys() and all(
        one.span == other.span
        and one.stages == other.stages
        and set(one.offers) == set(other.offers)
        and set(one.seeks) == set(other.seeks)
        for one, other in ((left[key], right[key]) for key in left)
    )


def sought(event: Event) -> set[tuple[str, str, str, str]]:
    return {(s.rule.value, s.key.kind, s.key.value, s.key.scope) for s in event.seeks}


def offered(event: Event) -> set[tuple[str, str, str]]:
    return {(k.kind, k.value, k.scope) for k in event.offers}


def answers(child: Event, parent: Event) -> set[str]:
    """The rules by which `child` finds `parent`."""
    own = {("ref", name) for name in (parent.key, parent.ref, parent.full_ref)}
    keys: list[Key] = list(parent.offers)
    return {
        s.rule.value
        for s in child.seeks
        if (s.key.kind, s.key.value) in own
        or any((k.kind, k.value, k.scope) == (s.key.kind, s.key.value, s.key.scope) for k in keys)
    }


def real_bodies(*sources: str) -> list[Any]:
    """Parameters (header name, header value, file) of the published bodies, where there are any.

    They are no part of the project: VS_PAYLOADS names their folder.
    """
    beside = Path(__file__).parents[3] / "shared" / "payloads"
    root = Path(os.environ.get("VS_PAYLOADS") or beside)
    index = root / "INDEX.tsv"
    if not index.is_file():
        missing = pytest.mark.skip("no folder of real bodies; set VS_PAYLOADS to one")
        return [pytest.param("", "", Path(), marks=missing)]
    rows = csv.DictReader(index.read_text().splitlines(), delimiter="\t")
    return [
        pytest.param(
            row["header-name"].lower(),
            row["header-value"],
            root / row["file"],
            id=Path(row["file"]).stem,
        )
        for row in rows
        if row["source"] in sources
    ]


_ODD: tuple[Any, ...] = (
    None,
    "",
    "x",
    "2026-13-45T99:99:99Z",
    "-1",
    0,
    -7,
    1.5,
    1e300,
    2**70,
    True,
    False,
    [],
    [None],
    [[]],
    ["a", 1],
    {},
    {"a": None},
    {"name": {"name": []}},
    "\u0000\x1b[31m\u202e",
)


def malformed(body: dict[str, Any], seed: int) -> dict[str, Any]:
    """The body with one to four fields nulled, dropped, retyped, nested or swapped."""
    rng = random.Random(seed)
    broken = copy.deepcopy(body)
    for _ in range(rng.randint(1, 4)):
        places = list(_places(broken))
        if not places:
            break
        container, name = rng.choice(places)
        change = rng.randrange(4)
        if change == 0:
            if isinstance(container, dict):
                del container[name]
            else:
                container[name] = None
        elif change == 1:
            container[name] = {"nested": container[name]}
        elif change == 2:
            container[name] = [container[name]] * rng.randint(0, 3)
        else:
            # A copy: the next change may be made inside of it.
            container[name] = copy.deepcopy(rng.choice(_ODD))
    return broken


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield value, name
            yield from _places(inner)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield value, position
            yield from _places(inner)


def assert_survives(source: Any, inbounds: Iterable[Any]) -> dict[str, int]:
    """Parsing yields a result, 400 or quarantine; whatever it yields folds, and an outline tells
    the same. Counts of each."""
    seen: dict[str, int] = defaultdict(int)
    for inbound in inbounds:
        try:
            parsed = source.parse(inbound)
        except (BadBody, Unreadable) as refusal:
            assert str(refusal)
            seen[type(refusal).__name__] += 1
            if not isinstance(refusal, Inexact):  # then the outline is not needed to be exact
                with pytest.raises(type(refusal), match=re.escape(str(refusal))):
                    source.outline(inbound)
            continue
        assert isinstance(parsed, Parsed)
        outline = source.outline(inbound)
        assert _told(outline, inbound) == _told(parsed, inbound)
        assert outline.finished() == parsed
        assert parsed.events or parsed.reason
        for event in parsed.events:
            assert event_from_row(orjson.loads(orjson.dumps(event_to_row(event)))) == event
        for folded in fold_all(parsed.events).values():
            assert "\0" not in folded.span.name
        seen[parsed.verdict.value] += 1
    return seen


def _told(parsed: Parsed, inbound: Inbound) -> tuple[object, ...]:
    """What a sender is told, and what repeats are known by."""
    names = dict.fromkeys((event.key, event.ref, event.full_ref) for event in parsed.events)
    has_time = any(event.occurred_at != inbound.received_at for event in parsed.events)
    return (*parsed._replace(events=(), finish=None), list(names), has_time)


ANY_ORDER = settings(
    max_examples=200,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
"""Shared by the tests of arrival: 500 orders a source. Shrinking is left out, because a seed that
shuffles a story does not get simpler by getting smaller."""


def arrivals(deliveries: list[Any], seed: int) -> list[Any]:
    """The deliveries in another order, up to a dozen of them twice."""
    rng = random.Random(seed)
    found = [*deliveries, *rng.choices(deliveries, k=rng.randrange(13))]
    rng.shuffle(found)
    return found


def variants(inbounds: list[Inbound], count: int) -> Iterator[Inbound]:
    """`count` malformed versions of these JSON deliveries, spread over them evenly."""
    for seed in range(count):
        inbound = inbounds[seed % len(inbounds)]
        body = orjson.loads(inbound.body or b"{}")
        # A list is malformed item by item: wrapped, so that its items are places, too.
        broken = malformed({"": body} if isinstance(body, list) else body, seed)
        value = broken.get("", broken) if isinstance(body, list) else broken
        yield inbound._replace(body=json.dumps(value).encode())


def fold_deliveries(parsed: Iterable[Parsed]) -> dict[str, Folded]:
    """The spans of several deliveries."""
    return fold_all(event for delivery in parsed for event in delivery.events)

"""Updates links, parents and trace ids after spans changed.

It recomputes the links of every span whose keys changed, and of every span that seeks what a
changed span offers. Then spans get their places in traces (`parents`). It runs inside the writer's
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from vs_tui.model.artifacts import is_moving
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import PIN_ATTRIBUTE, Attributes, Key, Link, Rule, Seek, Span, cuts
from vs_tui.store import rows
from vs_tui.store.folding import crowded_keys, incident_links
from vs_tui.store.folding.parents import Unsettled, assign_parents
from vs_tui.store.folding.shipped_changes import relink_shipped
from vs_tui.store.folding.span_folding import Change, load_nodes, load_spans
from vs_tui.traces.correlation import (
    RANKED_KINDS,
    LinkRules,
    Match,
    Node,
    links_of,
    may_link,
    outranks,
)
from vs_tui.traces.folding import former_refs

_NAMES: Final = -1
"""Level of the names of spans, which are never crowded."""


def relink(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    seq: int,
    rules: LinkRules = LinkRules(),  # noqa: B008
    also: Collection[str] = (),
    unplaced: Mapping[str, rows.Row] = MappingProxyType({}),
) -> None:
    """Update links, parents and trace ids after `changes`, and those of the spans in `also`. The
    rows of new spans in `unplaced` are inserted with their parents and trace ids."""
    children = {change.new.key: change.new for change in changes}
    affected = _affected(connection, changes, rules).union(also)
    children.update(load_spans(connection, affected - children.keys()))
    if not children:
        return
    alone = {
        change.new.key
        for change in changes
        if _is_alone(change) or (change.new.key not in affected and _is_settled(change))
    }
    asked = {key: span for key, span in children.items() if key not in alone}
    known = asked.keys() - {change.new.key for change in changes if change.old is None}
    before = _stored(connection, known)
    after = _wanted(connection, asked, changes, rules, unplaced)
    write_links(connection, before, after)
    unsettled = Unsettled.of(changes, before, after)
    moved = assign_parents(connection, children, after, unsettled, seq, unplaced)
    # Last, because what a deploy shipped depends on the runs above it; it never makes a parent.
    shipped = relink_shipped(connection, changes, children, moved, rules.disabled)
    write_links(
        connection,
        {key: old for key, (old, _) in shipped.items()},
        {key: new for key, (_, new) in shipped.items()},
    )


def relink_counted(
    connection: sqlite3.Connection, incidents: Collection[str], rules: LinkRules
) -> None:
    """Update the links of incidents that are now counted as failures of other deployments. Such
    links make no parents, so parents and trace ids stay."""
    children = load_spans(connection, incidents)
    before = _stored(connection, children)
    write_links(connection, before, _wanted(connection, children, (), rules, {}))


def _stored(connection: sqlite3.Connection, keys: Collection[str]) -> dict[str, list[Link]]:
    """The stored links of these spans, without those of shipped changes."""
    return {
        key: [link for link in links if link.rule is not Rule.SHIPS]
        for key, links in rows.links_above(connection, keys).items()
    }


def _is_alone(change: Change) -> bool:
    """Whether a span is known to have no parent without a query, because it seeks nothing."""
    return (
        not change.new.parent_key
        and not any(event.seeks for event in change.folded.snapshots)
        and change.new.operation != "incident"
        and (change.old is None or change.old.operation != "incident")
    )


def _is_settled(change: Change) -> bool:
    """Whether nothing changed by which a span finds its parents, so that its stored links hold."""
    old, new = change.old, change.new
    return (
        old is not None
        and not change.fresh
        and _place(old) == _place(new)
        and new.operation not in _BY_THEIR_END
        and (
            old.attributes == new.attributes
            or _decisions(old.attributes) == _decisions(new.attributes)
        )
    )


def _place(span: Span) -> tuple[Instant, str, str]:
    """The values of a span by which any of its links may change."""
    return span.at, span.operation, span.environment


_BY_THEIR_END: Final = frozenset({"test", "incident"})
"""Operations of spans whose links depend on when they ended, too."""


def _decisions(attributes: Attributes) -> tuple[object, ...]:
    return (attributes.get(PIN_ATTRIBUTE), *cuts(attributes))


def _affected(
    connection: sqlite3.Connection, changes: Sequence[Change], rules: LinkRules
) -> set[str]:
    """Keys of spans whose links these changes may affect."""
    offered = crowded_keys.note(connection, changes)
    offering: dict[str, list[Change]] = {}
    for change in changes:
        if change.material:
            asked = _asked_again(change, offered.told[change.new.key])
            for token in {token for token, at in asked if (token, at) not in offered.crowded}:
                offering.setdefault(token, []).append(change)
    new = {change.new.key for change in changes if change.old is None}

    def concerned(seeking: Collection[crowded_keys.Sought]) -> set[crowded_keys.Sought]:
        return _concerned(connection, offering, offered.crowded_now, seeking) if seeking else set()

    keys = crowded_keys.seekers(connection, {*offering, *offered.crowded_now}, new, concerned)
    keys.update(incident_links.affected(connection, changes, rules))
    return keys


def _concerned(
    connection: sqlite3.Connection,
    offering: Mapping[str, Sequence[Change]],
    crowded_now: Collection[str],
    seeking: Collection[crowded_keys.Sought],
) -> set[crowded_keys.Sought]:
    """The seekers whose links may differ after the changes of the spans that offer their tokens. It
    costs a fraction of pairing a seeker with all offers: where a version has tens of deploys, most
    of its seekers keep the deploy that they have."""
    nodes = load_nodes(connection, {key for _, key, _ in seeking})
    tokens = {token for token, *_ in seeking}
    changed = {
        change.new.key: _nodes_of(change) for token in tokens for change in offering.get(token, ())
    }
    found = set()
    versions: list[tuple[crowded_keys.Sought, list[Change]]] = []
    for sought in seeking:
        token, key, named = sought
        rule, child = Rule(named), nodes.get(key)
        answering = [
            change
            for change in offering.get(token, ())
            if child is None or any(may_link(rule, child, node) for node in changed[change.new.key])
        ]
        if token in crowded_now or answering:
            if rule is Rule.VERSION and child is not None and token not in crowded_now:
                versions.append((sought, answering))
            else:
                found.add(sought)
    return found.union(_gained(connection, nodes, versions))


def _nodes_of(change: Change) -> list[Node]:
    return [Node.of(span) for span in (change.old, change.new) if span is not None]


def _gained(
    connection: sqlite3.Connection,
    nodes: Mapping[str, Node],
    seeking: Sequence[tuple[crowded_keys.Sought, Sequence[Change]]],
) -> Iterator[crowded_keys.Sought]:
    """The seekers of versions that may get another link. Only the best offer of a version becomes a
    link, so a change matters where the span is linked, or where it outranks the linked one. Offers
    of several scopes are always compared anew."""
    links: dict[str, dict[str, str]] = {}
    sql = f"SELECT child, parent, rule FROM links WHERE child {rows.KEYS}"
    for child, parent, rule in rows.select_in(connection, sql, {key for (_, key, _), _ in seeking}):
        links.setdefault(child, {})[parent] = rule
    best = {
        child: parent
        for child, found in links.items()
        for parent, rule in found.items()
        if rule == Rule.VERSION
    }
    linked = load_nodes(connection, set(best.values()))
    owners = {change.new.key for _, answering in seeking for change in answering}
    scopes: dict[tuple[str, str], set[str]] = {}
    sql = f"SELECT key, token, scope FROM offers WHERE key {rows.KEYS}"
    for key, token, scope in rows.select_in(connection, sql, owners | linked.keys()):
        scopes.setdefault((key, token), set()).add(scope)
    for sought, answering in seeking:
        token, key, _ = sought
        parent = linked.get(best.get(key, ""))
        where = scopes.get((parent.key, token), set()) if parent is not None else set()
        if (
            parent is None
            or not where
            or len(where - {""}) > 1
            or any(
                change.new.key in links[key]
                or scopes.get((change.new.key, token)) != where
                or outranks(Rule.VERSION, nodes[key], Node.of(change.new), parent)
                for change in answering
            )
        ):
            yield sought


def _asked_again(change: Change, told: crowded_keys.Told) -> Iterator[crowded_keys.Place]:
    """The keys whose seekers must be linked again after a change."""
    old, new = change.old, change.new
    moved = old is None or _place(old) != _place(new)
    ranked = moved or old is None or old.status != new.status
    closed = moved or old is None or old.ended_at != new.ended_at
    if moved:
        names = (new.key, change.short_ref, change.folded.full_ref)
        yield from ((f"ref:{name}", _NAMES) for name in names if name)
    if moved or change.fresh:  # after a rename the former names are offered, too
        yield from ((rows.token(name), _NAMES) for name in former_refs(change.folded.snapshots))
        yield from ((token, _NAMES) for (token, _), kind in told.kinds.items() if kind == "ref")
    if moved:
        yield from told.kinds
    elif ranked or closed:
        for place, kind in told.kinds.items():
            if (ranked and kind in RANKED_KINDS) or kind == "branch":
                yield place
    yield from told.fresh


def _wanted(
    connection: sqlite3.Connection,
    children: Mapping[str, Span],
    changes: Sequence[Change],
    rules: LinkRules,
    unplaced: Mapping[str, rows.Row],
) -> dict[str, list[Link]]:
    """The links that these spans should have, computed from their keys. The keys of changed spans
    are in memory, those of the others are stored."""
    found: dict[str, list[Link]] = {key: [] for key in children}
    sought = [
        (key, token, seek)
        for change in changes
        if (key := change.new.key) in children
        for token, seek in _sought(change)
    ]
    sql = f"SELECT key, token, rule, scope, value, via, link_only FROM seeks WHERE key {rows.KEYS}"
    stored = children.keys() - {change.new.key for change in changes}
    sought += [
        (key, row[0], rows.seek_of(row)) for key, *row in rows.select_in(connection, sql, stored)
    ]
    offers = _offers(connection, {token for _, token, _ in sought}, unplaced)
    # A seek without an offer makes no link; most seeks have none without pull requests.
    offered = {row[1] for row in offers}
    seeks: dict[str, list[Seek]] = {}
    for key, token, seek in sought:
        if token in offered:
            seeks.setdefault(key, []).append(seek)
    own = {key: Node.of(span) for key, span in children.items()}
    nodes = dict(own)
    nodes.update(load_nodes(connection, {row[0] for row in offers} - nodes.keys(), unplaced))
    matches: dict[str, list[Match]] = {}
    for owner, token, scope, value, via in offers:
        if node := nodes.get(owner):
            matches.setdefault(token, []).append(
                Match(node, rows.key_of((token, scope, value, via)))
            )

    def matching(key: Key) -> Sequence[Match]:
        return matches.get(rows.token(key), ())

    def link(key: str, nearby: Sequence[tuple[Rule, Node]] = ()) -> list[Link]:
        attributes = children[key].attributes
        return links_of(
            own[key],
            seeks.get(key, ()),
            matching,
            pinned=_pinned(attributes, matching),
            cut=cuts(attributes),
            extra=nearby,
            disabled=rules.disabled,
        )

    found.update((key, link(key)) for key in seeks)
    for key, nearby in incident_links.candidates(connection, children, found, rules).items():
        if nearby:
            found[key] = link(key, nearby)
    return found


def _sought(change: Change) -> list[tuple[str, Seek]]:
    """The keys that a changed span seeks, with their tokens, in the order in which they are
    stored: of equal links the first one says why."""
    found = sorted(
        (rows.token(key), rule, key.scope, key.value, key.via, link_only, key)
        for rule, key, link_only in change.folded.seeks
        if not is_moving(key.kind, key.value)
    )
    return [(token, Seek(rule, key, link_only)) for token, rule, *_, link_only, key in found]


def offering(connection: sqlite3.Connection, tokens: Iterable[str]) -> set[str]:
    """The spans that offer one of these tokens."""
    return {row[0] for row in _offers(connection, tokens, {})}


def _offers(
    connection: sqlite3.Connection, tokens: Iterable[str], unplaced: Mapping[str, rows.Row]
) -> list[tuple[str, ...]]:
    """(key, token, scope, value, via) of all offers of these tokens, without crowded keys."""
    wanted = list(tokens)
    names = {token[4:] for token in wanted if token.startswith("ref:")}
    return [*crowded_keys.offers(connection, wanted), *_named(connection, names, unplaced)]


def _named(
    connection: sqlite3.Connection, names: Collection[str], unplaced: Mapping[str, rows.Row]
) -> Iterator[tuple[str, ...]]:
    """Offers of spans by name: every span offers its key, its short ref and its full ref."""
    named = [
        (key, name)
        for key, row in unplaced.items()
        for name in dict.fromkeys((key, row[rows.SHORT_REF], row[rows.FULL_REF]))
        if name in names
    ]
    sql = (
        "WITH names(name) AS (SELECT value FROM json_each(?)) "
        "SELECT key, key FROM spans WHERE key IN names UNION ALL "
        "SELECT key, short_ref FROM spans WHERE short_ref <> key AND short_ref IN names UNION ALL "
        "SELECT key, full_ref FROM spans WHERE full_ref <> '' AND full_ref IN names"
    )
    for key, name in (*rows.select_in(connection, sql, names), *named):
        yield (key, f"ref:{name}", "", name, "")


def _pinned(attributes: Attributes, matching: Callable[[Key], Sequence[Match]]) -> Node | None:
    """The parent that a person chose. The decision is also a seek, so its key is among the
    matches."""
    pin = str(attributes.get(PIN_ATTRIBUTE) or "")
    found = [match.node for match in matching(Key("ref", pin))] if pin else []
    return min(found, key=lambda node: (node.key != pin, node.key), default=None)


def write_links(
    connection: sqlite3.Connection,
    before: Mapping[str, Sequence[Link]],
    after: Mapping[str, Sequence[Link]],
) -> None:
    """Write the links of these spans: `before` are the stored ones, `after` the wanted ones."""
    removed: list[tuple[str, str]] = []
    added: list[tuple[object, ...]] = []
    for child, links in after.items():
        old = before.get(child, ())
        added.extend(rows.link_row(link) for link in links if link not in old)
        if old:
            parents = {link.parent for link in links}
            removed.extend((child, link.parent) for link in old if link.parent not in parents)
    if removed:
        connection.executemany("DELETE FROM links WHERE child = ? AND parent = ?", removed)
    if added:
        connection.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?)", added)

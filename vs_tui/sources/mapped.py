"""Mapped sources: tools described by a table of conditions and JMESPath expressions.

    [sources.shipit]
    [[sources.shipit.events]]
    when = "type == 'deploy'"
    operation = "deploy"
    id = "deploy.id"
    state = "deploy.status"
    states = {running = "running", done = "ok", failed = "error"}
    service = "app"
    environment = "env"

Presets (presets/*.toml) are such tables too. docs/sources/mapped.md explains each setting.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import orjson

from vs_tui.log.delivery import DECISION_SOURCE, UNKNOWN_SOURCE
from vs_tui.model.errors import ConfigError
from vs_tui.model.vocabulary import Event, Operation
from vs_tui.sources.base import Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.expressions import (
    HEADER,
    Evaluation,
    Expression,
    TooManySteps,
    WrongExpression,
    compiled,
)
from vs_tui.sources.fields import json_body
from vs_tui.sources.mapped_events import OPERATIONS, STATES, Rule, event_of, text_of
from vs_tui.sources.signatures import Scheme, scheme_of

PRESETS: Final = Path(__file__).parent / "presets"
"""Ready-made tables, one TOML file per tool, with links to its documentation and sample bodies. The
fields are those of the vendor's documentation; the values of the samples are invented."""
MAX_EVENTS: Final = 1_000
"""Most events of one delivery."""
MAX_RULES: Final = 100
NAME: Final = re.compile(r"[a-z][a-z0-9]{0,39}")
"""A name has no dash, because refs are `vstrace-NAME-...`."""
_RESERVED: Final = frozenset({"token", "tokens", UNKNOWN_SOURCE, DECISION_SOURCE})
"""Names with another meaning in secrets.toml and in Events."""
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){1,5}")
_OURS: Final = ("/api/", "/healthz/", "/readyz/", "/metrics/", "/openapi.json/")
_SETTINGS: Final = (
    *("title", "path", "paths", "enabled", "signature", "makes_secret", "token_in_url"),
    *("delivery_header", "kind", "recognise", "events"),
)
_OF_PRESETS: Final = ("documentation", "samples")
FIELDS: Final = (
    *("id", "namespace", "name", "stage", "project", "service", "environment", "version"),
    *("commit", "branch", "repository", "at", "started_at", "ended_at", "url", "parent"),
    *("retry_of", "traceparent", "actor", "error", "attempt", "reopens"),
)
"""Fields of an event that can only be expressions."""
_RULE: Final = ("when", "each", "operation", "state", "states", "tags", *FIELDS)


class MappedSource(Source):
    """A source described by a table; see `base.Source` for the meaning of each field."""

    def __init__(self, name: str, definition: Mapping[str, Any]) -> None:
        """Check the settings; ConfigError names the wrong one. `check` checks the expressions."""
        self.name = name
        self.definition = definition
        """The source's table; also sent to the process that reads one large body."""
        if not NAME.fullmatch(name) or name in _RESERVED:
            why = "must be small letters and digits, such as shipit, and none of ours"
            raise _wrong(name, "the name", f"{why} ({', '.join(sorted(_RESERVED))})")
        _check_settings(name, definition)
        self.title = definition.get("title", name)
        self.paths = _paths(name, definition)
        self.enabled: bool = definition.get("enabled", True)
        self.makes_secret = definition.get("makes_secret", False)
        self.token_in_url = definition.get("token_in_url", False)
        rules = definition["events"]
        self.only_incidents = all(rule.get("operation") == Operation.INCIDENT for rule in rules)
        self.version = crc32(orjson.dumps(definition.get("events"), default=str)) & 0x7FFFFFFF
        self.signature = scheme = _scheme(name, definition.get("signature"))
        self.signature_headers = scheme.headers if scheme else ()
        self.delivery_headers = tuple(filter(None, [definition.get("delivery_header", "").lower()]))
        expressions = str(definition.get("events")) + str(definition.get("kind"))
        read = [found.lower() for found in HEADER.findall(expressions)]
        # A proof or vs-tui's token must never be stored, in an event or as a delivery's id.
        private = {"authorization", "proxy-authorization", "cookie", *self.signature_headers}
        for header in (*self.delivery_headers, *read):
            if header in private:
                raise _wrong(name, f"the header {header}", "holds a secret, which is never stored")
        self.stored_headers = tuple(dict.fromkeys((*self.delivery_headers, *read)))

    def check(self) -> MappedSource:
        """Compile all expressions; ConfigError names the first wrong one and its place."""
        _ = self.rules, self._kind, self._recognise
        return self

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The compiled rules, one per `events` table."""
        tables = self.definition["events"]
        return tuple(_rule(self.name, n, table) for n, table in enumerate(tables, 1))

    @cached_property
    def _kind(self) -> Expression | None:
        return _expression(self.name, "kind", self.definition.get("kind"))

    @cached_property
    def _recognise(self) -> Expression | None:
        return _expression(self.name, "recognise", self.definition.get("recognise"))

    def recognises(self, run: Evaluation) -> bool:
        """Whether a body sent to another path is certainly of this tool."""
        return self._recognise is not None and run.value(self._recognise, run.body) is True

    def parse(self, inbound: Inbound) -> Parsed:
        return self.explain(inbound)[0]

    def explain(self, inbound: Inbound) -> tuple[Parsed, Sequence[str]]:
        """The result of parse(), and the expressions that failed."""
        run = Evaluation(inbound, json_body(inbound))
        try:
            return self._parsed(run), run.problems
        except TooManySteps as error:
            raise Unreadable(str(error)) from None

    def _parsed(self, run: Evaluation) -> Parsed:
        events: list[Event] = []
        reasons: list[str] = []
        matched = cut = False
        for rule in self.rules:
            if rule.when is not None and not _is_true(run.value(rule.when, run.body)):
                continue
            matched = True
            for root in _roots(rule, run):
                if len(events) >= MAX_EVENTS:
                    cut = True
                    break
                made, reason = event_of(self.name, rule, run, root)
                events.extend(made)
                if reason:
                    reasons.append(reason)
        kind = text_of(run.value(self._kind, run.body), 100)
        if events:
            first = events[-1]
            kind = kind or f"{first.operation}.{first.state.name.lower()}"
            return Parsed(
                kind, events, reason=f"only {MAX_EVENTS:,} events were read" if cut else ""
            )
        if missing := next((why for why in reasons if why.startswith("!")), ""):
            raise Unreadable(missing[1:])
        reason = reasons[0] if reasons else ""
        if not matched:
            reason = "no `when` of its mapping is true for it"
        return parsed(kind or "request", reason or "`each` is empty")


def _roots(rule: Rule, run: Evaluation) -> Iterator[Any]:
    """The values that a rule's fields are read from: the body, or each element that `each`
    finds."""
    if rule.each is None:
        yield run.body
        return
    found = run.value(rule.each, run.body)
    yield from found if isinstance(found, list) else ()


def _is_true(value: Any) -> bool:
    """Whether JMESPath treats the value as true: all values except null, false and empty ones."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return True
    return bool(value)


def _rule(name: str, number: int, table: Mapping[str, Any]) -> Rule:
    place = f"events {number}"

    def read(setting: str) -> Expression | None:
        return _expression(name, f"{place}, {setting}", table.get(setting))

    tags = table.get("tags")
    named = {
        tag: _needed(_expression(name, f"{place}, tags.{tag}", text))
        for tag, text in (tags.items() if isinstance(tags, Mapping) else ())
    }
    operation, state = table["operation"], table.get("state", "note")
    states = {word.lower(): meaning for word, meaning in table.get("states", {}).items()}
    # A known word alone is a constant; everything else is an expression.
    return Rule(
        place=place,
        when=read("when"),
        each=read("each"),
        operation=operation if operation in OPERATIONS else read("operation"),
        state=STATES[state] if state in STATES and not states else read("state"),
        states={word: STATES[meaning] for word, meaning in states.items()},
        fields={field: read(field) for field in FIELDS if field in table},
        tags=read("tags") if isinstance(tags, str) else None,
        named_tags=named,
    )


def _needed(expression: Expression | None) -> Expression:
    assert expression is not None
    return expression


def _expression(name: str, place: str, text: Any) -> Expression | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise _wrong(name, place, f"must be a JMESPath expression in a text, not {text!r}")
    try:
        return compiled(text)
    except WrongExpression as error:
        raise _wrong(name, place, f"{error}, in {text[:200]!r}") from None


def _check_settings(name: str, table: Any) -> None:
    if not isinstance(table, Mapping):
        raise _wrong(name, "it", "must be a table")
    _known(name, "", table, (*_SETTINGS, *_OF_PRESETS))
    kinds = {"title": str, "path": str, "kind": str, "recognise": str, "delivery_header": str}
    flags = dict.fromkeys(("enabled", "makes_secret", "token_in_url"), bool)
    for setting, kind in {**kinds, **flags}.items():
        if setting in table and not isinstance(table[setting], kind):
            wanted = "true or false" if kind is bool else "a text"
            raise _wrong(name, setting, f"must be {wanted}, not {table[setting]!r}")
    rules = table.get("events")
    if not isinstance(rules, list) or not rules or not all(isinstance(r, Mapping) for r in rules):
        raise _wrong(name, "events", f"write at least one [[sources.{name}.events]] table")
    if len(rules) > MAX_RULES:
        raise _wrong(name, "events", f"are {len(rules)}; at most {MAX_RULES} are read")
    for number, rule in enumerate(rules, 1):
        _check_rule(name, f"events {number}", rule)


def _check_rule(name: str, place: str, rule: Mapping[str, Any]) -> None:
    _known(name, f"{place}, ", rule, _RULE)
    for needed in ("operation", "id"):
        if needed not in rule:
            raise _wrong(name, place, f"has no {needed}; it is needed")
    for setting in ("operation", "state"):
        if not isinstance(rule.get(setting, ""), str):
            raise _wrong(name, f"{place}, {setting}", f"must be a text, not {rule[setting]!r}")
    states = rule.get("states", {})
    if not isinstance(states, Mapping):
        raise _wrong(name, f"{place}, states", 'must be a table such as {done = "ok"}')
    for word, meaning in states.items():
        if not isinstance(meaning, str) or meaning not in STATES:
            known = ", ".join(STATES)
            raise _wrong(name, f"{place}, states.{word}", f"is {meaning!r}; use one of {known}")
    if states and "state" not in rule:
        raise _wrong(name, f"{place}, states", "needs state: the expression whose words it lists")
    if not isinstance(rule.get("tags", ""), str | Mapping):
        raise _wrong(name, f"{place}, tags", "must be an expression or a table of them")


def _known(name: str, place: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for setting in table:
        if setting not in known:
            raise _wrong(
                name, f"{place}{setting}", f"is not a setting; use one of {', '.join(known)}"
            )


def _paths(name: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    paths = table.get("paths", [table.get("path", f"/{name}")])
    if not isinstance(paths, list) or not paths:
        raise _wrong(name, "paths", 'must be a list such as ["/shipit"]')
    for path in paths:
        is_plain = isinstance(path, str) and _PATH.fullmatch(path)
        if not is_plain or f"{path}/".startswith(_OURS):
            raise _wrong(name, "path", f"is {path!r}; write one such as /shipit, not below /api")
    return tuple(dict.fromkeys(paths))


def _scheme(name: str, table: Any) -> Scheme | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise _wrong(name, "signature", 'must be a table such as {header = "X-Tool-Signature"}')
    try:
        return scheme_of(table)
    except ValueError as error:
        raise _wrong(name, "signature", str(error)) from None


def _wrong(name: str, place: str, why: str) -> ConfigError:
    return ConfigError(f"[sources.{name}] {place}: {why}")


@cache
def presets() -> Mapping[str, MappedSource]:
    """Name -> preset; expressions are compiled on first use."""
    files = {path.stem: path.read_text("utf-8") for path in sorted(PRESETS.glob("*.toml"))}
    return {name: MappedSource(name, tomllib.loads(text)) for name, text in files.items()}


def recognised(
    inbound: Inbound, body: Any, sources: Iterable[MappedSource] | None = None
) -> MappedSource | None:
    """The only one of `sources` (by default the presets) that recognises the body; None if there is
    none or more than one."""
    found = []
    for source in presets().values() if sources is None else sources:
        try:
            if source.enabled and source.recognises(Evaluation(inbound, body)):
                found.append(source)
        except TooManySteps:
            continue
    return found[0] if len(found) == 1 else None

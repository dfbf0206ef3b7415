"""Trello: cards and the lists they pass.

A card is one span; its lists are the span's stages. Trello has no status: a card ends when it is
marked complete, is archived, or moves to a list with a name in DONE_LISTS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Operation, State
from vs_tui.sources.base import Inbound, Parsed, Source, Unauthorized, Unreadable, moment, parsed
from vs_tui.sources.fields import json_object, known, number, obj, small_object, text
from vs_tui.sources.signatures import base64_bytes, digest, same

CREATED: Final = frozenset({"createCard", "copyCard", "emailCard", "convertToCardFromCheckItem"})
MOVED_HERE: Final = frozenset({"moveCardToBoard"})
GONE: Final = frozenset({"deleteCard", "moveCardFromBoard"})
DONE_LISTS: Final = frozenset(
    {"done", "complete", "completed", "closed", "finished", "released", "shipped", "deployed"}
)
"""Names, in lower case, of lists whose cards are done; Trello's templates have `Done`."""


class Trello(Source):
    """Webhooks of a board."""

    name = "trello"
    title = "Trello"
    signature_headers = ("x-trello-webhook",)
    makes_secret = True
    token_in_url = True

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the base64 HMAC-SHA1 of body and callback URL, with the application's secret.

        A proxy that ends TLS hides the scheme of the callback URL, so both schemes are tried.
        """
        given = base64_bytes(inbound.header("x-trello-webhook").strip())
        matched = False
        for url in _callbacks(inbound.url):
            message = inbound.body + url.encode("utf-8", "surrogateescape")
            for secret in secrets:
                matched |= bool(secret) and same(given, digest(secret, message, "sha1"))
        if not matched:
            raise Unauthorized(
                "X-Trello-Webhook is missing or does not match; its callback URL must be the one "
                "this receiver is reached at"
            )

    def dedupe_key(self, inbound: Inbound) -> str:
        """The action's id, the same on a retry."""
        return text(small_object(inbound), "action", "id", limit=80)

    def parse(self, inbound: Inbound) -> Parsed:
        action = obj(json_object(inbound), "action")
        kind = text(action, "type", limit=60)
        if not kind:
            raise Unreadable("action.type is missing; compare the body in Events with the docs")
        if kind not in (CREATED | MOVED_HERE | GONE | {"updateCard"}):
            return parsed(kind, f"{kind} moves no card; nothing to do")
        return Parsed(kind, _card(action, kind, inbound.received_at))


def _callbacks(url: str) -> tuple[str, ...]:
    scheme, separator, rest = url.partition("://")
    if scheme not in ("http", "https") or not separator:
        return (url,)
    return (f"https://{rest}", f"http://{rest}")


def _card(action: dict[str, Any], kind: str, received_at: Instant) -> tuple[Event, ...]:
    data = obj(action, "data")
    card, board = obj(data, "card"), obj(data, "board")
    unique = text(card, "id", limit=80)
    if not unique:
        raise Unreadable("data.card.id is missing; compare the body in Events with Trello's docs")
    link = text(card, "shortLink", limit=40)
    at = parse_instant(action.get("date")) or received_at
    state, stage = _state(data, kind)
    title = text(card, "name")
    whole = Event(
        key=keys.reference("trello", "issue", "", unique),
        ref=keys.reference("trello", "issue", "", link) if link else "",
        source="trello",
        operation=Operation.ISSUE,
        state=state,
        occurred_at=at,
        started_at=_created_at(unique) or (at if kind in CREATED else None),
        # The first end stands: archiving a done card changes nothing.
        supersedes=state is State.RUNNING,
        stage=stage,
        name=title,
        project=text(board, "name"),
        actor=text(action, "memberCreator", "username"),
        url=f"https://trello.com/c/{link}" if link.isalnum() else "",
        attributes=known(
            vs__issue__key=link,
            vs__issue__title=title,
            vs__issue__number=number(card, "idShort"),
            vs__issue__status=stage or _list(data),
            vs__issue__board=text(board, "name"),
        ),
        restates="title",
        seeks=keys.seeks(keys.mentions(title, "title")),
    )
    if "desc" not in card:  # only an edit of the description contains it
        return (whole,)
    description = keys.mentions(text(card, "desc", limit=keys.TEXT_LIMIT), "description")
    note = moment(whole, State.NOTE, at)
    return (whole, note._replace(restates="description", seeks=keys.seeks(description)))


def _state(data: dict[str, Any], kind: str) -> tuple[State, str]:
    """The card's state after the action, and the list that it entered."""
    card, old = obj(data, "card"), obj(data, "old")
    if kind in GONE:
        return State.CANCELLED, ""
    entered = _list(data)
    if kind in CREATED or kind in MOVED_HERE or text(data, "listAfter", "name"):
        return State.OK if entered.lower() in DONE_LISTS else State.RUNNING, entered
    # Only the changed fields are in `old`; a rename must not end or reopen anything.
    for field in ("closed", "dueComplete"):
        if isinstance(old.get(field), bool) and isinstance(card.get(field), bool):
            reopened = State.NOTE if entered.lower() in DONE_LISTS else State.RUNNING
            return State.OK if card[field] else reopened, ""
    return State.NOTE, ""


def _list(data: dict[str, Any]) -> str:
    name = text(data, "listAfter", "name", limit=80) or text(data, "list", "name", limit=80)
    return name.strip()


def _created_at(unique: str) -> Instant | None:
    """When the card was created: the first eight hex digits of its id are the seconds."""
    try:
        return parse_instant(int(unique[:8], 16)) if len(unique) == 24 else None
    except ValueError:
        return None


SOURCE: Final = Trello()

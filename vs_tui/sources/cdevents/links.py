"""Keys by which CDEvents are linked: links, chains, parts, versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vs_tui.model import keys
from vs_tui.model.vocabulary import Key, Rule, Seek
from vs_tui.sources.cdevents.subjects import CHAIN, CdEvent, key_of
from vs_tui.sources.fields import items, obj, text
from vs_tui.sources.versions import offer_version, seek_version


def offers_of(
    cd: CdEvent, purl: str, services: tuple[str, ...], version: str, repo: str
) -> tuple[Key, ...]:
    event_id, chain = text(cd.context, "id"), text(cd.context, "chainId")
    makes = cd.subject in ("build", "artifact", "service")
    names = dict.fromkeys(name for name in services if name)
    return keys.offers(
        Key("ref", _event_alias(event_id)) if event_id else None,
        Key("chain", chain, cd.subject, "chainId") if chain and cd.subject in CHAIN else None,
        Key("artifact", purl, "", "artifactId") if makes and purl else None,
        *(key for name in names if makes for key in offer_version(name, version)),
        Key("change", cd.id, repo, "change id")
        if cd.subject == "change" and repo and cd.id.isdigit()
        else None,
        *(
            Key("issue_key", seek.key.value)
            for seek in keys.issue_keys(cd.id, "")
            if cd.subject == "ticket"
        ),
    )


def seeks_of(cd: CdEvent, purl: str, service: str, version: str, repo: str) -> tuple[Seek, ...]:
    words = text(cd.content, "description", limit=keys.TEXT_LIMIT)
    resolved = cd.predicate == "resolved"
    return keys.seeks(
        _links(cd),
        _parts(cd),
        Seek(Rule.VERSION, Key("artifact", purl, "", "artifactId"))
        if purl and not resolved
        else None,
        seek_version(service, version),
        keys.mentions(words, "description"),
        keys.closing_keywords(words, repo) if cd.subject == "change" else None,
        keys.issue_keys(words, "description") if cd.subject == "change" else None,
        _chain(cd),
    )


def _links(cd: CdEvent) -> Iterator[Seek]:
    for link in items(cd.context, "links")[:50]:
        kind = text(link, "linkType").upper()
        if kind == "RELATION":
            trigger = text(link, "linkKind").upper() in ("TRIGGER", "")
            target = text(link, "target", "contextId", limit=200)
            if target:
                yield Seek(
                    Rule.EXPLICIT, Key("ref", _event_alias(target), "", "links"), not trigger
                )
        elif kind == "PATH" and cd.begins:
            origin = text(link, "from", "contextId", limit=200)
            if origin:
                yield Seek(Rule.EXPLICIT, Key("ref", _event_alias(origin), "", "links"))


def _event_alias(context_id: str) -> str:
    """The ref for a link's contextId. It names an event, which can belong to any span."""
    return f"vstrace-cdevents-event-{context_id}"


_WHOLES: Final = {
    "pipelineRun": "pipelinerun",
    "testSuiteRun": "testsuiterun",
    "change": "change",
}


def _parts(cd: CdEvent) -> Iterator[Seek]:
    """Seeks for the wholes that the content names."""
    for name, family in _WHOLES.items():
        whole = obj(cd.content, name)
        identifier = text(whole, "id")
        if identifier and family != cd.subject:
            own = text(whole, "source") or cd.source
            yield keys.seek_structure(key_of(family, own, identifier), name)


def _chain(cd: CdEvent) -> Iterator[Seek]:
    chain = text(cd.context, "chainId")
    if not chain:
        return
    above = CHAIN[: CHAIN.index(cd.subject)] if cd.subject in CHAIN else CHAIN
    for family in above:
        yield Seek(Rule.HIERARCHY, Key("chain", chain, family, "chainId"))

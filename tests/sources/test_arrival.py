"""Every source alike: the order of arrival changes nothing, and nothing malformed gets through."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources import alert_payloads as alerts
from tests.sources import api_payloads as api
from tests.sources import deploy_payloads as deploys
from tests.sources.webhook_tools import (
    ANY_ORDER,
    RECEIVED,
    arrivals,
    assert_survives,
    fold_deliveries,
    same_spans,
    variants,
)
from vs_tui.model.keys import alert_group, shared_id
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import BadBody, Inbound
from vs_tui.sources.dispatch import intake_of, read, sources
from vs_tui.store.writer import Writer

STORIES: dict[str, list[Inbound]] = {
    "plyzen": api.plyzen_story(),
    "emmetrics": api.emmetrics_story(),
    "cdevents": api.cdevents_story(),
    "otlp": api.otlp_story(),
    "pagerduty": alerts.pagerduty_story(),
    "alertmanager": alerts.alerts_story("/alertmanager"),
    "grafana": alerts.alerts_story("/grafana"),
    "circleci": alerts.circleci_story(),
    "buildkite": alerts.buildkite_story(),
    "azure": deploys.azure_story(),
    "argocd": deploys.argocd_story(),
}
MALFORMED = 1_000
STORED = 150


@pytest.mark.parametrize("name", STORIES)
def test_any_order_and_duplication_folds_to_the_same_spans(name):
    source, deliveries = sources()[name], STORIES[name]
    parsed = [source.parse(delivery) for delivery in deliveries]
    assert all(delivery.events for delivery in parsed)
    whole = fold_deliveries(parsed)

    @ANY_ORDER
    @given(st.integers(0, 2**32))
    def holds(seed):
        assert same_spans(fold_deliveries(arrivals(parsed, seed)), whole)

    holds()


def own_key(key: str) -> str:
    """What the keys begin with under which the span of a key may be kept."""
    return alert_group(key) or shared_id(key) or key


@pytest.mark.parametrize("name", STORIES)
def test_malformed_bodies_are_parsed_refused_or_quarantined(name):
    seen = assert_survives(sources()[name], variants(STORIES[name], MALFORMED))
    assert sum(seen.values()) == MALFORMED
    assert seen["accepted"] >= MALFORMED // 20
    assert sum(seen.values()) > seen["accepted"], "none of them was malformed enough"


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("raw", [b"", b"nonsense", b"{", b"[" * 50_000, b"\xff\xfe", b'"text"'])
def test_what_is_no_json_object_is_a_bad_body(name, raw):
    # em-metrics allows an empty body below an id, so its own path is asked here.
    path = STORIES[name][0].path
    with pytest.raises(BadBody) as refusal:
        sources()[name].parse(Inbound(path, {}, raw, RECEIVED))
    assert refusal.value.field == "body"


@pytest.mark.parametrize("name", STORIES)
async def test_of_what_is_not_accepted_nothing_is_stored_but_the_delivery(name, tmp_path):
    source = sources()[name]
    intakes = []
    for inbound in variants(STORIES[name], STORED):
        try:
            intakes.append(intake_of(source, inbound, read(source, inbound)))
        except BadBody:
            continue
    writer = Writer(tmp_path / "t.db", lambda: RECEIVED)
    await writer.open()
    try:
        outcomes = await asyncio.gather(*(writer.submit(intake) for intake in intakes))
        stored = await writer.run(
            lambda db: (
                db.execute("SELECT verdict, keys FROM deliveries").fetchall(),
                {key for (key,) in db.execute("SELECT key FROM spans")},
                {key for (key,) in db.execute("SELECT DISTINCT key FROM events")},
                dict(db.execute("SELECT verdict, n FROM counts WHERE source = ?", (name,))),
            )
        )
    finally:
        await writer.close()
    deliveries, spans, eventful, counts = stored
    taken = [i for i, o in zip(intakes, outcomes, strict=True) if o.verdict is Verdict.ACCEPTED]
    # What shares an id, such as an alert whose start moves, may be kept under another key.
    sent = {event.key for intake in taken for event in intake.events}
    assert {own_key(key) for key in sent} == {own_key(key) for key in eventful}
    assert eventful <= spans
    assert all(keys == "[]" for verdict, keys in deliveries if verdict != Verdict.ACCEPTED)
    told = Counter(outcome.verdict.value for outcome in outcomes)
    told.pop("rejected", None)
    assert counts == told
    fresh = Counter(verdict for verdict, _ in deliveries)
    assert fresh == {v: n for v, n in told.items() if v != "duplicate"}

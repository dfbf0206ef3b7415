"""PagerDuty, Alertmanager and Grafana: an incident from its first sign to all clear."""

from __future__ import annotations

import hmac
import json

import pytest

from tests.sources.alert_payloads import FIRING, alert, alerts, pager
from tests.sources.api_payloads import SHA, post, stamp
from tests.sources.webhook_tools import RECEIVED, at, fold_deliveries, sought
from vs_tui.model.time import MINUTE, SECOND, iso
from vs_tui.model.vocabulary import Status, Verdict
from vs_tui.sources.alertmanager import SOURCE as ALERTMANAGER
from vs_tui.sources.base import Inbound, Unauthorized, Unreadable
from vs_tui.sources.grafana import SOURCE as GRAFANA
from vs_tui.sources.grafana import TIMESTAMP_HEADER
from vs_tui.sources.pagerduty import SOURCE as PAGERDUTY

BODY = json.dumps(pager("incident.triggered", "10:00:00")).encode()
SECRETS = [b"s3cret", b"old"]
INCIDENT = "vstrace-pagerduty-incident-PGR0VU2"


def mac(secret: bytes = b"s3cret", message: bytes = BODY) -> str:
    return hmac.new(secret, message, "sha256").hexdigest()


def accepts(source, headers, body=BODY, secrets=SECRETS) -> bool:
    try:
        source.verify(Inbound("/x", headers, body, RECEIVED), secrets)
    except Unauthorized as refusal:
        assert str(refusal)
        return False
    return True


# -- proof of origin ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signature", "accepted"),
    [
        (f"v1={mac()}", True),
        (f"v1={mac(b'old')}", True),
        (f"v1={mac(b'theirs')},v1={mac()}", True),
        (f"v1={mac(b'theirs')}, v1={mac(b'old')}", True),
        (f"v2=x,v1={mac()}", True),
        ("", False),
        ("v1=", False),
        (mac(), False),
        (f"v2={mac()}", False),
        (f"v1={mac(b'theirs')}", False),
        (f"v1={mac()[:-1]}", False),
        (f"v1={mac(message=BODY + b' ')}", False),
        (f"v1={mac(b'')}", False),
        ("v1=é", False),
        ("v1=\udcff", False),
    ],
)
def test_pagerdutys_signature(signature, accepted):
    assert accepts(PAGERDUTY, {"x-pagerduty-signature": signature}) is accepted


def test_an_empty_secret_proves_nothing():
    assert not accepts(PAGERDUTY, {"x-pagerduty-signature": f"v1={mac(b'')}"}, secrets=[b""])
    assert not accepts(GRAFANA, {"x-grafana-alerting-signature": mac(b"")}, secrets=[b""])
    assert not accepts(GRAFANA, {"x-grafana-alerting-signature": mac()}, secrets=[])


@pytest.mark.parametrize(
    ("signature", "accepted"),
    [(mac(), True), (mac(b"old"), True), (mac()[:-1], False), ("", False), ("é", False)],
)
def test_grafanas_signature(signature, accepted):
    assert accepts(GRAFANA, {"x-grafana-alerting-signature": signature}) is accepted


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(0, True), (-299, True), (299, True), (-301, False), (301, False)]
)
def test_grafanas_signed_timestamp_is_fresh(seconds, accepted):
    sent = str((RECEIVED + seconds * SECOND) // SECOND)
    headers = {
        "x-grafana-alerting-signature": mac(message=sent.encode() + b":" + BODY),
        TIMESTAMP_HEADER: sent,
    }
    assert accepts(GRAFANA, headers) is accepted


def test_grafanas_timestamp_cannot_be_taken_off_or_changed():
    sent = str(RECEIVED // SECOND)
    signature = mac(message=sent.encode() + b":" + BODY)
    assert not accepts(GRAFANA, {"x-grafana-alerting-signature": signature})
    other = {"x-grafana-alerting-signature": signature, TIMESTAMP_HEADER: str(int(sent) + 1)}
    assert not accepts(GRAFANA, other)
    for wrong in ("soon", "é", "9" * 50):
        assert not accepts(GRAFANA, {**other, TIMESTAMP_HEADER: wrong})


def test_alertmanager_proves_itself_by_the_token_only():
    with pytest.raises(Unauthorized, match="token"):
        ALERTMANAGER.verify(post("/alertmanager", {}), SECRETS)


def test_pagerduty_repeats_are_told_by_its_id():
    assert PAGERDUTY.dedupe_key(post("/pagerduty", {}, x_webhook_id="e-1")) == "e-1"
    assert GRAFANA.dedupe_key(post("/grafana", {})) == ""


# -- PagerDuty ---------------------------------------------------------------------------------


def page(*bodies):
    parsed = [PAGERDUTY.parse(post("/pagerduty", body)) for body in bodies]
    return fold_deliveries(parsed)[INCIDENT]


def test_a_page_from_triggered_to_resolved():
    folded = page(
        pager("incident.resolved", "10:40:00"),
        pager("incident.acknowledged", "10:05:00"),
        pager("incident.triggered", "10:00:00"),
    )
    span = folded.span
    assert (span.operation, span.status) == ("incident", Status.OK)
    assert (span.started_at, span.ended_at) == (at("10:00:00"), at("10:40:00"))
    assert (span.service, span.actor) == ("cart", "Bob Builder")
    assert span.url == "https://acme.pagerduty.com/incidents/PGR0VU2"
    assert [(s.name, s.duration) for s in folded.stages] == [
        ("triggered", 5 * MINUTE),
        ("acknowledged", 35 * MINUTE),
    ]
    assert span.attributes["vs.incident.severity"] == "P1"
    assert span.attributes["vs.incident.urgency"] == "high"


def test_a_page_reopened_is_one_span():
    span = page(
        pager("incident.triggered", "10:00:00"),
        pager("incident.resolved", "10:40:00"),
        pager("incident.reopened", "11:00:00"),
        pager("incident.resolved", "11:30:00"),
    ).span
    assert (span.status, span.reopens, span.ended_at) == (Status.OK, 1, at("11:30:00"))
    assert span.active == 70 * MINUTE


def test_an_end_alone_has_the_start_its_body_states():
    span = page(pager("incident.resolved", "10:40:00")).span
    assert (span.started_at, span.duration) == (at("10:00:00"), 40 * MINUTE)
    bare = page(pager("incident.resolved", "10:40:00", created_at=None)).span
    assert (bare.started_at, bare.ended_at) == (None, at("10:40:00"))


@pytest.mark.parametrize(
    "kind", ["incident.escalated", "incident.reassigned", "incident.priority_updated"]
)
def test_edits_change_no_state(kind):
    ended = [pager("incident.triggered", "10:00:00"), pager("incident.resolved", "10:40:00")]
    edited = page(*ended, pager(kind, "10:50:00", assignees=[{"summary": "Cid"}]))
    assert (edited.span.status, edited.span.ended_at) == (Status.OK, at("10:40:00"))
    assert edited.span.actor == "Cid"


def test_a_title_may_name_the_deploy_that_broke_it():
    (event,) = PAGERDUTY.parse(post("/pagerduty", pager("incident.triggered", "10:00:00"))).events
    assert ("reference", "ref", "vstrace-customhttp-deploy-default-9", "") in sought(event)


@pytest.mark.parametrize("kind", ["pagey.ping", "incident.annotated", "service.updated", "x"])
def test_other_pages_are_ignored(kind):
    parsed = PAGERDUTY.parse(post("/pagerduty", {"event": {"event_type": kind, "data": {}}}))
    assert parsed.verdict is Verdict.IGNORED
    assert parsed.reason


@pytest.mark.parametrize(
    "body", [{}, {"event": None}, {"event": {"event_type": "incident.triggered", "data": {}}}]
)
def test_pages_of_another_shape_are_quarantined(body):
    with pytest.raises(Unreadable, match="event"):
        PAGERDUTY.parse(post("/pagerduty", body))


# -- Alertmanager and Grafana ------------------------------------------------------------------

BOTH = pytest.mark.parametrize("source", [ALERTMANAGER, GRAFANA], ids=lambda source: source.name)


def told(source, *bodies):
    return fold_deliveries([source.parse(post(source.paths[0], body)) for body in bodies])


@BOTH
def test_an_alert_from_firing_to_resolved(source):
    firing, resolved = alerts(alert()), alerts(alert("resolved", end="10:30:00"))
    for order in ([firing, resolved], [resolved, firing]):
        (folded,) = told(source, *order).values()
        span = folded.span
        assert (span.operation, span.status, span.duration) == ("incident", Status.OK, 30 * MINUTE)
        assert (span.service, span.environment) == ("cart", "production")
        assert span.name == "5 % of the requests to cart fail"
        assert span.attributes["vs.incident.severity"] == "critical"
        assert span.attributes["vs.incident.alert"] == "HighErrorRate"
        assert span.attributes["vs.label.service"] == "cart"
        assert span.url == "https://prometheus.example/graph?g0.expr=x"


@BOTH
def test_no_alert_of_a_large_group_is_left_out(source):
    body = alerts(*(alert(fingerprint=f"{number:016x}") for number in range(5_001)))
    assert len(told(source, body)) == 5_001


@BOTH
def test_an_end_in_the_year_one_means_still_firing(source):
    assert alert()["endsAt"] == FIRING
    (folded,) = told(source, alerts(alert())).values()
    assert (folded.span.status, folded.span.started_at) == (Status.IN_FLIGHT, at("10:00:00"))
    odd = alert("resolved") | {"endsAt": FIRING}
    (folded,) = told(source, alerts(odd)).values()
    assert (folded.span.status, folded.span.ended_at) == (Status.OK, RECEIVED)


@BOTH
def test_one_body_may_hold_what_fires_and_what_is_over(source):
    body = alerts(alert("resolved", end="10:30:00"), alert(start="10:02:00", fingerprint="f"))
    statuses = sorted(f.span.status.value for f in told(source, body).values())
    assert statuses == ["in_flight", "ok"]


@BOTH
def test_the_same_alert_again_later_is_another_incident(source):
    found = told(source, alerts(alert("resolved", end="10:30:00")), alerts(alert(start="12:00:00")))
    assert len(found) == 2


@BOTH
def test_without_a_fingerprint_the_labels_tell(source):
    bare = [{k: v for k, v in alert(pod=p).items() if k != "fingerprint"} for p in ("a", "b", "a")]
    assert len(told(source, alerts(*bare))) == 2


@BOTH
def test_labels_name_service_version_and_commit(source):
    labels = {"version": "1.2.0", "commit": SHA, "repository": "https://github.com/Acme/Cart"}
    parsed = source.parse(post(source.paths[0], alerts(alert(**labels))))
    wishes = sought(parsed.events[0])
    assert ("version", "artifact", "cart@1.2.0", "") in wishes
    assert ("commit", "commit", SHA, "acme/cart") in wishes
    assert ("built", "built", SHA, "acme/cart") in wishes
    # As the host writes it: one project, whichever tool tells of it.
    assert parsed.events[0].project == "Acme/Cart"


@BOTH
def test_an_alert_of_kubernetes_is_of_what_it_is_about_not_of_its_exporter(source):
    exporter = {"job": "kube-state-metrics", "namespace": "shop", "service": ""}
    for labels, service, project in (
        ({"container": "cart"}, "cart", "cart"),
        ({"deployment": "cart", "container": "proxy"}, "cart", "cart"),
        ({}, "kube-state-metrics", "kube-state-metrics"),
        ({"job": ""}, "", "shop"),
    ):
        body = alerts(alert(**exporter | labels))
        (event,) = source.parse(post(source.paths[0], body)).events
        assert (event.service, event.project) == (service, project)


@BOTH
def test_an_alert_that_always_fires_is_no_incident(source):
    """Prometheus' Watchdog shows that alerting works; its severity is none."""
    watchdog = alert(alertname="Watchdog", severity="none")
    parsed = source.parse(post(source.paths[0], alerts(watchdog)))
    assert (parsed.verdict, parsed.reason) == (Verdict.IGNORED, "its severity is none")
    assert len(told(source, alerts(watchdog, alert()))) == 1


@BOTH
def test_alerts_that_were_cut_off_are_told(source):
    parsed = source.parse(post(source.paths[0], alerts(alert(), truncatedAlerts=7)))
    assert parsed.verdict is Verdict.ACCEPTED
    assert "7 more" in parsed.reason
    assert source.parse(post(source.paths[0], alerts(alert()))).reason == ""


@BOTH
def test_nothing_to_tell_is_ignored(source):
    test = alert(instance="Grafana") | {"labels": {"alertname": "TestAlert", "instance": "Grafana"}}
    for body in (alerts(), alerts(test), alerts(1, "x", None)):
        parsed = source.parse(post(source.paths[0], body))
        assert parsed.verdict is Verdict.IGNORED
        assert parsed.reason


@BOTH
@pytest.mark.parametrize("body", [{}, {"alerts": None}, {"alerts": {}}, {"text": "custom"}])
def test_a_body_of_another_template_is_quarantined(source, body):
    with pytest.raises(Unreadable, match="default webhook body"):
        source.parse(post(source.paths[0], body))


def test_the_two_tools_alerts_do_not_collide():
    ours, theirs = (told(source, alerts(alert())) for source in (ALERTMANAGER, GRAFANA))
    assert not set(ours) & set(theirs)


def test_a_hostile_link_is_left_out():
    odd = alert() | {"generatorURL": "javascript:alert(1)", "panelURL": "file:///etc/passwd"}
    (folded,) = told(GRAFANA, alerts(odd, externalURL="data:x")).values()
    assert folded.span.url == ""


def test_the_fixture_is_in_order():
    assert iso(at("10:00:00")) == stamp("10:00:00")

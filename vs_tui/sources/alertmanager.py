"""Prometheus Alertmanager: its webhook receiver. A body is a batch; each alert becomes an incident.

Alertmanager signs nothing; set the bearer token or basic password of its `http_config` to vs-tui's
token. Source: Prometheus' documentation of the webhook receiver (version 4) and Grafana's of its
own (version 1), which have the same shape. An alert is identified by its fingerprint and its start.
An end in the year 1 means that it is still firing.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.artifacts import environment_in, seek_version
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Operation, Rule, State
from vs_tui.sources.base import Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.fields import every, json_object, known, obj, text, web_url

MAX_LABELS: Final = 40
_SERVICE: Final = (
    *("service", "service_name", "app", "app_kubernetes_io_name", "application"),
    # Kubernetes' own alerts have the exporter's name in `job`.
    *("deployment", "statefulset", "daemonset", "container", "job"),
)
_NAMESPACE: Final = ("namespace", "kubernetes_namespace", "exported_namespace")
_ENVIRONMENT: Final = ("environment", "env", "deployment_environment_name", "stage")
_CLUSTER: Final = ("cluster", "cluster_name", "k8s_cluster_name")
_PRODUCTION: Final = frozenset({"prod", "production", "live"})
_VERSION: Final = ("version", "service_version", "app_version", "release", "image_tag")
_COMMIT: Final = ("commit", "sha", "git_commit", "revision")
_REPOSITORY: Final = ("repository", "repo", "vcs_repository_url_full")
_SEVERITY: Final = ("severity", "priority")
_NO_SEVERITY: Final = "none"
"""Severity of alerts that always fire, to show that alerting works (Prometheus' Watchdog)."""
_GRAFANA_TEST: Final = {"alertname": "TestAlert", "instance": "Grafana"}


def read_alerts(source: str, inbound: Inbound) -> Parsed:
    """The incidents in a notification."""
    body = json_object(inbound)
    if not isinstance(body.get("alerts"), list):
        raise Unreadable("the list of alerts is missing; post with the default webhook body")
    alerts = [alert for alert in every(body, "alerts") if isinstance(alert, dict)]
    kind = f"alerts.{text(body, 'status', limit=20) or 'mixed'}"
    real = [alert for alert in alerts if not _is_test(alert) and not _is_heartbeat(alert)]
    if not real:
        reason = "no alerts in it"
        if alerts:
            is_test = any(map(_is_test, alerts))
            reason = "a test notification; connected" if is_test else "its severity is none"
        return parsed(kind, reason)
    cut = text(body, "truncatedAlerts", limit=20)
    reason = f"{cut} more alerts were cut off; raise max_alerts" if cut not in ("", "0") else ""
    common = {name: text(body, name, limit=200) for name in ("receiver", "externalURL")}
    events = [_incident(source, alert, common, inbound.received_at) for alert in real]
    return Parsed(kind, events, reason=reason)


def _is_test(alert: dict[str, Any]) -> bool:
    labels = obj(alert, "labels")
    return all(labels.get(name) == value for name, value in _GRAFANA_TEST.items())


def _is_heartbeat(alert: dict[str, Any]) -> bool:
    return _first(_texts(alert, "labels"), _SEVERITY).lower() == _NO_SEVERITY


def _incident(
    source: str, alert: dict[str, Any], common: Mapping[str, str], received_at: Instant
) -> Event:
    labels, notes = _texts(alert, "labels"), _texts(alert, "annotations")
    started = parse_instant(alert.get("startsAt"))
    resolved = text(alert, "status").lower() == "resolved"
    ended = parse_instant(alert.get("endsAt")) if resolved else None
    began = started or received_at
    fingerprint = text(alert, "fingerprint", limit=100) or _fingerprint(labels)
    service, version = _first(labels, _SERVICE), _first(labels, _VERSION)
    environment = _first(labels, _ENVIRONMENT) or _other_than_production(labels)
    path = keys.repository_path(_first(labels, _REPOSITORY))
    repo = keys.repository(path)
    sha = _first(labels, _COMMIT)
    alert_name = labels.get("alertname", "")
    summary = notes.get("summary") or notes.get("title") or alert_name or "alert"
    return Event(
        key=keys.reference(source, "incident", fingerprint, started or 0),
        source=source,
        operation=Operation.INCIDENT,
        state=State.OK if resolved else State.RUNNING,
        occurred_at=(ended or received_at) if resolved else began,
        started_at=started,
        name=summary,
        project=path or service or _first(labels, _NAMESPACE),
        service=service,
        environment=environment,
        url=_url(alert, common),
        attributes={
            **{f"vs.label.{name}": value for name, value in labels.items() if value},
            **known(
                service__name=service,
                service__version=version,
                vs__version=version,
                deployment__environment__name=environment,
                vcs__ref__head__revision=sha,
                vs__incident__severity=_first(labels, _SEVERITY),
                vs__incident__alert=alert_name,
                vs__incident__description=notes.get("description") or notes.get("message"),
                vs__incident__runbook=notes.get("runbook_url"),
                vs__incident__receiver=common["receiver"],
            ),
        },
        seeks=keys.seeks(
            keys.mentions(" ".join(notes.values()), "annotation"),
            seek_version(service, version, ""),
            keys.seek_commit(Rule.COMMIT, sha, repo, "label"),
            keys.seek_commit(Rule.BUILT, sha, repo, "label"),
        ),
    )


def _texts(alert: dict[str, Any], name: str) -> dict[str, str]:
    found = obj(alert, name)
    names = sorted(str(key) for key in found)[:MAX_LABELS]
    return {key[:100].replace("\0", "\ufffd"): text(found, key) for key in names}


def _fingerprint(labels: Mapping[str, str]) -> str:
    """A hash of the labels, for old senders that send no fingerprint."""
    return sha256(repr(sorted(labels.items())).encode("utf-8", "replace")).hexdigest()[:16]


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _other_than_production(labels: Mapping[str, str]) -> str:
    """The environment that the name of the cluster contains. Of production that says too little:
    one environment may have several clusters."""
    found = environment_in(_first(labels, _CLUSTER))
    return "" if found in _PRODUCTION else found


def _url(alert: dict[str, Any], common: Mapping[str, str]) -> str:
    candidates = [text(alert, name) for name in ("panelURL", "dashboardURL", "generatorURL")]
    candidates.append(common["externalURL"])
    return next((url for found in candidates if (url := web_url(found))), "")


class Alertmanager(Source):
    """Alertmanager's webhook, version 4."""

    name = "alertmanager"
    only_incidents = True
    title = "Alertmanager"
    token_in_url = True

    def parse(self, inbound: Inbound) -> Parsed:
        return read_alerts(self.name, inbound)


SOURCE: Final = Alertmanager()

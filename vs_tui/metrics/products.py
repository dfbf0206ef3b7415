"""Products: artifacts deployed under one correlation id form one product deployment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vs_tui.metrics.assessment import Assessed, TargetFacts, assess
from vs_tui.metrics.facts import Deployment, DeployOutcome, Kind
from vs_tui.metrics.failures import DEPLOY
from vs_tui.metrics.lead_time import Shipped, as_one, part_of
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules
from vs_tui.model.time import Instant


def group_of(deployment: Deployment) -> tuple[str, str, str, str] | None:
    """The key shared by the artifacts of one product deployment; None for a single deployment."""
    if not deployment.correlation or not (deployment.product or deployment.artifact):
        return None
    if deployment.parts or deployment.whole:
        return None  # one span reports all artifacts
    return (
        deployment.project,
        deployment.product,
        deployment.correlation,
        deployment.environment,
    )


def product_deployments(
    assessed: Iterable[Assessed], pending: Iterable[Deployment] = ()
) -> list[Assessed]:
    """Merge the artifacts of each product deployment into one deployment, in time order. Product
    deployments with an artifact in `pending` are left out. If only some artifacts fail, it fails
    with the reason `diverse`."""
    waiting = {group_of(deployment) for deployment in pending}
    groups: dict[tuple[str, str, str, str], dict[str, Assessed]] = {}
    for verdict in assessed:
        group = group_of(verdict.deployment)
        if group is not None and group not in waiting:
            groups.setdefault(group, {})[verdict.deployment.key] = verdict
    found = [_product(group, list(parts.values())) for group, parts in groups.items()]
    return sorted(found, key=_by_end)


def _by_end(verdict: Assessed) -> tuple[Instant, str]:
    return (verdict.deployment.ended_at, verdict.deployment.key)


def _product(group: tuple[str, str, str, str], parts: list[Assessed]) -> Assessed:
    _, product, correlation, _ = group
    parts.sort(key=_by_end)
    last = parts[-1].deployment
    own = [p for p in parts if product and p.deployment.artifact in ("", product)]
    results = {part.deployment.ok for part in own[-1:] or parts}
    is_success = results == {True}
    signals = dict.fromkeys(signal for part in parts for signal in part.signals)
    # A part that is deployed again closes a failure of this same product deployment.
    rework = [part.rework for part in parts if is_success or part.rework != "closed a failure"]
    whole = replace(
        last,
        key=f"{last.project}/{product}@{correlation}/{last.environment}",
        run_of=last.span,
        service=product or last.service,
        artifact="" if product else last.artifact,
        started_at=min(part.deployment.started_at for part in parts),
        outcome=DeployOutcome.OK if is_success else DeployOutcome.FAILED,
        reason="" if is_success else "diverse" if len(results) > 1 else "failure",
        name=product or last.name,
    )
    return Assessed(
        whole,
        # If the product itself succeeded, the failed deploys of its parts do not count.
        tuple(s for s in signals if not (is_success and s.kind == DEPLOY)),
        next((reason for reason in rework if reason), ""),
        _shipped(parts, whole),
    )


def _shipped(parts: Sequence[Assessed], whole: Deployment) -> tuple[Shipped, ...]:
    """Pull requests and commits one by one; all artifact versions as one change, whose lead time is
    the mean of theirs."""
    plain = [s for part in parts for s in part.shipped if s.change.kind is not Kind.VERSION]
    versions = [s for part in parts for s in part.shipped if s.change.kind is Kind.VERSION]
    return (*plain, as_one(versions, whole)) if versions else tuple(plain)


def assess_parts(
    facts: TargetFacts, concerned: Iterable[Deployment], rules: MetricRules = DEFAULT_RULES
) -> list[Assessed]:
    """The verdicts on each artifact of deployments that one span reports. Each artifact has its own
    history, judged by its own results. Tests and incidents of another artifact are left out; all
    others apply to every artifact."""
    wanted = {d.key for d in concerned}
    artifacts = {name for d in facts.deployments for name, _ in d.parts}
    found = []
    for artifact in sorted({name for d in concerned for name, _ in d.parts}):
        own = [part_of(d, artifact) for d in facts.deployments if artifact in dict(d.parts)]
        whole_of = {d.key: d.whole.key for d in own if d.whole is not None}
        others = artifacts - {artifact}
        judged = assess(
            replace(
                facts,
                deployments=own,
                tests=[test for test in facts.tests if test.service not in others],
                incidents=[each for each in facts.incidents if each.service not in others],
                shipped={
                    key: facts.shipped[whole]
                    for key, whole in whole_of.items()
                    if whole in facts.shipped
                },
                seen=[seen for seen in facts.seen if seen.artifact == artifact],
            ),
            [key for key, whole in whole_of.items() if whole in wanted],
            rules,
        )
        verdicts = {verdict.deployment.key: verdict for verdict in judged}
        found += [verdicts.get(d.key, Assessed(d)) for d in own if whole_of[d.key] in wanted]
    return found


def failed_with(whole: Assessed, parts: Iterable[Assessed]) -> Assessed:
    """The verdict on a failed deployment of several artifacts, which recovers when its failed
    artifacts do."""
    own = [s for part in parts for s in part.signals if s.kind == DEPLOY]
    others = [s for s in whole.signals if s.kind != DEPLOY]
    if not own or len(others) == len(whole.signals):
        return whole
    signals = sorted([*others, *own], key=lambda s: (s.started_at, s.kind, s.key))
    return replace(whole, signals=tuple(signals))

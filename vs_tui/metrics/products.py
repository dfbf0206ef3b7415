"""Products: several artifacts deployed under one correlation id are one product deployment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from vs_tui.metrics.assessment import Assessed, Facts, assess
from vs_tui.metrics.facts import Deployment, Kind, Outcome
from vs_tui.metrics.failures import DEPLOY
from vs_tui.metrics.lead_time import Shipped, as_one, part_of
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules


class ProductResult(StrEnum):
    """How a product deployment ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DIVERSE = "diverse"
    """Some artifacts succeeded, some failed."""


@dataclass(frozen=True, slots=True)
class ProductDeployment:
    """The deployments of one correlation id in one environment."""

    product: str
    correlation: str
    result: ProductResult
    whole: Assessed
    """The product deployment as one deployment, for figures that count it once."""
    parts: tuple[Assessed, ...]


def group_of(deployment: Deployment) -> tuple[str, str, str, str] | None:
    """What the artifacts of one product deployment have in common; None for a single one."""
    if not deployment.correlation or not (deployment.product or deployment.artifact):
        return None
    if deployment.parts or deployment.whole:
        return None  # told as one
    return (
        deployment.project,
        deployment.product,
        deployment.correlation,
        deployment.environment,
    )


def product_deployments(
    assessed: Iterable[Assessed], pending: Iterable[Deployment] = ()
) -> list[ProductDeployment]:
    """Every product deployment, in time order, without those that have a part in `pending`."""
    waiting = {group_of(deployment) for deployment in pending}
    groups: dict[tuple[str, str, str, str], dict[str, Assessed]] = {}
    for verdict in assessed:
        group = group_of(verdict.deployment)
        if group is not None and group not in waiting:
            groups.setdefault(group, {})[verdict.deployment.key] = verdict
    found = [_product(group, list(parts.values())) for group, parts in groups.items()]
    return sorted(found, key=lambda p: (p.whole.deployment.ended_at, p.whole.deployment.key))


def _product(group: tuple[str, str, str, str], parts: list[Assessed]) -> ProductDeployment:
    _, product, correlation, _ = group
    parts.sort(key=lambda part: (part.deployment.ended_at, part.deployment.key))
    result = _result(product, parts)
    last = parts[-1].deployment
    signals = tuple(dict.fromkeys(signal for part in parts for signal in part.signals))
    is_success = result is ProductResult.SUCCESS
    # The product's own success wins: what its parts say of themselves is no failure of it then.
    counted = tuple(s for s in signals if not (is_success and s.kind == DEPLOY))
    whole = replace(
        last,
        key=f"{last.project}/{product}@{correlation}/{last.environment}",
        run_of=last.span,
        service=product or last.service,
        artifact="" if product else last.artifact,
        started_at=min(part.deployment.started_at for part in parts),
        outcome=Outcome.OK if is_success else Outcome.FAILED,
        reason="" if is_success else result.value,
        name=product or last.name,
    )
    verdict = Assessed(
        whole,
        counted,
        _rework(parts, is_success),
        _shipped(parts, whole),
    )
    return ProductDeployment(product, correlation, result, verdict, tuple(parts))


def _rework(parts: Sequence[Assessed], is_success: bool) -> str:
    # A part that is deployed again closes this product deployment's own failure, not another's.
    reasons = [part.rework for part in parts if is_success or part.rework != "closed a failure"]
    return next((reason for reason in reasons if reason), "")


def _result(product: str, parts: Sequence[Assessed]) -> ProductResult:
    own = [p for p in parts if product and p.deployment.artifact in ("", product)]
    judged = own[-1:] or parts
    results = {part.deployment.ok for part in judged}
    if len(results) > 1:
        return ProductResult.DIVERSE
    return ProductResult.SUCCESS if results == {True} else ProductResult.FAILURE


def _shipped(parts: Sequence[Assessed], whole: Deployment) -> tuple[Shipped, ...]:
    """Pull requests and commits one by one; the artifact versions as one change, whose lead time
    is the mean of theirs."""
    plain = [s for part in parts for s in part.shipped if s.change.kind is not Kind.VERSION]
    versions = [s for part in parts for s in part.shipped if s.change.kind is Kind.VERSION]
    return (*plain, as_one(versions, whole)) if versions else tuple(plain)


def assess_parts(
    facts: Facts, deployments: Iterable[Deployment], rules: MetricRules = DEFAULT_RULES
) -> list[Assessed]:
    """The verdicts on each artifact of deployments that are told as one: each artifact has a
    course of its own, where its own result counts. Tests and incidents are about all of them."""
    concerned = [d for d in deployments if d.parts]
    found = []
    for artifact in sorted({name for d in concerned for name, _ in d.parts}):

        def course(listed: Iterable[Deployment], artifact: str = artifact) -> list[Deployment]:
            return [part_of(d, artifact) for d in listed if artifact in dict(d.parts)]

        own = course(facts.deployments)
        seen = {version: at for (name, version), at in facts.seen_parts.items() if name == artifact}
        part_facts = replace(
            facts,
            deployments=own,
            pending=course(facts.pending),
            shipped={
                d.key: facts.shipped[d.whole.key]
                for d in own
                if d.whole is not None and d.whole.key in facts.shipped
            },
            first_seen={version: at for version, (at, _) in seen.items()},
            first_shipped={version for version, (_, shipped) in seen.items() if shipped},
        )
        wanted = {d.key: d for d in course(concerned)}
        judged = {v.deployment.key: v for v in assess(part_facts, wanted.keys(), rules)}
        found += [judged.get(key, Assessed(d)) for key, d in wanted.items()]
    return found


def failed_with(whole: Assessed, parts: Iterable[Assessed]) -> Assessed:
    """A deployment that is told as one and failed: it recovers with the artifacts that failed."""
    own = [s for part in parts for s in part.signals if s.kind == DEPLOY]
    others = [s for s in whole.signals if s.kind != DEPLOY]
    if not own or len(others) == len(whole.signals):
        return whole
    signals = sorted([*others, *own], key=lambda s: (s.started_at, s.kind, s.key))
    return replace(whole, signals=tuple(signals))


def units(assessed: Iterable[Assessed], pending: Iterable[Deployment] = ()) -> list[Assessed]:
    """What the figures of a team count: product deployments once, all others as they are."""
    listed = list(assessed)
    single = [verdict for verdict in listed if group_of(verdict.deployment) is None]
    wholes = [product.whole for product in product_deployments(listed, pending)]
    return sorted([*single, *wholes], key=lambda v: (v.deployment.ended_at, v.deployment.key))

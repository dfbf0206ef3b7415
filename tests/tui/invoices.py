"""The trace of the pictures in the docs: a change that waited for a review and for an approval,
and whose deploy to production is a canary now."""

from typing import Any

from tests.tui.fakes import NOW, FakeReader, span
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import Link, Rule, Span
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.steps import PastStep

TRACE = "7ac2" + "0" * 26 + "41"
PROD = 192 * SECOND
"""How long ago the deploy to production began."""


def invoices() -> list[Span]:
    """From the issue to the canary."""
    approval = DAY + 3 * HOUR
    staging = PROD + approval + 176 * SECOND
    main = staging + 462 * SECOND
    merged = main + 30 * SECOND
    approved = merged + 2 * MINUTE
    review = approved + 6 * MINUTE
    opened = review + 19 * HOUR + 5 * MINUTE
    issue = opened + 3 * HOUR + 15 * MINUTE

    def step(key: str, operation: str, name: str, began: int, took: int | None, parent: str,
             **more: Any) -> Span:  # fmt: skip
        return span(key, operation, name, began=began, took=took, parent=parent, trace=TRACE,
                    team="core", project="acme/billing",
                    **{"source": "gitlab", "actor": "ci", **more})  # fmt: skip

    found = [
        step("i", "issue", "CORE-419 Send invoices as PDF/A", issue, None, "", actor="ana",
             last_event_at=NOW - HOUR),
        step("pr", "pull_request", "!219 Send invoices as PDF/A", opened, opened - merged, "i",
             actor="ana", attributes={"vs.pr.reviewers": "ben, cleo", "vcs.change.id": "219",
                                      "vcs.ref.head.revision": "9f3c1e2a77"}),
        step("ci-0", "pipeline", "CI #790", opened - 20 * SECOND, 8 * MINUTE, "pr"),
        step("rv", "review", "review cleo: approved", review, 6 * MINUTE, "pr", actor="cleo",
             attributes={"vs.review.state": "approved"}),
        step("ci", "pipeline", "CI #822 main", main, 462 * SECOND, "i"),
        step("st", "deploy", "billing v87", staging, 176 * SECOND, "i", environment="staging",
             service="billing", actor="argo"),
        step("prod", "deploy", "billing v87", PROD, None, "i", environment="prod",
             service="billing", actor="argo",
             attributes={"vs.deploy.reviewers": "eva, dan", "deployment.id": "80115"}),
        step("c5", "stage", "canary 5%", PROD, 78 * SECOND, "prod", actor="argo"),
        step("c25", "stage", "canary 25%", 114 * SECOND, None, "prod", actor="argo",
             url="https://argo.acme.example/applications/billing"),
    ]  # fmt: skip
    for number in range(9):
        found.append(step(f"j0{number}", "build", f"job {number}", opened - 30 * SECOND,
                          (40 + 45 * number) * SECOND, "ci-0"))  # fmt: skip
    jobs = (("lint", 0, 60, 3), ("build", 0, 150, 5), ("unit", 150, 300, 8), ("licences", 0, 41, 2))
    for name, begin, took, steps in jobs:
        at = main - (5 + begin) * SECOND
        found.append(step(f"j-{name}", "build", name, at, took * SECOND, "ci"))
        for number in range(steps):
            length = took * SECOND // steps
            found.append(step(f"j-{name}/{number}", "stage", f"step {number}",
                              at - number * length, length, f"j-{name}"))  # fmt: skip
    return found


def links() -> list[Link]:
    """Why they hang together, and what the deploy ships of other traces."""
    below = [Link(s.key, s.parent_key, Rule.STRUCTURE, "it is a step of it", primary=True)
             for s in invoices() if s.parent_key]  # fmt: skip
    ships = [Link("prod", key, Rule.SHIPS, "what was merged since v86") for key in ("o1", "o2")]
    return [*below, *ships]


def others() -> list[Span]:
    """Changes of other traces that the deploy ships."""
    return [
        span(
            "o1", "pull_request", "CORE-414 Show 税込 totals in invoices", began=5 * DAY, took=DAY
        ),
        span("o2", "pull_request", "CORE-418 Number invoices per country", began=4 * DAY, took=DAY),
    ]


def reader() -> FakeReader:
    """A reader that knows the trace, its usual times and its expected steps."""
    usual = {"c25": (40, 70), "prod": (330, 400)}
    baselines = {key: Baseline(18, p50 * SECOND, p90 * SECOND) for key, (p50, p90) in usual.items()}
    run = tuple(PastStep("stage", name, offset * SECOND, length * SECOND) for name, offset, length
                in (("canary 5%", 0, 78), ("canary 25%", 78, 40), ("canary 50%", 118, 80),
                    ("everywhere", 198, 90)))  # fmt: skip
    found = FakeReader([*invoices(), *others()], links=links(), baselines=baselines)
    found.past["prod"] = [run] * 6
    return found

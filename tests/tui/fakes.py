"""A reader in memory over hand-made spans: what the tests of the dashboard look at.

It answers as `store.api.Reader` says, with the filter language of the domain, so that the tests
need neither SQLite nor a receiver. `put` changes the world as a delivery would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vs_tui.metrics.cards import SMALL_SAMPLE, Card
from vs_tui.metrics.definitions import METRICS, Figure
from vs_tui.metrics.lead_time import Regression, StageTime
from vs_tui.metrics.report import Detail, MetricRow
from vs_tui.metrics.windows import Window
from vs_tui.model import filters
from vs_tui.model.display import Count
from vs_tui.model.filters import Filter
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant
from vs_tui.model.vocabulary import Link, Rule, Span, State, Status, Verdict, all_as_of, trace_id_of
from vs_tui.store.queries.reader_protocol import (
    Changes,
    Counts,
    DeliveryDetail,
    DeliveryPage,
    DeliveryRow,
    Health,
    SourceHealth,
    SpanPage,
    Tally,
    Trace,
    TracePage,
    TraceSummary,
)
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.board import Board, board
from vs_tui.traces.standing import Custom, standing
from vs_tui.traces.steps import PastRun, PastStep

NOW: Instant = parse_instant("2026-11-21T09:41:07Z") or 0


class Clock:
    """Stands still unless a test moves it."""

    def __init__(self, now: Instant = NOW) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now


def span(
    key: str,
    operation: str,
    name: str,
    *,
    began: int | None,
    took: int | None = None,
    state: State | None = None,
    parent: str = "",
    trace: str = "",
    **more: Any,
) -> Span:
    """A span that began `began` microseconds before NOW and took `took` (None: in flight)."""
    ended = took is not None
    state = state if state is not None else (State.OK if ended else State.RUNNING)
    status = Status.IN_FLIGHT
    if ended:
        status = {State.ERROR: Status.ERROR, State.CANCELLED: Status.CANCELLED}.get(
            state, Status.OK
        )
    started_at = None if began is None else NOW - began
    ended_at = None
    if took is not None:
        ended_at = NOW if started_at is None else started_at + took
    values: dict[str, Any] = {
        "source": "github",
        "trace_id": trace or trace_id_of(key),
        "last_event_at": ended_at or NOW - min(began or 0, 20 * SECOND),
    }
    values.update(more)
    return Span(
        key=key,
        ref=key,
        operation=operation,
        name=name,
        status=status,
        state=state,
        started_at=started_at,
        ended_at=ended_at,
        parent_key=parent,
        **values,
    )


def checkout_trace() -> list[Span]:
    """A delivery on its way to production: the mock-ups' example."""
    trace = "4b1f" + "0" * 26 + "9c"

    def step(
        key: str, operation: str, name: str, began: int, took: int | None, **more: Any
    ) -> Span:
        more.setdefault("team", "core")
        return span(key, operation, name, began=began * SECOND, took=took, trace=trace, **more)

    root = step(
        "dep-214",
        "deploy",
        "checkout-api v214",
        192,
        None,
        environment="prod",
        service="checkout-api",
        stage="canary 25%",
        actor="ana",
        url="https://ci.example/checkout/214",
        project="acme/checkout",
        attributes={"vcs.ref.head.revision": "9f3c1e2aa0", "deployment.environment.name": "prod"},
    )
    build = step("b-1", "build", "build", 192, 44 * SECOND, parent="dep-214", actor="ci")
    return [
        root,
        build,
        step("b-1a", "stage", "compile", 190, 30 * SECOND, parent="b-1"),
        step("b-1b", "stage", "package", 160, 10 * SECOND, parent="b-1"),
        step("t-1", "test", "tests", 150, 58 * SECOND, parent="dep-214", actor="ci"),
        step("i-1", "build", "image push", 92, 14 * SECOND, parent="dep-214", actor="ci"),
        step("r-1", "deploy", "rollout", 76, None, parent="dep-214", actor="argo",
             environment="prod"),
        step("c-5", "stage", "canary 5%", 76, 21 * SECOND, parent="r-1", actor="argo"),
        step("c-25", "stage", "canary 25%", 55, None, parent="r-1", actor="argo"),
    ]  # fmt: skip


def story() -> list[Span]:
    """What a busy morning looks like: every state, four teams, one long and one lost span."""
    return [
        *checkout_trace(),
        span("p-8842", "pipeline", "web #8842 main", began=400 * SECOND, team="web", stage="e2e"),
        span("b-9f3", "build", "billing 9f3c1e", began=48 * SECOND, team="core", stage="compile"),
        span("d-97", "deploy", "web v97", began=1263 * SECOND, team="web", stage="approval",
             environment="prod", service="web", state=State.WAITING),
        span("p-331", "pipeline", "infra #331", began=9 * SECOND, team="plat", stage="queued",
             state=State.QUEUED),
        span("d-18", "deploy", "search v18", began=400 * SECOND, took=280 * SECOND, team="plat",
             environment="prod", service="search", state=State.ERROR, error="smoke",
             stage="smoke", url="https://ci.example/search/18"),
        span("d-213", "deploy", "checkout-api v213", began=2 * HOUR, took=271 * SECOND,
             team="core", environment="prod", service="checkout-api"),
        span("pr-1204", "pull_request", "#1204 retry on 429", began=30 * HOUR, took=27 * HOUR,
             team="core", actor="bob"),
        span("pr-1219", "pull_request", "#1219 cache invoices", began=49 * HOUR, team="core",
             stage="review", actor="eve", last_event_at=NOW - HOUR),
        span("is-977", "issue", "#977 slow checkout", began=76 * HOUR, team="core",
             stage="in dev", last_event_at=NOW - 5 * HOUR),
        span("p-77", "pipeline", "ml-train #77", began=72 * MINUTE, team="data", stage="train",
             last_event_at=NOW - 72 * MINUTE),
        span("d-old", "deploy", "search v17", began=3 * DAY, took=200 * SECOND, team="plat",
             environment="prod", service="search"),
        span("c-1", "build", "docs preview", began=4 * HOUR, took=60 * SECOND, team="web",
             state=State.CANCELLED),
    ]  # fmt: skip


def delivery_trace() -> list[Span]:
    """A change on its way for two days: what it waited for is longer than what was done."""
    trace = "a7c3" + "0" * 26 + "e1"

    def step(key: str, operation: str, name: str, began: int, took: int, **more: Any) -> Span:
        more.setdefault("team", "core")
        return span(key, operation, name, began=began * MINUTE, took=took * MINUTE,
                    trace=trace, project="acme/pay", **more)  # fmt: skip

    return [
        step("is-960", "issue", "#960 card is charged twice", 2880, 2820, actor="ana"),
        step("pr-1211", "pull_request", "#1211 charge once", 1500, 1320, parent="is-960",
             actor="bob", attributes={"vcs.change.id": "1211",
                                      "vcs.ref.head.revision": "9f3c1e2aa0"}),
        step("ci-1", "build", "ci", 1498, 12, parent="pr-1211", state=State.ERROR,
             error="failure", actor="ci"),
        step("ci-1t", "test", "unit tests", 1492, 6, parent="ci-1", state=State.ERROR,
             error="failure"),
        step("rv-1", "review", "review by eve", 320, 30, parent="pr-1211", actor="eve"),
        step("ci-2", "build", "ci", 280, 9, parent="pr-1211", actor="ci", attempt=2),
        step("d-pay", "deploy", "pay v31", 60, 4, parent="pr-1211", environment="prod",
             service="pay", actor="argo"),
    ]  # fmt: skip


def delivery_links() -> list[Link]:
    """Why they hang together: rules of several strengths."""
    return [
        Link("pr-1211", "is-960", Rule.CLOSES, "closes #960", primary=True),
        Link("ci-1", "pr-1211", Rule.COMMIT, "head commit 9f3c1e2", primary=True),
        Link("ci-1t", "ci-1", Rule.STRUCTURE, "the run's own job", primary=True),
        Link("rv-1", "pr-1211", Rule.STRUCTURE, "review of this change", primary=True),
        Link("ci-2", "pr-1211", Rule.COMMIT, "head commit 9f3c1e2", primary=True),
        Link("ci-2", "ci-1", Rule.ATTEMPT, "runs it again"),
        Link("d-pay", "pr-1211", Rule.COMMIT, "merge commit 78a76ee", primary=True),
    ]


def past_runs() -> dict[str, Sequence[PastRun]]:
    """Deploys of the mock-ups' service: a smoke test ends them."""
    run = tuple(
        PastStep(operation, name, offset * SECOND, length * SECOND)
        for operation, name, offset, length in (
            ("build", "build", 0, 44),
            ("test", "tests", 42, 58),
            ("build", "image push", 100, 14),
            ("deploy", "prod", 116, 124),
            ("test", "smoke", 240, 31),
        )
    )
    return {"dep-214": [run] * 6}


def baselines() -> dict[str, Baseline]:
    """History of some series; the others have none."""
    minutes = {
        "dep-214": (4.52, 6),
        "p-8842": (7.4, 9),
        "b-9f3": (2, 3),
        "d-97": (5, 8),
        "pr-1219": (1132, 3000),
        "is-977": (4145, 9000),
        "p-77": (10, 15),
        "r-1": (2.5, 4),
        "c-25": (0.51, 0.7),
        "d-213": (4.5, 5),
        "pr-1204": (2314, 3000),
    }
    return {
        key: Baseline(n=12, p50=int(p50 * MINUTE), p90=int(p90 * MINUTE))
        for key, (p50, p90) in minutes.items()
    }


def links() -> list[Link]:
    """Why the parts of the checkout delivery hang together."""
    return [
        Link(s.key, s.parent_key, Rule.STRUCTURE, "the pipeline's own step", primary=True)
        for s in checkout_trace()
        if s.parent_key
    ]


def cards() -> list[Card]:
    """The four keys of two teams, one of them without a restore."""
    up = [2.0, 3, 3, 5, 6, 5, 7]
    gaps = [None, 2.0, None, None, 3.0, None, None]
    found = [
        Card("core", "deploys", "6.2/d", 43, "+12%", "better", "elite 2024", up),
        Card("core", "lead", "9h", 31, "-31%", "better", "elite 2024", up[::-1]),
        Card("core", "fail", "4 %", 43, "", "", "elite 2024", [0.0, 0, 1, 0, 0, 0, 1]),
        Card("core", "restore", "38m", 3, "", "", "elite 2024", gaps),
        Card("plat", "deploys", "0.4/d", 3, "", "", "high 2024", [0.0, 0, 0, 1, 1, 0, 1]),
        Card("plat", "lead", "4.5d", 3, "+18%", "worse", "high 2024", up),
        Card("plat", "fail", "25 %", 4, "+25%", "worse", "low 2024", [0.0, 0, 0, 0, 0, 0, 1]),
        Card("plat", "restore", "-", 0, "", "", "", [None] * 7),
    ]
    return [
        replace(
            card,
            title=METRICS[card.metric].title,
            short=METRICS[card.metric].short,
            is_count=card.metric == "deploys",
            small=card.metric != "deploys" and 0 < card.n < SMALL_SAMPLE,
            before_n=card.n + 2 if card.delta else 0,
            tally=METRICS[card.metric].tally.format(
                n=Count(card.n), hits=Count(2), seen=Count(card.n)
            )
            if card.n
            else "-",
        )
        for card in found
    ]


def cards_with_goals() -> list[Card]:
    """The same against goals, and what counts for no team."""
    goals = {"deploys": "1/day", "lead": "1d", "fail": "15 %", "restore": "1h"}
    marks = {"better": "met", "worse": "missed"}
    own = [
        replace(
            card,
            wanted=goals[card.metric],
            goal="few" if card.small else marks.get(card.direction, "met") if card.n else "",
        )
        for card in cards()
    ]
    nobody = [replace(card, team="(no team)", goal="", wanted="") for card in cards()[4:]]
    return [*own, *nobody]


def lead_detail(team: str) -> Detail:
    """A week's lead times of a team: two changes, one of them slow in review."""
    window = Window(NOW - 7 * DAY, NOW, NOW)
    lines = (
        MetricRow(
            NOW - DAY,
            "t",
            "dep-214",
            "#1204 retry on 429 when the bank is slow to answer",
            "checkout-api",
            "v213",
            "ok",
            27 * HOUR,
            "from first commit",
            "review 18h",
        ),
        MetricRow(NOW - 2 * DAY, "t", "d-211", "#1188 cache", "search", "", "failed", 9 * HOUR, ""),
        MetricRow(NOW - 3 * DAY, "t", "d-210", "#1180 fonts", "", "v12", "open", None, "no begin"),
    )
    return Detail(
        team,
        Figure(
            "lead",
            9.0 * HOUR,
            31,
            p90=27.0 * HOUR,
            unknown=2,
            starts={"first commit": 24, "first push": 5},
            series=[2.0 * HOUR, 9.0 * HOUR, None, 30.0 * HOUR, 27.0 * HOUR, 8.0 * HOUR, 9.0 * HOUR],
            before=13.0 * HOUR,
            before_n=28,
        ),
        window,
        distribution=(("< 1h", 1), ("< 4h", 6), ("< 1d", 18), ("< 2d", 5), (">= 2d", 1)),
        stages=tuple(
            StageTime(name, 31, median, None, share, median)
            for name, median, share in (
                ("coding", 3.0 * HOUR, 0.3),
                ("review", 5.0 * HOUR, 0.55),
                ("deploy", 14.0 * MINUTE, 0.15),
                ("test", None, None),
            )
        ),
        bottleneck="review",
        regressions=(Regression("review", 5.0 * HOUR, 2.0 * HOUR, 31, 28),),
        behind=lines,
        of=31,
    )


def fail_detail(team: str) -> Detail:
    """One failed deployment of four."""
    return Detail(
        team,
        Figure(
            "fail",
            0.25,
            4,
            hits=1,
            series=[0.0, None, None, 0.0, 1.0, None, 0.0],
            before=0.0,
            before_n=5,
        ),
        Window(NOW - 7 * DAY, NOW, NOW),
        distribution=(("Mon", 0), ("Tue", 1)),
        behind=(
            MetricRow(
                NOW - DAY,
                "t",
                "dep-18",
                "search v18 → prod",
                "search",
                "v18",
                "failed",
                4 * MINUTE,
                "smoke tests failed",
            ),
        ),
        of=1,
        marks={"smoke tests failed": 1},
    )


async def some_detail(team: str, metric: str, *_: object) -> Detail:
    """What is behind the fake's cards: lead times, and failures for any other metric."""
    return lead_detail(team) if metric == "lead" else fail_detail(team)


def delivery(
    number: int,
    kind: str,
    verdict: Verdict = Verdict.ACCEPTED,
    *,
    source: str = "github",
    reason: str = "",
    body: bytes = b'{"action":"opened","number":7}',
    status: int = 200,
    duplicates: int = 0,
    refs: Sequence[str] = (),
) -> DeliveryDetail:
    """A delivery that came `abs(number)` minutes ago."""
    row = DeliveryRow(
        id=number,
        source=source,
        kind=kind,
        received_at=NOW - abs(number) * MINUTE,
        verdict=verdict,
        reason=reason,
        size=len(body),
        duplicates=duplicates,
        status=status,
    )
    headers = {"Content-Type": "application/json", "X-GitHub-Event": kind}
    return DeliveryDetail(row, f"/{source}", headers, body, "ab" * 32, "k", refs)


def deliveries() -> list[DeliveryDetail]:
    """One of each verdict."""
    return [
        delivery(1, "deployment_status", refs=("dep-214",)),
        delivery(2, "pull_request", duplicates=2, refs=("pr-1219",)),
        delivery(3, "watch", Verdict.IGNORED, reason="starred: not part of a delivery"),
        delivery(-4, "", Verdict.REJECTED, reason="signature does not match", status=401),
        delivery(
            5, "build", Verdict.QUARANTINED, source="jenkins",
            reason="field number: not a number", body=b"\xff not json",
        ),
    ]  # fmt: skip


class FakeReader:
    """Implements `store.api.Reader`; counts what is asked in `calls`."""

    def __init__(
        self,
        spans: Sequence[Span] = (),
        *,
        deliveries: Sequence[DeliveryDetail] = (),
        baselines: Mapping[str, Baseline] | None = None,
        links: Sequence[Link] = (),
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.by_key = {s.key: s for s in spans}
        self.history = dict(baselines or {})
        self.edges = list(links)
        self.past: dict[str, Sequence[PastRun]] = {}
        """What the last successes of a span's series went through."""
        self.custom = Custom()
        """What is expected of the traces of every project."""
        self.stored = {d.row.id: d for d in deliveries}
        self.seq = 1 if spans or deliveries else 0
        self.changed: list[str] = [s.key for s in spans]
        self.trouble = ""
        self.export_trouble = ""
        self.behind = self.lag = 0
        self.fails: Exception | None = None
        self.calls: list[str] = []
        self.searched: list[Instant] = []
        """How far each of the next readings of spans says that it looked."""

    def put(self, *spans: Span) -> None:
        """Commit spans: new ones, or new versions of known ones."""
        for item in spans:
            self.by_key[item.key] = item
        self.changed = [item.key for item in spans]
        self.seq += 1

    def end(self, key: str, state: State = State.OK) -> None:
        """Commit the end of a span, now."""
        status = Status.ERROR if state is State.ERROR else Status.OK
        now = self.clock()
        self.put(
            self.by_key[key]._replace(state=state, status=status, ended_at=now, last_event_at=now)
        )

    def _asked(self, name: str) -> None:
        self.calls.append(name)
        if self.fails is not None:
            raise self.fails

    def _matching(self, text: str, at: Instant | None = None) -> list[Span]:
        wanted = filters.parse(text)
        now = self.clock() if at is None else at
        known = list(self.by_key.values())
        if at is not None:
            known = all_as_of(known, at)
        return [s for s in known if s.operation != "stage" and wanted.matches(s, now)]

    async def spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        self._asked("spans")
        found = self._matching(filter, at)
        name = sort.lstrip("-")
        orders: dict[str, Any] = {
            "live": lambda s: (s.in_flight, s.at if s.in_flight else s.ended_at or 0),
            "started": lambda s: s.at,
            "ended": lambda s: s.ended_at or 0,
            "duration": lambda s: s.duration or 0,
            "name": lambda s: s.name,
        }
        falls = (name != "name") != sort.startswith("-")
        found.sort(key=lambda s: s.key)
        found.sort(key=orders[name], reverse=falls)
        searched = self.searched.pop(0) if self.searched else None
        return SpanPage(found[:limit], searched=searched)

    async def counts(self, filter: str = "", *, at: Instant | None = None) -> Counts:
        self._asked("counts")
        found = self._matching(filter, at)
        return Counts(
            matched=len(found),
            total=len(self._matching("", at)),
            in_flight=sum(s.in_flight for s in found),
            failed=sum(s.status.failed for s in found),
        )

    async def span(self, ref: str) -> Span | None:
        self._asked("span")
        return self.by_key.get(ref)

    async def trace(self, trace_id: str) -> Trace | None:
        self._asked("trace")
        found = [s for s in self.by_key.values() if s.trace_id == trace_id]
        if not found:
            return None
        keys = {s.key for s in found}
        root = next((s for s in found if not s.parent_key), found[0])
        edges = [link for link in self.edges if link.child in keys or link.parent in keys]
        ends = {key for link in edges for key in (link.child, link.parent)} - keys
        others = [self.by_key[key] for key in sorted(ends) if key in self.by_key]
        return Trace(trace_id, root, sorted(found, key=lambda s: s.at), edges, others)

    async def traces(
        self, filter: str = "", *, limit: int = 200, at: Instant | None = None
    ) -> TracePage:
        self._asked("traces")
        summaries = []
        known = list(self.by_key.values())
        if at is not None:
            known = all_as_of(known, at)
        for trace_id in dict.fromkeys(s.trace_id for s in self._matching(filter, at)):
            parts = [s for s in known if s.trace_id == trace_id]
            root = next((s for s in parts if not s.parent_key), parts[0])
            flying = sum(s.in_flight for s in parts)
            ends = [s.ended_at for s in parts if s.ended_at is not None]
            summaries.append(
                TraceSummary(
                    trace_id,
                    root,
                    len(parts),
                    flying,
                    sum(s.status.failed for s in parts),
                    min(s.at for s in parts),
                    max(s.last_event_at for s in parts),
                    None if flying else max(ends),
                )
            )
        summaries.sort(key=lambda t: (not t.in_flight, -t.started_at))
        return TracePage(summaries[:limit], more=len(summaries) > limit)

    async def board(
        self, filter: str = "", *, finished_for: int | None = None, at: Instant | None = None
    ) -> Board:
        self._asked("board")
        known = list(self.by_key.values())
        now = self.clock() if at is None else at
        if at is not None:
            known = all_as_of(known, at)
        rows = []
        for trace_id in dict.fromkeys(s.trace_id for s in known):
            spans = sorted((s for s in known if s.trace_id == trace_id), key=lambda s: s.at)
            rows.append(standing(trace_id, spans, now, usual=self.history, custom=self.custom))

        def having(wanted: Filter) -> set[str]:
            return {span.trace_id for span in known if wanted.matches(span, now)}

        return board(rows, filter, now, having, finished_for=finished_for or 2 * HOUR)

    async def baselines(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Baseline]:
        self._asked("baselines")
        return {s.key: self.history[s.key] for s in spans if s.key in self.history}

    async def past_runs(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Sequence[PastRun]]:
        self._asked("past_runs")
        return {s.key: self.past[s.key] for s in spans if s.key in self.past}

    async def deliveries(self, filter: str = "", *, limit: int = 200) -> DeliveryPage:
        self._asked("deliveries")
        rows = sorted((d.row for d in self.stored.values()), key=lambda r: -r.received_at)
        terms = [term.partition(":") for term in filter.split()]
        moments = {name: parse_instant(value) for name, _, value in terms}
        words = " ".join(a + b + c for a, b, c in terms if a not in ("since", "until", "span"))
        span = next((value for name, _, value in terms if name == "span"), "")
        earliest, latest = moments.get("since") or 0, moments.get("until") or 1 << 62
        found = [
            r
            for r in rows
            if words in f"{r.source} {r.kind} {r.verdict} {r.reason}"
            and earliest <= r.received_at <= latest
            and (not span or span in self.stored[r.id].span_refs)
        ]
        return DeliveryPage(found[:limit], len(found))

    async def received(self, since: Instant, until: Instant | None = None) -> Tally:
        self._asked("received")
        counts: dict[str, Counter[str]] = {}
        for detail in self.stored.values():
            row = detail.row
            if since <= row.received_at <= (1 << 62 if until is None else until):
                refused = row.verdict is Verdict.REJECTED
                counter = counts.setdefault(row.source, Counter())
                counter[row.verdict] += 1
                counter[Verdict.REJECTED if refused else Verdict.DUPLICATE] += row.duplicates
        return Tally(counts)

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None:
        self._asked("delivery")
        return self.stored.get(delivery_id)

    async def changes(self, since: int) -> Changes:
        self._asked("changes")
        fresh = self.changed if self.seq > since else []
        return Changes(self.seq, fresh, max(self.stored, default=0))

    async def sources(self) -> Sequence[SourceHealth]:
        self._asked("sources")
        found: dict[str, list[DeliveryRow]] = {}
        for detail in self.stored.values():
            found.setdefault(detail.row.source, []).append(detail.row)
        return [
            SourceHealth(
                name,
                max(r.received_at for r in rows),
                max(rows, key=lambda r: r.received_at).kind,
                {v.value: sum(r.verdict is v for r in rows) for v in Verdict},
            )
            for name, rows in sorted(found.items())
        ]

    async def teams(self) -> Sequence[str]:
        self._asked("teams")
        return sorted({s.team for s in self.by_key.values() if s.team})

    async def health(self) -> Health:
        self._asked("health")
        return Health(
            ready=not self.trouble,
            trouble=self.trouble,
            spans=len(self.by_key),
            export_trouble=self.export_trouble,
            behind=self.behind,
            lag=self.lag,
        )

    async def close(self) -> None:
        return None


def busy_reader() -> FakeReader:
    """The whole story with its history, links and deliveries."""
    reader = FakeReader(story(), deliveries=deliveries(), baselines=baselines(), links=links())
    reader.past = past_runs()
    return reader

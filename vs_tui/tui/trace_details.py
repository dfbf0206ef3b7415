"""Text of the box below a waterfall: details of the selected row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Link, Span
from vs_tui.store.queries.reader_protocol import Baseline, Trace
from vs_tui.traces.critical_path import QUEUES, Wait
from vs_tui.traces.outline import Elsewhere, Outline
from vs_tui.traces.steps import children_of, end_at, self_time
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, fact, flowed
from vs_tui.tui.theme import Glyphs


@dataclass(frozen=True, slots=True)
class Details:
    """The data for the lines."""

    trace: Trace
    outline: Outline
    baselines: Mapping[str, Baseline]
    now: Instant
    clock: Callable[[Instant | None], str]
    glyphs: Glyphs
    width: int

    def of_span(self, span: Span, *, why_first: bool) -> list[list[Piece]]:
        """State and usual duration, people and places, links and their reasons, part in the
        critical path, neighbours, page, attributes. `why_first` puts the links first."""
        state = flowed(self._state(span), self.width)
        places = flowed(self._places(span), self.width)
        why = self._links(span)
        rest = [*self._path(span), *self._neighbours(span)]
        rest += [fact(name, value) for name, value in (("url", span.url),) if value]
        if span.key == self.trace.root.key:
            rest += [fact("wait", f"{w.name} {_took(w.duration)}", "wait")
                     for w in list(self.outline.waits.values())[:8]]  # fmt: skip
        attributes = [fact(name, str(value)) for name, value in sorted(span.attributes.items())]
        rest += flowed(attributes, self.width)
        rest += flowed([fact("span", span.ref), fact("source", span.source)], self.width)
        if why_first:
            return [*(why or [[(self._why_none(span), "dim")]]), *state, *places, *rest]
        return [*state, *places, *why, *rest]

    def of_wait(self, wait: Wait) -> list[list[Piece]]:
        """Duration, people, and the two events that bound the wait."""
        ends = "now" if wait.is_open else self.clock(wait.ends)
        lines = [
            [(f"{self.glyphs.idle} {wait.name}", "wait")],
            flowed([fact("for" if wait.is_open else "took", _took(wait.duration)),
                    fact("from", self.clock(wait.begins)), fact("to", ends)], self.width)[0],
            fact("began with", self._name(wait.after)),
            fact("ended by", self._name(wait.until) if wait.until else "nothing yet"),
        ]  # fmt: skip
        if wait.who:
            lines.insert(2, fact("who", ", ".join(wait.who)))
        share = wait.duration * 100 // max(self._length(), 1)
        return [*lines, [(f"{self.glyphs.critical} on the critical path: {share} % of the trace; "
                          "a wait is no span, exports have it as a gap", "dim")]]  # fmt: skip

    def of_link(self, found: Elsewhere) -> list[list[Piece]]:
        """The other trace, and the rule that links it."""
        return [
            [(f"{found.word} ", "dim"), (span_format.title(found.span), "text")],
            fact("linked", f"by {found.link.why} ({found.link.confidence})"),
            [("enter opens that trace, esc comes back to this row", "dim")],
        ]

    def _length(self) -> int:
        spans = self.trace.spans
        return max(end_at(s, self.now) for s in spans) - min(s.at for s in spans)

    def _state(self, span: Span) -> list[list[Piece]]:
        """Short facts about the state, for several in a line."""
        now, glyphs = self.now, self.glyphs
        baseline = self.baselines.get(span.key)
        glyph, word, role = span_format.state(span, glyphs, now, baseline)
        took = span.elapsed(now)
        found: list[list[Piece]] = [[(f"{glyph} {word}", role)]]
        if took is not None:
            found.append(fact("so far" if span.ended_at is None else "took", _took(took)))
        if baseline is not None:
            usual = f"{_took(baseline.p50)} (n={baseline.n}, 9 of 10 under {_took(baseline.p90)})"
            found.append(fact("usual", usual))
            ratio, ratio_role = span_format.ratio_text(span, baseline, glyphs, now)
            if span_format.ratio(span, baseline, now) is not None:
                found.append([(ratio.strip(), ratio_role)])
        found.append(fact("began", self.clock(span.started_at) if span.started_at else "not told"))
        if span.ended_at is not None:
            found.append(fact("ended", self.clock(span.ended_at)))
        phases = [
            s for s in self.trace.spans if s.parent_key == span.key and span_format.is_phase(s)
        ]
        queued = sum(s.elapsed(now) or 0 for s in phases if s.name in QUEUES)
        if queued:
            found.append(fact("queued", _took(queued)))
        own = self_time(span, children_of(self.trace.spans).get(span.key, []), now)
        if own is not None and own != took and not queued:
            found.append(fact("own time", _took(own)))
        if span.stage and span.in_flight:
            since = _took(now - span.stage_at) if span.stage_at else ""
            found.append(fact("stage", f"{span.stage} {since}".strip()))
        if span.error:
            found.append(fact("error", span.error, "fail"))
        if span.attempt > 1:
            found.append(fact("attempt", str(span.attempt)))
        if span.reopens:
            found.append(fact("reopened", f"{span.reopens}x", "wait"))
        return found

    def _places(self, span: Span) -> list[list[Piece]]:
        names = (("by", span.actor), ("team", span.team), ("environment", span.environment),
                 ("service", span.service), ("project", span.project))  # fmt: skip
        return [fact(name, value) for name, value in names if value]

    def _path(self, span: Span) -> list[list[Piece]]:
        """Whether the span decides the end of the trace or the begin of the next step; empty off
        the critical path."""
        keys = self.outline.path.keys
        if span.key not in keys:
            return []
        last = keys[-1] == span.key
        goes_on = span.in_flight
        text = "decides the end" if goes_on else "decided the end" if last else "decided the begin"
        if not goes_on and not last:
            text += f" of {self._name(keys[keys.index(span.key) + 1])}"
        elif goes_on:
            text += f" since {self.clock(span.started_at)}"
        return [[(f"{self.glyphs.critical} ", "critical"), (text, "text")]]

    def _neighbours(self, span: Span) -> list[list[Piece]]:
        siblings = [s for s in children_of(self.trace.spans).get(span.parent_key, [])
                    if not span_format.is_phase(s)]  # fmt: skip
        keys = [s.key for s in siblings]
        if span.key not in keys:
            return []
        place = keys.index(span.key)
        found = []
        if place > 0:
            found.append(fact("before", self._told(siblings[place - 1])))
        if place + 1 < len(siblings):
            found.append(fact("after", self._told(siblings[place + 1])))
        return flowed(found, self.width)

    def _told(self, span: Span) -> str:
        _, word, _ = span_format.state(span, self.glyphs, self.now, self.baselines.get(span.key))
        return f"{span_format.title(span)} {word} {_took(span.elapsed(self.now))}"

    def _links(self, span: Span) -> list[list[Piece]]:
        found: list[list[Piece]] = []
        for link in self.trace.links:
            if link.child == span.key:
                word = "below" if link.primary else "linked to"
                found.append(fact(word, _why(link, self._name(link.parent))))
            elif link.parent == span.key and not link.primary:
                found.append(fact("linked from", _why(link, self._name(link.child))))
        return found

    def _name(self, key: str) -> str:
        if key in self.outline.waits:
            return self.outline.waits[key].name
        spans = (*self.trace.spans, *self.trace.linked)
        span = next((s for s in spans if s.key == key), None)
        return f"{span_format.kind_in_tree(span)}{span_format.title(span)}" if span else key

    def _why_none(self, span: Span) -> str:
        """Why a span has no link to other spans."""
        if span_format.is_phase(span):
            return "no link is needed: it is a phase of the span above it"
        first = span.key == self.trace.root.key and len(self.trace.spans) > 1
        return "no link: the trace begins with it" if first else "no links: it stands alone"


def _took(duration: int | None) -> str:
    return span_format.spaced(duration).strip()


def _why(link: Link, name: str) -> str:
    return f"{name} — by {link.why} ({link.confidence})"


def so_far(trace: Trace, ends: Sequence[Instant], now: Instant, clock: Callable[[Instant], str]
           ) -> str:  # fmt: skip
    """`2d 2h so far · over by 15:34, if the usual times hold`; `took 2d 2h` for a trace that is
    over."""
    begun = min(span.at for span in trace.spans)
    over = max(end_at(span, now) for span in trace.spans)
    if not any(span.in_flight for span in trace.spans):
        return f"took {_took(over - begun)}"
    text = f"{_took(max(over, now) - begun)} so far"
    coming = [end for end in ends if end > now]
    return f"{text} · over by {clock(max(coming))}, if the usual times hold" if coming else text

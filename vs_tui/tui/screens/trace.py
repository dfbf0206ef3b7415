"""One trace: its waterfall, and below the details of the selected row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Link, Span
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.critical_path import QUEUES, Wait
from vs_tui.traces.outline import Elsewhere, Outline
from vs_tui.traces.steps import children_of, end_at, self_time
from vs_tui.traces.trace_facts import is_machine
from vs_tui.tui import links, span_format
from vs_tui.tui.paint import Piece, fact, flowed
from vs_tui.tui.screens.base import View
from vs_tui.tui.theme import Glyphs, Look
from vs_tui.tui.widgets.framed import TextBox
from vs_tui.tui.widgets.waterfall import Waterfall


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
            rest += [fact("wait", f"{w.name} {format_duration(w.duration)}", "wait")
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
            flowed([fact("for" if wait.is_open else "took", format_duration(wait.duration)),
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
            found.append(fact("so far" if span.ended_at is None else "took", format_duration(took)))
        if (usual := span_format.usual(baseline)) is not None:
            slow = format_duration(usual.p90)
            told = f"{format_duration(usual.p50)} (n={usual.n}, 9 of 10 under {slow})"
            found.append(fact("usual", told))
            ratio, ratio_role = span_format.ratio_text(span, usual, glyphs, now)
            if span_format.ratio(span, usual, now) is not None:
                found.append([(ratio.strip(), ratio_role)])
        found.append(fact("began", self.clock(span.started_at) if span.started_at else "not told"))
        if span.ended_at is not None:
            found.append(fact("ended", self.clock(span.ended_at)))
        phases = [
            s for s in self.trace.spans if s.parent_key == span.key and span_format.is_phase(s)
        ]
        queued = sum(s.elapsed(now) or 0 for s in phases if s.name in QUEUES)
        if queued:
            found.append(fact("queued", format_duration(queued)))
        own = self_time(span, children_of(self.trace.spans).get(span.key, []), now)
        if own is not None and own != took and not queued:
            found.append(fact("own time", format_duration(own)))
        if span.stage and span.in_flight:
            since = format_duration(now - span.stage_at) if span.stage_at else ""
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
        return f"{span_format.title(span)} {word} {format_duration(span.elapsed(self.now))}"

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


def _why(link: Link, name: str) -> str:
    return f"{name} — by {link.why} ({link.confidence})"


def so_far(trace: Trace, ends: Sequence[Instant], now: Instant, clock: Callable[[Instant], str]
           ) -> str:  # fmt: skip
    """`2d 2h so far · over by 15:34, if the usual times hold`; `took 2d 2h` for a trace that is
    over."""
    begun = min(span.at for span in trace.spans)
    over = max(end_at(span, now) for span in trace.spans)
    if not any(span.in_flight for span in trace.spans):
        return f"took {format_duration(over - begun)}"
    text = f"{format_duration(max(over, now) - begun)} so far"
    coming = [end for end in ends if end > now]
    return f"{text} · over by {clock(max(coming))}, if the usual times hold" if coming else text


_ZOOM = ("fit", "zoom_in", "zoom_out", "whole", "later", "true_axis")
_WITH_SPAN = ("watch", "yank", "browser", "compare")


class TraceView(View):
    """The waterfall of a trace with the details of a row."""

    where = "trace"
    DEFAULT_CSS = """
    TraceView Waterfall { height: 1fr; }
    TraceView TextBox { height: 5; }
    TraceView.-tall TextBox { height: 11; }
    TraceView.-high TextBox { height: 14; }
    """

    def __init__(self, look: Look, trace_id: str, span_key: str = "") -> None:
        super().__init__(look)
        self.trace_id = trace_id
        self.trace: Trace | None = None
        self._wanted = span_key
        self._show_why = False

    @property
    def title_text(self) -> str:  # type: ignore[override]
        return clean(self.trace.root.name, 60) if self.trace else "trace"

    @property
    def path_note(self) -> str:  # type: ignore[override]
        """The duration of the trace, and its expected end if it is in flight."""
        if self.trace is None:
            return ""
        waterfall, spans = self.waterfall, self.trace.spans
        ends = [waterfall.scene.expected_end(s) for s in spans if is_machine(s)]
        expected = [end for end in ends if end is not None]
        expected += [n.step.ends for n in waterfall.next.values()]
        return so_far(self.trace, expected, self.dash.now(), self._minute)

    def _minute(self, instant: Instant) -> str:
        return span_format.minute(instant, self.dash.zone, self.dash.now())

    @property
    def offered(self) -> Sequence[str]:  # type: ignore[override]
        more = (*("next_failed", "why", "deliveries", "fold_all"), *_WITH_SPAN)
        first = ("open", "freeze", "back") if self.dash.frozen_at is not None else ("open", "back")
        return (*first, *_ZOOM, *more, "freeze")

    @property
    def words(self) -> Mapping[str, str]:  # type: ignore[override]
        row = self.waterfall.selected_row
        open_word = "fold" if row is not None and row.children else "details"
        if self.waterfall.selected_link is not None:
            open_word = "that trace"
        axis = "breaks" if self.waterfall.zoom.true_axis else "true axis"
        return {"open": open_word, "true_axis": axis, "zoom_in": "zoom", "later": "pan"}

    def body(self) -> Iterable[Widget]:
        self.waterfall = Waterfall(self.look, full=True, id="waterfall")
        self.waterfall.zone = self.dash.zone
        self.waterfall.breaks = self.dash.setup.thresholds.axis_breaks
        self.detail = TextBox(self.look, id="detail")
        yield self.waterfall
        yield self.detail

    def on_mount(self) -> None:
        self.waterfall.focus()

    async def load(self) -> None:
        dash = self.dash
        trace = await dash.trace(self.trace_id, learn=True)
        if trace is None:
            self.show_gone("this trace")
            return
        self.trace = trace
        self.waterfall.show(trace, dash.baselines, dash.now(), dash.histories.runs)
        if self._wanted:
            self.waterfall.reveal(self._wanted)
            self._wanted = ""
        self._paint()

    def tick(self, now: Instant) -> None:
        if self.waterfall.tick(now):
            self._paint()
            self.paint_tabs()

    def _paint(self) -> None:
        if self.trace is None:
            return
        root = self.trace.root
        going_on = any(span.in_flight for span in self.trace.spans)
        state = f"{self.look.glyphs.live} following" if going_on else ""
        if self.dash.frozen_at is not None:
            state = f"{self.look.glyphs.frozen} frozen"
        dot = f" {self.look.glyphs.dot} "
        where = dot.join(clean(t, 30) for t in (root.team, root.project.rpartition("/")[2]) if t)
        title: list[Piece] = [
            (f"Trace {span_format.trace_id(self.trace.trace_id)}  ", "title"),
            (f"{clean(span_format.title(root), 60)}  " if self.size.width >= 100 else "", "text"),
            (where, "note"),
        ]
        self.waterfall.set_heading(title, state)
        facts = span_format.trace_facts(self.trace, self.dash.clock_text, self.dash.now())
        facts = [fact for fact in facts if not fact.startswith("began ")]  # the path has the age
        self.waterfall.set_foot([(dot.join(facts), "note")] if facts else [])
        self._paint_details()

    def _paint_details(self) -> None:
        assert self.trace is not None
        waterfall, width = self.waterfall, max(self.detail.size.width - 4, 40)
        details = Details(self.trace, waterfall.outline, self.dash.baselines, self.dash.now(),
                          self.dash.clock_text, self.look.glyphs, width)  # fmt: skip
        row, span = waterfall.selected_row, waterfall.selected
        wait, link = waterfall.selected_wait, waterfall.selected_link
        if span is not None:
            lines = details.of_span(span, why_first=self._show_why)
        elif wait is not None:
            lines = details.of_wait(wait)
        elif link is not None:
            how = "{open} opens that trace, {back} comes back to this row"
            lines = [*details.of_link(link), [(self.dash.worded(how), "dim")]]
        else:
            lines = [[(self.dash.worded("{open} shows what is below this row"), "dim")]]
        if row is not None:
            kind = span_format.kind(row.span)
            self.detail.set_heading([(clean(span_format.title(row.span), 80), "title")], kind)
        self.detail.set_lines(lines)

    def selection(self) -> str:
        return self.waterfall.selected.key if self.waterfall.selected is not None else ""

    def act(self, action: str) -> bool:
        if action == "why":
            self._show_why = not self._show_why
            self._paint()
            return True
        if action == "cut":
            self._cut(self.waterfall.selected, self.waterfall.selected_link)
            return True
        focused = self.focused
        if isinstance(focused, TextBox) and focused.act(action):
            return True
        if action in ("next_failed", "previous_failed"):
            if not self.waterfall.act(action):
                self.dash.notify_text("nothing in this trace has failed")
            return True
        done = self.waterfall.act(action)
        self._paint_footer()  # folding and zooming change the keys' labels
        return done

    def _cut(self, span: Span | None, elsewhere: Elsewhere | None) -> None:
        if elsewhere is not None:
            links.cut(self.dash, elsewhere.link.child, elsewhere.link.parent)
        elif span is None:
            self.dash.notify_text("this row is no span; only a span can be cut from its parent")
        elif span_format.is_phase(span):
            self.dash.notify_text(
                "a stage is a phase of the span above it, not linked to it; "
                "select that span to cut it from its parent"
            )
        elif span.parent_key:
            links.cut(self.dash, span.key, span.parent_key)
        else:
            self.dash.notify_text("this span has no parent to cut it from")

    def on_cursor_box_selected(self, message: Waterfall.Selected) -> None:
        message.stop()
        self._paint()
        self._paint_footer()

    def on_waterfall_notice(self, message: Waterfall.Notice) -> None:
        message.stop()
        self.dash.notify_text(self.dash.worded(message.text))

    def on_cursor_box_opened(self, message: Waterfall.Opened) -> None:
        message.stop()
        link = self.waterfall.selected_link
        if link is not None:
            self.dash.navigation.open_trace(link.span.trace_id, link.span.key)
        else:
            self.detail.focus()

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = ("span", "parent", "operation", "name", "status", "began", "ended", "seconds")
        spans = self.trace.spans if self.trace else ()
        return titles, [
            (
                s.ref,
                s.parent_key,
                s.operation,
                s.name,
                s.status.value,
                self.dash.clock_text(s.started_at),
                self.dash.clock_text(s.ended_at),
                "" if s.duration is None else f"{s.duration / 1_000_000:g}",
            )
            for s in spans
        ]

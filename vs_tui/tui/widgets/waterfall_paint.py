"""Paints the lines of a waterfall: head, rows and legend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.traces.outline import PSEUDO
from vs_tui.traces.steps import Row, bounds
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, cut, fit
from vs_tui.tui.widgets.bars import Next, Scene, bar, dotted, on_path
from vs_tui.tui.widgets.timeline import clock_line, ruler, scale_text, true_time

_NARROW = 90
_NO_STATE = frozenset({"wait", "group", "link"})


def widths(width: int) -> tuple[int, int, int]:
    """(label, bar, by) in columns; `by` is 0 on a narrow screen."""
    narrow = width < _NARROW
    by = 0 if narrow else 9
    label = min(max(width * (38 if narrow else 34) // 100, 20), 44)
    # The other columns: duration 9, mark 3, state 8, a space after label and after state.
    return label, max(width - label - 23 - by, 8), by


def head(
    y: int,
    width: int,
    scene: Scene,
    *,
    spans: Sequence[Span],
    whole: tuple[Instant, Instant],
    zone: tzinfo | None,
    true_axis: bool,
) -> list[Piece]:
    """Line `y` of the head: 0 the true time, 1 titles and clock, 2 the ruler."""
    label, _, by = widths(width)
    narrow = width < _NARROW
    if y == 0:
        begun, ended = bounds(spans, scene.now)
        name = " true time, all of it" if scene.axis.is_whole else " true time, [ ] is shown"
        took = span_format.spaced(ended - begun)
        return [
            (f"{fit(name, label)} ", "dim"),
            *true_time(scene, whole, [s for s in spans if s.operation not in _NO_WORK]),
            (f" {took:>8}", "dim"),
        ]
    if y == 1:
        tail = f" {'dur':>8} {scene.look.glyphs.critical:<2} {'state':<8}"
        tail += f" {'by':<{by - 1}}" if by else ""
        return [(fit(" step", label) + " ", "dim"), *clock_line(scene, zone),
                (tail, "dim")]  # fmt: skip
    name = " axis: true time" if true_axis and not narrow else ""
    text = scale_text(scene.axis, scene.look.glyphs, short_form=narrow)
    return [(fit(f" {text}{'; ' + name.strip() if name else ''}", label) + " ", "dim"),
            *ruler(scene, zone)]  # fmt: skip


_NO_WORK = frozenset({"issue", "pull_request", "sprint", "incident", "stage", "push"})


def row_pieces(
    row: Row, scene: Scene, expected: Next | None, width: int, *, selected: bool, above: bool
) -> list[Piece]:
    """One row: tree, bar, duration, mark of the critical path, state, actor."""
    label, _, by = widths(width)
    glyphs = scene.look.glyphs
    edge = glyphs.cursor if selected else glyphs.above if above else " "
    pieces: list[Piece] = [(edge, "key" if selected else "dim")]
    if expected is not None:
        step = expected.step
        took = "~" + span_format.spaced(step.ends - step.begins)
        pieces += [(text, "dim") for text, _ in _label(row, scene, label - 1)]
        pieces += [(" ", "text"), *dotted(step.begins, step.ends, scene)]
        pieces.append((f" {took:>8}    {glyphs.queue} {'next':<6}", "dim"))
        return [*pieces, (" " + fit(f"n={step.n}", by - 1), "dim")] if by else pieces
    span = row.span
    if span.operation == "link":
        ellipsis = glyphs.ellipsis
        text = _label(row, scene, width - 2)
        return [*pieces, *cut(text, width - 2, ellipsis)]
    pieces += _label(row, scene, label - 1)
    pieces.append((" ", "text"))
    pieces += bar(row, scene)
    decides, inside = on_path(row, scene)
    mark = f"{glyphs.critical}{inside or ''}"[:2] if decides or inside else ""
    pieces += [
        (f" {span_format.spaced(span.elapsed(scene.now)):>8} ", "text"),
        (f"{mark:<2} ", "critical"),
    ]
    if span.operation in _NO_STATE:
        waiting = span.operation == "wait" and span.in_flight
        word = f"{glyphs.wait} wait" if waiting else f"{glyphs.ok} ok" if row.below else ""
        pieces.append((f"{word:<8}", "wait" if waiting else "ok"))
    else:
        sign, word, role = span_format.state(span, glyphs, scene.now, scene.baselines.get(span.key))
        pieces.append((f"{sign} {word:<6}", role))
    if by and PSEUDO not in span.key:
        pieces.append((" " + fit(span.actor or span.source, by - 1), "dim"))
    return pieces


def _label(row: Row, scene: Scene, width: int) -> list[Piece]:
    glyphs, span = scene.look.glyphs, row.span
    guides = "".join("  " if last else glyphs.pipe for last in row.lasts[:-1]) + (
        (glyphs.last if row.lasts[-1] else glyphs.branch) if row.lasts else ""
    )
    sign = (glyphs.folded if row.folded else glyphs.open) + " " if row.children else ""
    kind = ""
    if span.operation == "wait":
        kind = f"{glyphs.idle} "
    elif span.operation == "link":
        kind = glyphs.effect if row.depth == 0 else ""
    elif span.operation != "group" and span.key not in scene.outline.jobs:
        kind = span_format.kind_in_tree(span)
    name = span_format.title(span)
    if span.attempt > 1 and PSEUDO not in span.key:
        name += f", attempt {span.attempt}"
    hidden = sum(PSEUDO not in s.key for s in row.below)
    if row.folded and hidden and span.operation != "group":
        name += f" ({hidden})"
    if row.hidden_failed:
        name += f" {glyphs.fail}{row.hidden_failed}"
    role = "dim" if span.operation in ("stage", "wait", "group", "link") else "text"
    if span.status.failed or row.hidden_failed:
        role = "fail"
    guides = guides[: max(width - 8, 0)]
    room = max(width - len(guides) - len(sign) - len(kind), 0)
    return [
        (guides, "frame"),
        (sign, "key"),
        (kind, "dim"),
        (fit(name, room, ellipsis=glyphs.ellipsis), role),
    ]


def legend(scene: Scene, width: int) -> Sequence[Piece]:
    """The meanings of the marks, cut to the width; that of breaks only where the axis has some."""
    g = scene.look.glyphs
    left_out = f"{g.left_out} left out" if scene.axis.breaks else ""
    if width < _NARROW:
        marks = [
            f" {g.bar} ran {g.partial}{g.tip} runs {g.idle} waits for a person",
            f"{g.expected} expected",
            left_out if scene.axis.is_whole else f"{g.before} begins before",
            f"{g.critical} decides",
        ]
        text = " ".join(filter(None, marks))
    else:
        marks = [
            f" {g.critical} {g.bar} ran, decides the end",
            f"{g.beside} ran beside",
            f"{g.partial}{g.tip} runs",
            f"{g.idle} waits",
            f"{g.expected} expected",
            left_out,
            f"{g.critical}n: n of them inside",
            f"{g.before}{g.after} goes on",
        ]
        text = "  ".join(filter(None, marks))
    return [(fit(text, width, ellipsis=g.ellipsis), "dim")]

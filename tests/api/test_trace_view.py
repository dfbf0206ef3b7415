"""One trace over the API has what its screen shows: waits with who and what bounds them, and the
critical path."""

from collections.abc import Iterator

from tests.tui.fakes import NOW
from tests.tui.invoices import TRACE, invoices, links, others
from vs_tui.api.codec.spans import TRACE as TRACE_SHAPE
from vs_tui.api.codec.traces import TRACE_VIEW, trace_json
from vs_tui.model.time import iso
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.traces.critical_path import path_of


def test_waits_and_critical_path_are_those_of_the_screen() -> None:
    spans = invoices()
    trace = Trace(TRACE, spans[0], spans, links(), others())
    path = path_of(trace.spans, NOW)
    found = trace_json(trace, None, NOW)
    refs = {span.key: span.ref for span in trace.spans}
    assert found.keys() == TRACE_VIEW.fields.keys()
    assert [wait["name"] for wait in found["waits"]] == [wait.name for wait in path.waits]
    for told, wait in zip(found["waits"], path.waits, strict=True):
        assert told["who"] == list(wait.who)
        assert told["after"] == refs.get(wait.after) and told["until"] == refs.get(wait.until)
        assert told["ended_at"] == (None if wait.is_open else iso(wait.ends))
        assert told["duration_s"] == wait.duration / 1e6
    named = {*refs.values(), *(wait["id"] for wait in found["waits"])}
    assert len(found["critical_path"]) == len(path.keys) > 5
    assert set(found["critical_path"]) <= named


def test_a_trace_is_walked_as_often_however_many_links_it_has() -> None:
    """Naming the ends of each link from all spans took 6 seconds for 5,000 spans."""
    counts = []
    for copies in (1, 20):
        spans = Walked(invoices())
        linked = others() * copies
        trace = Trace(TRACE, spans[0], spans, links() * copies, linked)
        found = TRACE_SHAPE.write(trace)
        assert len(found["links"]) == len(links()) * copies
        counts.append(spans.walks)
    assert counts[0] == counts[1]


class Walked(list[Span]):
    """Spans that count how often they are walked through."""

    walks = 0

    def __iter__(self) -> Iterator[Span]:
        self.walks += 1
        return super().__iter__()

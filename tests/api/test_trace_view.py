"""One trace over the API has what its screen shows: waits with who and what bounds them, and the
critical path."""

from tests.tui.fakes import NOW
from tests.tui.invoices import TRACE, invoices, links, others
from vs_tui.api.codec.traces import TRACE_VIEW, trace_json
from vs_tui.model.time import iso
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

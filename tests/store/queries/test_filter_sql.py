"""The filter language means the same in Python and in SQL, for any filter and any span."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.memory import database
from vs_tui.model.filters import FLAGS, STATES, FilterError, parse
from vs_tui.model.time import DAY, MINUTE
from vs_tui.model.vocabulary import Operation, Span, State, Status
from vs_tui.store import rows
from vs_tui.store.queries.filter_sql import where
from vs_tui.tui.filtering import term_completions as completions

T = 1_772_445_600_000_000
WORDS = [
    "core",
    "acme/api",
    "Checkout",
    "deploy",
    "a_b",
    "50%",
    "x y",
    "é",
    "É",
    "pull_request",
    "prod",
    "*",
    "#12",
    "!12",
    "x-12",
]
TEXTS = st.sampled_from(["", *WORDS])
SPANS = st.builds(
    Span,
    key=st.uuids().map(str),
    ref=TEXTS,
    source=TEXTS,
    operation=TEXTS | st.sampled_from(list(Operation)).map(str),
    name=TEXTS,
    status=st.sampled_from(list(Status)),
    state=st.sampled_from(list(State)),
    started_at=st.none() | st.integers(T - 9 * DAY, T),
    ended_at=st.none() | st.integers(T - 9 * DAY, T),
    project=TEXTS,
    team=TEXTS,
    service=TEXTS,
    environment=TEXTS,
    actor=TEXTS,
    url=st.just(""),
    attempt=st.just(1),
    stage=TEXTS,
    stage_at=st.none(),
    error=TEXTS,
    last_event_at=st.integers(T - 9 * DAY, T),
    reopens=st.integers(0, 2),
    active=st.none(),
    attributes=st.dictionaries(
        st.sampled_from(["vs.pr.draft", "vs.rework", "x"]), st.booleans() | TEXTS, max_size=3
    ),
    trace_id=TEXTS,
    parent_key=TEXTS,
)
TERMS = st.one_of(
    st.sampled_from(WORDS).map(lambda w: f'"{w}"'),
    st.tuples(
        st.sampled_from(["team", "kind", "project", "env", "name", "source", "ref", "stage"]),
        st.lists(st.sampled_from([*WORDS, "c*", "*e", "api", "ch*T"]), min_size=1, max_size=3),
    ).map(lambda pair: f"{pair[0]}:" + ",".join(f'"{v}"' for v in pair[1])),
    st.sampled_from(STATES).map("state:{}".format),
    st.sampled_from(FLAGS).map("is:{}".format),
    st.sampled_from(
        [
            "dur>1h",
            "dur<=5m",
            "age<2d",
            "age>=3d",
            "fresh<2d",
            "fresh>1d",
            "since:2026-03-01",
            "until:2026-03-01",
        ]
    ),
)
FILTERS = st.lists(st.tuples(st.booleans(), TERMS), max_size=4).map(
    lambda terms: " ".join(("-" if negated else "") + term for negated, term in terms)
)


# To make up spans takes most of the time: each is asked for in several ways.
@given(st.lists(SPANS, min_size=1, max_size=4), st.lists(FILTERS, min_size=6, max_size=6))
@settings(max_examples=200)
def test_sql_selects_exactly_what_matches(spans, texts) -> None:
    connection = database()
    connection.executemany(
        rows.UPSERT_SPAN, [rows.span_row(span, short_ref="", changed=1) for span in spans]
    )
    for wanted in map(parse, texts):
        condition, parameters = where(wanted, T)
        selected = connection.execute(f"SELECT key FROM spans WHERE {condition}", parameters)
        matching = {span.key for span in spans if wanted.matches(span, T)}
        assert {key for (key,) in selected} == matching, condition


@given(FILTERS)
def test_the_canonical_text_parses_to_the_same_filter(text) -> None:
    wanted = parse(text)
    assert parse(str(wanted)) == wanted


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_clear_error(text) -> None:
    try:
        condition, parameters = where(parse(text), T)
    except FilterError as error:
        assert str(error)
        assert 0 <= error.position <= len(text)
    else:
        database().execute(f"SELECT 1 FROM spans WHERE {condition}", parameters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stat:ok", "'stat:' is not known; use team:, kind:"),
        ("state:broken", "use in_flight, running"),
        ("is:big", "use draft, open"),
        ("dur:5m", "write dur>10m"),
        ("dur>soon", "write it like 90s"),
        ("since:soon", "such as 2026-11-01"),
        ('"open', "quote is not closed"),
        ("team:", "needs a value"),
        ("team>5", "takes ':'"),
        ("-", "a word is missing"),
    ],
)
def test_errors_say_what_is_accepted(text, message) -> None:
    with pytest.raises(FilterError, match=message.replace("(", r"\(")):
        parse(text)


def test_short_names_of_kinds_and_keys() -> None:
    assert parse("kind:pr,deploy") == parse("operation:pull_request,deploy")
    assert parse("repo:x") == parse("project:x")


def test_a_bare_name_matches_the_last_part_of_a_path() -> None:
    (span,) = [s for s in [_span(project="acme/api")] if parse("project:api").matches(s, T)]
    assert not parse("project:ap").matches(span, T)
    assert parse("project:acme/*").matches(span, T)


def _span(**values: object) -> Span:
    plain = {
        "key": "k",
        "ref": "k",
        "source": "s",
        "operation": "build",
        "name": "n",
        "status": Status.OK,
        "state": State.OK,
        "started_at": T - MINUTE,
        "ended_at": T,
    }
    return Span(**(plain | values))


def test_completions() -> None:
    assert completions("te", {}) == ["team:"]
    assert completions("state:f", {}) == ["state:failed"]
    assert completions("kind:pr -team:co", {"team": ["core", "web"]}) == ["kind:pr -team:core"]
    assert completions("team:web,c", {"team": ["core"]}) == ["team:web,core"]

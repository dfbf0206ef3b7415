"""Mapped sources: what a table makes of a body, what is wrong with a table, and how much a body
may cost."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from tests.sources.webhook_tools import RECEIVED, assert_survives, at, fold_all, sought, variants
from vs_tui.config.model import configure
from vs_tui.model.errors import ConfigError
from vs_tui.model.vocabulary import State, Verdict
from vs_tui.sources import dispatch
from vs_tui.sources.base import BadBody, Inbound, Unauthorized, Unreadable
from vs_tui.sources.expressions import MAX_STEPS, Evaluation, WrongExpression, compiled
from vs_tui.sources.mapped import MAX_EVENTS, MappedSource

TEN_LINES = """
[sources.shipit]
[[sources.shipit.events]]
when = "type == 'deploy'"
operation = "deploy"
id = "deploy.id"
state = "deploy.status"
states = {running = "running", done = "ok", failed = "error"}
service = "app"
environment = "env"
at = "deploy.time"
"""


def source(toml: str = TEN_LINES, name: str = "shipit") -> MappedSource:
    return MappedSource(name, tomllib.loads(toml)["sources"][name]).check()


def made(body: Any, toml: str = TEN_LINES, **headers: str) -> Any:
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return source(toml).parse(Inbound("/shipit", found, raw, RECEIVED))


def deploy(status: str, time: str = "2026-03-02T10:00:00Z") -> dict[str, Any]:
    told = {"id": 7, "status": status, "time": time}
    return {"type": "deploy", "app": "cart", "env": "production", "deploy": told}


def event(fields: str, body: Any = None, rest: str = "") -> Any:
    """The last event of a rule with these fields besides an id."""
    toml = f"[sources.shipit]\n{rest}\n[[sources.shipit.events]]\nid = \"'1'\"\n{fields}"
    parsed = made({} if body is None else body, toml)
    return parsed.events[-1]


def test_ten_lines_make_a_deploy_with_a_start_and_an_end() -> None:
    start, end = made(deploy("running")), made(deploy("failed", "2026-03-02T10:05:00Z"))
    (folded,) = fold_all([*end.events, *start.events]).values()
    span = folded.span
    assert (span.key, span.name) == ("vstrace-shipit-deploy-7", "cart to production")
    assert (span.state, span.error) == (State.ERROR, "failure")
    assert (span.started_at, span.ended_at) == (at("10:00:00"), at("10:05:00"))
    assert (span.service, span.environment, span.source) == ("cart", "production", "shipit")
    assert start.kind == "deploy.running"


def test_what_no_rule_reads_is_ignored_and_what_lacks_its_id_is_kept_in_quarantine() -> None:
    assert made({"type": "ping"}).verdict is Verdict.IGNORED
    unknown = made(deploy("exploded"))
    assert (unknown.verdict, unknown.reason) == (
        Verdict.IGNORED,
        "events 1: the state 'exploded' is not in its states",
    )
    with pytest.raises(Unreadable, match=r"events 1: id is missing \(deploy.id\)"):
        made({"type": "deploy", "deploy": {"status": "done"}})
    with pytest.raises(BadBody, match="is not JSON"):
        made(b"{")


def test_words_of_ours_are_words_and_everything_else_is_an_expression() -> None:
    assert event('operation = "build"\nstate = "ok"').operation == "build"
    by_field = event('operation = "kind"\nstate = "how"', {"kind": "Smoke Test", "how": "Running"})
    assert (by_field.operation, by_field.state) == ("smoke_test", State.RUNNING)
    assert event("operation = \"'canary'\"").operation == "canary"
    listed = event('operation = "build"\nstate = "ok"\nstates = {y = "ok"}', {"ok": "Y"})
    assert listed.state is State.OK


def test_each_makes_one_event_of_each_element_and_body_leads_back() -> None:
    toml = """
    [sources.shipit]
    [[sources.shipit.events]]
    each = "deploys"
    operation = "deploy"
    id = "id"
    state = "ok"
    service = "body().app"
    """
    parsed = made({"app": "cart", "deploys": [{"id": 1}, {"id": 2}, {}]}, toml)
    ids = [each.key for each in parsed.events if each.state is State.OK]
    assert ids == ["vstrace-shipit-deploy-1", "vstrace-shipit-deploy-2"]
    assert {each.service for each in parsed.events if each.state is State.OK} == {"cart"}
    many = made({"deploys": [{"id": n} for n in range(3 * MAX_EVENTS)]}, toml)
    assert len(many.events) <= MAX_EVENTS + 1
    assert many.reason == "only 1,000 events were read"
    for odd in ({}, {"deploys": None}, {"deploys": {"id": 1}}, {"deploys": []}):
        assert made(odd, toml).verdict is Verdict.IGNORED


def test_fields_become_what_finds_the_change_the_build_and_the_parent() -> None:
    found = event(
        """operation = "deploy"
        state = "ok"
        repository = "repo"
        commit = "sha"
        branch = "'refs/heads/tp-3-login'"
        version = "'1.4'"
        parent = "'pipeline-9'"
        url = "link"
        attempt = "'2'"
        """,
        {"repo": "git@host:Acme/Api.git", "sha": "a" * 40, "link": "javascript:alert(1)"},
    )
    assert found.url == ""
    assert (found.project, found.service, found.attempt) == ("Acme/Api", "Api", 2)
    seeks = sought(found)
    assert ("explicit", "ref", "vstrace-shipit-pipeline-9", "") in seeks
    assert ("commit", "commit", "a" * 40, "acme/api") in seeks
    assert ("built", "built", "a" * 40, "acme/api") in seeks
    assert ("branch", "branch", "tp-3-login", "acme/api") in seeks
    assert ("issue_key", "issue_key", "TP-3", "") in seeks
    assert found.attributes["vcs.ref.head.revision"] == "a" * 40
    build = event('operation = "build"\nstate = "ok"\ncommit = "sha"', {"sha": "b" * 40})
    assert [(key.kind, key.value) for key in build.offers] == [("built", "b" * 40)]
    issue = event('operation = "issue"\nnamespace = "\'\'"', rest="")
    assert not issue.offers


def test_an_issue_is_found_by_its_key() -> None:
    toml = '[sources.shipit]\n[[sources.shipit.events]]\noperation = "issue"\nid = "k"'
    (found,) = [e for e in made({"k": "TP-3"}, toml).events if e.offers]
    assert [(key.kind, key.value) for key in found.offers] == [("issue_key", "TP-3")]


@pytest.mark.parametrize(
    ("tags", "body", "wanted"),
    [
        ('"labels"', {"labels": {"a": 1, "b": None, "c": [1], "d": True}}, {"a": 1, "d": True}),
        ('"labels"', {"labels": ["a:1", "b", 3, ["x"]]}, {"a": "1", "b": True}),
        ('"labels"', {"labels": "a:1,b:2"}, {"a": "1", "b": "2"}),
        ('"labels"', {"labels": [{"key": "a", "value": "1"}, {"value": 2}]}, {"a": "1"}),
        ('{a = "x.y", "b.c" = "\'z\'"}', {"x": {"y": 2**70}}, {"a": str(2**70), "b.c": "z"}),
    ],
)
def test_tags_are_read_as_tools_write_them(tags, body, wanted) -> None:
    assert event(f'operation = "build"\ntags = {tags}', body).attributes == wanted


def test_times_are_the_payloads_and_the_end_of_a_state_that_ends() -> None:
    body = {"s": 1772445600, "e": "2026-03-02T10:05:00Z", "u": "2026-03-02T11:00:00Z"}
    times = 'started_at = "s"\nended_at = "e"\nat = "u"'
    over = event(f'operation = "build"\nstate = "ok"\n{times}', body)
    assert (over.started_at, over.occurred_at) == (at("10:00:00"), at("10:05:00"))
    assert over.as_of == at("11:00:00")
    runs = event(f'operation = "build"\nstate = "running"\n{times}', body)
    assert runs.occurred_at == at("11:00:00")
    assert event('operation = "build"\nstate = "ok"').occurred_at == RECEIVED


def test_functions_of_ours_chain_over_what_is_missing() -> None:
    body = {"r": "main@sha1:abc", "tags": "env:prod,service:x", "i": "r:5000/a/b:1.2", "n": None}
    run = Evaluation(Inbound("/x", {"x-kind": "push"}, b"", 1), body)
    for text, wanted in (
        ("after(after(r, '@'), ':')", "abc"),
        ("before(r, '@')", "main"),
        ("after(r, '#')", "main@sha1:abc"),
        ("tag(tags, 'service')", "x"),
        ("tag(n, 'service')", None),
        ("lower(after(n, 'x'))", None),
        ("split(r, '@')[1]", "sha1:abc"),
        ("image_tag(i)", "1.2"),
        ("environment_in('api-prod-1')", "prod"),
        ("header('X-Kind')", "push"),
        ("header('X-Other')", None),
        ("length(body())", 4),
    ):
        assert run.value(compiled(text), body) == wanted, text
    assert not run.problems


def test_an_expression_that_fails_costs_only_its_field() -> None:
    toml = TEN_LINES + 'url = "join(\'/\', app)"\nactor = "lower(@)"\n'
    inbound = Inbound("/shipit", {}, json.dumps(deploy("done")).encode(), RECEIVED)
    parsed, problems = source(toml).explain(inbound)
    assert parsed.events[-1].service == "cart"
    assert len(problems) == 2
    assert any(each.startswith("join('/', app): In function join()") for each in problems)


def test_headers_that_are_read_are_stored_and_secrets_never_are() -> None:
    toml = """
    [sources.shipit]
    signature = {header = "X-Sign"}
    delivery_header = "X-Delivery"
    kind = "header('X-Kind')"
    [[sources.shipit.events]]
    when = "header( 'X-Event' )"
    operation = "build"
    id = "id"
    """
    mapped = source(toml)
    assert set(mapped.stored_headers) == {"x-delivery", "x-kind", "x-event"}
    inbound = Inbound("/shipit", {"x-delivery": "d1"}, b"{}", RECEIVED)
    assert mapped.dedupe_key(inbound) == "d1"
    for wrong in ("Authorization", "Cookie", "X-Sign"):
        for before in ("X-Delivery", "X-Kind", "X-Event"):
            with pytest.raises(ConfigError, match="holds a secret, which is never stored"):
                source(toml.replace(before, wrong))


# What is wrong with a table, and where.


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('id = "deploy.id"', 'id = "deploy."'), r"events 1, id: column 8: it ends too early"),
        (('id = "deploy.id"', 'id = "a..b"'), r"events 1, id: column 3: '\.b' is not expected"),
        (('id = "deploy.id"', 'id = "upper(a)"'), r"id: column 1: there is no function upper\(\)"),
        (('id = "deploy.id"', 'id = "lower(a, b)"'), r"lower\(\) takes 1 arguments, not 2"),
        (('id = "deploy.id"', 'id = "header(a)"'), r"write header\('NAME'\)"),
        (('id = "deploy.id"', "id = 7"), r"id: must be a JMESPath expression in a text, not 7"),
        (('id = "deploy.id"', 'id = ""'), r"cannot be empty"),
        (('id = "deploy.id"\n', ""), r"events 1: has no id; it is needed"),
        (('"ok"', '"fine"'), r"events 1, states.done: is 'fine'; use one of note, queued"),
        (('service = "app"', 'servce = "app"'), r"events 1, servce: is not a setting; use one of"),
        (
            ("[sources.shipit]", "[sources.shipit]\ncolour = 1"),
            r"\[sources.shipit\] colour: is not",
        ),
        (
            ("[sources.shipit]", '[sources.shipit]\npath = "shipit"'),
            r"path: is 'shipit'; write one",
        ),
        (("[sources.shipit]", '[sources.shipit]\npath = "/api/spans"'), r"not below /api"),
        (("[sources.shipit]", '[sources.shipit]\ntoken_in_url = "yes"'), r"must be true or false"),
        (
            ("[sources.shipit]", "[sources.shipit]\nsignature = {}"),
            r'signature: header is missing; write header = "X-Tool-Signature"',
        ),
        (
            ("[sources.shipit]", '[sources.shipit]\nsignature = {header="X-A", algorithm="md5"}'),
            r"algorithm is 'md5'; use one of sha256, sha1, sha512",
        ),
        (
            ("[sources.shipit]", '[sources.shipit]\nsignature = {header="X-A", message="{at}"}'),
            r"message must hold \{body\}",
        ),
        (
            ("[sources.shipit]", '[sources.shipit]\nsignature = {header="Authorization"}'),
            r"holds our token",
        ),
    ],
)
def test_a_wrong_table_is_told_with_its_place(change, told) -> None:
    wrong = TEN_LINES.replace(*change)
    assert wrong != TEN_LINES
    with pytest.raises(ConfigError, match=told):
        source(wrong)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"events": []},
        {"events": {}},
        {"events": [1]},
        {"events": [{}]},
        {"events": [{"operation": "build", "id": "x"}] * 101},
        {"events": [{"operation": "build", "id": "x", "tags": 1}]},
        {"events": [{"operation": "build", "id": "x", "tags": {"a": 1}}]},
        {"events": [{"operation": "build", "id": "x", "states": []}]},
        {"events": [{"operation": "build", "id": "x", "states": {"a": "ok"}}]},
        {"events": [{"operation": 1, "id": "x"}]},
        {"events": [{"operation": "build", "id": "x", "state": []}]},
        {"events": [{"operation": "build", "id": "(" * 2000}]},
        {"events": [{"operation": "build", "id": "a" * 2001}]},
        {"events": [{"operation": "build", "id": "!" * 1999 + "a"}]},
        {"events": [{"operation": "build", "id": "x"}], "paths": "x"},
        {"events": [{"operation": "build", "id": "x"}], "paths": []},
        {"events": [{"operation": "build", "id": "x"}], "title": 5},
        {"events": [{"operation": "build", "id": "x"}], "signature": "x"},
    ],
)
def test_odd_tables_are_refused_with_a_message(table) -> None:
    with pytest.raises(ConfigError, match=r"^\[sources\.odd\] "):
        MappedSource("odd", table).check()


@pytest.mark.parametrize(
    "name",
    ["token", "tokens", "unknown", "user", "", "Ship", "ship-it", "a b", "x" * 41, "1a", "../x"],
)
def test_a_name_is_a_plain_word_of_its_own(name) -> None:
    with pytest.raises(ConfigError):
        MappedSource(name, {"events": [{"operation": "build", "id": "x"}]})


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "x",
        "/a//b",
        "/a/",
        "/..",
        "/a/../b",
        "/api",
        "/api/x",
        "/healthz",
        "/metrics",
        "/a b",
    ],
)
def test_a_path_is_plain_and_none_of_ours(path) -> None:
    with pytest.raises(ConfigError, match="write one such as /shipit"):
        source(TEN_LINES.replace("shipit]", f'shipit]\npath = "{path}"', 1))


@pytest.fixture
def configured():
    yield lambda toml: configure(tomllib.loads(toml)["sources"])
    configure({})


def test_configured_sources_are_sources_and_a_presets_table_changes_the_preset(configured) -> None:
    configured(TEN_LINES + '[sources.vercel]\npath = "/deploys"\n[sources.rootly]\nenabled = false')
    found = dispatch.sources()
    assert found["shipit"].paths == ("/shipit",)
    assert found["vercel"].paths == ("/deploys",)
    assert found["vercel"].signature_headers == ("x-vercel-signature",)
    routes = [path for path, _ in dispatch.routes()]
    assert "/shipit" in routes
    assert "/rootly" not in routes
    configure({})
    assert "shipit" not in dispatch.sources()


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("github", "", r"\[sources.github\]: vs-tui has a source of this name"),
        ("shipit", 'path = "/github"', "/github is the path of github; choose another"),
        ("shipit", 'path = "/incidents/shipit"', "is the path of emmetrics; choose another"),
        ("shipit", 'path = "/plugins/webhook/x/y"', "is the path of devlake; choose another"),
    ],
)
def test_a_configured_source_takes_no_name_or_path_of_ours(configured, name, more, told) -> None:
    toml = TEN_LINES.replace("shipit", name).replace(
        f"[sources.{name}]\n", f"[sources.{name}]\n{more}\n", 1
    )
    configured(toml)
    with pytest.raises(ConfigError, match=told):
        dispatch.sources()


def test_a_large_body_is_read_elsewhere_by_what_the_source_is_made_of(configured) -> None:
    configured(TEN_LINES)
    mapped = dispatch.sources()["shipit"]
    again = dispatch.one_source(dispatch.portable(mapped))
    inbound = Inbound("/shipit", {}, json.dumps(deploy("done")).encode(), RECEIVED)
    assert again.parse(inbound) == mapped.parse(inbound)
    assert again.version == mapped.version
    assert dispatch.one_source(dispatch.portable(dispatch.sources()["github"])).name == "github"


# Bodies that would cost too much.


def test_hostile_bodies_are_read_ignored_or_kept_in_quarantine() -> None:
    inbounds = [
        Inbound("/shipit", {}, json.dumps(deploy(status)).encode(), RECEIVED)
        for status in ("running", "done")
    ]
    seen = assert_survives(source(), variants(inbounds, 1_000))
    assert seen["accepted"] > 100


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"7",
        b"[]",
        b'"x"',
        b'{"type": "deploy"}',
        b"[" * 900 + b"]" * 900,
        b'{"type": "deploy", "deploy": ' + b'{"id":' * 900 + b"1" + b"}" * 901,
        b'{"type": "deploy", "deploy": {"id": "' + b"x" * 100_000 + b'", "status": "done"}}',
        b'{"type": "deploy", "deploy": {"id": 1e999, "status": "done"}}',
        b'{"type": "deploy", "deploy": {"id": "\\u0000\\u202e", "status": "done"}}',
    ],
)
@pytest.mark.parametrize("expression", ["deploy.id", "to_string(@)", "keys(@)[0]", "type"])
def test_odd_shapes_never_break_it(body, expression) -> None:
    toml = TEN_LINES.replace('id = "deploy.id"', f'id = "{expression}"')
    assert_survives(source(toml), [Inbound("/shipit", {}, body, RECEIVED)])


@pytest.mark.parametrize(
    "expression",
    [
        "length(items[*].body().items[].x)",
        "length(map(&body().items[].x, items))",
        "length(map(&join(',', body().texts), items))",
        "length(items[?contains(body().texts, to_string(@))])",
        "max(map(&length(to_string(body())), items))",
    ],
)
def test_expressions_that_grow_with_the_square_of_a_body_are_stopped(expression) -> None:
    toml = TEN_LINES.replace('id = "deploy.id"', f'id = "{expression}"')
    items = [{"x": n} for n in range(5_000)]
    body = {**deploy("done"), "items": items, "texts": [str(n) * 20 for n in range(5_000)]}
    with pytest.raises(Unreadable, match=f"takes more than {MAX_STEPS:,} steps"):
        made(body, toml)


def test_expressions_are_bounded_when_they_are_compiled() -> None:
    for text, why in (("a" * 2_001, "longer than"), ("!" * 60 + "a", "nested deeper than 50")):
        with pytest.raises(WrongExpression, match=why):
            compiled(text)


# Signatures by declared scheme.


def signing(settings: str) -> MappedSource:
    return source(
        TEN_LINES.replace(
            "[sources.shipit]\n", f"[sources.shipit]\nsignature = {{{settings}}}\n", 1
        )
    )


def test_a_declared_hmac_with_prefix_encoding_and_signed_time() -> None:
    import base64
    import hmac

    stamp = str(RECEIVED // 1_000_000)
    secret, body = b"key", b"{}"
    settings = (
        'header = "X-Sign", algorithm = "sha512", encoding = "base64", prefix = "v0=", '
        'timestamp = "X-Time", message = "v0:{timestamp}:{body}"'
    )
    mapped = signing(settings)
    raw = hmac.new(secret, f"v0:{stamp}:".encode() + body, "sha512").digest()
    headers = {"x-sign": f"v0={base64.b64encode(raw).decode()}", "x-time": stamp}
    mapped.verify(Inbound("/shipit", headers, body, RECEIVED), [secret])
    for wrong in ({"x-time": str(int(stamp) + 1)}, {"x-time": ""}, {"x-sign": "v0=AAAA"}):
        with pytest.raises(Unauthorized):
            mapped.verify(Inbound("/shipit", {**headers, **wrong}, body, RECEIVED), [secret])
    late = RECEIVED + 301 * 1_000_000
    with pytest.raises(Unauthorized, match="5 minutes"):
        mapped.verify(Inbound("/shipit", headers, body, late), [secret])


def test_a_declared_token_is_compared_whole() -> None:
    mapped = signing('scheme = "token", header = "X-Token", prefix = "Key "')
    mapped.verify(Inbound("/shipit", {"x-token": "Key abc"}, b"", RECEIVED), [b"abc"])
    for given in ("abcd", "ab", "", "Key", "Key "):
        with pytest.raises(Unauthorized):
            mapped.verify(Inbound("/shipit", {"x-token": given}, b"", RECEIVED), [b"abc"])


def test_without_a_signature_only_the_token_proves_a_sender() -> None:
    assert source().signature_headers == ()
    with pytest.raises(Unauthorized, match="sends no signature"):
        source().verify(Inbound("/shipit", {}, b"", RECEIVED), [b"x"])

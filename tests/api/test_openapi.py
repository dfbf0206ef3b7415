"""The OpenAPI document and the receiver are the same: every operation is a route and the other way
round, every answer is as described, and no walk over it finds a 5xx."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.ingest.bodies import honest
from tests.ingest.inside import TOKEN, Raw, post, receiving
from tests.patience import PATIENCE
from vs_tui.api.openapi import EM_BODIES, PREFIX, document
from vs_tui.api.server import build
from vs_tui.cli.runtime import Runtime
from vs_tui.model.limits import Limits
from vs_tui.sources import emmetrics
from vs_tui.sources.dispatch import sources

DOCUMENT = document()
OPERATIONS = [
    (method.upper(), path, found)
    for path, methods in DOCUMENT["paths"].items()
    for method, found in methods.items()
]
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def faults(value: Any, schema: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Where a value is not as its JSON schema says; as much of the standard as we use."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from faults(value, DOCUMENT["components"]["schemas"][name], at)
        return
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        if choices and all(list(faults(value, choice, at)) for choice in choices):
            yield f"{at}: {value!r} is none of what it may be"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(
        isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
        for kind in kinds
    ):
        yield f"{at}: {value!r} is no {' or '.join(kinds)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "minimum" in schema and isinstance(value, int) and value < schema["minimum"]:
        yield f"{at}: {value} is too small"
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from faults(each, schema.get("items", {}), f"{at}[{number}]")
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        yield from (
            f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value
        )
        for name, each in value.items():
            if name in known:
                yield from faults(each, known[name], f"{at}.{name}")
            elif more is False:
                yield f"{at}: {name} is not described"
            elif isinstance(more, dict):
                yield from faults(each, more, f"{at}.{name}")


def test_the_check_finds_what_is_wrong() -> None:
    span = {"$ref": "#/components/schemas/Error"}
    assert list(faults({"error": "x", "detail": "y", "request_id": "z"}, span)) == []
    assert len(list(faults({"error": 1, "detail": None, "more": 2}, span))) == 4
    assert list(faults([True], {"type": "array", "items": {"type": "integer"}}))
    assert list(faults(-1, {"type": "integer", "minimum": 0}))


@pytest.mark.parametrize("source", ["customhttp", "emmetrics"])
def test_what_a_tool_sends_to_our_own_formats_is_as_described(source) -> None:
    for path, _, body in honest(source):
        request = DOCUMENT["paths"][path]["post"]["requestBody"]
        schema = request["content"]["application/json"]["schema"]
        assert "$ref" in schema
        assert list(faults(body, schema)) == [], (path, body)


def test_a_time_may_be_sent_as_text_or_number() -> None:
    times = {"first_commit_at": "2026-03-02T09:00:00Z", "deploy_start_at": 1772442000.5}
    deployment = {"id": "1", "project_id": "acme/api", **times, "deployed_at": None}
    schema = {"$ref": "#/components/schemas/NewDeployment"}
    assert list(faults(deployment, schema)) == []
    assert list(faults({**deployment, "deployed_at": True}, schema)) != []


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert names
    assert names <= set(DOCUMENT["components"]["schemas"])
    assert DOCUMENT["openapi"] == "3.1.0"


async def test_every_operation_is_a_route_and_every_route_an_operation(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        app = build(runtime.receiver)
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
        and route.method not in ("HEAD", "OPTIONS")
        # The same paths with doubled and trailing slashes.
        and not route.resource.canonical.startswith("/{lead}")
    }
    reached = set()
    for method, path, _ in OPERATIONS:
        sample = re.sub(r"\{id\}", "7", path)
        sample = re.sub(r"\{\w+\}", "x", sample)
        request = _Asked(method, sample)
        info = await app.router.resolve(request)  # type: ignore[arg-type]
        assert info.http_exception is None, (method, path)
        assert info.route.resource is not None
        reached.add((method, info.route.resource.canonical))
    assert routes - reached == set(), "routes that the document does not know"
    documented = {
        tuple(part for part in path.removeprefix(PREFIX).strip("/").split("/") if part != "{id}")
        for _, path, _ in OPERATIONS
    }
    for root, verb in emmetrics._HANDLERS:
        assert tuple(filter(None, (root, verb))) in documented
    assert len(EM_BODIES) == len(emmetrics._HANDLERS)


class _Asked:
    """As much of a request as a router looks at."""

    def __init__(self, method: str, path: str) -> None:
        self.method = method
        self.rel_url = URL(path)


async def ask(
    connection: Raw, method: str, target: str, body: bytes = b"", proof: str = TOKEN
) -> tuple[int, dict[str, str], Any]:
    head = f"{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    if proof:
        head += f"Authorization: Bearer {proof}\r\n"
    await connection.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return await connection.answer()


async def fill(runtime: Runtime) -> None:
    """Honest deliveries of every source, refused ones too."""
    connection = await Raw.to(runtime)
    for source in sorted(sources()):
        for path, headers, body in honest(source)[:12]:
            lines = [f"{n}: {v}" for n, v in headers.items() if n.lower() != "content-type"]
            proof = f"Authorization: Bearer {TOKEN}"
            await connection.send(post(orjson.dumps(body), path, proof, *lines))
            await connection.answer()
    await ask(connection, "POST", "/customhttp", b'{"type":1}')
    connection.close()
    await runtime.writer.sweep()


def described(found: dict[str, Any], status: int, headers: dict[str, str], body: Any) -> list[str]:
    """What is wrong with an answer by the document."""
    responses = found["responses"]
    if str(status) not in responses:
        return [f"{status} is not described: {body}"]
    media = headers.get("content-type", "").partition(";")[0]
    content = responses[str(status)]["content"]
    if media not in content:
        return [f"{media} is not described for {status}"]
    wrong = [] if media != "application/json" else list(faults(body, content[media]["schema"]))
    if status >= 400 and headers.get("x-request-id") != body["request_id"]:
        wrong.append("the request's id differs between header and body")
    if "server" in headers:
        wrong.append("it says which server it is")
    return wrong


async def test_every_answer_is_as_described(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        await fill(runtime)
        connection = await Raw.to(runtime)
        _, _, spans = await ask(connection, "GET", "/api/spans?limit=200")
        _, _, deliveries = await ask(connection, "GET", "/api/deliveries?limit=200")
        refs = [quote(span["span_id"], safe="") for span in spans["items"]]
        real = {
            "/api/spans/{ref}": refs,
            "/api/traces/{trace_id}": {span["trace_id"] for span in spans["items"]},
            "/api/deliveries/{id}": [item["id"] for item in deliveries["items"]],
            "/deployments/{id}": ["d1"],
            "/api/dora/detail": [""],
        }
        assert len(refs) > 20
        checked = 0
        for method, path, found in OPERATIONS:
            if method != "GET" or path == "/api/stream":
                continue
            for value in real.get(path.removeprefix(PREFIX), [""]):
                target = re.sub(r"\{\w+\}", lambda _, v=value: str(v), path)
                if path == "/api/dora/detail":
                    target += "?metric=lead"
                if path == "/api/baselines":
                    target += f"?key={refs[0]}&key={refs[1]}"
                status, headers, body = await ask(connection, method, target)
                assert status == 200, (target, body)
                assert described(found, status, headers, body) == [], target
                checked += 1
            status, headers, body = await ask(connection, method, target, proof="wrong")
            assert status == (200 if found.get("security") == [] else 401), target
            assert described(found, status, headers, body) == [], target
        assert checked > 60
        status, _, body = await ask(connection, "GET", "/openapi.json")
        assert (status, body) == (200, DOCUMENT)
        connection.close()


READS = [
    (method, path)
    for method, path, _ in OPERATIONS
    if method == "GET" or path.startswith("/grafana/")
]
AT_ONCE = {"/healthz", "/readyz", "/metrics"}
"""They show the lag of folding, so they do not wait for it."""


async def test_every_read_waits_until_what_was_acknowledged_is_folded(
    tmp_path, monkeypatch
) -> None:
    waiting, folded = asyncio.Event(), asyncio.Event()

    async def caught_up() -> bool:
        waiting.set()
        return await folded.wait()

    async with receiving(tmp_path) as runtime:
        with monkeypatch.context() as patch:
            patch.setattr(runtime.writer, "caught_up", caught_up)
            for method, path in READS:
                target = re.sub(r"\{\w+\}", "7", path)
                body = b"{}" if method == "POST" else b""
                if path in AT_ONCE:
                    connection = await Raw.to(runtime)
                    assert (await ask(connection, method, target, body))[0] == 200
                    assert not waiting.is_set(), path
                    connection.close()
                    continue
                await _waits(runtime, method, target, body, waiting, folded)
            quick = await Raw.to(runtime)
            assert (await ask(quick, "GET", "/api/spans?quick=1"))[0] == 200
            assert not waiting.is_set(), "a screen is repainted later"
            quick.close()
    assert len(READS) > 30


async def _waits(
    runtime: Runtime,
    method: str,
    target: str,
    body: bytes,
    waiting: asyncio.Event,
    folded: asyncio.Event,
) -> None:
    """It answers only once `folded` is set."""
    connection = await Raw.to(runtime)
    head = f"{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    await connection.send(head.encode() + body)
    line = asyncio.create_task(connection.reader.readline())
    begun = asyncio.create_task(waiting.wait())
    await asyncio.wait((line, begun), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    assert begun.done(), (method, target)
    assert not line.done(), (method, target)
    folded.set()
    status = int((await asyncio.wait_for(line, PATIENCE)).split()[1])
    assert status in (200, 400, 404), (method, target)
    connection.close()
    waiting.clear()
    folded.clear()


ODD_TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            *("", " ", "0", "-1", "1e9", "9" * 400, "NaN", "null", "true", "../../etc/passwd"),
            *("kind:deploy", "state:failed", "-is:draft", "team:'", 'name:"', "dur>", "age<1x"),
            *(
                "(((((",
                "a OR",
                "\0",
                "\x1b]0;x\x07",
                "\u202e",
                "%00",
                "%ff",
                "'; DROP TABLE spans;",
            ),
            *("2026-03-02T10:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2h", "-2h"),
            *("live", "-name", "started", "lead", "deploys", "Europe/Berlin", "Mars/Base"),
        ]
    ),
)
ODD_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), ODD_TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(ODD_TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values by a schema, and now and then any other."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return fitting(DOCUMENT["components"]["schemas"][name])
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), ODD_JSON)
    if "properties" in schema:
        known = {name: fitting(each) for name, each in schema["properties"].items()}
        required = schema.get("required", [])
        return st.one_of(
            st.fixed_dictionaries(
                {name: known[name] for name in required},
                optional={name: each for name, each in known.items() if name not in required},
            ),
            ODD_JSON,
        )
    if schema.get("type") == "string":
        return st.one_of(st.text(min_size=1, max_size=20), ODD_JSON)
    return ODD_JSON


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], str, str, bytes]:
    """(operation, method, target, body)."""
    method, path, found = draw(
        st.sampled_from([each for each in OPERATIONS if each[1] != "/api/stream"])
    )
    target = path
    query = []
    for parameter in found.get("parameters", []):
        value = draw(ODD_TEXT)
        if parameter["in"] == "path":
            value = value.replace("/", "") or "x"
            if value in (".", ".."):
                value = "x"
            shown = quote(value, safe="")
            target = target.replace(f"{{{parameter['name']}}}", shown)
        elif draw(st.booleans()):
            query.append((parameter["name"], value))
    if query:
        target += "?" + urlencode(query)
    body = b""
    if method == "POST":
        schema = found["requestBody"]["content"]["application/json"]["schema"]
        body = json.dumps(draw(fitting(schema))).encode("utf-8", "replace")
    return found, method, target, body


def walk(tmp_path, examples: int) -> None:
    """Hypothesis is synchronous: the receiver's loop runs between its examples."""
    seen: set[int] = set()
    with asyncio.Runner() as runner:
        context = receiving(tmp_path, Limits(rate=0))
        runtime = runner.run(context.__aenter__())
        try:
            runner.run(fill(runtime))
            connection = runner.run(Raw.to(runtime))

            async def one(found: dict[str, Any], method: str, target: str, body: bytes) -> None:
                nonlocal connection
                status, headers, answer = await ask(connection, method, target, body)
                if status == 0:
                    # It was closed as idle: a stalled machine took its time between two requests.
                    connection = await Raw.to(runtime)
                    status, headers, answer = await ask(connection, method, target, body)
                if headers.get("connection") == "close" or status in (0, 400, 413):
                    connection.close()
                    connection = await Raw.to(runtime)
                seen.add(status)
                assert 200 <= status < 500, (method, target, body, answer)
                # A parser that refuses the target, and ids that are no ids, are no operation.
                if status not in (404, 405) or "404" in found["responses"]:
                    assert described(found, status, headers, answer) == [], (target, body)
                elif status >= 400:
                    assert not list(faults(answer, {"$ref": "#/components/schemas/Error"}))

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(requests())
            def step(request: tuple[dict[str, Any], str, str, bytes]) -> None:
                runner.run(one(*request))

            step()
            runner.run(runtime.writer.folded())
            status, _, answer = runner.run(ask(connection, "GET", "/readyz"))
            assert (status, answer) == (200, {"status": "ready", "behind": 0})
            connection.close()
        finally:
            runner.run(context.__aexit__(None, None, None))
    assert {200, 400, 404} <= seen


def test_a_walk_over_the_document_finds_no_5xx(tmp_path) -> None:
    walk(tmp_path, 300)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_a_long_walk_over_the_document_finds_no_5xx(tmp_path) -> None:
    walk(tmp_path, 20_000)

"""What several sources share: versions, signatures' edges, schemas, the dispatch."""

from __future__ import annotations

import base64
import contextlib
import hmac
from importlib import metadata
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import orjson
import pytest
from pydantic import BaseModel

from tests.sources.webhook_tools import RECEIVED
from vs_tui.model.artifacts import (
    environment_in,
    image_parts,
    offer_version,
    purl_parts,
    seek_version,
)
from vs_tui.model.job_names import is_deploy_name
from vs_tui.model.time import SECOND
from vs_tui.model.vocabulary import Key
from vs_tui.sources import dispatch, fields
from vs_tui.sources.base import BadBody, Inbound, Unauthorized
from vs_tui.sources.body_schema import OptionalWord, Timestamp, Word, validated
from vs_tui.sources.grafana import TIMESTAMP_HEADER
from vs_tui.sources.signatures import (
    Scheme,
    any_token,
    require_fresh,
    require_hmac_any,
    require_jws,
    require_standard_webhook,
)

# -- versions ----------------------------------------------------------------------------------


def test_a_version_is_offered_inside_its_scope_and_without_one():
    assert offer_version("cart", "1", "shop") == (
        Key("artifact", "cart@1", "shop", "version"),
        Key("artifact", "cart@1", "", "version"),
    )
    assert len(offer_version("cart", "1")) == 1
    assert offer_version("", "1") == offer_version("cart", "") == ()
    (sought,) = seek_version("cart", "1", "shop")
    assert sought.key.scope == "shop"


@pytest.mark.parametrize(
    ("purl", "parts"),
    [
        ("pkg:oci/myapp@sha256%3A0b31", ("myapp", "sha256:0b31")),
        ("pkg:maven/org.acme/cart@1.2?type=jar", ("cart", "1.2")),
        ("pkg:npm/%40acme/cart@1.0.0#src", ("cart", "1.0.0")),
        ("pkg:oci/myapp", ("myapp", "")),
        ("cart@1", ("", "")),
        ("", ("", "")),
    ],
)
def test_package_urls(purl, parts):
    assert purl_parts(purl) == parts


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("registry.example:5000/acme/api:1.4", ("api", "1.4")),
        ("api@sha256:0b31", ("api", "sha256:0b31")),
        ("acme/api:1.4@sha256:0b31", ("api", "1.4")),
        ("api", ("api", "")),
        ("", ("", "")),
    ],
)
def test_images(image, parts):
    assert image_parts(image) == parts


@pytest.mark.parametrize(
    "name",
    [
        "deploy",
        "Deploy to QA",
        "deploy-prod",
        "run_deployment",
        "eu/deploy",
        "DeployToQA",
        "ProdDeploy",
    ],
)
def test_names_that_deploy(name):
    assert is_deploy_name(name)


@pytest.mark.parametrize(
    "name", ["deployable-check", "undeploy", "redeployer", "Deployable", "build", ""]
)
def test_names_that_do_not_deploy(name):
    assert not is_deploy_name(name)


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("Deploy to Production", "production"),
        ("deploy_qa", "qa"),
        ("deliver", ""),
        ("product", ""),
        ("cart-pre-production", "pre-production"),
        ("Non-Production", "non-production"),
        ("CartProd", "prod"),
        ("DeployToProdEU", "prod"),
        ("CartPreProd", "preprod"),
        ("NonProdDeploy", "nonprod"),
        ("ProductCatalog", ""),
        ("DevOpsLiveChat", ""),
    ],
)
def test_environments_are_whole_words(name, environment):
    assert environment_in(name) == environment


# -- signatures --------------------------------------------------------------------------------

MAC = hmac.new(b"s", b"body", "sha256").digest()


@pytest.mark.parametrize(
    "given",
    [MAC.hex(), MAC.hex().upper(), f"sha256={MAC.hex()}", base64.b64encode(MAC).decode()],
)
def test_a_digest_may_be_hex_prefixed_or_base64(given):
    require_hmac_any(given, b"body", [b"other", b"s"], "X")


@pytest.mark.parametrize("given", ["", "é", MAC.hex()[:-2], f"md5={MAC.hex()}", "\udcff"])
def test_any_other_digest_is_none(given):
    with pytest.raises(Unauthorized):
        require_hmac_any(given, b"body", [b"s", b""], "X")


def webhook(
    at: int = RECEIVED, secret: bytes = b"raw", identifier: str = "msg_1"
) -> dict[str, str]:
    timestamp = str(at // SECOND)
    signature = hmac.new(secret, f"{identifier}.{timestamp}.".encode() + b"body", "sha256").digest()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,AAAA v1,{base64.b64encode(signature).decode()}",
    }


def test_standard_webhooks_with_plain_and_prefixed_secrets():
    require_standard_webhook(webhook(), b"body", [b"old", b"raw"], RECEIVED)
    prefixed = b"whsec_" + base64.b64encode(b"raw")
    require_standard_webhook(webhook(), b"body", [prefixed], RECEIVED)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (webhook(), b"bodY"),
        (webhook() | {"webhook-id": "msg_2"}, b"body"),
        (webhook(RECEIVED - 301 * SECOND), b"body"),
        (webhook(RECEIVED + 301 * SECOND), b"body"),
        (webhook() | {"webhook-timestamp": str(RECEIVED // SECOND + 1)}, b"body"),
        (webhook() | {"webhook-signature": "v2,AAAA"}, b"body"),
        (webhook(secret=b""), b"body"),
        ({}, b"body"),
    ],
)
def test_standard_webhooks_refuse(headers, body):
    with pytest.raises(Unauthorized):
        require_standard_webhook(headers, body, [b"raw", b"", b"whsec_"], RECEIVED)


SECRET = b"raw"
SENT = str(RECEIVED // SECOND)
IN_BODY = b'{"webhookTimestamp": %d}' % (RECEIVED // 1_000)


def mac(message: bytes) -> str:
    return hmac.new(SECRET, message, "sha256").hexdigest()


SIGNS_ITS_TIME = {
    "gitlab": (webhook(), b"body"),
    "customhttp": (webhook(), b"body"),
    "buildkite": (
        {"x-buildkite-signature": f"timestamp={SENT},signature={mac(f'{SENT}.body'.encode())}"},
        b"body",
    ),
    "grafana": (
        {TIMESTAMP_HEADER: SENT, "x-grafana-alerting-signature": mac(f"{SENT}:body".encode())},
        b"body",
    ),
    "linear": ({"linear-signature": mac(IN_BODY)}, IN_BODY),
    "incidentio": (webhook(), b"body"),
    "rootly": ({"x-rootly-signature": f"t={SENT},v1={mac(f'{SENT}body'.encode())}"}, b"body"),
}
"""A delivery as each tool signs it that signs when it was sent, too."""
SIGNS_NO_TIME = {
    *("github", "gitea", "bitbucket", "jira", "pagerduty", "trello"),
    *("flux", "heroku", "netlify", "sentry", "sonarqube", "vercel", "user"),
}
"""By their documentation: the body (Trello: and the URL) is all that they sign. `user` is our own
command, which signs a decision with the token."""
SIGNS_NOTHING = {"plyzen"}
"""Its header is a key."""


def test_of_every_tool_that_signs_it_is_known_whether_it_signs_the_time():
    for name, source in dispatch.sources().items():
        known = name in SIGNS_ITS_TIME.keys() | SIGNS_NO_TIME | SIGNS_NOTHING
        if source.signature_headers and isinstance(source.signature, Scheme):
            signs = bool(source.signature.timestamp or source.signature.timestamp_part)
            signs |= source.signature.scheme == "standard-webhooks"
            # Linear's time is in the body that it signs.
            assert not known or name == "linear" or signs == (name in SIGNS_ITS_TIME)
        else:
            assert known == bool(source.signature_headers), f"{name} signs in a way of its own"


@pytest.mark.parametrize("name", SIGNS_ITS_TIME)
def test_a_recorded_delivery_cannot_be_sent_again_later_where_its_time_is_signed(name):
    source = dispatch.sources()[name]
    headers, body = SIGNS_ITS_TIME[name]
    for late, accepted in ((0, True), (299, True), (301, False), (-299, True), (-301, False)):
        inbound = Inbound(source.paths[0], headers, body, RECEIVED + late * SECOND)
        if accepted:
            source.verify(inbound, [SECRET])
            continue
        with pytest.raises(Unauthorized, match="5 minutes"):
            source.verify(inbound, [SECRET])


@pytest.mark.parametrize("name", dispatch.sources())
def test_neither_a_proof_nor_an_id_reads_a_long_body(monkeypatch, name):
    """Both are asked for between two other requests; reading it is done elsewhere."""
    source = dispatch.sources()[name]
    loads = orjson.loads

    def short(body: bytes) -> object:
        assert len(body) < 100_000, "it is read in the loop"
        return loads(body)

    monkeypatch.setattr(fields, "orjson", SimpleNamespace(loads=short, JSONDecodeError=ValueError))
    for body in (b"[" + b"1," * 100_000 + b"1]", b'{"id": "' + b"x" * 2_000_000 + b'"}'):
        path = source.paths[0].replace("*", "1")
        headers = dict.fromkeys(source.signature_headers, mac(body))
        inbound = Inbound(path, headers, body, RECEIVED)
        source.dedupe_key(inbound)
        with contextlib.suppress(Unauthorized):
            source.verify(inbound, [SECRET])


def test_no_token_is_never_the_right_one():
    assert not any_token("", [""])
    assert not any_token("", [])
    assert not any_token("x", ["", b""])
    assert any_token("x", ["y", b"x"])


@pytest.mark.parametrize("timestamp", ["", "now", "0", "-1", "9" * 30])
def test_what_is_no_time_is_not_fresh(timestamp):
    with pytest.raises(Unauthorized, match="5 minutes"):
        require_fresh(timestamp, RECEIVED, "T")


# -- schemas -----------------------------------------------------------------------------------


class Example(BaseModel):
    name: Word
    note: OptionalWord = ""
    at: Timestamp = None


def test_a_schema_names_the_first_field_that_is_wrong():
    assert validated(Example, {"name": "a\0b", "note": None, "at": ""}).name == "a\ufffdb"
    for payload, field in (({}, "name"), ({"name": "x", "at": "then"}, "at")):
        with pytest.raises(BadBody) as refusal:
            validated(Example, payload)
        assert refusal.value.field == field
    deep: dict = {}
    for _ in range(60):
        deep = {"a": deep}
    with pytest.raises(BadBody, match="flatter"):
        validated(Example, {"name": "x", "extra": deep})


# -- the registry ------------------------------------------------------------------------------


def test_no_two_sources_share_a_path_and_names_are_modules():
    paths = [path for path, _ in dispatch.routes()]
    assert len(paths) == len(set(paths))
    for source in dispatch.built_in():
        assert dispatch.one_source(source.name) is dispatch.sources()[source.name] is source
    for source in dispatch.sources().values():
        assert source.title
        secret = {"authorization", "x-api-key", *source.signature_headers}
        assert not secret & set(source.stored_headers), "a secret would be stored"


def test_a_third_partys_source_is_added_and_never_replaces_ours(monkeypatch, caplog):
    def entry(name, target):
        return EntryPoint(name, target, dispatch.ENTRY_POINT_GROUP)

    found = [
        entry("mine", "tests.sources.test_shared:MINE"),
        entry("fake", "tests.sources.test_shared:FAKE_GITHUB"),
        entry("broken", "tests.sources.no_such_module:SOURCE"),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: found)
    dispatch._sources.cache_clear()
    try:
        sources = dispatch.sources()
        assert sources["mine"] is MINE
        assert sources["github"] is not FAKE_GITHUB
        assert "broken" in caplog.text
    finally:
        dispatch._sources.cache_clear()


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name
        self.paths = (f"/{name}",)


MINE, FAKE_GITHUB = _Named("mine"), _Named("github")


def test_the_claims_of_a_web_signature_are_read_after_its_proof() -> None:
    """What is no JSON is refused for its signature, so nothing of a stranger's was parsed."""
    with pytest.raises(Unauthorized, match="does not match"):
        require_jws("no.json.here", b"{}", [b"secret"], "X-Webhook-Signature")

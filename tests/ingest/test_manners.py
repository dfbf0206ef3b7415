"""HTTP manners of senders: slashes, marks, encodings, and what they ask before they send."""

from __future__ import annotations

import gzip
import json
import urllib.request

import pytest

from tests.patience import PATIENCE


def event(number: int) -> dict[str, str]:
    return {"type": "deploy", "id": f"manner-{number}", "action": "end"}


@pytest.mark.parametrize("path", ["/customhttp/", "//customhttp", "//customhttp//"])
def test_doubled_and_trailing_slashes_are_accepted(shared, path) -> None:
    status, answer = shared.call(path, event(100 + 10 * len(path) + path.startswith("//")))
    assert (status, answer["verdict"]) == (200, "accepted")
    assert shared.call(path, event(0), token="")[0] == 401


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/github/", {"X-GitHub-Event": "ping"}, {"zen": "x"}),
        ("/gitlab/", {"X-Gitlab-Event": "Wiki Page Hook"}, {"object_kind": "wiki_page"}),
    ],
)
def test_a_tools_path_with_a_slash_behind_it(shared, path, headers, body) -> None:
    assert shared.call(path, body, headers)[1]["verdict"] == "ignored"


def test_other_paths_stay_unknown(shared) -> None:
    assert shared.call("/customhttp/more", event(1))[0] == 404
    assert shared.call("/customhttpx", event(1))[0] == 404


def test_marks_charsets_and_compression(shared) -> None:
    raw = json.dumps(event(2)).encode()
    assert shared.call("/customhttp", b"\xef\xbb\xbf" + raw)[0] == 200
    zipped = gzip.compress(json.dumps(event(3)).encode())
    assert shared.call("/customhttp", zipped, {"Content-Encoding": "gzip"})[0] == 200
    odd = json.dumps(event(4) | {"name": "M?nchen"}).encode().replace(b"?", b"\xfc")
    latin = {"Content-Type": "Application/JSON; charset=ISO-8859-1"}
    _, answer = shared.call("/customhttp", odd, latin)
    assert shared.call(f"/api/spans/{answer['spans'][0]}")[1]["name"] == "München"


def test_cloudevents_handshake_is_answered(shared) -> None:
    asked = {"WebHook-Request-Origin": "events.example"}
    for path in ("/cdevents", "/customhttp", "//cdevents/"):
        request = urllib.request.Request(shared.url + path, headers=asked, method="OPTIONS")
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            assert response.status == 200
            assert response.headers["WebHook-Allowed-Origin"] == "events.example"
            assert response.headers["Allow"] == "POST"


def test_head_is_answered_where_webhooks_arrive(shared) -> None:
    for path in ("/github", "/github/", "//trello"):
        assert shared.call(path, method="HEAD")[0] == 200

"""Secrets change while the receiver runs."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time

from tests.ingest.server import TOKEN, Server, nearby
from tests.patience import PATIENCE
from vs_tui.config import Config, Secrets, load, read_secrets, rotate, write_secrets
from vs_tui.ingest.auth import SecretsFile


def ping(server: Server, secret: str, number: int) -> int:
    body = json.dumps({"zen": str(number)}).encode()
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "ping", "X-Hub-Signature-256": f"sha256={digest}"}
    return server.call("/github", body, headers, token="")[0]


def test_a_rotation_under_load_refuses_nobody(tmp_path) -> None:
    with nearby(tmp_path) as server:
        path = tmp_path / "secrets.toml"
        old = read_secrets(path).sources["github"][0]
        statuses: list[int] = []
        done = threading.Event()

        def sender() -> None:
            number = 0
            while not done.is_set():
                statuses.append(ping(server, old, number))
                number += 1

        threads = [threading.Thread(target=sender) for _ in range(3)]
        for thread in threads:
            thread.start()
        server.wait_for(lambda: len(statuses) > 20, "events before")
        changed = rotate(read_secrets(path), "github")
        write_secrets(path, changed)
        new = changed.sources["github"][0]
        server.wait_for(lambda: ping(server, new, 0) == 200, "the new secret")
        count = len(statuses)
        server.wait_for(lambda: len(statuses) > count + 20, "events after")
        done.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert set(statuses) == {200}
        again = rotate(read_secrets(path), "github")
        write_secrets(path, again)
        assert server.wait_for(lambda: ping(server, old, 1) == 401, "the end of the oldest")
        assert ping(server, new, 2) == 200


def test_what_a_variable_set_stays_and_a_broken_file_changes_nothing(tmp_path) -> None:
    path = tmp_path / "secrets.toml"
    write_secrets(path, Secrets("of-the-file", {"github": ("a",), "gitlab": ("b",)}))
    config = Config(
        secrets=Secrets(
            "of-a-flag",
            {"github": ("a",), "gitlab": ("of-a-variable",)},
            fixed=frozenset({"token", "gitlab"}),
        ),
        secrets_path=path,
    )
    at = [0.0]
    secrets = SecretsFile(config, lambda: at[0])
    write_secrets(path, Secrets("changed", {"github": ("c",), "gitlab": ("d",)}))
    at[0] = 2.0
    assert secrets().token == "of-a-flag"
    assert secrets().of("github") == [b"c"]
    assert secrets().of("gitlab") == [b"of-a-variable"]
    for damage in ('token = "', "", None):
        at[0] += 2.0
        if damage is None:
            path.unlink()
        else:
            path.write_text(damage)
        assert secrets().of("github") == [b"c"]


def test_a_secret_that_changes_while_the_receiver_starts_is_in_force(tmp_path) -> None:
    path = tmp_path / "secrets.toml"
    write_secrets(path, Secrets("t", {"linear": ("made-here",)}))
    (tmp_path / "config.toml").touch()
    config = load(tmp_path / "config.toml", env={"VS_SECRET_JIRA": "of-a-variable"})
    write_secrets(path, Secrets("t", {"linear": ("of-linear",), "jira": ("unused",)}))
    at = [0.0]
    secrets = SecretsFile(config, lambda: at[0])
    assert secrets().of("linear") == [b"of-linear"]
    assert secrets().of("jira") == [b"of-a-variable"]
    write_secrets(path, Secrets("t", {"linear": ("of-linear-again",)}))
    at[0] = 2.0
    assert secrets().of("linear") == [b"of-linear-again"]


def proof_of(server: Server, delivery: int) -> str:
    """What the inspector shows."""
    return server.call(f"/api/deliveries/{delivery}")[1]["headers"]["vs-proof"]


BEFORE = "secret before the last rotation"


def test_the_inspector_shows_which_secret_matched(tmp_path) -> None:
    path = tmp_path / "secrets.toml"
    start = {"type": "build", "id": "1", "action": "start"}
    with nearby(tmp_path) as server:
        secrets = read_secrets(path).sources["github"]
        for number, expected in enumerate(("newest secret", BEFORE)):
            assert ping(server, secrets[number], number) == 200
            assert proof_of(server, number + 1) == f"signature, {expected}"
        _, answer = server.call("/customhttp", start, {"VS-Proof": "signature, newest secret"})
        assert proof_of(server, answer["delivery"]) == "token, newest secret"
        _, answer = server.call(f"/jenkins?token={TOKEN}", b'{"configFile":"x"}', token="")
        assert proof_of(server, answer["delivery"]) == "token in the URL, newest secret"
        write_secrets(path, rotate(read_secrets(path), "token"))

        def by_the_old_one() -> bool:
            _, answer = server.call("/customhttp", {**start, "id": f"{time.monotonic()}"})
            return proof_of(server, answer["delivery"]) == f"token, {BEFORE}"

        assert server.wait_for(by_the_old_one, "the rotation")
    with nearby(tmp_path, no_auth=True) as server:
        _, answer = server.call("/customhttp", {**start, "id": "2"}, token="")
        assert proof_of(server, answer["delivery"]) == "none was asked for"

"""A token that is rotated keeps working until the next rotation, so no sender is shut out."""

from __future__ import annotations

from tests.ingest.server import TOKEN, Nearby, Server
from vs_tui.config import TOKENS, Secrets, read_secrets, rotate, write_secrets

START = {"type": "build", "id": "1", "action": "start"}


def accepted(server: Server, token: str) -> tuple[bool, bool]:
    """Whether it may post, and read."""
    posted, _ = server.call("/customhttp", {**START, "id": token[:6]}, token=token)
    read, _ = server.call("/api/spans", token=token)
    return posted == 200, read == 200


def test_the_token_before_stays_valid_and_no_older_one(tmp_path) -> None:
    server = Nearby(tmp_path)
    path = tmp_path / "secrets.toml"
    tokens = [TOKEN]
    try:
        for _ in range(2):
            server.stop()
            write_secrets(path, rotate(read_secrets(path), "token"))
            tokens.append(read_secrets(path).token)
            server.start()
        assert [accepted(server, token) for token in reversed(tokens)] == [
            (True, True),
            (True, True),
            (False, False),
        ]
        assert accepted(server, "") == (False, False)
    finally:
        server.stop()


def test_the_first_token_has_none_before_it(tmp_path) -> None:
    fresh = rotate(Secrets(), "token")
    assert fresh.tokens == [fresh.token.encode()]
    write_secrets(tmp_path / "secrets.toml", fresh)
    assert read_secrets(tmp_path / "secrets.toml").tokens == fresh.tokens
    twice = rotate(rotate(fresh, "token"), "token")
    assert len(twice.sources[TOKENS]) == 1
    assert Secrets().tokens == []
    assert fresh.token not in repr(fresh)

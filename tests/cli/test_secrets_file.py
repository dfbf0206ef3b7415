"""What secrets.toml may hold: never a secret that nobody meant, never one that is lost."""

from __future__ import annotations

import stat
import threading

import pytest

from vs_tui.config import ConfigError, Secrets, complete_secrets, read_secrets, write_secrets


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[github]\nsecrets = "canary-1234"\n', r"\[github\] must hold secrets = \["),
        ('[github]\nsecret = "canary-1234"\n', r"\[github\] must hold"),
        ('[github]\nsecrets = ["a"]\nsecret = "canary-1234"\n', r"\[github\] must hold"),
        ("[tokens]\nsecrets = [1234]\n", r"\[tokens\] must hold"),
        ('githup = "canary-1234"\n', r"\[githup\] must hold"),
        ("token = 1234\n", "token must be a text"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_and_not_quoted(tmp_path, text, place) -> None:
    """Of `secrets = "abc"` the letters a, b and c were valid secrets, each by itself."""
    path = tmp_path / "secrets.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=place) as raised:
        complete_secrets(path)
    assert "1234" not in str(raised.value)
    assert path.read_text() == text


def test_every_text_is_read_back_as_it_was_written(tmp_path) -> None:
    odd = ('"\\\n\t\x01\x7f', "naïve 😀", "")
    secrets = Secrets("tok😀en", {"github": odd, "our.own tool": ("x",)})
    write_secrets(tmp_path / "secrets.toml", secrets)
    assert read_secrets(tmp_path / "secrets.toml") == secrets
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.toml"]


def test_a_link_to_the_file_stays_one(tmp_path) -> None:
    link, there = tmp_path / "secrets.toml", tmp_path / "kept" / "mine.toml"
    there.parent.mkdir()
    link.symlink_to(there)
    for token in ("first", "second"):
        write_secrets(link, Secrets(token))
        assert link.is_symlink() and read_secrets(there).token == token
        assert stat.S_IMODE(there.stat().st_mode) == 0o600


def test_first_starts_at_once_find_the_same_secrets(tmp_path) -> None:
    path = tmp_path / "new" / "secrets.toml"
    together = threading.Barrier(8)
    found: list[Secrets] = []

    def start() -> None:
        together.wait()
        found.append(complete_secrets(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [read_secrets(path)] * 8

"""Bodies of deliveries as lines: what is kept, what is hidden, what folds."""

import json

import pytest

from vs_tui.tui.widgets.document import HIDDEN, MAX_LINES, body_lines, hide, is_secret_name, plain


def texts(body: bytes, known=()) -> list[str]:
    return [
        "  " * line.depth + "".join(text for text, _ in line.pieces)
        for line in body_lines(body, known)
    ]


def test_json_is_indented() -> None:
    assert texts(b'{"a":1,"b":[true,null],"c":{}}') == [
        "{",
        '  "a": 1',
        '  "b": [',
        "    true",
        "    null",
        "  ]",
        '  "c": {}',
        "}",
    ]


def test_numbers_keep_their_digits_and_names_may_repeat() -> None:
    body = b'{"id":123456789012345678901234567890,"x":1.50,"x":2,"n":NaN}'
    assert texts(body)[1:-1] == [
        '  "id": 123456789012345678901234567890',
        '  "x": 1.50',
        '  "x": 2',
        '  "n": NaN',
    ]


def test_blocks_say_how_many_lines_they_hold() -> None:
    lines = body_lines(b'{"a":{"b":1},"c":[]}')
    assert [line.block for line in lines] == [5, 2, 0, 0, 0, 0]
    assert "".join(t for t, _ in lines[1].folded_pieces) == '"a": { ... } 1 member'


def test_long_blocks_below_the_top_are_folded_at_first() -> None:
    body = json.dumps({"short": [1], "long": list(range(9))}).encode()
    folds = {line.path: line.folds for line in body_lines(body) if line.block}
    assert folds == {"body": False, "body.short": False, "body.long": True}


def test_a_long_string_unfolds_into_its_lines_and_is_copied_once() -> None:
    text = "first line\n" + "word " * 40
    body = json.dumps({"body": text}).encode()
    head = body_lines(body)[1]
    assert head.folds and head.block >= 4
    assert body_lines(body)[2].pieces[0][0] == "first line"
    assert plain(body).count("first line") == 1
    assert json.loads(plain(body)) == {"body": text}


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "accessToken", "API_KEY", "x-api-key", "client_secret", "password",
     "private_key", "Authorization"],
)  # fmt: skip
def test_names_of_secrets(name) -> None:
    assert is_secret_name(name)
    shown = "\n".join(
        texts(json.dumps({name: "hunter2", "deep": [{name: {"a": "hunter2"}}]}).encode())
    )
    assert "hunter2" not in shown
    assert shown.count(HIDDEN) == 2


@pytest.mark.parametrize("name", ["tokens_used", "author", "key", "secretary", "signature", "sha"])
def test_names_of_other_things(name) -> None:
    assert not is_secret_name(name)


def test_our_own_secrets_are_hidden_wherever_they_stand() -> None:
    secret = "s3cr3t-of-ours"
    for body in (
        json.dumps({"note": f"use {secret} please", secret: [secret]}).encode(),
        f"text with {secret}".encode(),
    ):
        assert secret not in "\n".join(texts(body, [secret]))
        assert secret not in plain(body, [secret])


def test_a_short_or_empty_secret_does_not_blank_the_text() -> None:
    assert hide("some text", ["", "e"]) == "some text"


def test_other_text_and_binary() -> None:
    assert texts(b"a=1\nb=\x1b[31m2") == ["a=1", "b=␛[31m2"]
    assert texts(b"") == ["the body is empty, or was not kept"]
    assert texts(b"\xff\x00AB") == [
        "binary, 4 bytes",
        "000000  ff 00 41 42                                      ..AB",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        *(b"[" * depth + b"]" * depth for depth in (450, 700, 950, 5_000)),
        b'{"a":' * 3_000,
    ],
)
def test_absurd_nesting_is_shown_as_text(body) -> None:
    assert texts(body)[0].startswith(("[", "{"))


def test_a_huge_body_ends_with_a_word_about_the_rest() -> None:
    lines = texts(json.dumps(list(range(3 * MAX_LINES))).encode())
    assert len(lines) <= MAX_LINES + 2
    assert any("more" in line for line in lines[-3:])
    assert "more characters" in texts(b"x" * 5_000_000)[-1]


def test_what_a_sender_wrote_is_cleaned() -> None:
    body = json.dumps({"\x1b]0;x\x07": "\u202eevil\x9b1m", "l": "\x1b[2J" * 40}).encode()
    shown = "\n".join(texts(body))
    assert not any(c in shown for c in "\x1b\x07\x9b\u202e")

"""What a person is told about a request that was refused."""

import pytest

from vs_tui.model.request_advice import Proof, advice
from vs_tui.model.vocabulary import Verdict

GITHUB = Proof("GitHub", "github", "X-Hub-Signature-256")


@pytest.mark.parametrize(
    ("status", "reason", "what", "do"),
    [
        (401, "the signature is wrong", "another secret", "secret show github"),
        (503, "too many requests without a valid proof", "valid proof", "secret show github"),
        (503, "too many requests of github at once; send it again", "at once", "again later"),
        (503, "more than 50 requests a second from github; send it", "at once", "again later"),
        (503, "the database is full", "could not be stored", "vs-tui doctor"),
        (400, "body: is not JSON: line 1", "not the JSON", "content type"),
        (400, "action: Field required; a tool's own body ...", "(action: Field required)", "sends"),
    ],
)
def test_what_is_wrong_and_what_to_do_follow_the_reason(status, reason, what, do) -> None:
    found = advice(Verdict.REJECTED, status, reason, GITHUB)
    assert what in found.what
    assert do in found.do


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "the signature is wrong"), (503, "too many requests without a valid proof")],
)
def test_the_secret_that_a_tool_makes_is_entered_here(status, reason) -> None:
    linear = Proof("Linear", "linear", "Linear-Signature", makes_secret=True)
    found = advice(Verdict.REJECTED, status, reason, linear)
    assert found.do.startswith("put the secret that Linear shows into secrets.toml, under [linear]")
    assert "secret show" not in found.do

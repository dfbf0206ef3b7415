"""What a person does about a request that was refused or not understood.

The dashboard's first page, Sources, Events and `vs-tui doctor` all ask `advice`, so a wrong secret
gets one answer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vs_tui.model.display import clean
from vs_tui.model.vocabulary import Verdict


class Proof(NamedTuple):
    """How the requests of a source prove where they come from."""

    title: str = "the tool"
    """The tool's name as people write it."""
    kept_as: str = "token"
    """The name of the secret in `vs-tui secret show NAME`."""
    header: str = ""
    """The header that carries the signature; empty if the tool sends our token."""
    in_url: bool = False
    """Whether the tool may send the token in the URL."""
    makes_secret: bool = False
    """Whether the tool makes the secret, so that it is entered in secrets.toml."""

    @property
    def tool_secret(self) -> str:
        """How the secret of a tool that makes it gets here."""
        return f"put the secret that {self.title} shows into secrets.toml, under [{self.kept_as}]"


class Advice(NamedTuple):
    """What is wrong and what to do, in a few words; both are empty if nothing is wrong."""

    what: str = ""
    do: str = ""


NOT_KEPT: Final = "refused requests are not kept whole; ask the sender to send it again"
_NONE: Final = Advice()


def shown_header(name: str) -> str:
    """A header's name in the case of documentations."""
    return "-".join(part.capitalize() for part in name.split("-"))


def why(verdict: str, status: int, reason: str, proof: Proof) -> str:
    """The reason of a verdict in a few words. For a refused proof or path these are the words of
    `advice`; any other reason already says what is wrong."""
    if verdict == Verdict.REJECTED and status in (401, 403, 404):
        return advice(verdict, status, reason, proof).what
    return reason


def advice(verdict: str, status: int, reason: str, proof: Proof) -> Advice:
    """What to do about the answer to a request."""
    if verdict == Verdict.QUARANTINED:
        return _QUARANTINED
    if verdict != Verdict.REJECTED:
        return _NONE
    if status == 401:
        return _unproven(reason, proof)
    if status == 404 and "no source" in reason:
        return _NO_SOURCE
    if status == 400 and reason and "JSON" not in reason:
        named = clean(reason.partition(";")[0], 100)
        return Advice(f"the request is not valid ({named})", "correct what the tool sends")
    if status >= 500:
        return _unavailable(reason, proof)
    other = Advice(f"refused with {status}", "correct what the tool sends; the reason says what")
    return _BY_STATUS.get(status, other)


def _unproven(reason: str, proof: Proof) -> Advice:
    show = f"`vs-tui secret show {proof.kept_as}`"
    if proof.header and "missing or wrong proof" not in reason:
        do = f"copy the secret again ({show}), paste it at {proof.title}, and let it send again"
        do = f"{proof.tool_secret}, and let it send again" if proof.makes_secret else do
        return Advice("signed with another secret than ours", do)
    if proof.header:
        do = f"enter a secret in the webhook's form: {show} prints it"
        do = f"only {proof.title} signs: find out what else sends" if proof.makes_secret else do
        return Advice(f"it carries no {proof.header}", do)
    way = "put ?token= into the URL" if proof.in_url else "send it in the header Authorization"
    return Advice("the token is missing or another one", f"{way}: {show} prints it")


def _unavailable(reason: str, proof: Proof) -> Advice:
    if "without a valid proof" in reason:
        do = f"copy the secret again (`vs-tui secret show {proof.kept_as}`)"
        do = f"{proof.tool_secret if proof.makes_secret else do} if {proof.title} sends them"
        return Advice("one of more requests without a valid proof than are checked", do)
    if "too many" in reason or "requests a second" in reason:
        return Advice("more than may be sent at once", "the tool sends it again later")
    return Advice("it could not be stored", "`vs-tui doctor` says why; the tool may send again")


_QUARANTINED: Final = Advice(
    "proven, but not understood",
    "it is kept: upgrade, then `vs-tui db rebuild` reads all of them again",
)
_NO_SOURCE: Final = Advice(
    "no source has this path",
    "use the URL shown for the tool, `vs-tui source list` prints all paths",
)
_NOT_JSON: Final = Advice(
    "not the JSON that this path takes", "set the content type of the webhook to application/json"
)
_BY_STATUS: Final = {
    400: _NOT_JSON,
    403: Advice(
        "it came from outside while no_auth is on",
        "remove no_auth from the configuration, then enter the secret at the tool",
    ),
    404: Advice("it names a span that is not known", "send its start first, then this again"),
    413: Advice("larger than a request may be", "let the tool send less in one request"),
    415: _NOT_JSON,
}

"""Errors that a person can mend, and what to do about a request that was refused or not understood.

The dashboard's first page, Sources, Events and `vs-tui doctor` all ask `advice`, so a wrong secret
gets one answer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vs_tui.model.vocabulary import Verdict


class Explained(Exception):
    """An error whose message tells a person what is wrong and what to do next. A command that ends
    with one prints the message; any other exception is a bug."""


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


class Advice(NamedTuple):
    """What is wrong and what to do, in a few words; both are empty if nothing is wrong."""

    what: str = ""
    do: str = ""


_NONE: Final = Advice()


def advice(verdict: str, status: int, reason: str, proof: Proof) -> Advice:
    """What to do about the answer to a request."""
    show = f"`vs-tui secret show {proof.kept_as}`"
    if verdict == Verdict.QUARANTINED:
        return Advice(
            "proven, but not understood",
            "it is kept: upgrade, then `vs-tui db rebuild` reads all of them again",
        )
    if verdict != Verdict.REJECTED:
        return _NONE
    if status == 401:
        if proof.header and "missing or wrong proof" not in reason:
            return Advice(
                "signed with another secret than ours",
                f"copy the secret again ({show}), paste it at {proof.title}, and let it send again",
            )
        if proof.header:
            return Advice(
                f"it carries no {proof.header}",
                f"enter a secret in the webhook's form: {show} prints it",
            )
        way = "put ?token= into the URL" if proof.in_url else "send it in the header Authorization"
        return Advice("the token is missing or another one", f"{way}: {show} prints it")
    if status == 403:
        return Advice(
            "it came from outside while no_auth is on",
            "remove no_auth from the configuration, then enter the secret at the tool",
        )
    if status == 404 and "no source" in reason:
        return Advice("no source has this path", "use the URL shown for the tool, `vs-tui source "
                      "list` prints all paths")  # fmt: skip
    if status == 404:
        return Advice("it names a span that is not known", "send its start first, then this again")
    if status in (400, 415):
        return Advice("not the JSON that this path takes", "set the content type of the webhook to "
                      "application/json")  # fmt: skip
    if status == 413:
        return Advice("larger than a request may be", "let the tool send less in one request")
    if status == 429:
        return Advice("more than one source may send at once", "the tool sends it again later")
    if status >= 500:
        return Advice("it could not be stored", "`vs-tui doctor` says why; the tool may send again")
    return Advice(f"refused with {status}", "correct what the tool sends; the reason says what")

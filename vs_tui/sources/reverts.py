"""What descriptions and messages of commits say to revert, in the words of git and of each host."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from vs_tui.model import keys

REVERTS: Final = "vs.change.reverts"
"""Attribute of a change: what it takes back, as `reverted` gives it. Empty if it names nothing, so
that a later snapshot removes what an earlier one named."""
_REVERTS: Final = re.compile(
    r"^ {0,3}(?:(?:This )?Reverts (?:commit (?P<sha>[0-9a-f]{7,40})"
    r"|(?:(?:pull|merge) request )?(?P<repo>[\w.-]+(?:/[\w.-]+)+)?[#!](?P<number>\d{1,9}))"
    r"|Reverted commit `?(?P<undone>[0-9a-f]{7,40})"
    r"|Revert \"(?:Merge pull request #|Merged PR |Pull request #"
    r"|Merged in [^\"\n]{1,200} \(pull request #)(?P<merged>\d{1,9}))\b",
    re.IGNORECASE | re.MULTILINE,
)
"""git and Gitea: `This reverts commit SHA`; GitHub: `Reverts acme/api#1`; GitLab: `This reverts
merge request !1`; Bitbucket: `This reverts pull request #1`; Azure: `Reverts !1`, `Reverted commit
SHA`. And titles of reverted merges, as GitHub, Azure, Bitbucket Server and Cloud name these."""
_SQUASHED: Final = re.compile(r"^\* ", re.MULTILINE)
MAX_REVERTS: Final = 10


def reverted(message: str, key: Callable[[int], str], scope: str, *, of_commit: bool) -> str:
    """The commits, and the keys of the pull requests (as `key` makes them of a number), that a
    description or a commit's message says to revert; separated by spaces.

    A squashed commit lists the messages of its commits with `* `: what these revert may be one
    another, and is not what the whole reverts. The reference of a pull request under another name
    begins with `keys.FORMER`: the repository may have had this name.
    """
    if "evert" not in message:
        return ""
    own = _SQUASHED.split(message, maxsplit=1)[0] if of_commit else message
    found: dict[str, None] = {}
    for match in _REVERTS.finditer(own):
        sha = (match["sha"] or match["undone"] or "").lower()
        name = sha or key(int(match["number"] or match["merged"]))
        if match["repo"] and keys.repository(match["repo"]) != scope:
            start = name.partition("-pull_request-")[0]
            name = f"{keys.FORMER}{start}-pull_request-{match['repo']}-{match['number']}"
        found[name] = None
    return " ".join([*found][:MAX_REVERTS])

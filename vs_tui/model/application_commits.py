"""Commits of applications that tags of images and the messages of other commits name (GitOps)."""

from __future__ import annotations

import re
from typing import Final

from vs_tui.model.vocabulary import Key, Rule, Seek

MAX_REFERENCES: Final = 20
"""Most references that one text is read for."""
_NAMED_COMMIT: Final = re.compile(
    r"(?<![0-9a-zA-Z])g?((?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{7,40})(?![0-9a-zA-Z])"
)
"""A commit within a tag or a message, also as `git describe` writes it."""
SETS_VERSION: Final = re.compile(
    r"\b(?:bump|updat|upgrad|deploy|releas|promot|set|roll)\w{0,8}\b", re.IGNORECASE
)


APPLICATION: Final = "application's commit"
"""The `via` of a commit whose repository is not told: it is named by a tag of an image, or by the
commit that sets one. A few digits of it are enough."""


def commit_in(version: str) -> str:
    """The commit in a version such as `main-1a2b3c4` or `1.4.2-3-g1a2b3c4`; else empty."""
    found = _NAMED_COMMIT.findall(version[:200])
    return found[-1] if found else ""


def bumped_commits(message: str) -> list[Seek]:
    """Seeks from a commit that sets the version of an application (GitOps) to the commits of the
    application that it names."""
    if not SETS_VERSION.search(message.partition("\n")[0]):
        return []
    found = dict.fromkeys(_NAMED_COMMIT.findall(message[:2_000]))
    return [
        Seek(Rule.HIERARCHY, Key("commit", sha, "", APPLICATION), link_only=True)
        for sha in list(found)[:MAX_REFERENCES]
    ]

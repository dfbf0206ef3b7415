"""Versions of artifacts as keys, and the versions that people name in texts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from vs_tui.model.keys import MAX_REFERENCES, TEXT_LIMIT
from vs_tui.model.vocabulary import Key, Rule, Seek

MOVING_VERSIONS: Final = ("latest", "stable", "edge", "nightly", "main", "master", "develop")
"""Versions whose content changes; deploying one again is not a rollback."""
_MOVING: Final = frozenset(
    {
        *MOVING_VERSIONS,
        *("trunk", "head", "dev", "development", "staging", "prod", "production", "test"),
        *("snapshot", "canary", "rolling", "unstable", "current", "lts", "next", "default"),
    }
)
_MOVING_PARTS: Final = re.compile(
    r"(?:.*[-._+])?(?:snapshot|latest|nightly)|latest[-._].*"
    r"|(?:refs/heads|feature|features|bugfix|hotfix|fix|release|releases|dependabot|renovate)/.*",
    re.DOTALL,
)
_ROOT_CAUSE: Final = re.compile(r"\broot cause:\s*([0-9a-f]{7,64})\b", re.IGNORECASE)
_VERSION: Final = r"v?\d+(?:\.[\w-]+)+"
_IMAGE: Final = re.compile(rf"(?<![\w.-])([A-Za-z][\w.-]{{0,99}})[:@]({_VERSION})(?![\w.:])")
_BUMP: Final = re.compile(
    r"\b(?:bump(?:s|ed)?|updat(?:e|es|ed)|upgrad(?:e|es|ed)|deploy(?:s|ed)?|releas(?:e|es|ed)|"
    r"promot(?:e|es|ed))\s+(?:[\w.-]+/)*([A-Za-z][\w.-]{0,99})\s+(?:from\s+\S{1,60}\s+)?"
    rf"to\s+({_VERSION})(?![\w.])",
    re.IGNORECASE,
)


def artifact(name: str, version: str, scope: str = "", via: str = "version") -> Key:
    """A version of an artifact. Names compare without case: the image of repository `Cart` must be
    called `cart`."""
    return Key("artifact", f"{name.lower()}@{version}", scope, via)


@lru_cache(maxsize=4096)
def is_moving_version(version: str) -> bool:
    """Whether the content of a version changes: `latest`, `1.0-SNAPSHOT`, a branch."""
    lowered = version.strip().lower()
    return lowered in _MOVING or _MOVING_PARTS.fullmatch(lowered) is not None


def is_moving(kind: str, value: str) -> bool:
    """Whether a key names a moving version, so that two spans which share it need not be
    related."""
    if kind == "artifact":
        _, at, version = value.partition("?")[0].rpartition("@")
        return bool(at) and is_moving_version(version)
    return kind == "tag" and is_moving_version(value)


def root_causes(text: str, service: str, scope: str) -> list[Seek]:
    """Seeks from `root cause: SHA` in an incident's description: the deploy of that commit (the
    convention of four-keys)."""
    shas = dict.fromkeys(m[1].lower() for m in _ROOT_CAUSE.finditer(text[:TEXT_LIMIT]))
    return [
        Seek(Rule.VERSION, artifact(service, sha, scope, "root cause"))
        for sha in list(shas)[:MAX_REFERENCES]
    ]


def versions(text: str, scope: str, via: str) -> list[Seek]:
    """Seeks from a GitOps commit that names versions: `api:1.4.0`, `Bump api from v1.3 to v1.4`;
    with and without the `v` of tags. Only versions that a span offers link."""
    text = text[:2_000]
    found = [match.groups() for pattern in (_IMAGE, _BUMP) for match in pattern.finditer(text)]
    named = [
        artifact(name, f"{prefix}{version.removeprefix('v')}", scope, via)
        for name, version in found[:MAX_REFERENCES]
        for prefix in ("", "v")
    ]
    return [Seek(Rule.VERSION, key) for key in dict.fromkeys(named)]

"""Versions of artifacts, by which builds, deploys, tests and incidents of different tools are
linked, and the versions that people name in texts.

A version is offered as `service@version` twice: inside its scope (a namespace or repository) and
without a scope, because an alert's labels name a service and a version but no namespace.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from vs_tui.model.application_commits import MAX_REFERENCES, SETS_VERSION
from vs_tui.model.keys import TEXT_LIMIT
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


_WORDS: Final = re.compile(r"\w[\w-]*")


def is_bump(title: str, names: Collection[str]) -> bool:
    """Whether a change only sets the version of one of these services, or of an image."""
    words = set(_WORDS.findall(title.lower()))
    return SETS_VERSION.search(title) is not None and not words.isdisjoint(
        {"image", "images", *names}
    )


_RELEASE: Final = re.compile(r"(?:\S+@)?v?\d+\.\d+\.\d\S*")
_NAMES: Final = (
    r"(?:pre|non|not)[-_. ]?prod(?:uction)?|production|prod|live|staging|stage|uat|qa|testing|test|"
    r"development|dev|sandbox|preview"
)
_ENVIRONMENTS: Final = re.compile(rf"(?:^|[^a-z0-9])({_NAMES})(?:$|[^a-z0-9])")
_IN_HUMPS: Final = re.compile(r"(?:\A|[^A-Z])((?:Pre|Non)?Prod(?:uction)?|Staging|Uat)(?![a-z])")
"""An environment in a name such as `CartProd`. Other words (`DevOps`, `LiveChat`) may be names."""
_AT_AN_END: Final = re.compile(
    rf"(?P<before>[^\s].{{0,199}}?)[-_./ ]+(?:{_NAMES})|(?:{_NAMES})[-_./ ]+(?P<after>.{{1,200}})",
    re.IGNORECASE,
)
_PURL: Final = re.compile(r"pkg:[\w.+-]+/(?P<path>[^@?#]+)(?:@(?P<version>[^?#]+))?")
_IMAGE_PARTS: Final = re.compile(
    r"(?:.*/)?(?P<name>[^/:@]+)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>[\w:]+))?\Z"
)


_WHOLE_IMAGE: Final = re.compile(r"[\w.:-]+/(?:[\w.-]+/)*[\w.-]+:[\w.-]+")
_AFTER_SERVICE: Final = re.compile(r"[-_/@:](v?\d.*|sha256:.*)", re.DOTALL)
PART: Final = "part"


@lru_cache(maxsize=4096)
def bare_version(version: str, service: str = "") -> str:
    """The part of a version that tools of all kinds know: the tag of a whole image, else its
    digest; a tag of git without `refs/tags/`; the version in one that begins with its service, as
    releases of Sentry (`cart@1.4.0`) and tags of monorepos (`cart/v1.4.0`, `cart-1.4.0`) do."""
    found = version.removeprefix("refs/tags/")
    if "@sha256:" in found or _WHOLE_IMAGE.fullmatch(found):
        found = image_parts(found)[1] or found
    is_of_service = service and found[: len(service)].lower() == service.lower()
    rest = _AFTER_SERVICE.fullmatch(found[len(service) :]) if is_of_service else None
    return rest[1] if rest else found


def offer_version(
    service: str, version: str, scope: str = "", via: str = "version"
) -> tuple[Key, ...]:
    """The keys by which other spans find this version of a service; none if service or version is
    empty.

    `via` is PART for one of several artifacts of a deploy. The next deploy may contain that
    artifact unchanged, so it does not identify the version of the whole.
    """
    if not service or not version:
        return ()
    version = bare_version(version, service)
    bare = artifact(service, version, "", via)
    return (artifact(service, version, scope, via), bare) if scope else (bare,)


def offer_ref(service: str, ref: str, scope: str) -> Iterator[Key]:
    """Keys of a deployed ref, if there is one. Alerts, which name no scope, find it if it is named
    as a release is (`v1.4.0`), as no branch is; with and without the `v`."""
    if ref:
        yield artifact(service, ref, scope, "ref")
    if _RELEASE.fullmatch(ref[:200]):
        yield artifact(service, ref, "", "ref")
        yield artifact(service, ref.removeprefix("v"), "", "ref")


def seek_version(service: str, version: str, scope: str = "") -> list[Seek]:
    """Seeks for the deploy, or else the build, of this version of a service."""
    offered = offer_version(service, version, scope)
    return [Seek(Rule.VERSION, key) for key in offered[:1]]


def purl_parts(purl: str) -> tuple[str, str]:
    """Name and version of a package URL (`pkg:oci/myapp@sha256%3A0b31`); empty if missing."""
    match = _PURL.match(purl[:500])
    if not match:
        return "", ""
    return unquote(match["path"].rpartition("/")[2]), unquote(match["version"] or "")


def image_parts(image: str) -> tuple[str, str]:
    """Name and tag (or else digest) of an image (`host:5000/acme/api:1.4`); empty if missing."""
    match = _IMAGE_PARTS.match(image[:500].strip())
    return (match["name"], match["tag"] or match["digest"] or "") if match else ("", "")


def without_environment(name: str) -> str:
    """A name without the environment at its start or end: `cart` of `cart-prod`."""
    match = _AT_AN_END.fullmatch(name)
    return (match["before"] or match["after"]) if match else name


def environment_in(name: str) -> str:
    """The environment that a name contains as a word; else empty."""
    match = _ENVIRONMENTS.search(name.lower()[:200]) or _IN_HUMPS.search(name[:200])
    return match[1].lower() if match else ""

"""Versions of artifacts, by which builds, deploys, tests and incidents of different tools are
linked.

A version is offered as `service@version` twice: inside its scope (a namespace or repository) and
without a scope, because an alert's labels name a service and a version but no namespace.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from vs_tui.model import artifacts
from vs_tui.model.vocabulary import Key, Rule, Seek

_DEPLOY: Final = re.compile(r"(?:^|[^a-z])deploy(?:s|ment|ing)?(?:$|[^a-z])")
_NAMES: Final = (
    r"production|prod|live|staging|stage|preprod|pre-prod|uat|qa|testing|test|"
    r"development|dev|sandbox|preview"
)
_ENVIRONMENTS: Final = re.compile(rf"(?:^|[^a-z0-9])({_NAMES})(?:$|[^a-z0-9])")
_AT_AN_END: Final = re.compile(
    rf"(?P<before>[^\s].{{0,199}}?)[-_./ ]+(?:{_NAMES})|(?:{_NAMES})[-_./ ]+(?P<after>.{{1,200}})",
    re.IGNORECASE,
)
_PURL: Final = re.compile(r"pkg:[\w.+-]+/(?P<path>[^@?#]+)(?:@(?P<version>[^?#]+))?")
_IMAGE: Final = re.compile(
    r"(?:.*/)?(?P<name>[^/:@]+)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>[\w:]+))?\Z"
)


PART: Final = "part"


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
    bare = artifacts.artifact(service, version, "", via)
    return (artifacts.artifact(service, version, scope, via), bare) if scope else (bare,)


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
    match = _IMAGE.match(image[:500].strip())
    return (match["name"], match["tag"] or match["digest"] or "") if match else ("", "")


def is_deploy_name(name: str) -> bool:
    """Whether the name of a job or stage says that it deploys (`deploy-prod`, `Deploy to QA`)."""
    return _DEPLOY.search(name.lower()[:200]) is not None


def without_environment(name: str) -> str:
    """A name without the environment at its start or end: `cart` of `cart-prod`."""
    match = _AT_AN_END.fullmatch(name)
    return (match["before"] or match["after"]) if match else name


def environment_in(name: str) -> str:
    """The environment that a name contains as a word; else empty."""
    match = _ENVIRONMENTS.search(name.lower()[:200])
    return match[1] if match else ""

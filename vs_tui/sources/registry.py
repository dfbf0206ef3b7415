"""The sources we know: ours by name, third parties' by entry point."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from vs_tui.sources.base import Source

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP: Final = "vs_tui.sources"

BUILT_IN: Final = (
    "github",
    "gitlab",
    "jenkins",
    "jira",
    "customhttp",
    "plyzen",
    "emmetrics",
    "cdevents",
    "otlp",
    "pagerduty",
    "alertmanager",
    "grafana",
    "linear",
    "trello",
    "bitbucket",
    "gitea",
    "circleci",
    "buildkite",
    "azure",
    "argocd",
    "user",
)
"""Module names in this package; each has a `SOURCE`."""


@cache
def sources() -> Mapping[str, Source]:
    """Every source by name. A third party's source that fails to load is left out and logged;
    it can add a source, not replace one of ours."""
    found: dict[str, Source] = {}
    for name in BUILT_IN:
        source: Source = import_module(f"vs_tui.sources.{name}").SOURCE
        found[source.name] = source
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            source = entry.load()
            found.setdefault(source.name, source)
        except Exception:
            log.exception("the source %s could not be loaded; reinstall its package", entry.name)
    return found


def one_source(name: str) -> Source:
    """A source by its name, without importing all others when it is ours."""
    if name in BUILT_IN:
        source: Source = import_module(f"vs_tui.sources.{name}").SOURCE
        return source
    return sources()[name]


def routes() -> Iterator[tuple[str, Source]]:
    """(path, source) for every path of every source."""
    for source in sources().values():
        for path in source.paths:
            yield path, source

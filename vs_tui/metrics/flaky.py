"""Flaky jobs: the same job on the same commit with both results."""

from __future__ import annotations

from dataclasses import dataclass

from vs_tui.metrics.statistics import ratio
from vs_tui.model.time import Instant


@dataclass(frozen=True, slots=True)
class FlakyJob:
    """A job whose result does not depend on the commit alone."""

    project: str
    job: str
    commits: int
    """On how many commits it had been run."""
    flaky: int
    """On how many of them it had both results."""
    last_at: Instant
    example: str
    """Key of a run on the latest commit with both results."""

    @property
    def rate(self) -> float | None:
        return ratio(self.flaky, self.commits)

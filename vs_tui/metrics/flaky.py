"""Flaky jobs: jobs that both passed and failed on the same commit."""

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
    """Number of commits it ran on."""
    flaky: int
    """Number of commits with both results."""
    last_at: Instant
    example: str
    """Key of a run on the latest commit with both results."""

    @property
    def rate(self) -> float | None:
        return ratio(self.flaky, self.commits)

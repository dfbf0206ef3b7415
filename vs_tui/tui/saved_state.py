"""State kept between starts: filters, sort orders, ranges, team, theme and the last view."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Remembered:
    """Saved state of the dashboard; a missing or broken file means defaults."""

    filters: dict[str, str] = field(default_factory=dict)
    """View -> filter."""
    sorts: dict[str, str] = field(default_factory=dict)
    """View -> sort order."""
    ranges: dict[str, str] = field(default_factory=dict)
    """View -> time range."""
    team: str = ""
    theme: str = ""
    view: str = ""
    """The view shown last."""

    @classmethod
    def load(cls, path: str) -> Remembered:
        if not path:
            return cls()
        try:
            found = json.loads(Path(path).read_text("utf-8"))
            remembered = cls(
                filters={str(k): str(v) for k, v in found.get("filters", {}).items()},
                sorts={str(k): str(v) for k, v in found.get("sorts", {}).items()},
                ranges={str(k): str(v) for k, v in found.get("ranges", {}).items()},
                team=str(found.get("team", "")),
                theme=str(found.get("theme", "")),
                view=str(found.get("view", "")),
            )
        except (OSError, ValueError, AttributeError, TypeError):
            return cls()
        return remembered

    def save(self, path: str) -> None:
        if not path:
            return
        try:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                json.dump(asdict(self), out)
        except OSError:
            return  # go on with a read-only home

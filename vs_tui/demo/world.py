"""The state of the sample story: its clock, people and ids, and the deliveries sent so far.

All randomness comes from one seeded generator, so the same seed gives the same story.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from vs_tui.log.recording import Delivery
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Duration, Instant, to_datetime

CORE: Final = ("ana", "boris", "chidi", "devi")
WEB: Final = ("emeka", "freja", "goran", "hana")
PLAT: Final = ("ines", "jun", "kofi")
NAMES: Final = {
    "ana": "Ana Lima",
    "boris": "Boris Ivanov",
    "chidi": "Chidi Obi",
    "devi": "Devi Rao",
    "emeka": "Emeka Eze",
    "freja": "Freja Holm",
    "goran": "Goran Babić",
    "hana": "Hana Sato (佐藤花)",
    "ines": "Inés Vidal",
    "jun": "Jun Park",
    "kofi": "Kofi Mensah",
    "acme-release[bot]": "acme-release",
}
TITLES: Final[Mapping[str, Sequence[str]]] = tomllib.loads(
    Path(__file__).with_name("titles.toml").read_text("utf-8")
)
"""Team -> titles of its work."""
MORNING: Final = 8
EVENING: Final = 17


@dataclass(slots=True)
class World:
    """The story's generator. Deliveries may be sent in any order; `deliveries` sorts them."""

    seed: int
    first_number: int = 1
    """First number of issues, changes and builds."""
    sent: list[Delivery] = field(default_factory=list)
    rng: random.Random = field(init=False)
    _counters: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        # Not a secret: the same seed must give the same story.
        self.rng = random.Random(self.seed)  # noqa: S311

    def send(self, at: Instant, path: str, headers: dict[str, str], body: Any) -> None:
        """Deliver a body; it is received within two seconds after its event."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        latency = self.rng.randrange(120, 1_900) * 1_000
        headers = {"content-type": "application/json", **headers}
        self.sent.append(Delivery(at + latency, path, raw, headers))

    def deliveries(self) -> list[Delivery]:
        """The sent deliveries, in order of receipt."""
        return sorted(self.sent, key=lambda delivery: delivery.received_at)

    def sha(self) -> str:
        return f"{self.rng.getrandbits(160):040x}"

    def uuid(self) -> str:
        digits = f"{self.rng.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def number(self, name: str) -> int:
        """The next number of a sequence that people see: issues, changes, builds."""
        self._counters[name] += 1
        return self.first_number + self._counters[name] - 1

    def identifier(self, name: str, base: int) -> int:
        """The next id of a sequence that only machines see; it grows in uneven steps."""
        self._counters[name] += self.rng.randrange(3, 90)
        return base + self.first_number * 100_000 + self._counters[name]

    def between(self, low: Duration, high: Duration) -> Duration:
        """A random duration in whole seconds, nearer to `low` than to `high`."""
        return int(self.rng.triangular(low, high, low + (high - low) / 4)) // SECOND * SECOND

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def mornings(self, start: Instant, weeks: int, per_week: int) -> list[Instant]:
        """Start times of pieces of work: `per_week` of them, spread evenly over the working
        days."""
        return sorted(
            start
            + week * 7 * DAY
            + (week * per_week + position) % 5 * DAY
            + MORNING * HOUR
            + self.rng.randrange(480) * MINUTE
            for week in range(weeks)
            for position in range(per_week)
        )

    def other(self, people: tuple[str, ...], author: str) -> str:
        return self.rng.choice([person for person in people if person != author])


def working(at: Instant) -> Instant:
    """The same instant if it is in working hours, or else the same minute of the next working
    morning."""
    day, into = at // DAY * DAY, at % DAY
    if into >= EVENING * HOUR:
        day, into = day + DAY, MORNING * HOUR + into % HOUR
    elif into < MORNING * HOUR:
        into = MORNING * HOUR + into % HOUR
    while to_datetime(day).weekday() > 4:
        day += DAY
    return day + into


def after(at: Instant, effort: Duration) -> Instant:
    """When work of `effort` that begins at `at` is done, counting working hours only."""
    at = working(at)
    while True:
        left = at // DAY * DAY + EVENING * HOUR - at
        if effort <= left:
            return at + effort
        effort -= left
        at = working(at + left + MINUTE)


def title_of(team: str, number: int) -> str:
    """The title of a team's piece of work; they repeat."""
    titles = TITLES[team]
    return titles[number % len(titles)]


def slug(title: str) -> str:
    """The first words of a title, for a branch's name."""
    words = re.findall(r"[a-z]+", title.lower())
    return "-".join(words[:4]) or "change"

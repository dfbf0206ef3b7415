"""The state of the sample story (its clock, people and ids, the deliveries sent so far), and the
templates of their bodies.

All randomness comes from one seeded generator, so the same seed gives the same story.

Bodies are made from templates, one JSON file of them for each kind of tools in `bodies/`. Templates
have the documented shapes of the tools, with only the fields that a delivery tool reads. `{name}`
or `{name.attribute}` stands for a value, and `{name|filter}` for what a function makes of it. A
string that is nothing else becomes the value itself, of any type.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import orjson

from vs_tui.log.recording import Delivery
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Duration, Instant, iso, to_datetime

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


Body = dict[str, Any]
_Make = Callable[[Mapping[str, Any]], Any]
_FIELD: Final = re.compile(r"\{(\w+)(?:\.([\w.]+))?(?:\|(\w+))?\}")
_FILTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "iso": iso,
    "or_null": lambda value: value or None,
    "milliseconds": lambda instant: instant // 1_000,
    "first_line": lambda text: text.partition("\n")[0],
}


class Bodies:
    """The templates of one file."""

    def __init__(self, file: str, **filters: Callable[[Any], Any]) -> None:
        path = Path(__file__).parent / "bodies" / f"{file}.json"
        known = {**_FILTERS, **filters}
        self._made = {
            name: _compiled(template, known)
            for name, template in orjson.loads(path.read_bytes()).items()
        }

    def __call__(self, template: str, **values: Any) -> Body:
        """The body of a template with these values."""
        body: Body = self._made[template](values)
        return body


def _compiled(template: Any, filters: Mapping[str, Callable[[Any], Any]]) -> _Make:
    if isinstance(template, dict):
        parts = [(name, _compiled(part, filters)) for name, part in template.items()]
        return lambda values: {name: make(values) for name, make in parts}
    if isinstance(template, list):
        entries = [_compiled(part, filters) for part in template]
        return lambda values: [make(values) for make in entries]
    if not isinstance(template, str) or not (fields := [*_FIELD.finditer(template)]):
        return lambda _: template
    makes = [_value(field[1], field[2], field[3], filters) for field in fields]
    if fields[0].span() == (0, len(template)):
        return makes[0]
    text = _FIELD.sub("\0", template).replace("{", "{{").replace("}", "}}").replace("\0", "{}")
    return lambda values: text.format(*(make(values) for make in makes))


def _value(
    name: str, path: str | None, filter_name: str | None, filters: Mapping[str, Any]
) -> _Make:
    """The function that finds a field's value."""
    inside = attrgetter(path) if path else None
    change = filters[filter_name] if filter_name else None

    def make(values: Mapping[str, Any]) -> Any:
        value = values[name]
        if inside is not None:
            value = inside(value)
        return value if change is None else change(value)

    return make

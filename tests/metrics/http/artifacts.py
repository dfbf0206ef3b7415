"""Random histories of artifacts and products that plyzen's scripts tell of.

Nothing here knows how the product counts; the rules are those of `docs/metrics.md`. Times are
minutes since Monday, 2 March 2026.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from statistics import fmean, median
from typing import Any, NamedTuple

from tests.metrics.http.operations import DAY, SPELT, Span, clock, merged
from tests.metrics.http.others import Plyzen
from tests.metrics.http.story import Story


class Figures(NamedTuple):
    """The numbers of a group; times are minutes."""

    successes: int
    fail: tuple[int, int]
    rework: tuple[int, int]
    recovery: tuple[float | None, int]
    open: int
    lead: tuple[float | None, int]
    unknown: int


@dataclass(eq=False)
class Part:
    """An artifact of a deployment."""

    artifact: str
    version: int
    place: str
    begin: int
    end: int
    ok: bool
    of: Rollout | None = None


@dataclass(eq=False)
class Rollout:
    """What counts once for the project: one artifact, or several with one correlation id."""

    parts: list[Part]
    product: str = ""
    stated: str = ""
    """The result of the product itself."""

    @property
    def ok(self) -> bool:
        return self.stated != "failure" if self.stated else all(part.ok for part in self.parts)

    @property
    def begin(self) -> int:
        return min(part.begin for part in self.parts)

    @property
    def end(self) -> int:
        return max(part.end for part in self.parts)


@dataclass(eq=False)
class Sign:
    """An alarm, or a test that failed."""

    artifact: str
    place: str
    version: int
    begin: int
    end: int | None = None
    is_test: bool = False


@dataclass(eq=False)
class Artifact:
    name: str
    builds: bool
    keyed: str
    """`` without correlation ids, `basic` or `advanced`."""
    newest: int = 0
    built: dict[int, int] = field(default_factory=dict)
    """Version -> when it was built."""


class Namespace:
    """A namespace, its artifacts, and all that happens to them."""

    def __init__(self, name: str, seed: str, *, tries: bool = True) -> None:
        """With `tries` an id is sent again by another try; the records of an id that were received
        last count, so their order matters."""
        self.tries = tries
        self.name, self.random, self.story = name, Random(seed), Story()
        self.minute = 9 * 60
        self.log: list[str] = []
        self.signs: list[Sign] = []
        self.rollouts: list[Rollout] = []
        choice = self.random.choice
        self.place = choice(["prod", "production", "Prod"])
        self.artifacts = [
            Artifact(f"{name}-a{n}", choice([True, True, False]), choice(["", "basic", "advanced"]))
            for n in range(self.random.randint(1, 3))
        ]
        self.product = f"{name}-shop" if len(self.artifacts) > 1 and self.chance(0.7) else ""
        self.keys = 0
        self.one_span = self.chance(0.3)
        """Activities of the advanced schema tell of products."""

    # What it means

    def parts(self, artifact: str) -> list[Part]:
        found = [p for r in self.rollouts for p in r.parts if p.artifact == artifact]
        return sorted((p for p in found if p.place != "staging"), key=lambda p: p.begin)

    def blamed(self, sign: Sign) -> Part | None:
        begun = [p for p in self.parts(sign.artifact) if p.begin <= sign.begin]
        if sign.place == "staging":
            return None
        if sign.is_test:
            return begun[-1] if begun and sign.version in (0, begun[-1].version) else None
        if sign.version:
            return next((p for p in reversed(begun) if p.version == sign.version), None)
        return begun[-1] if begun and sign.begin <= begun[-1].end + DAY else None

    def fixed(self, artifact: str, since: int) -> int | None:
        ends = [p.end for p in self.parts(artifact) if p.ok and p.end >= since]
        return min(ends, default=None)

    def undone(self, part: Part) -> list[Part]:
        """What an older version takes back: what was live, and what was tried last."""
        before = sorted(
            (p for p in self.parts(part.artifact) if p.end < part.end), key=lambda p: p.end
        )
        live = [p for p in before if p.ok]
        found = {*before[-1:], *live[-1:]}
        return [p for p in found if p.version > part.version and part.begin >= p.begin]

    def failures(self, part: Part) -> list[Span]:
        """Beside its own result."""
        found: list[Span] = [(s.begin, s.end) for s in self.signs if self.blamed(s) is part]
        for other in self.parts(part.artifact):
            if part in self.undone(other):
                found.append((other.begin, self.fixed(part.artifact, other.end)))
        return found

    def spans(self, parts: Iterable[Part], stated: str = "") -> list[Span]:
        found: list[Span] = []
        for part in parts:
            if not part.ok and stated != "success":
                found.append((part.end, self.fixed(part.artifact, part.end + 1)))
            found += self.failures(part)
        return merged(found)

    def repairs(self, part: Part) -> bool:
        def was_open(sign: Sign) -> bool:
            if sign.artifact != part.artifact or sign.place == "staging" or sign.end is None:
                return False
            of = self.blamed(sign)
            if of is part or (sign.is_test and not of):
                return False
            return sign.begin <= part.begin and sign.end >= part.end

        return bool(self.undone(part)) or any(map(was_open, self.signs))

    def leads(
        self, artifact: Artifact, own: list[Part], live: list[Part]
    ) -> dict[Part, int | None]:
        """The lead time of each success that ships a version first: since the first build after
        that of the version that was live, or else since that went live. A first version took the
        time since its own build."""
        found: dict[Part, int | None] = {}
        for number, part in enumerate(own):
            if part.version in {one.version for one in own[:number]}:
                continue
            before = [one for one in live if one.end < part.end]
            last = max(before, key=lambda one: one.end) if before else None
            since = artifact.built.get(last.version) if last else None
            later = [at for at in artifact.built.values() if since is not None and at > since]
            later = [at for at in later if at <= part.end]
            if last is None:
                built = artifact.built.get(part.version)
                found[part] = None if built is None else part.end - built
            else:
                found[part] = part.end - min(later, default=last.end)
        return found

    def of_artifact(self, artifact: Artifact) -> Figures:
        parts = self.parts(artifact.name)
        live = sorted((p for p in parts if p.ok), key=lambda p: p.end)
        leads = self.leads(artifact, live, live)
        return figures([(p.ok, self.spans([p]), self.repairs(p)) for p in parts], [*leads.values()])

    def of_project(self, product: str = "") -> Figures:
        counted = [r for r in self.rollouts if r.parts[0].place != "staging"]
        leads: dict[Part, int | None] = {}
        for artifact in self.artifacts:
            live = [p for r in counted for p in r.parts if p.ok and p.artifact == artifact.name]
            leads |= self.leads(artifact, live, live)
        own = [r for r in counted if not product or r.product == product]
        times: list[float | None] = []
        for one in own:
            new = [leads[p] for p in one.parts if p in leads]
            known = [time for time in new if time is not None]
            times += [fmean(known) if known else None] if new else []
        return figures(
            [(r.ok, self.spans(r.parts, r.stated), any(map(self.repairs, r.parts))) for r in own],
            times,
        )

    # What happens

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def passes(self, least: int = 3, most: int = 50) -> int:
        self.minute += self.random.randint(least, most)
        return self.minute

    def say(self, text: str) -> None:
        self.log.append(f"{clock(self.minute)[5:16]} {text}")

    def plyzen(self, artifact: str) -> Plyzen:
        return Plyzen(self.story, self.name, artifact)

    def key(self) -> str:
        self.keys += 1
        return f"{self.name}-{self.keys}"

    def live(self) -> None:
        for _ in range(self.random.randint(5, 16)):
            if self.chance(0.1):
                self.passes(300, 2 * DAY)
            self.step()
        self.turn_green()

    def step(self) -> None:
        artifact, chance = self.random.choice(self.artifacts), self.random.random()
        if chance < 0.2:
            self.build(artifact)
        elif chance < 0.5:
            self.ship([artifact])
        elif chance < 0.65 and self.product:
            some = self.random.sample(self.artifacts, self.random.randint(2, len(self.artifacts)))
            self.ship(some)
        elif chance < 0.73:
            self.go_back(artifact)
        elif chance < 0.85:
            self.test(artifact)
        else:
            self.alarm(artifact)

    def build(self, artifact: Artifact) -> None:
        artifact.newest += 1
        if artifact.builds:
            begin = self.passes(5, 30)
            self.passes(1, 4)
            artifact.built[artifact.newest] = begin
            self.say(f"build {artifact.name} {artifact.newest} since {clock(begin)[11:16]}")
            self.plyzen(artifact.name).activity(
                "build", clock(begin), clock(self.minute),
                version=f"1.{artifact.newest}", environment="ci",
            )  # fmt: skip

    def ship(self, artifacts: list[Artifact], versions: tuple[int, ...] = ()) -> None:
        """Deploy versions, or the newest or the same ones."""
        named = list(versions)
        for artifact in artifacts[len(named) :]:
            if artifact.newest == 0 or self.chance(0.7):
                self.build(artifact)
            parts = self.parts(artifact.name)
            again = bool(parts) and not parts[-1].ok
            named.append(parts[-1].version if again and self.chance(0.5) else artifact.newest)
        place = "staging" if self.chance(0.1) else self.place
        if len(artifacts) > 1:
            self.together(artifacts, named, place)
        else:
            self.alone(artifacts[0], named[0], place)

    def alone(self, artifact: Artifact, version: int, place: str) -> None:
        begin, end = self.passes(), self.passes(2, 15)
        ok = self.chance(0.75)
        told = self.plyzen(artifact.name)
        about: dict[str, Any] = {"version": f"1.{version}", "environment": place}
        results = ["success" if ok else "failure"]
        if artifact.keyed and not ok and self.chance(0.4 * self.tries):
            ok = self.chance(0.6)  # the same id again
            results.append("success" if ok else "failure")
        key = self.key()
        self.say(f"deploy {artifact.name} {version} {place} {key} {artifact.keyed} {results}")
        first = begin
        for word in results:
            if word is not results[0] or first != begin:
                first, end = self.passes(), self.passes(2, 15)
            span = (clock(first), clock(end))
            if artifact.keyed == "advanced":
                named = [(artifact.name, f"1.{version}", "")]
                told.advanced(key, "deploy", *span, artifacts=named, result=word, environment=place)
            elif artifact.keyed:
                told.activity("deploy", *span, word, **about, correlationId=key)
            else:
                self.on_instances(told, span, word, about)
            first = -1
        found = Rollout([Part(artifact.name, version, place, begin, end, ok)])
        self.keep(found)

    def on_instances(
        self, told: Plyzen, span: tuple[str, str], word: str, about: dict[str, Any]
    ) -> None:
        """One instance, or two at the same time, of which one fails or none."""
        if self.chance(0.7):
            told.activity("deploy", *span, word, **about)
            return
        told.activity("deploy", *span, word, **about, instance="blue")
        told.activity("deploy", *span, "success", **about, instance="green")

    def together(self, artifacts: list[Artifact], versions: list[int], place: str) -> None:
        begin = self.passes()
        oks = [self.chance(0.85) for _ in artifacts]
        stated = self.random.choice(["", "", "", "success"])
        stated = stated if not all(oks) else ""
        key, parts = self.key(), []
        advanced = self.one_span and (bool(stated) or self.chance(0.5))
        stated = stated if advanced else ""
        end = self.passes(2, 15)
        for number, (artifact, version, ok) in enumerate(
            zip(artifacts, versions, oks, strict=True)
        ):
            own = (begin, end) if advanced else (begin + number, end + number)
            parts.append(Part(artifact.name, version, place, *own, ok))
            self.minute = own[1]
        said = ", ".join(f"{p.artifact} {p.version} {p.ok}" for p in parts)
        self.say(f"product {place} {key} {'advanced' if advanced else 'basic'} {stated}: {said}")
        words = {True: "success", False: "failure"}
        if advanced:
            told = [(p.artifact, f"1.{p.version}", words[p.ok]) for p in parts]
            self.plyzen(self.name).advanced(
                key, "deploy", clock(begin), clock(end), artifacts=told, product=self.product,
                result=stated, environment=place,
            )  # fmt: skip
        for part in () if advanced else parts:
            self.plyzen(part.artifact).activity(
                "deploy", clock(part.begin), clock(part.end), words[part.ok],
                version=f"1.{part.version}", environment=place, correlationId=key,
                product=self.product,
            )  # fmt: skip
        self.keep(Rollout(parts, self.product, stated))

    def keep(self, found: Rollout) -> None:
        for part in found.parts:
            part.of = found
            part.place = SPELT.get(part.place, part.place)
        self.rollouts.append(found)

    def go_back(self, artifact: Artifact) -> None:
        live = [p for p in self.parts(artifact.name) if p.ok]
        older = sorted({p.version for p in live if p.version < live[-1].version}) if live else []
        if older:
            self.ship([artifact], (self.random.choice(older[-2:]),))

    def test(self, artifact: Artifact) -> None:
        parts = self.parts(artifact.name)
        if not parts:
            return
        last, ok = parts[-1], self.chance(0.4)
        self.passes(2, 20)
        version = last.version if self.chance(0.7) else 0
        self.tell_test(last, version, ok)
        if ok:
            self.close(last)
        else:
            self.signs.append(Sign(artifact.name, last.place, version, self.minute, is_test=True))

    def tell_test(self, of: Part, version: int, ok: bool) -> None:
        begin = self.minute - 1
        self.say(f"test {of.artifact} {version} {'passes' if ok else 'fails'}")
        about = {"version": f"1.{version}"} if version else {}
        self.plyzen(of.artifact).activity(
            "smoke-test", clock(begin), clock(self.minute), "success" if ok else "failure",
            environment=self.place, **about,
        )  # fmt: skip

    def close(self, passed: Part) -> None:
        for sign in self.signs:
            if sign.is_test and sign.end is None and sign.artifact == passed.artifact:
                sign.end = self.minute

    def turn_green(self) -> None:
        for sign in list(self.signs):
            if sign.is_test and sign.end is None:
                self.passes(2, 10)
                last = self.parts(sign.artifact)[-1]
                self.tell_test(last, last.version, True)
                self.close(last)

    def alarm(self, artifact: Artifact) -> None:
        begin = self.passes()
        parts = self.parts(artifact.name)
        version = self.random.choice(parts[-2:]).version if parts and self.chance(0.5) else 0
        end = None if self.chance(0.1) else begin + self.random.randint(5, 200)
        place = "staging" if self.chance(0.1) else self.place
        key = self.key()
        about: dict[str, Any] = {"environment": place}
        about |= {"version": f"1.{version}"} if version else {}
        about |= {"correlationId": key} if self.chance(0.5) else {}
        self.plyzen(artifact.name).activity(
            f"alarm {key}", clock(begin), "" if end is None else clock(end), **about
        )
        self.say(f"alarm {artifact.name} {version} {place} until {end and clock(end)[5:16]}")
        self.signs.append(Sign(artifact.name, SPELT.get(place, place), version, begin, end))


def figures(told: list[tuple[bool, list[Span], bool]], leads: list[Any]) -> Figures:
    """Of deployments, each with its result, its failures and whether it repaired."""
    spans = [span for _, own, _ in told for span in own]
    closed = [end - begin for begin, end in spans if end is not None]
    known = [time for time in leads if time is not None]
    return Figures(
        sum(ok for ok, _, _ in told),
        (sum(bool(own) for _, own, _ in told), len(told)),
        (sum(repair for _, _, repair in told), len(told)),
        (median(closed) if closed else None, len(closed)),
        sum(end is None for _, end in spans),
        (round(median(known), 3) if known else None, len(known)),
        len(leads) - len(known),
    )

"""Random histories of a team's repository, and what their graph of commits says that they ship.

The team works on branches, merges them in every way that a host offers, takes them from branch to
branch and deploys. A change ships with the first successful deployment whose commit contains it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

from tests.metrics.http.git import NONE, Git
from tests.metrics.http.github import GitHub

Lead = tuple[int, int]
"""(when a deployment ended, lead time of a change that it shipped), in minutes of the first day."""
BEGINS = 6 * 60


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@dataclass(eq=False)
class Feature:
    """A branch in work."""

    name: str
    base: str
    commits: list[str] = field(default_factory=list)
    number: int = 0
    """Of its pull request, if it has one."""
    opened: int = 0


class Team:
    """A repository, the people who work on it and what they have shipped."""

    def __init__(self, git: Git, seed: str) -> None:
        self.git, self.random, self.minute = git, Random(seed), BEGINS
        self.default = git.default
        self.features: list[Feature] = []
        self.log: list[str] = []
        self.heads: list[str] = []
        """All that the default branch pointed to."""
        self._named = self._requests = 0
        self._written: dict[str, int] = {}
        self._brings: dict[str, tuple[str, ...]] = {}
        """Commit -> others whose content it has, beside that of its parents."""
        self._changes: dict[str, tuple[str, int]] = {}
        """Change -> the commit that brings it, and when it began."""
        self._deploys: list[tuple[int, str, bool]] = []

    # What a repository has

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def passes(self, least: int = 3, most: int = 25) -> None:
        self.minute += self.random.randint(least, most)

    def head(self, branch: str) -> str:
        return self.git.heads[branch]

    def contained(self, head: str) -> set[str]:
        found, left = set[str](), [head]
        while left:
            if (commit := left.pop()) not in found:
                found.add(commit)
                left += [*self.git.parents[commit], *self._brings.get(commit, ())]
        return found

    def leads(self) -> Counter[Lead]:
        """The lead times of all that was shipped."""
        found, had = Counter[Lead](), set[str]()
        for minute, commit, ok in self._deploys:
            content = self.contained(commit) if ok else ()
            for change, (bringing, began) in self._changes.items():
                if change not in had and bringing in content:
                    had.add(change)
                    found[minute, minute - began] += 1
        return found

    # What its people do

    def begin(self, *branches: str) -> None:
        """The first commit is deployed; all branches begin with it."""
        self.default = self.git.default = branches[0]
        self.work_on(self.default)
        self.deploy()
        for branch in branches[1:]:
            self.cut(branch, self.default)

    def work_on(self, branch: str) -> None:
        """A commit without a pull request."""
        name = self._commit(branch)
        self._changes[name] = (name, self._written[name])
        self.push(branch)

    def cut(self, branch: str, source: str) -> None:
        self.git.branch(branch, source)
        self.passes(1, 5)
        self.push(branch)

    def start(self, base: str, kind: str = "feature") -> Feature:
        self._named += 1
        feature = Feature(f"{kind}/{self._named}", base)
        self.git.branch(feature.name, base)
        self.features.append(feature)
        self.work(feature)
        return feature

    def work(self, feature: Feature) -> None:
        for _ in range(self.random.randint(1, 2)):
            feature.commits.append(self._commit(feature.name))
        if self.chance(0.8):
            self.push(feature.name)

    def bring_up_to_date(self, feature: Feature) -> None:
        """Merge the base into a feature, or rebase it."""
        git = self.git
        if self.head(feature.base) in git.history_of([self.head(feature.name)]):
            return
        self.passes(1, 5)
        if self.chance(0.5):
            git.merge(feature.name, feature.base, clock(self.minute))
        else:
            git.heads[feature.name] = self.head(feature.base)
            feature.commits = self._copies(feature, feature.name)
        if self.chance(0.7):
            self.push(feature.name)

    def open(self, feature: Feature) -> None:
        self.push(feature.name)
        self.passes(1, 5)
        self._requests += 1
        feature.number, feature.opened = self._requests, self.minute
        self.git.open(feature.number, feature.name, clock(self.minute), feature.base)
        self._say(f"open {feature.number}: {feature.name} -> {feature.base}")

    def land(self, feature: Feature, ways: Sequence[str]) -> None:
        """Merge a pull request in one of these ways: merge, squash, rebase or fast-forward."""
        if not feature.number:
            self.open(feature)
        self.push(feature.name)
        self.passes()
        git, base, head = self.git, feature.base, self.head(feature.name)
        way = self.random.choice(ways)
        if way == "forward" and self.head(base) not in git.history_of([head]):
            way = "merge"
        if way == "rebase" and any(
            len(git.parents[name]) > 1 for name in git.missing(head, [self.head(base)])
        ):
            way = "squash"
        self._say(f"land {feature.number} by {way}")
        if way in ("merge", "squash"):
            git.land(feature.number, clock(self.minute), way)
            self._brings[self.head(base)] = (head,)
        else:
            if way == "rebase":
                self._brings[self._copies(feature, base)[-1]] = (head,)
            else:
                git.heads[base] = head
            git.requests[feature.number] |= {"sha": head, "merge": self.head(base)}
            git.tell(feature.number, "merged", clock(self.minute))
            self.push(base)
        began = min(feature.opened, *(self._written[name] for name in feature.commits))
        self._changes[f"#{feature.number}"] = (self.head(base), began)
        self.features.remove(feature)

    def land_deployed(self, feature: Feature, ways: Sequence[str]) -> None:
        """Deploy a feature, and merge it later."""
        self.push(feature.name)
        head = self.head(feature.name)
        self.deploy(feature.name)
        self.land(feature, ways)
        _, began = self._changes[f"#{feature.number}"]
        self._changes[f"#{feature.number}"] = (head, began)

    def merge_by_hand(self, feature: Feature) -> None:
        """Without a pull request each commit of a branch is a change."""
        self.passes()
        self.git.merge(feature.base, feature.name, clock(self.minute))
        self._changes |= {name: (name, self._written[name]) for name in feature.commits}
        self.push(feature.base)
        self.features.remove(feature)

    def promote(self, source: str, base: str, ways: Sequence[str]) -> None:
        """Take a branch to another one by a pull request, or by a push."""
        git, head = self.git, self.head(source)
        if head in self.contained(self.head(base)):
            return
        self.passes()
        way = self.random.choice(ways)
        self._say(f"{source} -> {base} by {way}")
        if way == "push":
            if self.head(base) in git.history_of([head]):
                git.heads[base] = head
            else:
                git.merge(base, source, clock(self.minute))
            self.push(base)
            return
        self._requests += 1
        git.open(self._requests, source, clock(self.minute), base)
        self.passes(1, 9)
        git.land(self._requests, clock(self.minute), way)
        self._brings[self.head(base)] = (head,)

    def deploy(self, branch: str = "", commit: str = "", ok: bool = True) -> None:
        self.passes(5, 20)
        branch = branch or self.default
        end = clock(self.minute)
        self.git.deploy(end, commit, branch, **({} if ok else {"ok": False}))
        self._deploys.append((self.minute, commit or self.head(branch), ok))
        self._say(f"deploy {branch} {self._deploys[-1][1]}{'' if ok else ', failed'}")

    def deploy_old(self) -> None:
        """Deploy what the default branch pointed to before, maybe by a tag."""
        commit = self.random.choice(self.heads)
        self.deploy(self.default if self.chance(0.5) else f"v1.{self.minute}", commit)

    def push(self, branch: str) -> None:
        """Push a branch; GitHub also tells of one without new commits, and which ones are new."""
        git, new = self.git, self.head(branch)
        old = git.remote.get(branch)
        if old == new:
            return
        others = git.history_of(head for name, head in git.remote.items() if name != branch)
        told = len(git.story.posts)
        git.push(branch, clock(self.minute))
        self._say(f"push {branch} {new}")
        if branch == self.default:
            self.heads.append(new)
        by_github = git.tool is GitHub
        if len(git.story.posts) == told:
            if by_github:
                self._tell_of(branch, old, new)
            return
        body = git.story.posts[-1].body
        if by_github:
            had = {git.sha(name) for name in others}
            for commit in body["commits"]:
                commit["distinct"] = commit["id"] not in had
            if not any(commit["distinct"] for commit in body["commits"]):
                self._may_be_ignored()
        if old and old not in git.history_of([new]):
            if "forced" in body:
                body["forced"] = True
            elif "push" in body:
                body["push"]["changes"][0]["forced"] = True

    def _tell_of(self, branch: str, old: str | None, new: str) -> None:
        git = self.git
        commit = (f"{git.name} {new}", git.written[new][0])
        git.own.push(commit, ref=branch, when=clock(self.minute))
        body = git.story.posts[-1].body
        body |= {"before": git.sha(old) if old else NONE, "created": not old, "commits": []}
        body["repository"]["default_branch"] = git.default
        self._may_be_ignored()

    def _may_be_ignored(self) -> None:
        posts = self.git.story.posts
        posts[-1] = replace(posts[-1], verdicts=("accepted", "ignored", "duplicate"))

    def _commit(self, branch: str) -> str:
        self.passes(1, 9)
        self._named += 1
        name = f"c{self._named}"
        self.git.commit(name, clock(self.minute), branch)
        self._written[name] = self.minute
        return name

    def _copies(self, feature: Feature, branch: str) -> list[str]:
        """The commits of a feature anew on a branch, with the times of their authors."""
        found = []
        for commit in feature.commits:
            self._named += 1
            name = f"{commit}.{self._named}"
            self.git.commit(name, clock(self._written[commit]), branch)
            self._written[name] = self._written[commit]
            found.append(name)
        return found

    def _say(self, text: str) -> None:
        self.log.append(f"{clock(self.minute)} {text}")


def _some_work(team: Team, base: str, ways: Sequence[str], by_hand: bool = False) -> None:
    """One step of work on the features of a branch."""
    own = [feature for feature in team.features if feature.base == base]
    chance = team.random.random()
    if not own or (chance < 0.25 and len(own) < 3):
        team.start(base)
        return
    feature = team.random.choice(own)
    if chance < 0.4:
        team.work(feature)
    elif chance < 0.5:
        team.bring_up_to_date(feature)
    elif by_hand and not feature.number:
        team.merge_by_hand(feature)
    elif chance < 0.6 and not feature.number:
        team.open(feature)
    else:
        team.land(feature, ways)


def trunk(team: Team) -> None:
    """Features of main, commits on main, failed deployments, older versions again."""
    team.begin("main")
    every = ["merge", "squash", "rebase", "forward"]
    ways = team.random.choice([["merge"], ["squash"], ["rebase"], every])
    by_hand = team.chance(0.2)
    for _ in range(team.random.randint(6, 16)):
        chance = team.random.random()
        if chance < 0.55:
            _some_work(team, "main", ways, by_hand)
        elif chance < 0.65:
            team.work_on("main")
        elif chance < 0.95:
            team.deploy(ok=team.chance(0.85))
        else:
            team.deploy_old()
    team.deploy()


def gitflow(team: Team) -> None:
    """Features of develop, releases that are cut from it, hotfixes of main that come back."""
    team.begin("main", "develop")
    ways = team.random.choice([["merge"], ["squash"], ["merge", "squash"]])
    how = team.random.choice([["merge"], ["push"], ["squash"], ["merge", "push"]])
    kind = team.random.choice(["release/", "v", "sprint-"])
    for number in range(team.random.randint(6, 14)):
        chance = team.random.random()
        if chance < 0.5:
            _some_work(team, "develop", ways)
        elif chance < 0.6:
            team.work_on("develop")
        elif chance < 0.7:
            team.promote("develop", "main", how)
            team.deploy()
        elif chance < 0.8:
            if team.head("develop") in team.contained(team.head("main")):
                continue
            release = f"{kind}{number}"
            team.cut(release, "develop")
            if team.chance(0.5):
                _some_work(team, "develop", ways)
            if kind == "release/" and team.chance(0.5):
                team.work_on(release)
            team.promote(release, "main", how)
            team.promote(team.random.choice([release, "main"]), "develop", how)
            if team.chance(0.6):
                team.deploy()
        elif chance < 0.87:
            hotfix = team.start("main", "hotfix")
            team.land(hotfix, ["merge"])
            if team.chance(0.5):
                team.deploy()
            if team.chance(0.5):
                team.promote("main", "develop", how)
            else:
                team.promote(hotfix.name, "develop", ["merge"])
        else:
            team.deploy()
    team.promote("develop", "main", how)
    team.deploy()


def environments(team: Team) -> None:
    """Each environment has a branch, to which the one before is taken."""
    names = team.random.choice(
        [
            ("main", "staging", "production"),
            ("main", "production"),
            ("develop", "main"),
            ("dev", "qa", "live"),
            ("master", "int", "acc", "prod"),
        ]
    )
    team.begin(*names)
    steps = list(pairwise(names))
    how = team.random.choice([["push"], ["merge"], ["squash"], ["merge", "push"]])
    ways = team.random.choice([["merge"], ["squash"], ["merge", "squash"]])
    for _ in range(team.random.randint(6, 14)):
        chance = team.random.random()
        if chance < 0.5:
            _some_work(team, names[0], ways)
        elif chance < 0.58:
            team.work_on(names[0])
        elif chance < 0.75:
            team.promote(*team.random.choice(steps), how)
        else:
            for step in steps if chance < 0.9 else ():
                team.promote(*step, how)
            team.deploy(names[-1])
    for step in steps:
        team.promote(*step, how)
    team.deploy(names[-1])


def lines(team: Team) -> None:
    """Releases are deployed from lines of their own, which get fixes; main goes on."""
    team.begin("main")
    ways = team.random.choice([["merge"], ["squash"], ["merge", "squash"]])
    kind = team.random.choice(["release/", "release-", "v", "rel/"])
    line = ""
    for number in range(team.random.randint(6, 14)):
        chance = team.random.random()
        if chance < 0.5:
            _some_work(team, "main", ways)
        elif chance < 0.6:
            team.work_on("main")
        elif chance < 0.75:
            line = f"{kind}{number}.0"
            team.cut(line, "main")
            if team.chance(0.7):
                team.deploy(line)
        elif line:
            if chance < 0.8:
                team.work_on(line)
            elif chance < 0.85:
                team.land(team.start(line), ways)
            team.deploy(line)
    team.cut(f"{kind}99.0", "main")
    team.deploy(f"{kind}99.0")


def stacks(team: Team) -> None:
    """Features upon features, which are merged from above or from below."""
    team.begin("main")
    ways = team.random.choice([["merge"], ["squash"], ["merge", "squash"]])
    for _ in range(team.random.randint(3, 7)):
        if team.chance(0.3):
            team.work_on("main")
        lower = team.start("main")
        team.open(lower)
        upper = team.start(lower.name)
        team.open(upper)
        if team.chance(0.3):
            team.work(lower)
        if team.chance(0.5):
            team.land(upper, ways)
            team.land(lower, ways)
        else:
            team.land(lower, ways)
            if team.chance(0.5):
                team.deploy()
            upper.base = team.git.requests[upper.number]["base"] = "main"
            team.land(upper, ways)
        team.deploy()


def branch_deploys(team: Team) -> None:
    """A feature is deployed before it is merged, or after it; main has nothing beside these."""
    team.begin("main")
    ways = team.random.choice([["merge"], ["squash"], ["rebase"], ["merge", "squash"]])
    for _ in range(team.random.randint(3, 7)):
        feature = team.start("main")
        team.open(feature)
        if team.chance(0.5):
            team.land_deployed(feature, ways)
        else:
            team.land(feature, ways)
        team.deploy()


FLOWS: tuple[Callable[[Team], None], ...] = (
    trunk,
    gitflow,
    environments,
    lines,
    stacks,
    branch_deploys,
)

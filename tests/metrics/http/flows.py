"""Random histories of a team's repository, and what their graph of commits says that they ship.

The team works on branches, merges them in every way that a host offers, takes them from branch to
branch and deploys. A change ships with the first successful deployment whose commit contains it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

from tests.metrics.http.git import NONE, ByScript, Git
from tests.metrics.http.github import GitHub

Lead = tuple[str, int, int]
"""(service, when a deployment ended, lead time of a change that it shipped), in minutes of the
first day; the service is empty if the repository has only one."""
Verdict = tuple[str, int, bool, bool]
"""(service, when a deployment ended, whether it failed, whether it is a repair)."""
BEGINS = 6 * 60


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


class Deploy(NamedTuple):
    """A deployment."""

    minute: int
    commit: str
    ok: bool
    service: str
    branch: str


@dataclass(eq=False)
class Feature:
    """A branch in work."""

    name: str
    base: str
    commits: list[str] = field(default_factory=list)
    number: int = 0
    """Of its pull request, if it has one."""
    opened: int = 0
    fork: str = ""
    """The repository that its branch is of, if that is another one."""
    ref: str = ""
    """The name of its branch there."""
    author: str = "bob"
    files: tuple[str, ...] = ()
    told: list[str] = field(default_factory=list)
    """The commits that the host told when it was merged."""


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
        self._of_forks: set[str] = set()
        """Branches of which the host tells no push."""
        self._written: dict[str, int] = {}
        self._brings: dict[str, tuple[str, ...]] = {}
        """Commit -> others whose content it has, beside that of its parents."""
        self._files: dict[str, Sequence[str]] = {}
        """Change -> the files that it touches."""
        self._changes: dict[str, tuple[str, int]] = {}
        """Change -> the commit that brings it, and when it began."""
        self._deploys: list[Deploy] = []
        self._reverts: dict[str, str] = {}
        """Change -> the one that it takes back. That of a revert takes nothing back."""
        self._restored: dict[str, str] = {}
        """Change -> the revert that it takes back."""
        self._hotfixes: dict[str, str] = {}
        """Change of a hotfix branch -> its base."""
        self.paths: dict[str, str] = {}
        """Service -> the folder of its files."""

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

    def shipped(self) -> list[dict[str, int]]:
        """For each deployment, in their order: change -> when it began."""
        found, had = [], dict[str, set[str]]()
        for deploy in self._deploys:
            content = self.contained(deploy.commit) if deploy.ok else ()
            own = had.setdefault(deploy.service, set())
            new = {
                change: began
                for change, (bringing, began) in self._changes.items()
                if change not in own and bringing in content and self._touches(change, deploy)
            }
            own.update(new)
            found.append(new)
        return found

    def _touches(self, change: str, deploy: Deploy) -> bool:
        folder = self.paths.get(deploy.service)
        files = self._files.get(change, ())
        return folder is None or any(file.startswith(f"{folder}/") for file in files)

    def leads(self) -> Counter[Lead]:
        """The lead times of all that was shipped, by service."""
        return Counter(
            (deploy.service, deploy.minute, deploy.minute - began)
            for deploy, new in zip(self._deploys, self.shipped(), strict=True)
            for began in new.values()
        )

    def verdicts(self) -> Counter[Verdict]:
        """Which deployments failed and which are repairs."""
        failed, repairs = [not d.ok for d in self._deploys], [False for _ in self._deploys]
        by: dict[tuple[str, str], int] = {}
        last: dict[str, int] = {}
        live: dict[str, int] = {}
        first: dict[tuple[str, str], int] = {}
        for n, (deploy, new) in enumerate(zip(self._deploys, self.shipped(), strict=True)):
            service, commit = deploy.service, deploy.commit
            before = {at[service] for at in (last, live) if service in at}
            back = {self._restored.get(change) for change in new}
            taken = {self._reverts[c] for c in new if c in self._reverts and c not in back}
            taken -= new.keys()
            # What is older takes back what was tried last and what was live.
            undone = [each for each in before if self._is_older(deploy, self._deploys[each], first)]
            undone = undone or [by[service, c] for c in taken if (service, c) in by]
            repairs[n] = bool(undone) or any(
                self._hotfixes.get(change) == deploy.branch for change in new
            )
            for each in undone:
                failed[each] = True
            by |= {(service, change): n for change in new}
            last[service] = n
            live |= {service: n} if deploy.ok else {}
            first.setdefault((service, commit), deploy.minute)
        told = zip(self._deploys, failed, repairs, strict=True)
        return Counter((d.service, d.minute, fail, repair) for d, fail, repair in told)

    def _is_older(
        self, deploy: Deploy, before: Deploy, first: Mapping[tuple[str, str], int]
    ) -> bool:
        """By its place on the branch, else because it was deployed before. A tag has the branch of
        its commit."""
        commit, branches = deploy.commit, {deploy.branch, before.branch} & self.git.heads.keys()
        if commit == before.commit:
            return False
        if commit in self.contained(before.commit) and len(branches) < 2:
            return True
        seen = first.get((before.service, commit))
        was = first[before.service, before.commit]
        return before.commit not in self.contained(commit) and seen is not None and seen < was

    # What its people do

    def begin(self, *branches: str, deployed: bool = True) -> None:
        """The first commit is deployed; all branches begin with it."""
        self.default = self.git.default = branches[0]
        self.work_on(self.default)
        if deployed:
            self.deploy()
        for branch in branches[1:]:
            self.cut(branch, self.default)

    def work_on(self, branch: str) -> None:
        """A commit without a pull request."""
        name = self._commit(branch, files := self.files())
        self._changes[name], self._files[name] = (name, self._written[name]), files
        self.push(branch)

    def cut(self, branch: str, source: str) -> None:
        self.git.branch(branch, source)
        self.passes(1, 5)
        self.push(branch)

    def start(self, base: str, kind: str = "feature") -> Feature:
        self._named += 1
        feature = Feature(f"{kind}/{self._named}", base, files=self.files())
        self.git.branch(feature.name, base)
        self.features.append(feature)
        self.work(feature)
        return feature

    def work(self, feature: Feature) -> None:
        for _ in range(self.random.randint(1, 2)):
            feature.commits.append(self._commit(feature.name, feature.files))
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

    def open(self, feature: Feature, **more: Any) -> None:
        self.push(feature.name)
        self.passes(1, 5)
        self._requests += 1
        feature.number, feature.opened = self._requests, self.minute
        more |= {"author": feature.author}
        if feature.fork:
            more |= {"fork": feature.fork, "ref": feature.ref}
        self.git.open(feature.number, feature.name, clock(self.minute), feature.base, **more)
        self._say(f"open {feature.number}: {feature.name} -> {feature.base}")

    def land(self, feature: Feature, ways: Sequence[str]) -> None:
        """Merge a pull request in one of these ways: merge, squash, rebase or fast-forward."""
        if not feature.number:
            self.open(feature)
        self.push(feature.name)
        self.passes()
        git, base, head = self.git, feature.base, self.head(feature.name)
        feature.told = self._told(feature)
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
        self._count(feature, way)

    def _told(self, feature: Feature) -> list[str]:
        """The commits of a feature that a host tells: of a fork only those in the push of their
        merge, of which it may list the newest."""
        if not feature.fork:
            return feature.commits
        new = self.git.missing(self.head(feature.name), [self.head(feature.base)])
        listed = new[-self.git.listed + 1 :]
        return [name for name in feature.commits if name in listed]

    def _count(self, feature: Feature, way: str) -> None:
        """A pull request was merged. Nobody tells of the commits of a fork before they are."""
        change, began = f"#{feature.number}", feature.opened
        if not feature.fork or way != "squash":
            began = min([began, *(self._written[name] for name in feature.told)])
        self._changes[change] = (self.head(feature.base), began)
        self._files[change] = feature.files
        if feature.name.startswith("hotfix/"):
            self._hotfixes[change] = feature.base
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

    def deploy(
        self, branch: str = "", commit: str = "", ok: bool = True, service: str = "", **more: Any
    ) -> None:
        self.passes(5, 20)
        branch = branch or self.default
        end = clock(self.minute)
        more |= {"service": service} if service else {}
        told = ByScript.deploy if service else type(self.git).deploy
        told(self.git, end, commit, branch, **({} if ok else {"ok": False}), **more)
        self._deploys.append(Deploy(self.minute, commit or self.head(branch), ok, service, branch))
        self._say(f"deploy {service} {branch} {self._deploys[-1].commit}{'' if ok else ', failed'}")

    def deploy_old(self) -> None:
        """Deploy what the default branch pointed to before, maybe by a tag."""
        commit = self.random.choice(self.heads)
        self.deploy(self.default if self.chance(0.5) else f"v1.{self.minute}", commit)

    def push(self, branch: str) -> None:
        """Push a branch; GitHub also tells of one without new commits, and which ones are new."""
        git, new = self.git, self.head(branch)
        old = git.remote.get(branch)
        if old == new or branch in self._of_forks:
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
            git.tell_of_force()

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

    def files(self) -> tuple[str, ...]:
        """What a change touches, if the repository has several services."""
        if not self.paths:
            return ()
        names = self.random.sample(sorted(self.paths.values()), self.random.randint(0, 2))
        return tuple(f"{folder}/x" for folder in names) or ("docs/x",)

    def _commit(self, branch: str, files: Sequence[str] = ()) -> str:
        self.passes(1, 9)
        self._named += 1
        name = f"c{self._named}"
        self.git.commit(name, clock(self.minute), branch, files)
        self._written[name] = self.minute
        return name

    def _copies(self, feature: Feature, branch: str) -> list[str]:
        """The commits of a feature anew on a branch, with the times of their authors."""
        found = []
        for commit in feature.commits:
            self._named += 1
            name = f"{commit}.{self._named}"
            self.git.commit(name, clock(self._written[commit]), branch, feature.files)
            self._written[name] = self._written[commit]
            found.append(name)
        return found

    def _say(self, text: str) -> None:
        first, _, _ = text.partition("\n")
        self.log.append(f"{clock(self.minute)} {first}")


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

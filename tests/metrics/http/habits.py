"""What people do beside work, merge and deployment: drafts, forks, bots, forced pushes, reverts,
cherry-picks, merge queues, tags, renames, services of one repository; and histories full of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.metrics.http.flows import Feature, Team, clock
from tests.metrics.http.git import Git
from tests.metrics.http.github import GitHub

EVERY = ("merge", "squash", "rebase", "forward")


@dataclass(frozen=True)
class Landed:
    """A change of the default branch that can be taken back."""

    change: str
    commit: str
    title: str
    number: int = 0
    ref: str = ""
    is_back: bool = False
    """Whether it takes another one back."""


class Crew(Team):
    """A team with every habit."""

    def __init__(self, git: Git, seed: str) -> None:
        super().__init__(git, seed)
        self.landed: list[Landed] = []
        self.merged_names: list[str] = []
        """Branches that were merged, whose names are free."""
        self.deployed: list[str] = []

    def work_on(self, branch: str) -> None:
        super().work_on(branch)
        name = self.head(branch)
        if branch == self.default:
            self.landed.append(Landed(name, name, name))

    def land(self, feature: Feature, ways: Sequence[str]) -> None:
        if not feature.number:
            self.open(feature)
        own = self.git.requests[feature.number]
        if own["draft"]:
            self.change_state(feature)
        super().land(feature, ways)

    def deploy(self, branch: str = "", commit: str = "", ok: bool = True, **more: Any) -> None:
        super().deploy(branch, commit, ok, **more)
        if ok:
            self.deployed.append(commit or self.head(branch or self.default))

    def _count(self, feature: Feature, way: str) -> None:
        super()._count(feature, way)
        if not feature.fork:
            self.merged_names.append(feature.name)
        if feature.base == self.default:
            change, commit = f"#{feature.number}", self.head(feature.base)
            title = commit.partition("\n")[0]
            self.landed.append(Landed(change, commit, title, feature.number, feature.name))

    # Branches and pull requests

    def start_anew(self, base: str, name: str) -> Feature:
        """A branch under the name of one that was merged."""
        git = self.git
        if self.chance(0.5):
            git.remote.pop(name, None)
        git.branch(name, base)
        feature = Feature(name, base)
        self.features.append(feature)
        self.work(feature)
        return feature

    def start_fork(self, base: str) -> Feature:
        """A branch of a fork, with the name of one of ours or of our default branch."""
        self._named += 1
        ref = self.random.choice(
            [*(f.name for f in self.features if not f.fork), self.default, "x"]
        )
        feature = Feature(f"eve/{self._named}", base, fork=f"eve/{self.git.name.partition('/')[2]}")
        feature.ref = ref
        self._of_forks.add(feature.name)
        self.git.branch(feature.name, base)
        self.features.append(feature)
        self.work(feature)
        return feature

    def start_bot(self, base: str) -> Feature:
        feature = self.start(base, "dependabot/npm_and_yarn/left-pad")
        feature.author = "dependabot[bot]"
        return feature

    def rewrite(self, feature: Feature) -> None:
        """Amend the last commit, or make one of all: the time of the first author stays."""
        git = self.git
        own = feature.commits
        if len(git.parents[own[-1]]) > 1 or self.head(feature.name) != own[-1]:
            return
        old, first = [own[-1]], own[-1]
        before = git.parents[first][0]
        if (
            len(own) > 1
            and before == own[-2]
            and len(git.parents[own[-2]]) == 1
            and self.chance(0.5)
        ):
            old, first = own[-2:], own[-2]
        self.passes(1, 5)
        self._named += 1
        name = f"{first}.{self._named}"
        git.heads[feature.name] = git.parents[first][0]
        git.commit(name, clock(self._written[first]), feature.name, feature.files)
        self._written[name] = self._written[first]
        own[-len(old) :] = [name]
        if self.chance(0.8):
            self.push(feature.name)

    def change_state(self, feature: Feature) -> None:
        """Make a draft ready, or close and reopen a pull request, or open it anew."""
        own = self.git.requests[feature.number]
        self.passes(1, 5)
        if own["draft"]:
            self.git.edit(feature.number, "ready", clock(self.minute), draft=False)
            self._say(f"ready {feature.number}")
            return
        self.git.edit(feature.number, "closed", clock(self.minute))
        self._say(f"close {feature.number}")
        chance = self.random.random()
        if chance < 0.4:
            self.features.remove(feature)  # for ever
        elif chance < 0.7 and self.git.can_reopen:
            self.passes(1, 9)
            self.git.edit(feature.number, "reopened", clock(self.minute))
            self._say(f"reopen {feature.number}")
        else:
            self.open(feature)

    def queue(self, features: Sequence[Feature], way: str) -> None:
        """Merge pull requests of one base by GitHub's merge queue: in one push."""
        git, base = self.git, features[0].base
        for feature in features:
            if not feature.number:
                self.open(feature)
            self.push(feature.name)
        self.passes()
        told, branches = clock(self.minute), self.chance(0.5)
        for feature in features:
            head = self.head(feature.name)
            feature.told = self._told(feature)
            git.merge_locally(feature.number, told, way)
            self._brings[self.head(base)] = (head,)
            self._count(feature, way)
            if branches:
                temporary = f"gh-readonly-queue/{base}/pr-{feature.number}-{git.sha(head)}"
                git.branch(temporary, base)
                self.push(temporary)
                self._may_be_ignored()
                del git.remote[temporary]
        self._say(f"queue {[feature.number for feature in features]} by {way}")
        for feature in features:
            git.tell(feature.number, "merged", told)
        self.push(base)

    # Reverts

    def revert(self) -> None:
        """Take a change back by a commit, or by the host's button."""
        back = self.random.choice(self.landed)
        git = self.git
        told = f'Revert "{back.title}"\n\nThis reverts commit {git.sha(back.commit)}'
        if len(git.parents[back.commit]) > 1:
            told += f", reversing\nchanges made to {git.sha(git.parents[back.commit][0])}"
        told += ".\n"
        if any(told == each for each in git.written):
            return
        if back.number == 0 or self.chance(0.4):
            self.passes(1, 9)
            git.commit(told, clock(self.minute), self.default)
            self._written[told] = self.minute
            self._changes[told] = (told, self.minute)
            self._taken(back, Landed(told, told, told.partition("\n")[0]))
            self._say(f"revert {back.change} by a commit")
            self.push(self.default)
            return
        feature = Feature(f"revert-{back.number}-{back.ref}", self.default)
        git.branch(feature.name, self.default)
        self.passes(1, 9)
        git.commit(told, clock(self.minute), feature.name)
        self._written[told] = self.minute
        feature.commits.append(told)
        self.push(feature.name)
        self._requests += 1
        feature.number, feature.opened = self._requests, self.minute
        body = git.body_of_revert(back.number)
        title = f'Revert "{git.requests[back.number]["title"]}"'
        git.open(
            feature.number, feature.name, clock(self.minute), self.default, title=title, body=body
        )
        self._say(f"revert {back.change} by {feature.number}")
        self.features.append(feature)
        self.land(feature, ["merge", "squash"])
        self._taken(back, self.landed.pop())

    def _taken(self, back: Landed, landed: Landed) -> None:
        """What was landed takes something back, or brings it back."""
        self.landed.remove(back)
        self.landed.append(replace(landed, is_back=not back.is_back))
        takes = self._restored if back.is_back else self._reverts
        takes[landed.change] = back.change

    # Lines

    def pick(self, line: str) -> None:
        """Take a commit of the default branch to a release line: it is a change of its own."""
        git = self.git
        picked = self.random.choice([c for c in self._changes if c in git.parents] or [""])
        if not picked or picked in self.contained(self.head(line)):
            return
        self._named += 1
        name = f"{picked} on {line} {self._named}"
        if self.chance(0.5):
            name = f"{name}\n\n(cherry picked from commit {git.sha(picked)})"
        self._written[name] = self._written[picked]
        self.passes(1, 9)
        if self.chance(0.5):
            git.commit(name, clock(self._written[name]), line)
            self._changes[name] = (name, self._written[name])
            self.push(line)
            self._say(f"pick {picked} to {line}")
            return
        feature = Feature(f"backport/{self._named}", line)
        git.branch(feature.name, line)
        git.commit(name, clock(self._written[name]), feature.name)
        feature.commits.append(name)
        self.features.append(feature)
        self.land(feature, ["merge", "squash"])

    # Deployments

    def rename_default(self) -> None:
        """The default branch gets another name."""
        old, new = self.default, f"{self.default}-2"
        self.cut(new, old)
        self.default = self.git.default = new
        self._say(f"default {new}")
        # What these had came to another branch.
        self.merged_names.clear()
        self.heads.clear()
        self.deployed.clear()
        self.heads.append(self.head(new))
        for feature in self.features:
            if feature.base == old:
                feature.base = new
                if feature.number:
                    self.git.edit(feature.number, "retargeted", clock(self.minute), base=new)

    def rename(self) -> None:
        """The repository gets another name."""
        self.git.own.full = f"{self.git.name}-renamed"
        self._say("rename")

    def deploy_named(self, commit: str = "", ok: bool = True, branch: str = "") -> None:
        """Deploy a commit by its branch, its first digits, its commit alone or a tag."""
        branch = branch or self.default
        commit = commit or self.head(branch)
        how = self.random.choice(["branch", "short", "bare", "tag"])
        if how == "tag":
            tag = f"v1.{self.minute}.{len(self.log)}"
            self.passes(1, 3)
            self.git.tag(tag, commit, clock(self.minute))
            self.deploy(tag, commit, ok)
        elif how == "branch":
            self.deploy(branch, commit, ok)
        else:
            self.deploy(branch, commit, ok, bare=True, digits=8 if how == "short" else 0)


def _step(team: Crew, base: str, ways: Sequence[str]) -> None:
    """One step of work on a branch, with every habit."""
    own = [feature for feature in team.features if feature.base == base]
    chance = team.random.random()
    if not own or (chance < 0.25 and len(own) < 4):
        kind = team.random.random()
        if kind < 0.2:
            team.start_fork(base)
        elif kind < 0.3:
            team.start_bot(base)
        elif kind < 0.45 and team.merged_names:
            team.start_anew(base, team.merged_names.pop())
        else:
            team.start(base)
        return
    feature = team.random.choice(own)
    if chance < 0.35:
        team.work(feature)
    elif chance < 0.45:
        team.rewrite(feature)
    elif chance < 0.52:
        team.bring_up_to_date(feature)
    elif chance < 0.6 and not feature.number:
        team.open(feature, draft=team.chance(0.3))
    elif chance < 0.68 and feature.number:
        team.change_state(feature)
    elif chance < 0.76 and len(own) > 1 and team.git.tool is GitHub and "queue" in ways:
        # Of two forks nobody can tell which commits of the push are whose.
        queued = team.random.sample(own, 2)
        if sum(bool(each.fork) for each in queued) < 2:
            team.queue(queued, team.random.choice(["merge", "squash"]))
    else:
        team.land(feature, [way for way in ways if way != "queue"])


def habits(team: Crew) -> None:
    """One branch, on which all is done in every way."""
    main = team.random.choice(["main", "master", "trunk", "mainline", "stable", "next"])
    team.git.is_wordy = team.chance(0.6)
    team.begin(main, deployed=team.chance(0.8))
    ways = team.random.choice([EVERY, (*EVERY, "queue"), ("squash", "queue"), ("merge",)])
    renames = team.random.choice([team.rename_default, team.rename, None, None])
    if renames == team.rename_default and team.git.listed == 5:
        renames = None  # nor when a branch was cut
    if renames == team.rename and team.git.tool is not GitHub:
        renames = None  # others do not tell when a push was made, so which name came last
    steps = team.random.randint(8, 20)
    for step in range(steps):
        chance = team.random.random()
        if renames and step == steps // 2:
            renames()
        elif chance < 0.6:
            _step(team, team.default, ways)
        elif chance < 0.65:
            team.work_on(team.default)
        elif chance < 0.7 and team.landed:
            team.revert()
        elif chance < 0.9:
            team.deploy_named(ok=team.chance(0.85))
        elif chance < 0.95:
            team.deploy_named(team.random.choice(team.heads))
        elif team.deployed:  # what was there before, and forward again
            team.deploy_named(team.deployed[-1])
            team.deploy_named()
    team.deploy_named()


def picks(team: Crew) -> None:
    """Lines of releases, to which commits of the default branch are taken."""
    team.begin(team.random.choice(["main", "mainline"]))
    kind = team.random.choice(["release/", "v", "rel/", "support/1."])
    lines: list[str] = []
    for number in range(team.random.randint(8, 16)):
        chance = team.random.random()
        if chance < 0.4:
            _step(team, team.default, ("merge", "squash"))
        elif chance < 0.5:
            team.work_on(team.default)
        elif chance < 0.6 or not lines:
            lines.append(f"{kind}{number}")
            team.cut(lines[-1], team.default)
        elif chance < 0.8:
            team.pick(lines[-1])
        else:
            team.deploy_named(branch=lines[-1])
    team.deploy_named(branch=lines[-1])


LIST_FILES = ("hub", "lab", "tea")
"""The hosts that list the files of a push."""
SERVICES = {"flow-web": "web", "flow-api": "api"}
"""Service -> its folder."""


def services(team: Crew) -> None:
    """Services of one repository, each deployed by itself; changes touch one, both or none."""
    team.paths = SERVICES
    team.begin("main", deployed=False)
    ways = team.random.choice([("merge",), ("squash",), ("rebase",), EVERY, ("merge", "queue")])
    for _ in range(team.random.randint(8, 18)):
        chance = team.random.random()
        if chance < 0.55:
            own = [feature for feature in team.features if feature.number or team.chance(0.5)]
            if chance < 0.25 or not own:
                team.start("main")
            elif chance < 0.3 and len(own) > 1 and team.git.tool is GitHub and "queue" in ways:
                team.queue(own[:2], "merge")
            elif chance < 0.35:
                team.bring_up_to_date(own[0])
            else:
                team.land(team.random.choice(own), [way for way in ways if way != "queue"])
        elif chance < 0.65:
            team.work_on("main")
        else:
            service = team.random.choice(sorted(SERVICES))
            team.deploy(ok=team.chance(0.85), service=service)
    for service in SERVICES:
        team.deploy(service=service)


HABITS: tuple[Callable[[Crew], None], ...] = (habits, picks, services)

"""A model of git: what its branches have is computed, and told as the hosts of code tell it.

A test commits, merges and pushes; which commits a push lists follows from the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from tests.metrics.http.clock import at, moment, number
from tests.metrics.http.clock import sha as sha_of
from tests.metrics.http.github import GitHub, user
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.tools import STAMPS, Bitbucket, BitbucketServer

NONE = "0" * 40


class Git:
    """A repository on GitHub."""

    tool: Any = GitHub
    can_reopen = True
    listed = 2048
    """How many commits a push lists, the newest ones."""
    is_wordy = False
    """Whether merges have the messages that the host writes."""

    def __init__(self, story: Story, name: str) -> None:
        self.story, self.name = story, name
        self.own = self.tool(story, name)
        self.default = "main"
        self.parents: dict[str, tuple[str, ...]] = {}
        self.written: dict[str, tuple[str, Sequence[str]]] = {}
        """Commit -> when it was written, and its files."""
        self.heads: dict[str, str] = {}
        self.remote: dict[str, str] = {}
        self.requests: dict[int, dict[str, Any]] = {}

    def commit(
        self,
        name: str,
        when: str,
        on: str = "main",
        files: Sequence[str] = (),
        parents: Sequence[str] = (),
    ) -> str:
        head = [self.heads[on]] if on in self.heads else []
        self.parents[name] = tuple(parents or head)
        self.written[name] = (when, files)
        self.heads[on] = name
        return name

    def branch(self, new: str, source: str = "") -> None:
        self.heads[new] = self.heads.get(source or self.default, source)

    def merge(self, into: str, source: str, when: str) -> None:
        parents = (self.heads[into], self.heads[source])
        self.commit(f"Merge branch '{source}' into {into} at {when}", when, into, parents=parents)

    @property
    def default(self) -> str:
        return self._default

    @default.setter
    def default(self, branch: str) -> None:
        self._default = self.own.default = branch

    @property
    def project(self) -> str:
        """The present name of the repository."""
        return getattr(self.own, "full", self.name)

    def sha(self, name: str) -> str:
        """The id of a commit; other repositories have others."""
        return sha_of(f"{self.name} {name}")

    def history_of(self, heads: Iterable[str]) -> set[str]:
        seen: set[str] = set()
        left = list(heads)
        while left:
            if (one := left.pop()) not in seen:
                seen.add(one)
                left += self.parents[one]
        return seen

    def missing(self, head: str, had: Iterable[str]) -> list[str]:
        known = self.history_of(had)
        return [name for name in self.written if name in self.history_of([head]) - known]

    def push(self, ref: str, when: str) -> None:
        old, head = self.remote.get(ref), self.heads[ref]
        self.remote[ref] = head
        had = [old] if old else [each for name, each in self.remote.items() if name != ref]
        self._push(ref, old, head, self.missing(head, had), when)

    def tell_of_force(self) -> None:
        """The last push was forced, of which only some hosts tell."""
        body = self.story.posts[-1].body
        if "forced" in body:
            body["forced"] = True
        elif "push" in body:
            body["push"]["changes"][0]["forced"] = True

    def open(self, number_: int, head: str, when: str, base: str = "", **more: Any) -> None:
        """Open a pull request; `more` as in `edit`, and `fork`, the repository of its branch, and
        `ref`, the name of the branch there."""
        self.requests[number_] = {
            "head": head,
            "ref": head,
            "base": base or self.default,
            "opened": when,
            "sha": self.heads[head],
            "merge": "",
            "title": f"Change {number_}",
            "body": "",
            "author": "bob",
            "draft": False,
            "fork": "",
            **more,
        }
        self.tell(number_, "opened", when)

    def edit(self, number_: int, action: str, when: str, **changed: Any) -> None:
        """`closed` without a merge, `reopened`, `ready` as no draft any more or `retargeted`, with
        what changed of title, body, draft and base."""
        own = self.requests[number_]
        own |= changed | {"sha": self.heads[own["head"]]}
        self.tell(number_, action, when)

    def land(
        self, number_: int, when: str, way: str = "merge", *, told: str = "", pushed: bool = True
    ) -> None:
        """Merge a pull request by a merge commit, one squashed commit, or its own commits, rebased
        or (`ff`) as they are; `told` is the host's time if it is not that of its push."""
        own = self.requests[number_]
        self.merge_locally(number_, when, way)
        self.tell(number_, "merged", told or when)
        if pushed:
            self.push(own["base"], when)

    def merge_locally(self, number_: int, when: str, way: str) -> None:
        """Merge a pull request, of which nobody tells yet."""
        own = self.requests[number_]
        base, head = own["base"], self.heads[own["head"]]
        new = self.missing(head, [self.heads[base]])
        name = self.message_of(number_, way) if self.is_wordy else f"{way} {number_}"
        if way == "merge":
            self.commit(name, when, base, parents=(self.heads[base], head))
        elif way == "ff":
            name = self.heads[base] = head
        elif way == "rebase":
            for each in new:
                name = self.commit(f"{each} again", *self.written[each][:1], base)
        else:
            self.commit(name, when, base, [f for each in new for f in self.written[each][1]])
        own |= {"sha": head, "merge": name}

    def body_of_revert(self, number_: int) -> str:
        """What the host's button writes into the pull request that takes another one back."""
        return f"Reverts {self.name}#{number_}"

    def message_of(self, number_: int, way: str) -> str:
        """What the host writes for a merge."""
        own = self.requests[number_]
        if way == "squash":
            return f"{own['title']} (#{number_})"
        return f"Merge pull request #{number_} from acme/{own['ref']}\n\n{own['title']}"

    def change(
        self,
        number_: int,
        name: str,
        written: str,
        landed: str,
        base: str = "",
        way: str = "merge",
        files: Sequence[str] = (),
    ) -> None:
        """A branch with one commit, its pull request and its merge."""
        self.begin(number_, name, written, base, files)
        self.land(number_, landed, way)

    def begin(
        self,
        number_: int,
        name: str,
        written: str,
        base: str = "",
        files: Sequence[str] = (),
        source: str = "",
    ) -> None:
        """A branch of its base, or of another source, with one commit and its pull request."""
        head = f"feature/{number_}"
        self.branch(head, source or base)
        self.commit(name, written, head, files)
        self.push(head, written)
        self.open(number_, head, written, base)

    def tag(self, tag: str, commit: str, when: str) -> None:
        """Push a tag; hosts tell no commits of it."""
        listed = (f"{self.name} {commit}", self.written[commit][0])
        if self.tool is GitLab:
            self.own.push(listed, ref=tag)
            body = self.story.posts[-1].body
            body["project"]["default_branch"] = self.default
            body |= {"object_kind": "tag_push", "event_name": "tag_push", "commits": []}
            self.story.posts[-1].headers["X-Gitlab-Event"] = "Tag Push Hook"
            body |= {"ref": f"refs/tags/{tag}", "total_commits_count": 0, "before": NONE}
        elif issubclass(self.tool, GitHub):
            self.own.push(listed, ref=tag, when=when)
            body = self.story.posts[-1].body
            body |= {"ref": f"refs/tags/{tag}", "before": NONE, "created": True, "commits": []}
            body["repository"]["default_branch"] = self.default

    def deploy(self, end: str, commit: str = "", ref: str = "", **more: Any) -> None:
        """`digits`: how many of its commit's digits it names, if not all. `bare`: it names no
        branch."""
        name = self.heads.get(ref or self.default, "")
        digits, bare = more.pop("digits", 0), more.pop("bare", False)
        if bare:  # which GitHub and GitLab never leave out
            ref = self.sha(commit or name)[: digits or None]
        self.own.deploy(
            end, commit=f"{self.name} {commit or name}", ref=ref or self.default, **more
        )

    def _push(self, ref: str, old: str | None, head: str, new: list[str], when: str) -> None:
        if not new:  # such a push is ignored
            return
        self.own.push((f"{self.name} {head}", self.written[head][0]), ref=ref, when=when)
        body = self.story.posts[-1].body
        author = {"name": "Bob", "username": "bob"}
        body |= {"before": self.sha(old) if old else NONE, "created": not old}
        body["commits"] = [
            {"id": self.sha(name), "message": name, "timestamp": at(self.written[name][0])}
            | {"author": author, "added": [], "removed": [], "modified": [*self.written[name][1]]}
            for name in new
        ]
        body["repository"]["default_branch"] = self.default

    def tell(self, number_: int, action: str, when: str) -> None:
        own = self.requests[number_]
        repository = self.own._repository() | {"default_branch": self.default}
        source, fork = repository, own["fork"]
        if fork:
            source = repository | {"id": number(fork), "full_name": fork, "fork": True}
        is_merged, is_over = action == "merged", action in ("merged", "closed")
        found = {
            "id": number(f"{self.name}#{number_}"),
            "number": number_,
            "title": own["title"],
            "body": own["body"],
            "user": user(own["author"]),
            "state": "closed" if is_over else "open",
            "draft": own["draft"],
            "merged": is_merged,
            "merge_commit_sha": self.sha(own["merge"]) if is_merged else None,
            "head": {"ref": own["ref"], "sha": self.sha(own["sha"]), "repo": source},
            "base": {"ref": own["base"], "sha": self.sha("base"), "repo": repository},
            "html_url": f"https://github.com/{self.name}/pull/{number_}",
            "created_at": at(own["opened"]),
            "updated_at": at(when),
            "closed_at": at(when) if is_over else None,
            "merged_at": at(when) if is_merged else None,
        }
        names = {"merged": "closed", "ready": "ready_for_review", "retargeted": "edited"}
        action = names.get(action, action)
        self.own.hook("pull_request", action=action, number=number_, pull_request=found)


class ByScript(Git):
    """A host that tells of no deployments: a script does."""

    def deploy(self, end: str, commit: str = "", ref: str = "", **more: Any) -> None:
        commit = self.sha(commit or self.heads[ref or self.default])[
            : more.pop("digits", 0) or None
        ]
        branch = "" if more.pop("bare", False) else ref or self.default
        script = Script(self.story, self.project, more.pop("service", self.name.rpartition("/")[2]))
        script.deploy(end, commit=commit, branch=branch, **more)


class OnGitea(ByScript):
    """Gitea lists the newest five commits, newest first."""

    tool = Gitea
    listed = 5

    def message_of(self, number_: int, way: str) -> str:
        own = self.requests[number_]
        if way == "squash":
            return f"{own['title']} (#{number_})"
        return (
            f"Merge pull request '{own['title']}' (#{number_}) from {own['ref']} into {own['base']}"
        )

    def tell(self, number_: int, action: str, when: str) -> None:
        own = self.requests[number_]
        if own["draft"]:
            own |= {"title": f"WIP: {own['title'].removeprefix('WIP: ')}"}
        was, own["title"] = (
            own["title"],
            own["title"] if own["draft"] else own["title"].removeprefix("WIP: "),
        )
        super().tell(number_, "retargeted" if action == "ready" else action, when)
        if action == "ready":
            self.story.posts[-1].body["changes"] = {"title": {"from": was}}

    def _push(self, ref: str, old: str | None, head: str, new: list[str], when: str) -> None:
        super()._push(ref, old, head, new, when)
        if new:
            body = self.story.posts[-1].body
            body |= {"commits": body["commits"][::-1][: self.listed], "total_commits": len(new)}


class OnGitLab(Git):
    """GitLab compares a new branch with the default branch."""

    tool = GitLab
    ACTIONS: ClassVar = {"opened": "open", "merged": "merge", "closed": "close"} | {
        "reopened": "reopen"
    }

    def body_of_revert(self, number_: int) -> str:
        return f"This reverts merge request !{number_}"

    def message_of(self, number_: int, way: str) -> str:
        own = self.requests[number_]
        see = f"{own['title']}\n\nSee merge request {self.name}!{number_}"
        return (
            see if way == "squash" else f"Merge branch '{own['ref']}' into '{own['base']}'\n\n{see}"
        )

    def _push(self, ref: str, old: str | None, head: str, new: list[str], when: str) -> None:
        if not old and ref != self.default:
            new = self.missing(head, [self.remote[self.default]])
        if not new:
            return
        commits = [(f"{self.name} {name}", self.written[name][0]) for name in new]
        self.own.push(*commits, ref=ref, base=f"{self.name} {old}" if old else "")
        body = self.story.posts[-1].body
        body["project"]["default_branch"] = self.default
        for name, told in zip(new, body["commits"], strict=True):
            subject, files = name.partition("\n")[0], self.written[name][1]
            told |= {"message": name, "title": subject, "modified": [*files]}

    def tell(self, number_: int, action: str, when: str) -> None:
        own = self.requests[number_]
        is_merged = action == "merged"
        found = {
            "id": number(f"{self.name}!{number_}"),
            "iid": number_,
            "title": own["title"],
            "description": own["body"],
            "draft": own["draft"],
            "source_branch": own["ref"],
            "target_branch": own["base"],
            "state": {"merged": "merged", "closed": "closed"}.get(action, "opened"),
            "action": self.ACTIONS.get(action, "update"),
            "created_at": at(own["opened"]),
            "updated_at": at(when),
            "last_commit": {"id": self.sha(own["sha"]), "message": "x"},
            "merge_commit_sha": self.sha(own["merge"]) if is_merged else None,
            "source": self.own._project(),
            "target": self.own._project(),
        }
        if fork := own["fork"]:
            found["source"] |= {"id": number(fork), "path_with_namespace": fork}
            found |= {"source_project_id": number(fork), "target_project_id": number(self.name)}
        drafts = {"changes": {"draft": {"previous": True, "current": False}}}
        person = {"id": number(own["author"]), "name": own["author"], "username": own["author"]}
        self.own._merge_request(found, user=person, **(drafts if action == "ready" else {}))
        self.story.posts[-1].body["project"]["default_branch"] = self.default


class OnBitbucket(ByScript):
    """Bitbucket Cloud lists the newest five commits; those of a pull request have 12 digits."""

    tool = Bitbucket
    can_reopen = False
    listed = 5

    def body_of_revert(self, number_: int) -> str:
        return f"This reverts pull request #{number_}."

    def message_of(self, number_: int, way: str) -> str:
        own = self.requests[number_]
        return f"Merged in {own['ref']} (pull request #{number_})\n\n{own['title']}"

    def _told(self, name: str) -> dict[str, Any]:
        parents = [{"type": "commit", "hash": self.sha(each)} for each in self.parents[name]]
        told = {
            "type": "commit",
            "hash": self.sha(name),
            "message": f"{name}\n",
            "parents": parents,
        }
        return told | {"date": at(self.written[name][0])}

    def _push(self, ref: str, old: str | None, head: str, new: list[str], when: str) -> None:
        change = {
            "new": {"type": "branch", "name": ref, "target": self._told(head)},
            "old": {"type": "branch", "name": ref, "target": self._told(old)} if old else None,
            "commits": [self._told(name) for name in new[::-1]][:5],
            "truncated": len(new) > self.listed,
            "forced": False,
            "created": not old,
        }
        self.own.hook("repo:push", push={"changes": [change]})

    def tell(self, number_: int, action: str, when: str) -> None:
        own = self.requests[number_]
        is_merged = action == "merged"

        def side(branch: str, commit: str, repository: str) -> dict[str, Any]:
            told = {"branch": {"name": branch}, "commit": {"hash": self.sha(commit)[:12]}}
            return told | {"repository": {"full_name": repository}}

        found = {
            "id": number_,
            "title": own["title"],
            "description": own["body"],
            "draft": own["draft"],
            "state": {"merged": "MERGED", "closed": "DECLINED"}.get(action, "OPEN"),
            "author": {"nickname": own["author"]},
            "created_on": at(own["opened"]),
            "updated_on": at(when),
            "source": side(own["ref"], own["sha"], own["fork"] or self.name),
            "destination": side(own["base"], "b", self.name),
            "merge_commit": {"hash": self.sha(own["merge"])[:12]} if is_merged else None,
        }
        kinds = {"merged": "fulfilled", "closed": "rejected", "opened": "created"}
        kind = kinds.get(action, "updated")
        self.own.hook(f"pullrequest:{kind}", pullrequest=found)


class OnServer(ByScript):
    """Bitbucket Data Center."""

    tool = BitbucketServer

    def body_of_revert(self, number_: int) -> str:
        return ""

    def message_of(self, number_: int, way: str) -> str:
        own = self.requests[number_]
        told = f"Pull request #{number_}: {own['title']}\n\nMerge in ACME/x from {own['ref']} to "
        return told + own["base"]

    def _push(self, ref: str, old: str | None, head: str, new: list[str], when: str) -> None:
        self.own.push((f"{self.name} {head}", self.written[head][0]), ref=ref, when=when)
        body = self.story.posts[-1].body
        body["changes"][0] |= {"fromHash": self.sha(old) if old else NONE, "toHash": self.sha(head)}
        body["changes"][0] |= {"type": "UPDATE" if old else "ADD"}
        body["commits"] = [
            {"id": self.sha(name), "message": name}
            | dict.fromkeys(STAMPS, self._millis(self.written[name][0]))
            for name in new[::-1]
        ]

    @staticmethod
    def _millis(clock: str) -> int:
        return int(moment(clock).timestamp() * 1000)

    def tell(self, number_: int, action: str, when: str) -> None:
        own = self.requests[number_]
        is_merged = action == "merged"

        def side(branch: str, commit: str, fork: str = "") -> dict[str, Any]:
            told = {"id": f"refs/heads/{branch}", "latestCommit": self.sha(commit)}
            repository = self.own._repository()
            if fork:
                repository |= {"id": number(fork), "project": {"key": fork.partition("/")[0]}}
            return told | {"repository": repository}

        found = {
            "id": number_,
            "title": own["title"],
            "description": own["body"],
            "draft": own["draft"],
            "state": {"merged": "MERGED", "closed": "DECLINED"}.get(action, "OPEN"),
            "createdDate": self._millis(own["opened"]),
            "updatedDate": self._millis(when),
            "author": {"user": {"name": own["author"]}},
            "fromRef": side(own["ref"], own["sha"], own["fork"]),
            "toRef": side(own["base"], "b"),
        }
        if action == "closed":
            found |= {"closedDate": self._millis(when)}
        if is_merged:
            found |= {"closedDate": self._millis(when)}
            found |= {"properties": {"mergeCommit": {"id": self.sha(own["merge"])}}}
        kinds = {"closed": "declined", "ready": "modified", "retargeted": "modified"}
        self.own.hook(f"pr:{kinds.get(action, action)}", when, pullRequest=found)


HOSTS = {
    "hub": Git,
    "lab": OnGitLab,
    "tea": OnGitea,
    "bucket": OnBitbucket,
    "server": OnServer,
}

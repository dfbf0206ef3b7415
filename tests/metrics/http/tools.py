"""Azure DevOps, Argo CD and Bitbucket as senders."""

from __future__ import annotations

from typing import Any

from tests.metrics.http.clock import at, moment, number, sha
from tests.metrics.http.story import Story

STAMPS = ("authorTimestamp", "committerTimestamp")


class Azure:
    """A repository of a project, with its YAML pipeline and its classic releases."""

    def __init__(self, story: Story, project: str, repository: str = "") -> None:
        self.story = story
        self.project = project
        self.name = f"{project}/{repository}" if repository else project
        self.repository = repository or project
        self.url = f"https://acme@dev.azure.com/acme/{project}/_git/{self.repository}"
        self._count = 0
        self._heads: dict[str, str] = {}

    def _repository(self) -> dict[str, Any]:
        return {
            "id": f"guid-{number(self.name)}",
            "name": self.repository,
            "url": f"https://dev.azure.com/acme/_apis/git/repositories/{number(self.name)}",
            "project": {"id": f"p-{number(self.project)}", "name": self.project},
            "defaultBranch": "refs/heads/main",
            "remoteUrl": self.url,
        }

    def event(self, kind: str, clock: str, resource: dict[str, Any]) -> None:
        self._count += 1
        body = {
            "id": f"{self.name}-{self._count}",
            "eventType": kind,
            "publisherId": "tfs",
            "resource": resource,
            "resourceContainers": {"collection": {"id": "c12d0eb8"}},
            "createdDate": at(clock),
        }
        self.story.add("/azure", body)

    def push(self, *commits: tuple[str, str], ref: str = "main") -> None:
        """Push commits, each a (name, authored time), to a branch."""
        listed = [
            {"commitId": sha(name), "author": {"name": "Bob", "date": at(clock)}, "comment": name}
            for name, clock in reversed(commits)
        ]
        old, new = self._heads.get(ref, "0" * 40), sha(commits[-1][0])
        self._heads[ref] = new
        update = {"name": f"refs/heads/{ref}", "oldObjectId": old, "newObjectId": new}
        pushed = {"commits": listed, "refUpdates": [update], "repository": self._repository()}
        clock = commits[-1][1]
        person = {"displayName": "Bob"}
        self.event("git.push", clock, {**pushed, "pushedBy": person, "date": at(clock)})

    def reset(self, commit: str, when: str) -> None:
        """Set main back to an older commit by a forced push."""
        self.push((commit, when))
        self.story.posts[-1].body["resource"]["commits"] = []

    def merge_of(self, identifier: int) -> str:
        return f"{self.name} merge {identifier}"

    def pull(
        self, identifier: int, opened: str, merged: str, *, title: str = "", body: str = ""
    ) -> None:
        """A pull request to main, of what was pushed to its branch, and the push of its merge."""
        tip = self._heads.get(f"feature/{identifier}", sha(f"{self.name} source {identifier}"))
        found = {
            "repository": self._repository(),
            "pullRequestId": identifier,
            "status": "active",
            "createdBy": {"displayName": "Bob"},
            "creationDate": at(opened),
            "title": title or f"Change {identifier}",
            "description": body,
            "sourceRefName": f"refs/heads/feature/{identifier}",
            "targetRefName": "refs/heads/main",
            "lastMergeSourceCommit": {"commitId": tip},
            "lastMergeCommit": {"commitId": sha(f"{self.name} trial {identifier}")},
            "reviewers": [],
        }
        self.event("git.pullrequest.created", opened, found)
        merge = {"commitId": sha(self.merge_of(identifier))}
        done = {"status": "completed", "closedDate": at(merged), "lastMergeCommit": merge}
        self.event("git.pullrequest.updated", merged, found | done)
        self.push((self.merge_of(identifier), merged))

    def stage(
        self, run: int, name: str, began: str, end: str, ok: bool = True, *, commit: str
    ) -> None:
        """A stage of a run of the YAML pipeline, which names its repository by id alone."""
        own = {"repository": {"id": f"guid-{number(self.name)}", "type": "azureReposGit"}}
        own |= {"refName": "refs/heads/main", "version": sha(commit)}
        common = {
            "run": {"id": run, "name": f"2026.{run}", "resources": {"repositories": {"self": own}}},
            "pipeline": {"id": 2, "name": "ship"},
            "repositories": [{"type": "Git", "change": {"version": sha(commit)}, "url": self.url}],
        }
        for clock, state, result in (
            (began, "running", "none"),
            (end, "completed", "succeeded" if ok else "failed"),
        ):
            stage = {"id": f"{run}-{name}", "name": name, "state": state, "result": result}
            kind = "ms.vss-pipelines.stage-state-changed-event"
            self.event(kind, clock, {"stage": stage, **common})

    def build(self, identifier: int, began: str, end: str, *, commit: str) -> None:
        """A succeeded build of main."""
        repository = {"id": f"guid-{number(self.name)}", "type": "TfsGit", "name": self.repository}
        resource = {
            "id": identifier,
            "buildNumber": f"2026.{identifier}",
            "status": "completed",
            "result": "succeeded",
            "startTime": at(began),
            "finishTime": at(end),
            "sourceBranch": "refs/heads/main",
            "sourceVersion": sha(commit),
            "definition": {"id": 2, "name": "ci"},
            "project": {"name": self.project},
            "repository": repository | {"url": self.url},
        }
        self.event("build.complete", end, resource)

    def release(
        self,
        identifier: int,
        began: str,
        end: str,
        ok: bool = True,
        *,
        build: int = 0,
        attempt: int = 1,
        environment: str = "Production",
        **ended_with: Any,
    ) -> None:
        """A deployment of a release, which names the build of its artifact; `ended_with` are more
        fields of the environment at its end."""
        place = {
            "id": number(f"{self.name}{identifier}{environment}"),
            "name": environment,
            "status": "inProgress",
            "deploySteps": [{"attempt": attempt}],
            "release": {"id": identifier, "name": f"Release-{identifier}"},
            "releaseDefinition": {"id": 1, "name": f"{self.repository}.CD"},
        }
        version = {"id": str(build or identifier), "name": f"2026.{identifier}"}
        artifact = {"isPrimary": True, "definitionReference": {"version": version}}
        release = {"id": identifier, "name": f"Release-{identifier}", "artifacts": [artifact]}
        project = {"id": "1", "name": self.project}
        began_at = {"environment": place, "release": release, "project": project}
        self.event("ms.vss-release.deployment-started-event", began, began_at)
        deployment = {
            "id": number(f"{self.name}{identifier}{environment}{attempt}"),
            "attempt": attempt,
            "release": release,
            "startedOn": at(began),
            "completedOn": at(end),
        }
        ended = place | {"status": "succeeded" if ok else "rejected"} | ended_with
        resource = {"environment": ended, "project": project, "deployment": deployment}
        self.event("ms.vss-release.deployment-completed-event", end, resource)


def argo_sync(
    story: Story,
    app: str,
    began: str,
    end: str,
    ok: bool = True,
    *,
    repository: str,
    revision: str,
    image: str = "",
) -> None:
    """A sync of an application: it runs, it has succeeded, its pods are healthy or degraded."""
    for phase, health, at_end in (
        ("Running", "Healthy", False),
        ("Succeeded", "Progressing", False),
        ("Succeeded", "Healthy" if ok else "Degraded", True),
    ):
        body = {
            "app": app,
            "appNamespace": "argocd",
            "project": "default",
            "phase": phase,
            "startedAt": at(began),
            "finishedAt": at(began) if phase == "Succeeded" else None,
            "health": health,
            "healthAt": at(end) if at_end else at(began),
            "revision": sha(revision),
            "repository": f"https://github.com/{repository}.git",
            "images": [image] if image else [],
            "cluster": "https://kubernetes.default.svc",
            "namespace": "shop",
        }
        story.add("/argocd", body)


class Bitbucket:
    """A repository on Bitbucket Cloud; commits of a pull request have 12 digits there."""

    def __init__(self, story: Story, full: str) -> None:
        self.story = story
        self.name = full
        self._heads: dict[str, dict[str, Any]] = {}

    def hook(self, event: str, **fields: Any) -> None:
        repository = {"full_name": self.name, "uuid": f"{{{number(self.name)}}}"}
        body = {"actor": {"nickname": "bob"}, "repository": repository, **fields}
        self.story.add("/bitbucket", body, X_Event_Key=event)

    def push(
        self, *commits: tuple[str, str], ref: str = "main", onto: str = "", when: str = ""
    ) -> None:
        """Push commits, each a (name, authored time), to a branch; by force `onto` another commit
        than its head."""
        old = self._heads.get(ref)
        base = sha(onto) if onto else old and old["target"]["hash"]
        parents = [base, *(sha(name) for name, _ in commits)]
        listed = [
            {
                "type": "commit",
                "hash": sha(name),
                "message": f"{name}\n",
                "date": at(clock),
                "parents": [{"type": "commit", "hash": parent}] if parent else [],
            }
            for (name, clock), parent in reversed([*zip(commits, parents, strict=False)])
        ]
        self._heads[ref] = {"type": "branch", "name": ref, "target": listed[0]}
        change = {"new": self._heads[ref], "old": old, "commits": listed, "truncated": False}
        change |= {"forced": bool(onto), "created": old is None, "closed": False}
        self.hook("repo:push", push={"changes": [change]})

    def reset(self, commit: str, when: str) -> None:
        """Set main back to an older commit by a forced push; only the commit has a time."""
        self.push((commit, "06:00"))
        self.story.posts[-1].body["push"]["changes"][0] |= {"forced": True, "commits": []}

    def merge_of(self, identifier: int) -> str:
        return f"{self.name} merge {identifier}"

    def pull(
        self,
        identifier: int,
        opened: str,
        merged: str,
        *,
        commits: tuple[tuple[str, str], ...] = (),
        base: str = "main",
        head: str = "",
        brings: tuple[tuple[str, str], ...] = (),
        title: str = "",
        body: str = "",
    ) -> None:
        """A pull request with its commits, and the push of its merge, which `brings` those of
        others."""
        branch = head or f"feature/{identifier}"
        if commits:
            self.push(*commits, ref=branch)
        tip = commits[-1][0] if commits else f"{self.name} tip {identifier}"
        repository = {"full_name": self.name}
        source = {"branch": {"name": branch}, "commit": {"hash": sha(tip)[:12]}}
        target = {"branch": {"name": base}, "commit": {"hash": sha("b")[:12]}}
        found = {
            "id": identifier,
            "title": title or f"Change {identifier}",
            "description": body,
            "state": "OPEN",
            "author": {"nickname": "bob"},
            "created_on": at(opened),
            "updated_on": at(opened),
            "source": source | {"repository": repository},
            "destination": target | {"repository": repository},
        }
        self.hook("pullrequest:created", pullrequest=found)
        merge = {"hash": sha(self.merge_of(identifier))[:12]}
        done = {"state": "MERGED", "updated_on": at(merged), "merge_commit": merge}
        self.hook("pullrequest:fulfilled", pullrequest=found | done)
        self.push(*brings, *commits, (self.merge_of(identifier), merged), ref=base)


class BitbucketServer:
    """A repository on Bitbucket Data Center. Versions before 8 list no commits of a push."""

    lists_commits = True

    def __init__(self, story: Story, full: str) -> None:
        self.story = story
        self.name = full
        self._heads: dict[str, str] = {}

    def _repository(self) -> dict[str, Any]:
        project, _, slug = self.name.partition("/")
        return {"slug": slug, "id": number(self.name), "name": slug, "project": {"key": project}}

    def hook(self, event: str, clock: str, **fields: Any) -> None:
        body = {"eventKey": event, "date": at(clock), "actor": {"name": "bob"}, **fields}
        self.story.add("/bitbucket", body, X_Event_Key=event)

    def push(self, *commits: tuple[str, str], ref: str = "main", when: str = "") -> None:
        """Push commits, each a (name, authored time), to a branch."""
        new = sha(commits[-1][0])
        old, self._heads[ref] = self._heads.get(ref, "0" * 40), new
        moved = {"refId": f"refs/heads/{ref}", "fromHash": old, "toHash": new}
        kind = "ADD" if old == "0" * 40 else "UPDATE"
        told: dict[str, Any] = {"repository": self._repository()}
        if self.lists_commits:
            told["commits"] = [
                {"id": sha(name), "message": name}
                | {stamp: int(moment(clock).timestamp() * 1000) for stamp in STAMPS}
                for name, clock in reversed(commits)
            ]
        changes = [{**moved, "ref": {"id": f"refs/heads/{ref}", "type": "BRANCH"}, "type": kind}]
        self.hook("repo:refs_changed", when or commits[-1][1], changes=changes, **told)

    def reset(self, commit: str, when: str) -> None:
        """Set main back to an older commit by a forced push."""
        self.push((commit, when))
        self.story.posts[-1].body["commits"] = []

    def merge_of(self, identifier: int) -> str:
        return f"{self.name} merge {identifier}"

    def pull(
        self,
        identifier: int,
        opened: str,
        merged: str,
        *,
        commits: tuple[tuple[str, str], ...] = (),
        title: str = "",
        body: str = "",
    ) -> None:
        """A pull request to main with its commits, and the push of its merge."""
        branch = f"feature/{identifier}"
        if commits:
            self.push(*commits, ref=branch)
        tip = sha(commits[-1][0] if commits else f"{self.name} tip {identifier}")
        repository = self._repository()
        begun = int(moment(opened).timestamp() * 1000)
        found = {
            "id": identifier,
            "title": title or f"Change {identifier}",
            "description": body,
            "state": "OPEN",
            "createdDate": begun,
            "updatedDate": begun,
            "author": {"user": {"name": "bob"}},
            "fromRef": {"id": f"refs/heads/{branch}", "latestCommit": tip},
            "toRef": {"id": "refs/heads/main", "latestCommit": sha("b")},
        }
        for side in ("fromRef", "toRef"):
            found[side] |= {"repository": repository}
        self.hook("pr:opened", opened, pullRequest=found)
        end = int(moment(merged).timestamp() * 1000)
        done = {"state": "MERGED", "updatedDate": end, "closedDate": end}
        merge = {"mergeCommit": {"id": sha(self.merge_of(identifier))}}
        self.hook("pr:merged", merged, pullRequest={**found, **done, "properties": merge})
        self.push(*commits, (self.merge_of(identifier), merged), when=merged)


class OldBitbucketServer(BitbucketServer):
    """A version that lists no commits of a push."""

    lists_commits = False

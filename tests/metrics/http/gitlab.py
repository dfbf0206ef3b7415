"""One project on GitLab and the webhooks it sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.metrics.http.clock import at, before, moment, number, sha
from tests.metrics.http.story import Story


def _utc(text: str) -> str:
    return moment(text).strftime("%Y-%m-%d %H:%M:%S UTC")


class GitLab:
    """Adds requests to a story. Commits are given by name; see `clock.sha`."""

    default = "main"

    def __init__(self, story: Story, full: str) -> None:
        self.story = story
        self.full = full
        self.name = full
        self.service = full.rpartition("/")[2]
        self._heads: dict[str, str] = {}

    def _project(self) -> dict[str, Any]:
        return {
            "id": number(self.name),
            "name": self.service,
            "namespace": self.full.partition("/")[0],
            "web_url": f"https://gitlab.example.com/{self.full}",
            "git_ssh_url": f"git@gitlab.example.com:{self.full}.git",
            "path_with_namespace": self.full,
            "default_branch": self.default,
        }

    def hook(self, kind: str, title: str, **fields: Any) -> None:
        body = {
            "object_kind": kind,
            "user": {"id": 7, "name": "Bob", "username": "bob"},
            "project": self._project(),
            **fields,
        }
        self.story.add("/gitlab", body, X_Gitlab_Event=title)

    def push(
        self,
        *commits: tuple[str, str],
        ref: str = "main",
        when: str = "",
        files: Sequence[str] = (),
        base: str = "",
    ) -> None:
        """Push commits, each a (name, authored time), to a branch.

        GitLab's push has no time of its own; `when` is only here to look like GitHub's.
        """
        listed = [
            {
                "id": sha(name),
                "message": name,
                "title": name,
                "timestamp": at(clock),
                "author": {"name": "Bob", "email": "bob@example.com"},
                "added": [],
                "removed": [],
                "modified": list(files),
            }
            for name, clock in commits
        ]
        old = sha(base) if base else self._heads.get(ref, "0" * 40)
        new = sha(commits[-1][0])
        self._heads[ref] = new
        self.hook(
            "push",
            "Push Hook",
            event_name="push",
            before=old,
            after=new,
            checkout_sha=new,
            ref=f"refs/heads/{ref}",
            user_name="Bob",
            user_username="bob",
            project_id=number(self.full),
            commits=listed,
            total_commits_count=len(listed),
        )

    def reset(self, commit: str, when: str) -> None:
        """Set main back to an older commit by a forced push."""
        self.push((commit, when))
        self.story.posts[-1].body.update(commits=[], total_commits_count=0)

    def pull(
        self,
        identifier: int,
        opened: str,
        merged: str = "",
        *,
        base: str = "main",
        head: str = "",
        commits: Sequence[tuple[str, str]] = (),
        merge: str = "",
        ready: str = "",
        reviews: Sequence[tuple[str, str, str]] = (),
        pushed: bool = False,
        title: str = "",
        body: str = "",
        **more: Any,
    ) -> None:
        """A merge request: its commits, approvals as (time, reviewer, state), its merge."""
        branch = head or f"feature/{identifier}"
        tip = sha(commits[-1][0]) if commits else sha(f"{self.full} head {identifier}")
        if commits:
            self.push(*commits, ref=branch)
        found: dict[str, Any] = {
            "id": number(f"{self.full}!{identifier}"),
            "iid": identifier,
            "title": title or f"Change {identifier}",
            "description": body,
            "author_id": 7,
            "source_branch": branch,
            "target_branch": base,
            "state": "opened",
            "action": "open",
            "draft": bool(ready),
            "created_at": _utc(opened),
            "updated_at": _utc(opened),
            "last_commit": {"id": tip, "message": "x"},
            "merge_commit_sha": None,
            "source": self._project(),
            "target": self._project(),
            "url": f"https://gitlab.example.com/{self.full}/-/merge_requests/{identifier}",
        }
        self._merge_request(found)
        if ready:
            found |= {"action": "update", "draft": False, "updated_at": _utc(ready)}
            self._merge_request(found, changes={"draft": {"previous": True, "current": False}})
        for clock, reviewer, _state in reviews:
            found |= {"action": "approved", "updated_at": _utc(clock)}
            person = {"id": number(reviewer), "name": reviewer, "username": reviewer}
            self._merge_request(found, user=person)
        if not merged:
            return
        name = merge or self.merge_of(identifier)
        found |= {
            "action": "merge",
            "state": "merged",
            "merge_commit_sha": sha(name),
            "updated_at": _utc(merged),
            **more,
        }
        self._merge_request(found)
        if pushed:
            self.push(*commits, (name, merged), ref=base)

    def merge_of(self, identifier: int) -> str:
        """The default name of a merge request's merge commit."""
        return f"{self.full} merge {identifier}"

    def _merge_request(self, found: dict[str, Any], **more: Any) -> None:
        body = {"object_attributes": dict(found), "labels": [], "reviewers": [], **more}
        self.hook("merge_request", "Merge Request Hook", **body)

    def deploy(
        self,
        end: str,
        ok: bool = True,
        *,
        commit: str = "",
        began: str = "",
        environment: str = "production",
        tier: str = "",
        ref: str = "main",
        state: str = "",
        job: int = 0,
        version: str = "",
        key: str = "",
    ) -> None:
        """A deployment and its end; `state` instead of success or failed, `-` for none."""
        start = at(began) if began else before(end)
        identifier = number(f"{self.full} {key or end} {environment}")
        name = sha(commit or version or f"{self.full} unknown {end}")
        words = {"-": ["running"], "": ["running", "success" if ok else "failed"]}
        for word in words.get(state, ["running", state]):
            clock = start if word == "running" else at(end)
            self.hook(
                "deployment",
                "Deployment Hook",
                status=word,
                status_changed_at=clock,
                deployment_id=identifier,
                deployable_id=job or identifier,
                deployable_url=f"https://gitlab.example.com/{self.full}/-/jobs/{job or identifier}",
                environment=environment,
                environment_tier=tier or environment,
                environment_external_url="",
                short_sha=name[:8],
                commit_url=f"https://gitlab.example.com/{self.full}/-/commit/{name}",
                commit_title="x",
                ref=version or ref,
            )

    def pipeline(
        self,
        identifier: int,
        began: str,
        end: str,
        status: str,
        jobs: Sequence[tuple[int, str, str, str]],
        *,
        commit: str = "c",
        name: str = "",
    ) -> None:
        """A finished pipeline with jobs, each (id, name, status, end)."""
        builds = [
            {
                "id": job,
                "stage": "deploy",
                "name": label,
                "status": word,
                "created_at": _utc(began),
                "started_at": _utc(began),
                "finished_at": _utc(ended),
                "queued_duration": 0.0,
                "allow_failure": False,
                "user": {"id": 7, "username": "bob"},
                "runner": None,
                "environment": {"name": "production", "action": "start"},
            }
            for job, label, word, ended in jobs
        ]
        found = {
            "id": identifier,
            "iid": 3,
            "name": name or None,
            "ref": "main",
            "tag": False,
            "sha": sha(commit),
            "source": "push",
            "status": status,
            "stages": ["deploy"],
            "created_at": _utc(began),
            "finished_at": _utc(end),
            "queued_duration": 0,
            "duration": 60,
            "variables": [],
            "url": f"https://gitlab.example.com/{self.full}/-/pipelines/{identifier}",
        }
        commit_body = {"id": sha(commit), "message": "x", "title": "x"}
        self.hook(
            "pipeline", "Pipeline Hook", object_attributes=found, builds=builds, commit=commit_body
        )

    def job(
        self, identifier: int, run: int, began: str, end: str, ok: bool = True, *, retries: int = 0
    ) -> None:
        """A finished deploy job of a pipeline."""
        self.hook(
            "build",
            "Job Hook",
            build_id=identifier,
            build_name="deploy",
            build_stage="deploy",
            build_status="success" if ok else "failed",
            build_created_at=_utc(began),
            build_started_at=_utc(began),
            build_finished_at=_utc(end),
            pipeline_id=run,
            retries_count=retries,
            sha=sha("c"),
            ref="main",
            tag=False,
        )

    def issue(
        self,
        identifier: int,
        opened: str,
        closed: str = "",
        *,
        kind: str = "Incident",
        labels: Sequence[str] = (),
    ) -> None:
        """An issue of a type."""
        found: dict[str, Any] = {
            "id": number(f"{self.full} issue {identifier}"),
            "iid": identifier,
            "title": "Checkout is down",
            "description": "",
            "author_id": 7,
            "state": "opened",
            "action": "open",
            "type": kind,
            "created_at": at(opened),
            "updated_at": at(opened),
            "closed_at": None,
            "url": f"https://gitlab.example.com/{self.full}/-/issues/{identifier}",
        }
        named = [{"title": label} for label in labels]
        self.hook("issue", "Issue Hook", object_attributes=dict(found), labels=named)
        if closed:
            found |= {"state": "closed", "action": "close"}
            found |= {"closed_at": at(closed), "updated_at": at(closed)}
            self.hook("issue", "Issue Hook", object_attributes=found, labels=named)

"""One repository on GitHub and the webhooks it sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.metrics.http.clock import at, before, moment, number, sha
from tests.metrics.http.story import Story


def user(login: str) -> dict[str, Any]:
    kind = "Bot" if login.endswith("[bot]") else "User"
    return {"login": login, "id": number(login), "type": kind}


class GitHub:
    """Adds requests to a story. Commits are given by name; see `clock.sha`."""

    default = "main"

    def __init__(self, story: Story, full: str) -> None:
        self.story = story
        self.full = full
        self.name = full
        self.service = full.rpartition("/")[2]
        self._heads: dict[str, str] = {}
        self._pushed: set[str] = set()

    def _repository(self) -> dict[str, Any]:
        owner, _, name = self.full.partition("/")
        return {
            "id": number(self.name),
            "name": name,
            "full_name": self.full,
            "owner": user(owner),
            "html_url": f"https://github.com/{self.full}",
            "default_branch": self.default,
        }

    def hook(self, event: str, **fields: Any) -> None:
        body = {**fields, "repository": self._repository(), "sender": user("octocat")}
        self.story.add("/github", body, X_GitHub_Event=event)

    def push(
        self,
        *commits: tuple[str, str],
        ref: str = "main",
        when: str = "",
        files: Sequence[str] = (),
        base: str = "",
        forced: bool = False,
    ) -> None:
        """Push commits, each a (name, authored time), to a branch."""
        listed = [
            {
                "id": sha(name),
                "message": name,
                "timestamp": at(clock),
                # False for what another branch had before, as for the commits of a merge.
                "distinct": name not in self._pushed,
                "author": {"name": "Bob", "username": "bob"},
                "added": [],
                "removed": [],
                "modified": list(files),
            }
            for name, clock in commits
        ]
        old = sha(base) if base else self._heads.get(ref, "0" * 40)
        new = sha(commits[-1][0])
        self._heads[ref] = new
        self._pushed.update(name for name, _ in commits)
        repository = self._repository() | {
            "pushed_at": int(moment(when or commits[-1][1]).timestamp())
        }
        body = {
            "ref": f"refs/heads/{ref}",
            "before": old,
            "after": new,
            "created": old == "0" * 40,
            "deleted": False,
            "forced": forced,
            "compare": f"https://github.com/{self.full}/compare/x",
            "commits": listed,
            "head_commit": listed[-1],
            "pusher": {"name": "bob"},
            "repository": repository,
            "sender": user("bob"),
        }
        self.story.add("/github", body, X_GitHub_Event="push")

    def reset(self, commit: str, when: str) -> None:
        """Set main back to an older commit by a forced push."""
        self.push((commit, when), when=when, forced=True)
        body = self.story.posts[-1].body
        body["commits"] = []

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
        closed: str = "",
        pushed: bool = False,
        title: str = "",
        author: str = "bob",
        **more: Any,
    ) -> None:
        """A pull request: its commits, reviews as (time, reviewer, state), its merge.

        `pushed` adds the push of the merge to the base branch, as GitHub sends it.
        """
        branch = head or f"feature/{identifier}"
        tip = sha(commits[-1][0]) if commits else sha(f"{self.full} head {identifier}")
        if commits:
            self.push(*commits, ref=branch, when=commits[-1][1])
        found: dict[str, Any] = {
            "id": number(f"{self.full}#{identifier}"),
            "number": identifier,
            "title": title or f"Change {identifier}",
            "body": "",
            "user": user(author),
            "state": "open",
            "draft": bool(ready),
            "merged": False,
            "merge_commit_sha": None,
            "head": {"ref": branch, "sha": tip, "repo": self._repository()},
            "base": {"ref": base, "sha": sha("base"), "repo": self._repository()},
            "requested_reviewers": [],
            "requested_teams": [],
            "labels": [],
            "comments": 0,
            "review_comments": 0,
            "commits": max(len(commits), 1),
            "additions": 10,
            "deletions": 2,
            "changed_files": 1,
            "html_url": f"https://github.com/{self.full}/pull/{identifier}",
            "created_at": at(opened),
            "updated_at": at(opened),
            "closed_at": None,
            "merged_at": None,
            "merged_by": None,
            **more,
        }
        self._pull("opened", found)
        if ready:
            found |= {"draft": False, "updated_at": at(ready)}
            self._pull("ready_for_review", found)
        for clock, reviewer, state in reviews:
            self._review(found, clock, reviewer, state)
        if closed:
            found |= {"state": "closed", "closed_at": at(closed), "updated_at": at(closed)}
            self._pull("closed", found)
        if not merged:
            return
        name = merge or f"{self.full} merge {identifier}"
        found |= {
            "state": "closed",
            "merged": True,
            "merge_commit_sha": sha(name),
            "merged_by": user("cid"),
            "merged_at": at(merged),
            "closed_at": at(merged),
            "updated_at": at(merged),
        }
        self._pull("closed", found)
        if pushed:
            self.push(*commits, (name, merged), ref=base, when=merged)

    def merge_of(self, identifier: int) -> str:
        """The default name of a pull request's merge commit."""
        return f"{self.full} merge {identifier}"

    def _pull(self, action: str, found: dict[str, Any]) -> None:
        self.hook("pull_request", action=action, number=found["number"], pull_request=dict(found))

    def _review(self, found: dict[str, Any], clock: str, reviewer: str, state: str) -> None:
        review = {
            "id": number(f"{self.full}{found['number']}{clock}{reviewer}"),
            "user": user(reviewer),
            "body": "",
            "commit_id": found["head"]["sha"],
            "state": state,
            "submitted_at": at(clock),
            "html_url": f"{found['html_url']}#pullrequestreview-1",
        }
        left_out = ("merged", "merged_by", "additions", "deletions", "changed_files", "commits")
        short = {name: value for name, value in found.items() if name not in left_out}
        short["updated_at"] = at(clock)
        action = "submitted"
        self.hook("pull_request_review", action=action, review=review, pull_request=short)

    def deploy(
        self,
        end: str,
        ok: bool = True,
        *,
        commit: str = "",
        began: str = "",
        environment: str = "production",
        ref: str = "main",
        task: str = "deploy",
        run: tuple[int, int] | None = None,
        state: str = "",
        service: str = "",
        production: bool | None = None,
        version: str = "",
        key: str = "",
        job: int = 0,
    ) -> None:
        """A deployment and its statuses; `state` instead of success or failure, `-` for none."""
        start = at(began) if began else before(end)
        identifier = number(f"{self.full} {key or end} {environment} {service}")
        deployment: dict[str, Any] = {
            "id": identifier,
            "sha": sha(commit or version or f"{self.full} unknown {end}"),
            "ref": version or ref,
            "task": task,
            "payload": {"service": service} if service else {},
            "original_environment": environment,
            "environment": environment,
            "description": "",
            "creator": user("bob"),
            "created_at": start,
            "updated_at": start,
            "transient_environment": False,
            "production_environment": environment == "production"
            if production is None
            else production,
        }
        extra: dict[str, Any] = {}
        if run:
            extra["workflow_run"] = {
                "id": run[0],
                "run_attempt": run[1],
                "name": "Deploy",
                "head_branch": ref,
                "head_sha": deployment["sha"],
            }
        if job:
            extra["check_run"] = {"id": job, "name": f"job {job}"}
        self.hook("deployment", action="created", deployment=dict(deployment), **extra)
        words = {"-": ["in_progress"], "": ["in_progress", "success" if ok else "failure"]}
        for word in words.get(state, ["in_progress", state]):
            clock = start if word == "in_progress" else at(end)
            status = {
                "id": number(f"{identifier}{word}"),
                "state": word,
                "environment": environment,
                "description": "",
                "creator": user("bob"),
                "target_url": "",
                "log_url": "",
                "created_at": clock,
                "updated_at": clock,
            }
            told = deployment | {"updated_at": clock}
            self.hook(
                "deployment_status",
                action="created",
                deployment_status=status,
                deployment=told,
                **extra,
            )

    def run(
        self,
        identifier: int,
        began: str,
        end: str,
        conclusion: str = "success",
        *,
        name: str = "Deploy",
        commit: str = "c",
        branch: str = "main",
        attempt: int = 1,
    ) -> None:
        """A workflow run, requested and completed."""
        found = {
            "id": identifier,
            "name": name,
            "path": f".github/workflows/{name.lower()}.yml",
            "display_title": "x",
            "run_number": 7,
            "run_attempt": attempt,
            "event": "push",
            "head_branch": branch,
            "head_sha": sha(commit),
            "head_repository": self._repository(),
            "pull_requests": [],
            "actor": user("bob"),
            "triggering_actor": user("bob"),
            "html_url": f"https://github.com/{self.full}/actions/runs/{identifier}",
            "created_at": at(began),
            "run_started_at": at(began),
            "updated_at": at(began),
            "status": "queued",
            "conclusion": None,
        }
        workflow = {"id": number(name), "name": name}
        self.hook("workflow_run", action="requested", workflow=workflow, workflow_run=found)
        done = {"status": "completed", "conclusion": conclusion, "updated_at": at(end)}
        body = found | done
        self.hook("workflow_run", action="completed", workflow=workflow, workflow_run=body)

    def job(
        self,
        identifier: int,
        began: str,
        end: str,
        ok: bool = True,
        *,
        run: tuple[int, int],
        name: str = "deploy",
        commit: str = "c",
    ) -> None:
        """A job of a workflow run, begun and completed."""
        found = {
            "id": identifier,
            "run_id": run[0],
            "run_attempt": run[1],
            "name": name,
            "workflow_name": "Deploy",
            "head_sha": sha(commit),
            "head_branch": "main",
            "check_run_url": f"https://api.github.com/repos/{self.full}/check-runs/{identifier}",
            "html_url": f"https://github.com/{self.full}/actions/runs/{run[0]}/job/{identifier}",
            "created_at": at(began),
            "started_at": at(began),
            "completed_at": None,
            "status": "in_progress",
            "conclusion": None,
            "steps": [],
            "labels": ["ubuntu-latest"],
            "runner_name": "runner",
        }
        self.hook("workflow_job", action="in_progress", workflow_job=found)
        done = {"status": "completed", "conclusion": "success" if ok else "failure"}
        found = found | done | {"completed_at": at(end)}
        self.hook("workflow_job", action="completed", workflow_job=found)

    def issue(
        self, identifier: int, opened: str, closed: str = "", labels: Sequence[str] = ("incident",)
    ) -> None:
        """An issue with labels."""
        found = {
            "id": number(f"{self.full} issue {identifier}"),
            "number": identifier,
            "title": "Checkout is down",
            "body": "",
            "user": user("ann"),
            "state": "open",
            "labels": [{"name": label} for label in labels],
            "assignees": [],
            "html_url": f"https://github.com/{self.full}/issues/{identifier}",
            "created_at": at(opened),
            "updated_at": at(opened),
            "closed_at": None,
        }
        self.hook("issues", action="opened", issue=dict(found))
        if closed:
            found |= {"state": "closed", "state_reason": "completed"}
            found |= {"closed_at": at(closed), "updated_at": at(closed)}
            self.hook("issues", action="closed", issue=found)

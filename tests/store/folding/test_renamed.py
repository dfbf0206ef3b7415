"""What is renamed stays the same span: one test for each source whose bodies carry ids that a
rename leaves. Refs of before and after resolve, in any order of arrival and after a rebuild."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from tests.sources import bitbucket_payloads as bb
from tests.sources import deploy_payloads as az
from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.store.tracing import (
    World,
    again,
    custom,
    from_github,
    from_gitlab,
    from_jenkins,
    from_jira,
    posted,
    sent,
)
from vs_tui.log.delivery import Intake
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources import gitlab as gitlab_source
from vs_tui.store.folding import stored_events
from vs_tui.store.queries.delivery_search import delivery_where
from vs_tui.store.queries.read_traces import find_span


def github(name: str, action: str, clock: str, **more: Any) -> Intake:
    body = gh.pull(action, updated_at=gh.stamp(clock), **more)
    body["repository"] = gh.repo(name) | {"id": 77}
    return from_github("pull_request", body)


def gitea(name: str, action: str, clock: str) -> Intake:
    body = gh.issue(action, updated_at=gh.stamp(clock))
    body["repository"] = gh.repo(name) | {"id": 1, "html_url": f"https://git.acme.test/{name}"}
    return posted("gitea", body, **{"x-gitea-event": "issues"})


def gitlab(path: str, action: str, clock: str) -> Intake:
    body = gl.merge_request(action, clock)
    return from_gitlab(body | {"project": gl.project(path) | {"id": 9}})


def bitbucket(name: str, state: str, clock: str) -> Intake:
    repository = bb.cloud_repo(name) | {"uuid": "{5f1c}"}
    body = bb.cloud_pull(state, clock, {"repository": repository})
    event = "pullrequest:fulfilled" if state == "MERGED" else "pullrequest:created"
    return posted("bitbucket", body, **{"x-event-key": event})


def jira(key: str, clock: str) -> Intake:
    return from_jira(ji.issue("updated", clock, ji.DOING, key=key, id="10001"))


CASES: dict[str, tuple[Sequence[Intake], str, str]] = {
    "a GitHub repository is renamed": (
        [
            github("acme/shop", "opened", "10:00:00"),
            github(
                "acme/store",
                "closed",
                "11:00:00",
                state="closed",
                merged=True,
                merged_at=gh.stamp("11:00:00"),
            ),
        ],
        "vstrace-github-pull_request-{}shop-34",
        "vstrace-github-pull_request-{}store-34",
    ),
    "a Gitea repository is transferred": (
        [gitea("acme/shop", "opened", "10:00:00"), gitea("retail/shop", "edited", "11:00:00")],
        "vstrace-gitea-issue-{}shop-12",
        "vstrace-gitea-issue-{}shop-12",
    ),
    "a GitLab project is renamed": (
        [gitlab("acme/shop", "open", "10:00:00"), gitlab("acme/store", "merge", "11:00:00")],
        "vstrace-gitlab-pull_request-{}shop-34",
        "vstrace-gitlab-pull_request-{}store-34",
    ),
    "a Bitbucket repository is renamed": (
        [
            bitbucket("acme/shop", "OPEN", "10:00:00"),
            bitbucket("acme/store", "MERGED", "11:00:00"),
        ],
        "vstrace-bitbucket-pull_request-{}shop-34",
        "vstrace-bitbucket-pull_request-{}store-34",
    ),
    "a Jira project gets another key": (
        [jira("TP-7", "10:00:00"), jira("SHOP-7", "11:00:00")],
        "vstrace-jira-issue-TP-7",
        "vstrace-jira-issue-SHOP-7",
    ),
}


@pytest.mark.parametrize(("deliveries", "old", "new"), CASES.values(), ids=CASES)
def test_a_renamed_thing_is_one_span_under_both_names(deliveries, old, new) -> None:
    named = custom("task", 1, "start", "10:30:00", parentid=old.format("acme/"))
    expected = None
    for order in permutations([*deliveries, named]):
        refs = (old.format(""), new.format(""), old.format("acme/"))
        world = World().deliver(*order)
        for ref in refs:
            found = find_span(world.db, ref)
            assert found and found.ref == new.format(""), ref
            where, bound = delivery_where(f"span:{ref}")
            sql = f"SELECT COUNT(*) FROM deliveries WHERE {where}"
            assert world.db.execute(sql, bound).fetchone()[0] == len(deliveries), ref
        assert world.rule("customhttp-task-default-1") == "explicit"
        expected = expected or world.rows()
        assert world.rows() == expected
        world.deliver([again(intake, n) for n, intake in enumerate(order)])
        assert world.rows() == expected
    operations = [row[2] for row in expected[0] if row[2] not in ("stage", "task")]
    assert len(operations) == 1
    assert world.rebuild().rows() == expected


def defaults(world: World) -> dict[str, str]:
    """Project -> its default branch, as the newest of its deliveries names it."""
    return dict(world.db.execute("SELECT project, branch FROM vcs_defaults").fetchall())


def named_by(repository: int, name: str, number: int, clock: str, branch: str) -> Intake:
    """A delivery that names the default branch of its repository."""
    body = gh.pull("edited", updated_at=gh.stamp(clock), number=number, id=number)
    body["repository"] = gh.repo(name) | {"id": repository, "default_branch": branch}
    return from_github("pull_request", body)


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        (
            [
                named_by(77, "acme/shop", 1, "10:00:00", "master"),
                named_by(78, "acme/shop", 3, "09:00:00", "trunk"),
                named_by(77, "acme/store", 2, "11:00:00", "main"),
            ],
            {"acme/shop": "trunk", "acme/store": "main"},
        ),
        (
            [
                named_by(77, "acme/shop", 1, "10:00:00", "master"),
                named_by(77, "acme/shop", 2, "10:00:00", "main"),
            ],
            {"acme/shop": "main"},
        ),
    ],
    ids=["renamed, and a new one of its name", "two names at one time"],
)
def test_the_default_branch_is_the_same_in_any_order(deliveries, expected) -> None:
    for order in permutations(deliveries):
        world = World().deliver(*order)
        assert defaults(world) == expected
        world.deliver([again(intake, n) for n, intake in enumerate(order)])
        assert defaults(world) == expected
    assert defaults(world.rebuild()) == expected


def test_a_new_repository_under_the_old_name_is_another_one() -> None:
    """Its short ref is taken by name; the renamed one keeps its spans."""
    renamed = [
        github("acme/shop", "opened", "10:00:00"),
        github("acme/store", "edited", "11:00:00"),
    ]
    body = gh.pull("opened", updated_at=gh.stamp("12:00:00"))
    body["repository"] = gh.repo("acme/shop") | {"id": 78}
    world = World().deliver(*renamed, from_github("pull_request", body))
    refs = [row[1] for row in world.rows()[0]]
    assert sorted(refs) == [f"vstrace-github-pull_request-{name}-34" for name in ("shop", "store")]
    found = find_span(world.db, "vstrace-github-pull_request-shop-34")
    assert found and found.ref == "vstrace-github-pull_request-shop-34"


def test_a_short_ref_that_a_rename_leaves_to_one_span_is_its_own_again() -> None:
    body = gh.pull("opened") | {"repository": gh.repo("other/shop") | {"id": 78}}
    deliveries = [
        github("acme/shop", "opened", "10:00:00"),
        from_github("pull_request", body),
        github("acme/store", "edited", "11:00:00"),
    ]
    for order in permutations(deliveries):
        refs = [row[1] for row in World().deliver(*order).rows()[0]]
        names = sorted(f"vstrace-github-pull_request-{name}-34" for name in ("shop", "store"))
        assert sorted(refs) == names


def test_servers_that_count_from_one_are_told_apart_by_host() -> None:
    one, two = (
        gh.issue("opened") | {"repository": gh.repo("acme/api") | {"id": 1, "html_url": page}}
        for page in ("https://git.acme.test/acme/api", "https://git.other.test/acme/api")
    )
    gitea = {"x-gitea-event": "issues"}
    world = World().deliver(posted("gitea", one, **gitea), posted("gitea", two, **gitea))
    assert len(world.rows()[0]) == 2


OLD_NAME, NEW_NAME = "acme/shop", "retail/store"
UUID = "{a54f16da-24e9-4d7f-a3a7-b1ba2cd98aa3}"
HASH = gh.MERGE


def deployed_by_jenkins(repository: str) -> list[Intake]:
    scm = {"commit": HASH, "url": f"git@git.test:{repository}.git", "branch": "origin/main"}
    more = {"jobName": "deploy:shop", "fullJobName": "deploy:shop", "scmInfo": scm}
    return [
        from_jenkins(jk.start("12:00:00", **more)),
        from_jenkins(jk.end("SUCCESS", "12:05:00", **more)),
    ]


def change(source: str) -> Intake:
    """A change that was merged under the former name."""
    if source == "gitlab":
        body = gl.merge_request("merge", "11:00:00", merge_commit_sha=HASH)
        return from_gitlab(body | {"project": gl.project(OLD_NAME) | {"id": 9}})
    if source == "bitbucket":
        extra = {"repository": bb.cloud_repo(OLD_NAME) | {"uuid": UUID}}
        body = bb.cloud_pull("MERGED", "11:00:00", extra, merge_commit={"hash": HASH})
        return posted("bitbucket", body, **{"x-event-key": "pullrequest:fulfilled"})
    body = gh.merged() | {"repository": gh.repo(OLD_NAME) | {"id": 77}}
    if source == "gitea":
        return posted("gitea", body, **{"x-gitea-event": "pull_request"})
    return from_github("pull_request", body)


def news(source: str) -> Intake:
    """What tells the new name: news of the rename, or any later event."""
    if source == "gitlab":
        told = {"project_id": 9, "old_path_with_namespace": OLD_NAME}
        body = {"event_name": "project_transfer", "path_with_namespace": NEW_NAME, **told}
        inbound = gl.inbound(body | {"updated_at": "2026-03-02T11:30:00Z"})
        headers = {**inbound.headers, "x-gitlab-instance": "https://gitlab.example.com"}
        return sent(gitlab_source.SOURCE, inbound._replace(headers=headers))
    if source == "bitbucket":
        repository = bb.cloud_repo(NEW_NAME) | {"uuid": UUID}
        body = {"repository": repository, "changes": {"full_name": {"old": OLD_NAME}}}
        return posted("bitbucket", body, **{"x-event-key": "repo:updated"})
    repository = gh.repo(NEW_NAME) | {"id": 77, "updated_at": gh.stamp("11:45:00")}
    if source == "gitea":
        body = gh.issue("opened", updated_at=gh.stamp("11:45:00")) | {"repository": repository}
        return posted("gitea", body, **{"x-gitea-event": "issues"})
    repository["full_name"] = "acme/store"
    repository["name"], repository["owner"] = "store", gh.user("acme")
    changes = {"repository": {"name": {"from": "shop"}}}
    body = {"action": "renamed", "changes": changes, "repository": repository}
    return from_github("repository", body)


@pytest.mark.parametrize("source", ["github", "gitlab", "gitea", "bitbucket"])
def test_a_deploy_under_the_new_name_ships_a_change_of_the_old_one(source) -> None:
    now = "acme/store" if source == "github" else NEW_NAME
    deliveries = [change(source), news(source), *deployed_by_jenkins(now)]
    expected = None
    for order in list(permutations(deliveries))[::4]:
        world = World().deliver(*order)
        parents = world.parents()
        (deploy,) = (ref for ref in parents if ref.startswith("jenkins-deploy-"))
        assert parents[deploy].startswith(f"{source}-pull_request-"), parents
        for name in ("shop", "acme/shop", now, now.rpartition("/")[2]):
            found = find_span(world.db, f"vstrace-{source}-pull_request-{name}-34")
            assert found and found.project == now, name
        expected = expected or world.rows()
        assert world.rows() == expected
    assert world.rebuild().rows() == expected


def test_a_change_under_the_new_name_closes_an_issue_of_the_old_one() -> None:
    """By its number, which another repository under the old name has as well."""
    issue = gh.issue("opened") | {"repository": gh.repo("acme/shop") | {"id": 77}}
    other = gh.issue("opened", title="Another") | {"repository": gh.repo("acme/shop") | {"id": 78}}
    change = github("acme/store", "opened", "12:00:00", body="Closes #12", title="Do it")
    deliveries = [from_github("issues", issue), from_github("issues", other), change]
    for order in permutations(deliveries):
        world = World().deliver(*order)
        found = find_span(world.db, "vstrace-github-pull_request-store-34")
        assert found and found.parent_key == "vstrace-github-issue-id:github.com/77-12"


def test_a_build_of_a_renamed_azure_repository_is_of_its_pull_request() -> None:
    old = {**az.REPOSITORY, "name": "Old", "remoteUrl": az.CLONE.replace("Cart", "Old")}
    pull = az.azure_pull("merged", "11:00:00", "completed", repository=old, closedDate=None)
    told = {"repository": az.REPOSITORY, "oldName": "Old"}
    deliveries = [
        posted("azure", pull),
        posted("azure", az.azure("git.repo.renamed", told, "11:30:00")),
        posted("azure", az.azure_build()),
    ]
    expected = World().deliver(*deliveries)
    sql = "SELECT project FROM spans WHERE operation = 'pull_request'"
    assert expected.db.execute(sql).fetchall() == [("Shop/Cart",)]
    assert expected.parents()["azure-pipeline-ship-11"].startswith("azure-pull_request-")
    for order in permutations(deliveries):
        assert World().deliver(*order).rows() == expected.rows()
    assert World().deliver(*deliveries).rebuild().rows() == expected.rows()


def ticket(key: str, clock: str, **more: Any) -> Intake:
    project = {"key": key.partition("-")[0], "id": "10000"}
    return from_jira(ji.issue("updated", clock, ji.DOING, key=key, project=project, **more))


def test_the_issues_of_a_project_with_another_key_are_found_by_both() -> None:
    """Also those that nothing was told of since, and those that are named as they were."""
    deliveries = [
        ticket("TP-7", "09:00:00"),
        ticket("SHOP-8", "10:00:00"),
        github("acme/api", "opened", "12:00:00", title="SHOP-7 Do it", body="", number=41),
        github("acme/api", "opened", "12:00:00", title="TP-8 Do it", body="", number=42),
    ]
    expected = None
    for order in permutations(deliveries):
        world = World().deliver(*order)
        parents = world.parents()
        assert parents["github-pull_request-api-41"] == "jira-issue-SHOP-7"
        assert parents["github-pull_request-api-42"] == "jira-issue-SHOP-8"
        for ref in ("TP-7", "SHOP-7"):
            found = find_span(world.db, f"vstrace-jira-issue-{ref}")
            assert found and (found.project, found.ref) == ("SHOP", "vstrace-jira-issue-SHOP-7")
        expected = expected or world.rows()
        assert world.rows() == expected
    assert world.rebuild().rows() == expected


def test_many_spans_of_a_renamed_repository_follow_in_small_transactions(monkeypatch) -> None:
    monkeypatch.setattr(stored_events, "RENAMED_AT_ONCE", 2)
    pushes = [
        gh.push(after=f"{n:040x}") | {"repository": gh.repo("acme/shop") | {"id": 77}}
        for n in range(5)
    ]
    told = [from_github("push", body) for body in pushes]
    world = World().deliver(*told, github("acme/store", "opened", "12:00:00"))
    sql = "SELECT DISTINCT project FROM spans UNION ALL SELECT key FROM renamed_spans"
    assert world.db.execute(sql).fetchall() == [("acme/store",)]


@pytest.mark.parametrize("event", ["project_rename", "project_transfer"])
def test_gitlabs_news_of_a_rename_say_that_nothing_is_lost(event) -> None:
    body = {"event_name": event, "project_id": 3, "path_with_namespace": "acme/billing"}
    parsed = gitlab_source.SOURCE.parse(gl.inbound(body | {"old_path_with_namespace": "acme/api"}))
    assert parsed.verdict is Verdict.IGNORED
    assert "keeps its spans" in parsed.reason

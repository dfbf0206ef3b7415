"""Names that tools give to the same thing, brought to one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_tui.model import artifacts, keys
from vs_tui.model.vocabulary import Key, Rule


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/Acme/API.git",
        "git@github.com:acme/api.git",
        "ssh://git@host:22/acme/api.git",
        "acme/api",
        "https://api.github.com/repos/acme/api",
        "https://user:secret@github.com/acme/api/",
    ],
)
def test_a_repository_has_one_name(text) -> None:
    assert keys.repository(text) == "acme/api"


@pytest.mark.parametrize(
    "branch",
    ["develop", "Prod", "integration", "release/spring", "support/1.4", "1.2.x", "v2.x"],
)
def test_environments_and_releases_have_shared_branches(branch) -> None:
    assert keys.is_shared_branch(branch)


@pytest.mark.parametrize(
    "branch",
    [
        "dependabot/npm/lodash-4.17.21",
        "release-notes",
        "1234-fix",
        "v1.2.0",
        "product",
        "qa-7",
    ],
)
def test_a_branch_of_one_change_is_not_shared(branch) -> None:
    assert not keys.is_shared_branch(branch)


@pytest.mark.parametrize(
    ("ref", "branch"),
    [
        ("refs/heads/feature/x", "feature/x"),
        ("origin/feature/x", "feature/x"),
        ("feature/x", "feature/x"),
        ("refs/tags/v1", ""),
        ("refs/pull/7/merge", ""),
    ],
)
def test_branch_names(ref, branch) -> None:
    assert keys.branch_name(ref) == branch


@pytest.mark.parametrize(
    "ref", ["main", "refs/heads/master", "origin/main", "release/1", "", "refs/tags/v1"]
)
def test_shared_branches_say_nothing(ref) -> None:
    assert keys.seek_branch(ref, "acme/api") is None


def test_the_repositorys_own_default_branch_says_nothing() -> None:
    assert keys.seek_branch("next", "acme/api", "next") is None


def test_commits() -> None:
    assert keys.commit("A" * 40, "r") == Key("commit", "a" * 40, "r", "commit")
    for bad in ("0" * 40, "abc", "xyz" * 5, None, 7, "a" * 65):
        assert keys.commit(bad) is None


def test_a_reference_is_read_whole_and_at_every_shorter_dash() -> None:
    found = [
        s.key.value
        for s in keys.references("fix vstrace-github-issue-valuestream-1-fix-typo!", "t")
    ]
    assert found[0] == "vstrace-github-issue-valuestream-1-fix-typo"
    assert "vstrace-github-issue-valuestream-1" in found


@pytest.mark.parametrize(
    "name",
    ["vstrace-github-issue-my_repo-1", "vstrace-github-issue-site.io-1", "vstrace-jira-sprint-1"],
)
def test_names_with_underscores_and_dots_are_read(name) -> None:
    assert name in [s.key.value for s in keys.references(f"feature/{name}", "branch")]


def test_jiracloud_is_jira() -> None:
    found = [s.key.value for s in keys.references("vstrace-jiracloud-issue-TP-3", "branch")]
    assert "vstrace-jira-issue-TP-3" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Closes #12", ("acme/api", "12")),
        ("fixes: #7", ("acme/api", "7")),
        ("Resolves acme/web#3", ("acme/web", "3")),
        ("closes https://github.com/acme/web/issues/4", ("acme/web", "4")),
        ("Closes https://gitlab.com/group/sub/app/-/issues/9", ("group/sub/app", "9")),
        ("fix GH-5", ("acme/api", "5")),
    ],
)
def test_closing_keywords(text, expected) -> None:
    found = keys.closing_keywords(text, "acme/api")
    assert [(s.key.scope, s.key.value) for s in found] == [expected]


@pytest.mark.parametrize("text", ["see #12", "prefixes #1", "closes the door", "#12"])
def test_no_closing_keyword(text) -> None:
    assert keys.closing_keywords(text, "acme/api") == []


def test_issue_keys() -> None:
    assert [s.key.value for s in keys.issue_keys("TP-3: fix, see WEB-42", "title")] == [
        "TP-3",
        "WEB-42",
    ]
    assert [s.key.value for s in keys.issue_keys("feature/tp-3-x", "branch", any_case=True)] == [
        "TP-3"
    ]
    assert keys.issue_keys("no key-0 here", "title") == []


@pytest.mark.parametrize(
    ("branch", "number"),
    [("123-fix-login", "123"), ("feature/77-x", "77"), ("issue-5", "5"), ("feature/issue_9", "9")],
)
def test_branch_numbers(branch, number) -> None:
    wish = keys.branch_number(branch, "r")
    assert wish is not None
    assert wish.key.value == number


def test_branches_without_a_number() -> None:
    assert keys.branch_number("fix-login", "r") is None
    assert keys.branch_number("v2rc", "r") is None
    # Versions and dates.
    for branch in ("release/7", "release/2026-03", "hotfix/2026-03", "2026-03-02", "sync/2026_3_2"):
        assert keys.branch_number(branch, "r") is None
    assert keys.branch_number("123-2fa", "r") == keys.branch_number("feature/123-2fa-login", "r")


@pytest.mark.parametrize(
    ("ref", "number"),
    [
        ("refs/pull/7/merge", "7"),
        ("refs/merge-requests/8/head", "8"),
        ("gh-readonly-queue/main/pr-104-" + "a" * 40, "104"),
        ("pull/9", "9"),
    ],
)
def test_change_refs(ref, number) -> None:
    assert [s.key.value for s in keys.change_refs(ref, "r")] == [number]


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("Merge pull request #7 from a/b\n\ntext", "7"),
        ("Merge branch 'x' into 'main'\n\nSee merge request grp/proj!8", "8"),
        ("Retry on 429 (#9)", "9"),
        ("Retry on 429 (#9)\n\nbody", "9"),
    ],
)
def test_merge_messages(message, number) -> None:
    found = keys.merge_messages(message, "r")
    assert [(s.rule, s.key.value) for s in found] == [(Rule.CHANGE_NUMBER, number)]


def test_traceparents() -> None:
    text = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert (
        keys.traceparents(text)[0].key.value == "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
    )


@given(st.text(max_size=300))
def test_any_text_is_searched_without_an_exception(text) -> None:
    keys.references(text, "t")
    keys.traceparents(text)
    keys.closing_keywords(text, "r")
    keys.issue_keys(text, "t")
    keys.merge_messages(text, "r")
    keys.change_refs(text, "r")
    keys.branch_number(text, "r")
    keys.repository(text)
    keys.seek_branch(text, "r")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Bump api from v1.3.0 to v1.4.0", ["api@1.4.0", "api@v1.4.0"]),
        ("deploy registry.acme.test/team/api:1.4.0-rc.1", ["api@1.4.0-rc.1", "api@v1.4.0-rc.1"]),
        ("chore: update image acme/api to 2.0", []),
        ("Update acme/api to 2.0 (#7)", ["api@2.0", "api@v2.0"]),
        ("at 10:30 on localhost:8080, see https://host:1.2.3.4", ["host@1.2.3.4", "host@v1.2.3.4"]),
        ("v1.2.3 of nothing", []),
        ("Release 5 to go", []),
    ],
)
def test_versions_in_the_words_of_a_gitops_commit(text, values) -> None:
    assert [
        seek.key.value for seek in artifacts.versions(text, "acme/infra", "commit title")
    ] == values

"""The rules: which link becomes the parent, which stays a link, which is none."""

from pathlib import Path

from vs_tui.model.teams import Team, Teams
from vs_tui.model.time import HOUR, MINUTE
from vs_tui.model.vocabulary import CONFIDENCE, Key, Rule, Seek, Status
from vs_tui.store.rows import token
from vs_tui.traces.correlation import Match, Node, fits, links_of

SHA = "78a76ee" + "0" * 32 + "1"
REPO = "acme/api"
T = 1_772_445_600_000_000


def node(
    key: str,
    operation: str,
    at: int = 0,
    ended: int | None = None,
    status=Status.OK,
    environment: str = "",
) -> Node:
    end = None if ended is None else T + ended
    return Node(key, operation, T + at, end, status, environment)


def links(child: Node, seeks, offered: list[tuple[Node, Key]], **more):
    def matches(key: Key):
        return [Match(owner, offer) for owner, offer in offered if token(offer) == token(key)]

    return links_of(child, seeks, matches, **more)


PR = node("pr", "pull_request", 0)
RUN = node("run", "pipeline", 5 * MINUTE)


def test_the_strongest_rule_gives_the_parent_and_the_rest_stay_links() -> None:
    other = node("issue", "issue")
    found = links(
        RUN,
        [
            Seek(Rule.ISSUE_KEY, Key("issue_key", "TP-3", "", "title")),
            Seek(Rule.COMMIT, Key("commit", SHA, REPO)),
        ],
        [(PR, Key("commit", SHA, REPO, "head commit")), (other, Key("issue_key", "TP-3"))],
    )
    assert [(link.parent, link.primary) for link in found] == [("pr", True), ("issue", False)]
    assert found[0].why == "head commit 78a76ee"


def test_inferred_links_only_go_down() -> None:
    seek = Seek(Rule.COMMIT, Key("commit", SHA, REPO))
    assert not links(PR, [seek], [(RUN, Key("commit", SHA, REPO))])


def test_an_explicit_parent_may_be_anything_but_itself() -> None:
    seek = Seek(Rule.EXPLICIT, Key("ref", "x"))
    assert links(PR, [seek], [(RUN, Key("ref", "x"))])[0].parent == "run"
    assert not links(PR, [seek], [(PR, Key("ref", "x"))])


def test_short_hashes_match_inside_one_repository_and_only_if_unique() -> None:
    short = Key("commit", SHA[:8], REPO)
    assert fits(short, Key("commit", SHA, REPO))
    assert not fits(short, Key("commit", SHA, "acme/web"))
    assert not fits(Key("commit", SHA[:8]), Key("commit", SHA, REPO))
    assert fits(Key("commit", SHA), Key("commit", SHA, REPO))
    twin = SHA[:8] + "f" * 32
    both = [
        (PR, Key("commit", SHA, REPO)),
        (node("pr2", "pull_request"), Key("commit", twin, REPO)),
    ]
    assert not links(RUN, [Seek(Rule.COMMIT, short)], both)


def test_a_branch_counts_while_its_change_is_open_and_an_hour_longer() -> None:
    seek = Seek(Rule.BRANCH, Key("branch", "fix", REPO))

    def linked(start: int, ended: int | None) -> bool:
        change = node("pr", "pull_request", 0, ended)
        run = node("run", "pipeline", start)
        return bool(links(run, [seek], [(change, Key("branch", "fix", REPO))]))

    assert linked(MINUTE, None)
    assert linked(2 * HOUR, HOUR)
    assert not linked(3 * HOUR, HOUR)
    assert not linked(-HOUR, None)


def test_of_two_changes_on_a_branch_the_nearest_before_is_taken() -> None:
    seek = Seek(Rule.BRANCH, Key("branch", "fix", REPO))
    old = node("old", "pull_request", 0)
    new = node("new", "pull_request", MINUTE, status=Status.IN_FLIGHT)
    offered = [(old, Key("branch", "fix", REPO)), (new, Key("branch", "fix", REPO))]
    assert [link.parent for link in links(RUN, [seek], offered)] == ["new"]


def test_the_longest_reference_that_exists_wins() -> None:
    names = ["vstrace-a-build-ns-1", "vstrace-a-build-ns-1-2"]
    seeks = [Seek(Rule.REFERENCE, Key("ref", name)) for name in names]
    offered = [(node(name, "build"), Key("ref", name)) for name in names]
    assert [link.parent for link in links(RUN, seeks, offered)] == [names[1]]
    assert [link.parent for link in links(RUN, seeks, offered[:1])] == [names[0]]


def test_a_pin_beats_every_rule_and_a_cut_removes_a_link() -> None:
    seek = Seek(Rule.EXPLICIT, Key("ref", "x"))
    offered = [(PR, Key("ref", "x"))]
    other = node("other", "issue")
    pinned = links(RUN, [seek], offered, pinned=other)
    assert (pinned[0].parent, pinned[0].rule, pinned[0].primary) == ("other", Rule.PINNED, True)
    assert not pinned[1].primary
    assert not links(RUN, [seek], offered, cut=["pr"])


def test_a_rule_can_be_switched_off() -> None:
    seek = Seek(Rule.COMMIT, Key("commit", SHA, REPO))
    assert not links(RUN, [seek], [(PR, Key("commit", SHA, REPO))], disabled=[Rule.COMMIT])


def test_links_by_time_are_never_parents() -> None:
    deploy = node("deploy", "deploy")
    found = links(node("inc", "incident", MINUTE), [], [], extra=[(Rule.PROXIMITY, deploy)])
    assert [(link.parent, link.primary) for link in found] == [("deploy", False)]
    assert found[0].confidence == "hint"


def test_a_service_without_a_repository_belongs_to_the_only_team_that_has_one_of_its_name() -> None:
    red, blue = Team("red", ("acme/api", "acme/*")), Team("blue", ("globex/api", "globex/web-*"))
    assert Teams((red,)).of("api", "api", "") == "red"
    assert Teams((red, blue)).of("api", "api", "") == "", "two have it"
    assert Teams((red, blue)).of("", "web-1", "") == "blue"
    assert Teams((red, blue)).of("other/api", "api", "") == "", "it has a repository, of no team"


def test_a_project_called_like_a_team_is_its_own_unless_a_glob_or_a_person_says_otherwise() -> None:
    red, blue = Team("Red", ("acme/*",), ("ann",)), Team("blue", ("red-tools",))
    assert Teams((red, blue)).of("red", "", "") == "Red", "em-metrics names a team, no project"
    assert Teams((red, blue)).of("blue", "", "ann") == "Red"
    assert Teams((red, Team("blue", ("red",)))).of("red", "", "") == "blue"
    assert Teams((red, blue)).of("other/red", "", "") == ""
    assert Teams((red, blue)).of("", "", "") == ""


def test_of_two_changes_with_a_commit_the_merged_one_is_meant() -> None:
    seek = Seek(Rule.COMMIT, Key("commit", SHA, REPO))
    merged = node("merged", "pull_request", 0, HOUR)
    closed = node("closed", "pull_request", MINUTE, HOUR, Status.CANCELLED)
    offered = [(owner, Key("commit", SHA, REPO, "head commit")) for owner in (closed, merged)]
    found = links(node("run", "pipeline", 2 * HOUR), [seek], offered)
    assert [link.parent for link in found] == ["merged", "closed"]


def test_the_docs_have_every_rule_in_order_with_its_confidence() -> None:
    text = (Path(__file__).parents[2] / "docs" / "correlation.md").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [row[0].strip("|` ") for row in rows] == [rule.value for rule in Rule]
    assert [row[1].partition(",")[0] for row in rows] == [CONFIDENCE[rule] for rule in Rule]


def test_a_version_is_that_of_the_environment_that_an_alert_names() -> None:
    """Also where it failed, and where a later deploy of it succeeded elsewhere; an alert that names
    no environment is about the one that succeeded."""
    here = node("prod", "deploy", 0, MINUTE, Status.ERROR, "prod")
    staged = node("staging", "deploy", MINUTE, 2 * MINUTE, Status.OK, "staging")
    sought = [Seek(Rule.VERSION, Key("artifact", "1.4.0", "cart"))]
    for scopes in (("cart", "cart"), ("acme/cart", "cart"), ("cart", "")):
        offered = [
            (deploy, Key("artifact", "1.4.0", scope))
            for deploy, scope in zip((here, staged), scopes, strict=True)
        ]
        for environment, parent in (("production", "prod"), ("STAGE", "staging")):
            alert = node("alert", "incident", 5 * MINUTE, environment=environment)
            assert [link.parent for link in links(alert, sought, offered)] == [parent]
    alert = node("alert", "incident", 5 * MINUTE)
    both = [(deploy, Key("artifact", "1.4.0", "cart")) for deploy in (here, staged)]
    assert [link.parent for link in links(alert, sought, both)] == ["staging"]

"""What people decide about links, what is said about them, and that both survive a rebuild."""

from __future__ import annotations

import itertools
import random
import sqlite3

import pytest

from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.store.stories import SCENARIOS
from tests.store.tracing import (
    World,
    custom,
    decided,
    from_github,
    from_gitlab,
    from_jenkins,
    from_jira,
)
from vs_tui.api.codec.spans import link_json
from vs_tui.model.teams import Team, Teams
from vs_tui.model.vocabulary import Event, Rule, State
from vs_tui.store.folding.span_folding import load_nodes, load_spans
from vs_tui.store.rows import link_of
from vs_tui.traces.correlation import Node


def key(number: object, kind: str = "build") -> str:
    return f"vstrace-customhttp-{kind}-default-{number}"


def chain() -> list:
    """1 above 2 above 3, and 9 alone."""
    return [
        custom("build", 1, "start", "10:00:00"),
        custom("build", 2, "start", "10:01:00", parentid=key(1)),
        custom("build", 3, "start", "10:02:00", parentid=key(2)),
        custom("build", 9, "start", "10:03:00"),
    ]


def parents(world: World) -> dict[str, str]:
    tail = "customhttp-build-default-"
    return {c.removeprefix(tail): p.removeprefix(tail) for c, p in world.parents().items()}


def test_a_pin_beats_every_rule_and_a_later_pin_the_earlier() -> None:
    world = World().deliver(*chain(), decided("pin", key(3), key(9), 1))
    assert parents(world) == {"1": "", "2": "1", "3": "9", "9": ""}
    assert world.rule("customhttp-build-default-3") == "pinned"
    assert world.links()["customhttp-build-default-3", "customhttp-build-default-2"] == "explicit"
    world.deliver(decided("pin", key(3), key(1), 2))
    assert parents(world)["3"] == "1"


def test_a_cut_link_is_gone_until_it_is_cleared_or_pinned() -> None:
    world = World().deliver(*chain(), decided("cut", key(3), key(2), 1))
    assert parents(world)["3"] == ""
    assert world.traces() == 3
    world.deliver(decided("clear", key(3), "", 2))
    assert parents(world)["3"] == "2"
    world.deliver(decided("cut", key(3), key(2), 3), decided("pin", key(3), key(2), 4))
    assert (parents(world)["3"], world.rule("customhttp-build-default-3")) == ("2", "pinned")


def test_a_cut_of_one_link_leaves_the_pin_to_another() -> None:
    world = World().deliver(*chain(), decided("pin", key(3), key(9), 1))
    world.deliver(decided("cut", key(3), key(2), 2))
    assert parents(world)["3"] == "9"
    assert not world.links()
    world.deliver(decided("clear", key(3), key(2), 3))
    assert parents(world)["3"] == "9"
    assert world.links(), "the cut is undone, the pin stays"


def test_a_pin_against_the_tree_turns_the_ring_at_its_weakest_link() -> None:
    """1 is pinned below 3, which is below 2, which is below 1."""
    world = World().deliver(*chain(), decided("pin", key(1), key(3), 1))
    assert parents(world) == {"1": "3", "2": "", "3": "2", "9": ""}
    world.deliver(decided("clear", key(1), "", 2))
    assert parents(world) == {"1": "", "2": "1", "3": "2", "9": ""}
    assert world.traces() == 2


DECISIONS = [
    decided("pin", key(3), key(9), 1),
    decided("cut", key(2), key(1), 2),
    decided("cut", key(3), key(2), 3),
    decided("clear", key(3), "", 4),
    decided("pin", key(3), key(1), 5),
]


def test_decisions_count_by_their_time_whatever_the_order_and_after_a_rebuild() -> None:
    expected = World().deliver(*chain(), *DECISIONS)
    assert parents(expected) == {"1": "", "2": "", "3": "1", "9": ""}
    for order in itertools.permutations(DECISIONS):
        world = World().deliver(*chain(), *order)
        assert world.rows() == expected.rows()
    assert world.rebuild().rows() == expected.rows()


def test_a_decision_is_folded_before_its_spans_where_a_rebuild_reads_so() -> None:
    """The requirement that a span exists is the receiver's; stored decisions are always read."""
    free = [decision._replace(requires="") for decision in DECISIONS]
    expected = World().deliver(*chain(), *DECISIONS)
    world = World().deliver(*free)
    assert world.rows() == ([], []), "decisions alone make no span"
    assert world.deliver(*reversed(chain())).rows() == expected.rows()


def test_a_decision_about_a_phase_changes_nothing() -> None:
    run = from_github("workflow_run", gh.run("in_progress"))
    world = World().deliver(*chain(), run)
    before = world.rows()
    phase = world.db.execute("SELECT key FROM spans WHERE derived = 1").fetchone()[0]
    world.deliver(decided("pin", phase, key(1), 1))
    assert world.rows() == before
    assert world.rebuild().rows() == before


def test_a_senders_tag_is_no_decision() -> None:
    tags = {"vs.pin": key(9), f"vs.cut:{key(2)}": "yes", "vs.cleared": "never"}
    world = World().deliver(*chain(), custom("build", 3, "annotate", "10:05:00", tags=tags))
    assert parents(world)["3"] == "2"


def test_late_phases_and_amendments_change_the_stages_only() -> None:
    """Columns told between two others, and a statement taken back, in any order."""

    def event(at: int, **more: object) -> Event:
        plain = {"key": "k", "source": "x", "operation": "issue", "occurred_at": at}
        return Event(**{"state": State.NOTE, **plain, **more})

    events = [
        event(1, state=State.RUNNING, stage="todo"),
        event(5, stage="doing"),
        event(7, stage="review"),
        event(9, state=State.OK, as_of=12),
        event(6, stage="odd", slot="s", as_of=10),
        event(6, slot="s", as_of=11),
    ]
    intake = custom("build", 1, "start", "10:00:00")
    made = [intake._replace(events=(e,), dedupe=f"id:{n}") for n, e in enumerate(events)]
    expected = World().deliver(*made).rows()
    stages = [(row[2], row[3]) for row in expected[0] if row[2] == "stage"]
    assert [name for _, name in stages] == ["doing", "review", "todo"]
    for order in random.Random(6).sample(list(itertools.permutations(made)), 120):
        assert World().deliver(*order).rows() == expected


def test_a_trace_id_that_a_root_learns_late_reaches_its_children() -> None:
    intake = custom("build", 1, "start", "10:00:00")
    (event,) = intake.events
    own = event._replace(state=State.NOTE, trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    told = intake._replace(events=(own,), dedupe="id:own")
    expected = World().deliver(told, *chain())
    assert expected.traces() == 2
    assert World().deliver(*chain(), told).rows() == expected.rows()


# What is said about a link.


def pull(**changes: object) -> object:
    return from_github("pull_request", gh.pull("opened", **{"title": "x", "body": "", **changes}))


CHANGE, RUN = "github-pull_request-api-34", "github-pipeline-api-555"
LONELY = {"pull_requests": [], "head_branch": "x", "head_sha": "9" * 40, "head_commit": {}}


def lonely_run(**changes: object) -> object:
    return from_github("workflow_run", gh.run("completed", **{**LONELY, **changes}))


@pytest.mark.parametrize(
    ("child", "parent", "why", "deliveries"),
    [
        (
            "customhttp-build-default-2",
            "customhttp-build-default-1",
            "a parent named by the sender",
            chain()[:2],
        ),
        (
            "jenkins-build-build-api-7",
            "customhttp-build-default-1",
            "a parent named in the parameter",
            [chain()[0], from_jenkins(jk.start(scmInfo={}, parameters={"VS_PARENT": key(1)}))],
        ),
        (
            CHANGE,
            "jira-issue-TP-3",
            "the reference jira-issue-TP-3 in the body",
            [from_jira(ji.issue("created")), pull(body="vstrace-jira-issue-TP-3")],
        ),
        (
            CHANGE,
            "jira-issue-TP-3",
            "TP-3 in the branch",
            [from_jira(ji.issue("created")), pull(head={"ref": "tp-3-x"})],
        ),
        (
            CHANGE,
            "github-issue-api-12",
            "the words that close #12 in the body",
            [from_github("issues", gh.issue("opened")), pull(body="Closes #12")],
        ),
        (
            "gitlab-pull_request-api-34",
            "gitlab-issue-api-12",
            "the number #12 in the branch",
            [
                from_gitlab(gl.issue("open")),
                from_gitlab(
                    gl.merge_request("open", title="x", description="", source_branch="12-x")
                ),
            ],
        ),
        (
            RUN,
            CHANGE,
            "the number #34 that the tool lists",
            [pull(), from_github("workflow_run", gh.run("completed"))],
        ),
        (
            RUN,
            CHANGE,
            "the number #34 in the commit message",
            [
                pull(),
                lonely_run(
                    head_branch="main", display_title="x", head_commit={"message": "x (#34)"}
                ),
            ],
        ),
        (
            RUN,
            CHANGE,
            "head commit 1111111",
            [pull(), lonely_run(head_sha=gh.HEAD_1)],
        ),
        (
            "github-deploy-api-42",
            CHANGE,
            "merge commit eeeeeee",
            [
                from_github("pull_request", gh.merged(body="")),
                from_github("deployment", gh.deploy()),
            ],
        ),
        (
            RUN,
            CHANGE,
            "the branch feature/cache",
            [pull(), lonely_run(head_branch="feature/cache")],
        ),
        (
            "github-deploy-api-42",
            RUN,
            "the commit 9999999 that it built",
            [lonely_run(), from_github("deployment", gh.deploy(sha="9" * 40))],
        ),
        (
            "github-deploy-api-42",
            "github-release-api-66",
            "the version v1.2.0",
            [
                from_github("release", gh.release()),
                from_github("deployment", gh.deploy(ref="v1.2.0")),
            ],
        ),
        (
            "github-build-api-7001",
            RUN,
            "being part of that pipeline",
            [lonely_run(), from_github("workflow_job", gh.job("queued"))],
        ),
        (
            "github-pipeline-api-555.2",
            RUN,
            "being the next attempt",
            [lonely_run(), lonely_run(run_attempt=2, previous_attempt_url="x")],
        ),
        (
            "jira-issue-TP-4",
            "jira-issue-TP-3",
            "its parent TP-3",
            [
                from_jira(ji.issue("created")),
                from_jira(ji.issue("created", key="TP-4", parent={"key": "TP-3"})),
            ],
        ),
    ],
)
def test_why_reads_on_after_linked_by(child, parent, why, deliveries) -> None:
    assert World().deliver(*deliveries).why(child, parent) == why


def test_why_of_links_by_time() -> None:
    stories = {scenario.name: scenario for scenario in SCENARIOS}
    world = World().deliver(*stories["a deploy ships five changes"].deliveries)
    shipped = "shipping what was merged since the deploy before"
    assert world.why("github-deploy-api-42", "github-pull_request-api-2") == shipped
    world = World().deliver(*stories["incidents"].deliveries)
    near = "following the service's newest deploy by 3 min"
    assert world.why("pagerduty-incident-P1", "customhttp-deploy-default-4") == near


def test_the_api_says_rule_key_and_confidence() -> None:
    world = World().deliver(pull(), lonely_run(head_sha=gh.HEAD_1))
    row = world.db.execute("SELECT * FROM links").fetchone()
    assert link_json(link_of(row)) == {
        "child": "vstrace-github-pipeline-id:github.com/1296269-555",
        "parent": "vstrace-github-pull_request-id:github.com/1296269-34",
        "rule": "commit",
        "confidence": "strong",
        "why": "head commit 1111111",
        "primary": True,
    }


def test_every_link_of_every_story_says_why_in_a_line() -> None:
    rules = set()
    for scenario in SCENARIOS:
        for row in World().deliver(*scenario.deliveries).rows()[1]:
            link = link_of(row)
            assert link.why == link.why.strip()
            assert 8 <= len(link.why) <= 120, link
            assert link.why.isprintable()
            rules.add(link.rule)
    assert len(rules) >= 12


# Teams, and how much the store does.


def test_each_tools_spans_belong_to_the_team_of_their_project() -> None:
    teams = Teams((Team("core", ("acme/api", "TP")), Team("people", users=("bob",))))
    deliveries = next(s for s in SCENARIOS if s.name == "across tools").deliveries
    world = World(teams=teams).deliver(*deliveries)
    found = dict(world.db.execute("SELECT ref, team FROM spans WHERE operation <> 'stage'"))
    alert = next(ref for ref in found if "incident" in ref)
    assert found.pop(alert) == "core", "by its service, the repository's name"
    assert set(found.values()) == {"core"}


def statements(world: World, intakes: list) -> int:
    """How many queries folding and linking a batch takes, those of the log left out; what it
    writes is one executemany a table."""
    seen: list[str] = []
    world.db.set_trace_callback(seen.append)
    world.deliver(intakes)
    world.db.set_trace_callback(None)
    asked = [sql for sql in seen if sql.lstrip().upper().startswith(("SELECT", "WITH"))]
    return sum("FROM meta" not in sql and "deliveries" not in sql for sql in asked)


@pytest.mark.parametrize("size", [4, 64])
def test_a_batch_takes_the_same_number_of_queries_whatever_its_size(size) -> None:
    """Runs with their changes, deploys and incidents: the queries are asked for all at once."""

    def batch(first: int) -> list:
        found = []
        for number in range(first, first + size):
            sha = f"{number:08d}" + "a" * 32
            found += [
                from_github(
                    "pull_request", gh.merged(number=number, id=number, merge_commit_sha=sha)
                ),
                lonely_run(id=number, head_sha=sha),
                from_github("deployment", gh.deploy(identifier=number, sha=sha)),
                custom("incident", number, "start", "11:50:00", tags={"service": "api"}),
            ]
        return found

    world = World().deliver(batch(1_000))
    assert statements(world, batch(5_000)) <= 45


def test_every_query_of_the_linker_uses_an_index() -> None:
    """A scan of all spans in the writer would make receiving slower with every span."""
    world = World().deliver(*next(s for s in SCENARIOS if s.name == "incidents").deliveries)
    seen: list[str] = []
    world.db.set_trace_callback(seen.append)
    stories = [s for s in SCENARIOS if s.name in ("a deploy ships five changes", "incidents")]
    world.deliver([intake for s in stories for intake in map(copy_of, s.deliveries)])
    world.db.set_trace_callback(None)
    scans = set()
    for sql in set(seen):
        if not sql.lstrip().upper().startswith(("SELECT", "WITH")):
            continue
        for row in plan(world.db, sql):
            words = row.split()
            is_list = "VIRTUAL TABLE" in row or words[-1] in ("ROW", "json_each")
            if words[0] == "SCAN" and not is_list:
                scans.add((row, sql))
    allowed = (
        *(
            "names",
            "asked",
            "moved",
            "place",
            "merge",
            "target",
            "repo",
            "up",
            "above",
            "below",
            "level",
        ),
        *("a", "d", "m"),
        *("renamed_spans", "link_queue", "judge_queue"),  # the next of them, and mostly none
        "(subquery-2)",  # the distinct spans of one key, at most a crowd
        *("(subquery-4)", "(subquery-5)"),  # the bases of a hundred pull requests
    )
    # The deploys of a batch, one after the other on their branch: as many as the batch has.
    windows = {entry for entry in scans if "raised AS (" in entry[1] and "(subquery" in entry[0]}
    assert not [entry for entry in scans - windows if entry[0].split()[1] not in allowed], scans


def copy_of(intake: object) -> object:
    return intake._replace(
        dedupe=f"{intake.dedupe}-again",
        events=[event._replace(as_of=event.snapshot_at + 1) for event in intake.events],
    )


def plan(db: sqlite3.Connection, sql: str) -> list[str]:
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]


def test_rules_are_named_as_in_the_configuration() -> None:
    assert {rule.value for rule in Rule} >= {"commit", "branch", "proximity", "ships"}


@pytest.mark.parametrize("name", ["vcs.ref.head.name", "branch"])
def test_a_stored_push_has_the_branch_that_it_had_when_it_came(name) -> None:
    world = World().deliver(custom("push", 1, "end", "09:00:00", tags={name: "refs/heads/main"}))
    keys = [key for (key,) in world.db.execute("SELECT key FROM spans WHERE derived = 0")]
    (span,) = load_spans(world.db, keys).values()

    assert Node.of(span).branch == "main"
    assert load_nodes(world.db, [span.key]) == {span.key: Node.of(span)}

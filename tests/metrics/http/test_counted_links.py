"""Whatever counts as a deployment or an incident by the configuration: the failures that are
counted are the links of the incidents, in any order and after a rebuild."""

import contextlib
import random
import sqlite3

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.github import GitHub
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.story import FAIL, Story, command, figure, rate, send
from tests.sources import jira_payloads

RULES = """
[[metrics.deployments]]
filter = 'kind:pipeline name:"Deploy*" branch:main'
environment = "production"
service = "checkout"

[[metrics.incidents]]
filter = 'kind:issue label:outage'
"""
BY_PIPELINE, BY_DEPLOY, BY_TICKET = "acme/by-pipeline", "acme/by-deploy", "TP"


def story() -> Story:
    """Workflow runs that count as deployments, deploys, and incidents of each kind."""
    found = Story()
    runs = GitHub(found, BY_PIPELINE)
    runs.run(1, "10:00", "10:10", commit="r1")
    runs.issue(5, "10:30", "10:50", labels=("outage",))
    runs.run(2, "11:00", "11:10", "failure", commit="r2")
    runs.issue(6, "11:20", labels=("bug",))
    runs.run(3, "12:00", "12:10", commit="r3")
    alertmanager(found, "checkout", "12:30", "12:40")
    deploys = GitHub(found, BY_DEPLOY)
    deploys.deploy("10:00", version="1")
    deploys.issue(7, "10:30", "11:30", labels=("outage",))
    deploys.issue(8, "10:40")
    deploys.deploy("12:00", version="2")
    alertmanager(found, deploys.service, "12:20")
    Script(found, BY_TICKET).deploy("08:50", version="1")
    kind = {"name": "[System] Incident", "subtask": False}
    found.add("/jira", jira_payloads.issue("created", key=f"{BY_TICKET}-1", issuetype=kind))
    return found


def pairs(server) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """(incident, deployment) of the links, and of the failures that are counted."""
    linked = {
        (span["span_id"], link["parent"])
        for span in server.spans()
        for link in span["links"]
        if link["rule"] == "proximity"
    }
    sql = (
        "SELECT i.short_ref, p.short_ref FROM dora_signals s JOIN spans i ON i.key = s.span "
        "JOIN dora_deployments d ON d.key = s.deployment JOIN spans p ON p.key = d.span "
        "WHERE s.kind = 'incident'"
    )
    with contextlib.closing(sqlite3.connect(server.db)) as db:
        return linked, set(db.execute(sql))


@pytest.fixture(scope="module")
def in_order(tmp_path_factory):
    folder = tmp_path_factory.mktemp("right")
    (folder / "config.toml").write_text(RULES)
    with nearby(folder) as server:
        story().tell(server)
        assert rate(figure(server, BY_PIPELINE, FAIL)) == (3, 3)
        assert rate(figure(server, BY_DEPLOY, FAIL)) == (2, 2)
        assert rate(figure(server, BY_TICKET, FAIL)) == (1, 1)
        linked, counted = pairs(server)
        assert linked == counted
        return linked


def test_each_incident_is_linked_to_the_deployment_whose_failure_it_is(in_order) -> None:
    kinds = sorted((child.split("-")[2], parent.split("-")[2]) for child, parent in in_order)
    alerts = [("incident", "deploy"), ("incident", "pipeline")]
    assert kinds == [*alerts, *[("issue", "deploy")] * 3, ("issue", "pipeline")]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_links_do_not_depend_on_the_order_of_arrival(tmp_path, in_order, seed) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    posts = story().posts
    with nearby(tmp_path) as server:
        send(server, random.Random(seed).sample(posts, len(posts)))
        assert pairs(server) == (in_order, in_order)
    command(server, "db", "rebuild")
    with nearby(tmp_path) as server:
        assert pairs(server) == (in_order, in_order)


def test_a_changed_rule_changes_the_links_of_stored_spans(tmp_path, in_order) -> None:
    (tmp_path / "config.toml").write_text("")
    with nearby(tmp_path) as server:
        story().tell(server)
        linked, counted = pairs(server)
        assert linked == counted < in_order
    for rules, wanted in ((RULES, in_order), ("", linked)):
        (tmp_path / "config.toml").write_text(rules)
        with nearby(tmp_path) as server:
            expected = (wanted, wanted)
            server.wait_for(lambda: pairs(server) == expected, "judging anew")  # noqa: B023


def test_a_cut_of_an_issue_takes_its_failure_back(tmp_path, in_order) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    (issue, deploy), *_ = sorted(pair for pair in in_order if "-issue-" in pair[0])
    with nearby(tmp_path) as server:
        story().tell(server)
        for action, wanted in (("cut", in_order - {(issue, deploy)}), ("clear", in_order)):
            body = {"action": action, "child": issue, "parent": deploy}
            status, answer = server.call("/api/links", body)
            assert status == 200, answer
            assert pairs(server) == (wanted, wanted)

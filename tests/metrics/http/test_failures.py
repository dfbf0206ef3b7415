"""Change fail rate: examples C1 to C6, B1, B4, B5 and B7."""

import json

import pytest

from tests.metrics.http.clock import ago, before, minutes
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import (
    EmMetrics,
    Jenkins,
    Plyzen,
    Script,
    alertmanager,
    pagerduty,
)
from tests.metrics.http.story import (
    FAIL,
    FREQUENCY,
    RECOVERY,
    REWORK,
    Story,
    figure,
    rate,
    send,
)

TOOLS = [GitHub, GitLab, Plyzen, Script, Jenkins]


def named(tool, example: str):
    story = Story()
    return story, tool(story, f"acme/{example}-{tool.__name__.lower()}")


def failed(server, name: str) -> tuple[int, int]:
    return rate(figure(server, name, FAIL))


@pytest.mark.parametrize("tool", [Plyzen, Script])
def test_c1_the_share_grows_with_each_kind_of_failure(receiver, tool) -> None:
    """plyzen's table: a failed deploy, a failed smoke test and an alarm."""
    story, own = named(tool, "c1")
    is_plyzen = tool is Plyzen

    def signal(kind, began, end, ok, version):
        if is_plyzen:
            label = "alarm" if kind == "incident" else "smoke-test"
            own.activity(label, began, end, "success" if ok else "failure", version=version)
        else:
            own.span(kind, began, end, ok, version=version)

    shares = []
    steps = [
        lambda: own.deploy("09:00", version="1"),
        lambda: own.deploy("10:00", ok=False, version="2"),
        lambda: (
            own.deploy("11:00", version="3"),
            signal("test", "11:01", "11:05", False, "3"),
        ),
        lambda: (own.deploy("12:00", version="4"), signal("incident", "12:30", "12:50", True, "4")),
    ]
    for step in steps:
        story.posts.clear()
        step()
        story.tell(receiver)
        shares.append(failed(receiver, own.name))
    assert shares == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("tool", [Plyzen, Script])
def test_c2_a_deployment_fails_once(receiver, tool) -> None:
    story, own = named(tool, "c2")
    own.deploy("10:00", version="1")
    if tool is Plyzen:
        own.activity("smoke-test", "10:01", "10:05", "failure", version="1")
        own.activity("alarm", "10:10", "10:20", version="1")
        own.activity("alarm-cpu", "10:15", "10:30", version="1")
    else:
        own.span("test", "10:01", "10:05", ok=False, version="1")
        own.span("incident", "10:10", "10:20", version="1")
        own.span("incident", "10:15", "10:30", version="1")
    story.tell(receiver)
    assert failed(receiver, own.name) == (1, 1)


SENDERS = {
    "alertmanager": lambda story, own, began: alertmanager(story, own.service, began),
    "alertmanager-prod": lambda story, own, began: alertmanager(
        story, own.service, began, environment="prod"
    ),
    "alertmanager-nowhere": lambda story, own, began: alertmanager(
        story, own.service, began, environment=""
    ),
    "pagerduty": lambda story, own, began: pagerduty(story, own.service, began),
    "script": lambda story, own, began: Script(story, own.name, own.service).span(
        "incident", began
    ),
}


@pytest.mark.parametrize("tool", [GitHub, GitLab, Script, Jenkins])
@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("reverse", [False, True])
def test_c3_an_alarm_without_a_version_is_the_latest_deployments(
    receiver, tool, sender, reverse
) -> None:
    story, own = named(tool, f"c3-{sender}-{reverse}".lower())
    own.deploy("09:00", version="1")
    own.deploy("11:00", version="2")
    SENDERS[sender](story, own, "12:00")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (1, 2)
    early = figure(receiver, own.name, FAIL, window=("2026-03-02", "2026-03-02T10:00:00Z"))
    assert rate(early) == (0, 1)


@pytest.mark.parametrize("tool", [Plyzen, Script])
def test_c4_a_failed_test_in_staging_changes_nothing(receiver, tool) -> None:
    story, own = named(tool, "c4")
    own.deploy("10:00", version="1")
    if tool is Plyzen:
        more = {"version": "1", "environment": "staging"}
        own.activity("smoke-test", "10:01", "10:05", "failure", **more)
    else:
        own.span("test", "10:01", "10:05", ok=False, version="1", environment="staging")
    story.tell(receiver)
    assert failed(receiver, own.name) == (0, 1)


CANCELLED = {GitHub: "inactive", GitLab: "canceled", Script: "cancelled", Jenkins: "cancelled"}


@pytest.mark.parametrize("tool", CANCELLED)
def test_c5_in_flight_and_cancelled_deploys_are_none(receiver, tool) -> None:
    story, own = named(tool, "c5")
    own.deploy(ago(50), state=CANCELLED[tool], version="2")
    own.deploy(ago(40), version="3")
    own.deploy(ago(1), began=ago(20), state="-", version="1")
    story.tell(receiver)
    assert rate(figure(receiver, own.name, FAIL, window=("1d", ""))) == (0, 1)


@pytest.mark.parametrize("tool", CANCELLED)
def test_c6_of_cancelled_deploys_there_is_no_rate(receiver, tool) -> None:
    story, own = named(tool, "c6")
    own.deploy("10:00", state=CANCELLED[tool], version="1")
    story.tell(receiver)
    found = figure(receiver, own.name, FAIL)
    assert (found["value"], found["n"]) == (None, 0)


@pytest.mark.parametrize("tool", [GitHub, GitLab, Script, Jenkins])
@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("reverse", [False, True])
def test_b1_an_alarm_after_a_failed_deploy_blames_that_one(receiver, tool, sender, reverse) -> None:
    story, own = named(tool, f"b1-{sender}-{reverse}".lower())
    own.deploy("09:00", version="1")
    own.deploy("10:00", ok=False, version="2")
    SENDERS[sender](story, own, "10:02")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (1, 2)


@pytest.mark.parametrize("tool", [GitHub, GitLab, Script])
@pytest.mark.parametrize("reverse", [False, True])
def test_b1_an_alarm_in_the_middle_of_a_rollout_blames_the_rollout(receiver, tool, reverse) -> None:
    story, own = named(tool, f"b1-rollout-{reverse}".lower())
    own.deploy("09:00", version="1")
    own.deploy("10:30", began="10:00", version="2")
    alertmanager(story, own.service, "10:10", "10:40")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (1, 2)
    early = figure(receiver, own.name, FAIL, window=("2026-03-02", "2026-03-02T10:00:00Z"))
    assert rate(early) == (0, 1)


@pytest.mark.parametrize("failed_deploy", [False, True])
def test_b1_the_trace_links_the_incident_to_the_deployment_that_the_number_blames(
    configured, failed_deploy
) -> None:
    story, own = named(Script, "b1-link")
    own.deploy("09:00", version="1", key="before")
    own.deploy("10:30", not failed_deploy, began="10:00", version="2", key="blamed")
    alertmanager(story, own.service, "10:40" if failed_deploy else "10:10", "10:50")
    story.tell(server := configured(""))
    (incident,) = server.spans("&filter=kind:incident")
    named_by = [incident["parent_span_id"], *(json.dumps(link) for link in incident["links"])]
    assert any("blamed" in (text or "") for text in named_by)
    assert not any("before" in (text or "") for text in named_by)
    assert failed(server, own.name) == (1, 2)


def region_runs(own: GitHub, *, attempt: int, clock: str, ok: tuple[bool, ...]) -> None:
    """Three deployments to one environment by one run, within two seconds."""
    for n, one in enumerate(ok):
        own.deploy(
            f"{clock}:0{n}",
            one,
            began=f"{clock}:00",
            commit="b4",
            run=(77, attempt),
            key=f"region {n} attempt {attempt}",
        )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("hooks", ["deployments", "all"])
def test_b4_github_regions_of_one_run_are_one_deployment(receiver, reverse, hooks) -> None:
    story, own = named(GitHub, f"b4-{reverse}-{hooks}".lower())
    region_runs(own, attempt=1, clock="10:00", ok=(True, False, True))
    if hooks == "all":
        own.run(77, "09:58", "10:01", "failure", commit="b4")
    first = len(story.posts)
    region_runs(own, attempt=2, clock="10:20", ok=(True, True, True))
    if hooks == "all":
        own.run(77, "10:18", "10:21", commit="b4", attempt=2)
    begin, rest = story.posts[:first], story.posts[first:]
    send(receiver, reversed(begin) if reverse else begin)
    assert failed(receiver, own.name) == (1, 1)
    send(receiver, reversed(rest) if reverse else rest)
    assert failed(receiver, own.name) == (0, 1)
    assert figure(receiver, own.name, FREQUENCY)["n"] == 1
    assert rate(figure(receiver, own.name, REWORK)) == (0, 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_b4_gitlab_regions_of_one_pipeline_are_one_deployment(receiver, reverse) -> None:
    story, own = named(GitLab, f"b4-{reverse}".lower())

    def regions(base: int, clock: str, ok: tuple[bool, ...]) -> list[tuple[int, str, str, str]]:
        for n, one in enumerate(ok):
            own.deploy(
                f"{clock}:0{n}",
                one,
                began=f"{clock}:00",
                commit="b4",
                job=base + n,
                key=f"region {base + n}",
            )
        return [
            (base + n, f"deploy: [{region}]", "success" if one else "failed", f"{clock}:0{n}")
            for n, (region, one) in enumerate(zip(("eu", "us", "asia"), ok, strict=True))
        ]

    jobs = regions(9100, "10:00", (True, False, True))
    own.pipeline(910, "09:59", "10:01", "failed", jobs, commit="b4")
    first = len(story.posts)
    begin = story.posts[:]
    send(receiver, reversed(begin) if reverse else begin)
    assert failed(receiver, own.name) == (1, 1)
    # "Retry" runs the failed job again in the same pipeline.
    own.deploy("10:20", commit="b4", job=9111, key="region 9111")
    jobs = [*jobs, (9111, "deploy: [us]", "success", "10:20")]
    own.pipeline(910, "09:59", "10:21", "success", jobs, commit="b4")
    send(receiver, story.posts[first:])
    assert failed(receiver, own.name) == (0, 1)


def leg(own: GitHub, region: str, clock: str, ok: bool, attempt: int, jobs: bool) -> None:
    """One region's deployment by a job of run 66; the number of its job is new in each attempt."""
    number = 6600 + 10 * attempt + ("eu", "us", "asia").index(region)
    more = {"run": (66, attempt), "commit": "leg"}
    if jobs:
        name = f"deploy ({region})"
        own.job(number, before(clock, 2), clock, ok, name=name, **more)
    key = f"{region} {attempt}"
    own.deploy(clock, ok, began=before(clock), key=key, job=number if jobs else 0, **more)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("jobs", [False, True])
def test_b4_regions_one_after_another_are_one_deployment(receiver, reverse, jobs) -> None:
    """A careful rollout waits between regions; an attempt of a run never deploys twice."""
    story, own = named(GitHub, f"b4-slow-{reverse}-{jobs}".lower())
    for region, clock in (("eu", "10:00"), ("us", "10:30"), ("asia", "11:30")):
        leg(own, region, clock, True, 1, jobs)
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (0, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mended", [("us",), ("us", "asia")])
@pytest.mark.parametrize("jobs", [False, True])
def test_b4_a_failed_region_alone_is_run_again(receiver, reverse, mended, jobs) -> None:
    story, own = named(GitHub, f"b4-leg-{reverse}-{jobs}-{len(mended)}".lower())
    for region, ok in (("eu", True), ("us", False), ("asia", False)):
        leg(own, region, "10:00", ok, 1, jobs)
    for region in mended:
        leg(own, region, "10:20", True, 2, jobs)
    send(receiver, reversed(story.posts) if reverse else story.posts)
    # Where jobs are told, it is known which region is still broken.
    assert failed(receiver, own.name) == (int(jobs and len(mended) == 1), 1)
    assert rate(figure(receiver, own.name, REWORK)) == (0, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("tool", [GitHub, GitLab])
def test_b4_regions_of_an_unknown_run_are_one_deployment(receiver, tool, reverse) -> None:
    """GitLab's deployments do not say their pipeline, and its jobs may not be told."""
    story, own = named(tool, f"b4-unknown-{reverse}".lower())
    for n, ok in enumerate((True, False, True)):
        own.deploy(f"10:05:0{n}", ok, began="10:00", commit="b4", key=f"region {n}")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (1, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("run", [None, (55, 1)])
def test_b4_however_many_regions_there_are_they_are_one_deployment(receiver, reverse, run) -> None:
    """The first of thirty failed, long before the last one ended: an alert and the deployment after
    them do not make it a success."""
    story, own = named(GitHub, f"b4-many-{reverse}-{run is None}".lower())
    own.deploy("09:00", commit="old")
    for n in range(30):
        clock = f"10:{n:02}:30"
        own.deploy(clock, n > 0, began="10:00", commit="many", run=run, key=f"region {n}")
    alertmanager(story, own.service, "10:40", "10:50")
    own.deploy("11:00", commit="new")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (1, 3)
    # from the end of the thirty, over the alert, until the next success
    assert minutes(figure(receiver, own.name, RECOVERY)["value"]) == 30.5
    assert figure(receiver, own.name, FREQUENCY)["n"] == 2


@pytest.mark.parametrize("reverse", [False, True])
def test_b4_a_run_is_run_again_after_many_other_deployments(receiver, reverse) -> None:
    story, own = named(GitHub, f"b4-late-{reverse}".lower())
    own.deploy("09:50", commit="late", run=(99, 1), key="first, eu")
    own.deploy("10:00", ok=False, commit="late", run=(99, 1), key="first, us")
    for n in range(20):
        own.deploy(f"11:{n:02}", commit=f"c{n}", run=(100 + n, 1))
    own.deploy("12:00", commit="late", run=(99, 2), key="second, us")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (0, 21)
    assert figure(receiver, own.name, FREQUENCY)["n"] == 21


@pytest.mark.parametrize("hooks", ["deployments", "all"])
def test_b4_github_a_run_again_of_a_failed_deploy_is_the_same_deployment(receiver, hooks) -> None:
    story, own = named(GitHub, f"b4-again-{hooks}")
    own.deploy("10:05", ok=False, commit="c", run=(88, 1), key="one")
    if hooks == "all":
        own.run(88, "10:00", "10:06", "failure", commit="c")
    own.deploy("10:15", commit="c", run=(88, 2), key="two")
    if hooks == "all":
        own.run(88, "10:10", "10:16", commit="c", attempt=2)
    story.tell(receiver)
    assert failed(receiver, own.name) == (0, 1)
    assert rate(figure(receiver, own.name, REWORK)) == (0, 1)


@pytest.mark.parametrize("tool", [GitHub, GitLab, Jenkins, Script])
def test_b4_a_later_deploy_of_the_same_version_is_a_new_deployment(receiver, tool) -> None:
    story, own = named(tool, "b4-later")
    own.deploy("10:00", version="1", key="one")
    own.deploy("14:00", version="1", key="two")
    story.tell(receiver)
    assert failed(receiver, own.name) == (0, 2)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("tool", [GitHub, GitLab, Jenkins, Script])
def test_b5_a_failed_deploy_run_again_is_a_retry(configured, tool, ignored) -> None:
    story, own = named(tool, "b5")
    own.deploy("10:00", ok=False, version="1", key="one")
    own.deploy("10:04", version="1", key="two")
    story.tell(server := configured('[metrics]\nfailed_deploys = "ignore"\n' if ignored else ""))
    assert failed(server, own.name) == ((0, 1) if ignored else (1, 2))
    assert figure(server, own.name, REWORK)["hits"] == 0
    assert figure(server, own.name, FREQUENCY)["n"] == 1


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("again", [True, False])
def test_b4_a_retried_job_is_known_by_its_run_alone(receiver, reverse, again) -> None:
    """Nobody ticked pipeline events: the jobs name their run."""
    story, own = named(GitLab, f"b4-run-{reverse}-{again}".lower())
    for number, (began, end, ok) in enumerate(
        (("09:50", "10:00", False), ("10:02", "10:04", True))
    ):
        run = 900 if again else 900 + number
        own.job(80 + number, run, began, end, ok, retries=number if again else 0)
        own.deploy(end, ok, began=began, commit="c", job=80 + number)
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == ((0, 1) if again else (1, 2))


@pytest.mark.parametrize("reverse", [False, True])
def test_b7_a_github_issue_labelled_incident_is_one(receiver, reverse) -> None:
    story, own = named(GitHub, f"b7-{reverse}".lower())
    own.deploy("10:00", version="1")
    own.issue(5, "10:30", "11:30")
    own.issue(6, "10:40", "10:50", labels=("bug",))
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert failed(receiver, own.name) == (1, 1)
    assert figure(receiver, own.name, RECOVERY)["value"] == 3600


@pytest.mark.parametrize("how", ["type", "label"])
def test_b7_a_gitlab_incident_is_one(receiver, how) -> None:
    story, own = named(GitLab, f"b7-{how}")
    own.deploy("10:00", version="1")
    if how == "type":
        own.issue(5, "10:30", "11:30")
    else:
        own.issue(5, "10:30", "11:30", kind="Issue", labels=("incident",))
    own.issue(6, "10:40", "10:50", kind="Issue", labels=("bug",))
    story.tell(receiver)
    assert failed(receiver, own.name) == (1, 1)
    assert figure(receiver, own.name, RECOVERY)["value"] == 3600


def test_b7_a_rule_says_which_issues_are_incidents(configured) -> None:
    story, own = named(GitHub, "b7-rule")
    own.deploy("10:00", version="1")
    own.issue(5, "10:30", "11:30", labels=("outage",))
    server = configured("[[metrics.incidents]]\nfilter = 'kind:issue label:outage'\n")
    story.tell(server)
    assert failed(server, own.name) == (1, 1)
    assert figure(server, own.name, RECOVERY)["value"] == 3600


@pytest.mark.parametrize("hours_after", [23, 25])
def test_incident_window_one_day_unless_configured(receiver, hours_after) -> None:
    story, own = named(Script, f"window-{hours_after}")
    own.deploy("10:00", version="1")
    alertmanager(story, own.service, f"Tue {(10 + hours_after) % 24:02}:00")
    story.tell(receiver)
    assert failed(receiver, own.name) == (int(hours_after < 24), 1)


def test_an_incident_naming_an_unknown_deployment_blames_nobody_until_it_is_known(receiver) -> None:
    story, own = named(EmMetrics, "em-unknown")
    own.deploy("10:00", key="em-known")
    own.incident("em-i1", "10:30", "10:40", deployment="em-nobody")
    story.tell(receiver)
    assert failed(receiver, own.name) == (0, 1)
    later = Story()
    EmMetrics(later, own.name).deploy("10:20", key="em-nobody")
    later.tell(receiver)
    assert failed(receiver, own.name) == (1, 2)


@pytest.mark.parametrize(
    ("environment", "state", "linked"),
    [("prod", "", "second"), ("Production", "", "second"), ("production", "cancelled", "first")],
)
def test_the_trace_link_skips_cancelled_deploys_and_knows_names_of_production(
    configured, environment, state, linked
) -> None:
    story, own = named(Script, "link-names")
    own.deploy("09:00", version="1", key="first")
    own.deploy("10:00", version="2", key="second", state=state)
    alertmanager(story, own.service, "20:00", environment=environment)
    server = configured("")
    send(server, reversed(story.posts))
    (incident,) = server.spans("&filter=kind:incident")
    assert [link["parent"].rpartition("-")[2] for link in incident["links"]] == [linked]
    assert failed(server, own.name) == ((1, 1) if state else (1, 2))

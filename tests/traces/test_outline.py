"""The rows of a trace: what begins folded, what stands as one row, what leads elsewhere."""

from tests.traces.test_critical_path import T, change, issue, span
from vs_tui.model.time import HOUR
from vs_tui.model.vocabulary import Link, Rule, Span, State, Status
from vs_tui.traces.outline import Outline, outline
from vs_tui.traces.steps import tree


def shown(
    *spans: Span, links: list[Link] | None = None, linked: list[Span] | None = None
) -> Outline:
    return outline(spans, links or [], linked or [], T + 20 * HOUR)


def names(found: Outline) -> list[str]:
    """Rows as they open: folded ones with a `>`."""
    rows = tree(found.spans, found.quiet)
    return [f"{'  ' * r.depth}{'>' if r.folded else ''}{r.span.name}" for r in rows]


def failed(one: Span) -> Span:
    return one._replace(status=Status.ERROR, state=State.ERROR)


def test_jobs_show_and_their_steps_do_not() -> None:
    found = shown(
        span("run", 0, 10, "", "pipeline"),
        span("lint", 0, 2, "run"),
        span("checkout", 0, 1, "lint", "stage"),
        span("unit", 2, 10, "run"),
        span("compile", 2, 3, "unit", "stage"),
    )
    assert names(found) == ["run", "  >lint", "  >unit"]


def test_folds_never_hide_what_failed_runs_or_waits() -> None:
    for bad in (failed(span("step", 0, 1, "job")), span("step", 0, None, "job")):
        found = shown(span("run", 0, 10, "", "pipeline"), span("job", 0, 2, "run"), bad)
        assert names(found) == ["run", "  job", "    step"]


def test_runs_off_the_path_begin_folded() -> None:
    found = shown(
        issue(0, 700),
        change(60, 500),
        span("ci", 61, 70, "pr", "pipeline"),
        span("lint", 61, 62, "ci"),
        span("main", 500, 510, "i", "pipeline"),
        span("build", 500, 510, "main"),
    )
    assert "    >ci" in names(found)
    assert "  main" in names(found)


def test_many_good_siblings_off_the_path_are_one_row() -> None:
    jobs = [span(f"job-{chr(97 + n)}", 0, 1 + n / 100, "run") for n in range(20)]
    found = shown(span("run", 0, 30, "", "pipeline"), span("last", 0, 30, "run"), *jobs)
    rows = names(found)
    assert rows[-1] == "  >12 more, ok" or "  >12 more, ok" in rows
    assert len(rows) == 11


def test_a_matrix_is_one_row_and_what_failed_of_it_stands_beside_it() -> None:
    jobs = [span(f"test ({n})", 0, 2, "run") for n in range(24)]
    jobs[3] = failed(jobs[3])
    found = shown(span("run", 0, 30, "", "pipeline"), *jobs)
    assert [name.strip() for name in names(found)] == ["run", ">test x24, 1 failed", "test (3)"]


def test_states_of_a_machine_are_no_rows() -> None:
    phase = span("run/x", 1, 10, "run", "stage")
    run = span("run", 0, 10, "", "pipeline")
    assert names(shown(run, phase._replace(name="running"))) == ["run"]
    assert names(shown(run, phase._replace(name="canary 5%"))) == ["run", "  canary 5%"]


def test_other_traces_stand_last_one_row_each_or_below_one() -> None:
    deploy = span("d", 0, 5, "", "deploy")
    others = [span(f"pr{n}", 0, 1, "", "pull_request") for n in range(4)]
    ships = [Link("d", other.key, Rule.SHIPS, "since v1") for other in others]
    incident = span("inc", 9, None, "", "incident")
    after = Link("inc", "d", Rule.PROXIMITY, "follows")
    assert names(shown(deploy, links=[after], linked=[incident])) == ["d", "incident after it inc"]
    found = shown(deploy, links=[after, *ships], linked=[incident, *others])
    assert names(found) == ["d", ">also ships pr0 and 3 other traces", "incident after it inc"]
    again = shown(
        deploy, links=[Link("d", "old", Rule.ATTEMPT, "again")], linked=[span("old", 0, 1)]
    )
    assert names(again)[-1] == "earlier attempt old"


def test_the_incident_names_the_deploy_before_it() -> None:
    incident, deploy = span("inc", 9, 20, "", "incident"), span("d", 0, 5, "", "deploy")
    found = shown(incident, links=[Link("inc", "d", Rule.PROXIMITY, "x")], linked=[deploy])
    assert names(found)[-1] == "after d"

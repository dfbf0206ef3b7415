"""What a trace waited for, and what decided when it ended."""

from time import process_time

import pytest

from vs_tui.model.time import HOUR, MINUTE
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.critical_path import Path, path_of, waits_of

T = 1_772_445_600_000_000


def span(
    key: str,
    begin: float,
    end: float | None,
    parent: str = "",
    operation: str = "build",
    **more: object,
) -> Span:
    """From minute to minute."""
    values: dict[str, object] = {"state": State.OK if end is not None else State.RUNNING}
    values |= more
    return Span(
        key=key,
        ref=key,
        source="test",
        operation=operation,
        name=key,
        status=Status.OK if end is not None else Status.IN_FLIGHT,
        started_at=T + round(begin * MINUTE),
        ended_at=None if end is None else T + round(end * MINUTE),
        parent_key=parent,
        **values,  # type: ignore[arg-type]
    )


def review(key: str, at: float, verdict: str, actor: str = "cleo") -> Span:
    return span(key, at, at, "pr", "review", actor=actor, attributes={"vs.review.state": verdict})


def change(begin: float, end: float | None, **attributes: str | bool) -> Span:
    return span("pr", begin, end, "i", "pull_request", actor="ana", attributes=attributes)


def issue(begin: float, end: float | None = None, **more: object) -> Span:
    return span("i", begin, end, "", "issue", **more)


def path(*spans: Span, now: float = 1000) -> Path:
    return path_of(spans, T + round(now * MINUTE))


def told(found: Path) -> list[str]:
    """Keys of spans, and waits by name and minutes."""
    waits = {w.key: f"{w.name} {w.duration // MINUTE}" for w in found.waits}
    return [waits.get(key, key) for key in found.keys]


def test_the_path_follows_what_was_waited_for() -> None:
    spans = [
        span("root", 0, 30, operation="pipeline"),
        span("lint", 0, 5, "root"),
        span("test", 0, 12, "root"),
        span("image", 12, 20, "root"),
        span("deploy", 20.5, 30, "root", "deploy"),
    ]
    assert told(path(*spans)) == ["test", "image", "deploy"]


def test_a_sibling_comes_before_what_ended_in_the_same_moment_elsewhere() -> None:
    spans = [
        span("a", 0, 9, operation="pipeline"),
        span("a1", 0, 5, "a"),
        span("a2", 5, 9, "a"),
        span("b", 0, 6, operation="pipeline"),
        span("b1", 4, 5, "b"),
    ]
    assert told(path(*spans)) == ["a1", "a2"]


def test_the_path_of_skewed_clocks_goes_back_and_ends() -> None:
    spans = [span("a", 0, 4), span("skewed", 9, 5), span("b", 6, 8), span("last", 8, 9)]
    found = path(*spans)
    assert [key for key in found.keys if "\0" not in key] == ["a", "skewed", "b", "last"]


def test_the_path_of_thousands_is_found_at_once() -> None:
    """It is drawn every second; looking at all for each took ten seconds."""
    spans = [span(str(n), 2 * n, 2 * n + 1.5) for n in range(5_000)]
    began = process_time()
    assert path_of(spans, T).keys == tuple(str(n) for n in range(5_000))
    assert process_time() - began < 2


def test_a_change_waits_for_code_a_review_the_merge_and_a_deploy() -> None:
    """The pickup is not hidden behind the pipeline that ran meanwhile."""
    spans = [
        issue(0, 700),
        change(60, 500, **{"vs.pr.reviewers": "ben, cleo"}),
        span("ci", 61, 70, "pr", "pipeline"),
        review("r", 400, "approved"),
        span("main", 500.5, 510, "i", "pipeline"),
        span("staging", 510, 513, "i", "deploy", environment="staging"),
        span("prod", 600, 604, "i", "deploy", environment="prod",
             attributes={"vs.deploy.reviewers": "eva"}),
    ]  # fmt: skip
    assert told(path(*spans)) == [
        "coding, until the pull request 60",
        "nobody reviews: ben, cleo asked 340",
        "r",
        "approved, not merged 100",
        "main",
        "staging",
        "nobody approves prod: eva 87",
        "prod",
    ]


def test_a_wait_knows_what_bounds_it_and_where_it_stands() -> None:
    found = path(issue(0, 700), change(60, 500), review("r", 400, "approved"))
    pickup = next(w for w in found.waits if "reviews" in w.name)
    assert (pickup.after, pickup.until, pickup.parent) == ("pr", "r", "pr")
    assert (pickup.begins, pickup.ends) == (T + 60 * MINUTE, T + 400 * MINUTE)


def test_changes_that_were_asked_for_and_the_second_review() -> None:
    spans = [
        change(0, 500),
        review("r1", 100, "changes_requested"),
        span("ci-2", 200, 210, "pr", "pipeline"),
        review("r2", 400, "approved"),
    ]
    assert told(path(*spans)) == [
        "nobody reviews 100", "r1", "changes asked: ana 100", "nobody reviews it again 200", "r2",
        "approved, not merged 100",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spans", "name"),
    [
        ([change(0, None, **{"vs.pr.reviewers": "hana"})], "nobody reviews: hana asked"),
        ([change(0, None, **{"vs.pr.draft": True})], "a draft: ana"),
        ([change(0, None), review("r", 10, "approved")], "approved, not merged"),
        ([change(0, None), review("r", 10, "changes_requested")], "changes asked: ana"),
        (
            [issue(0), span("push", 9, 9, "i", "push")],
            "coding, until the pull request",
        ),
        ([change(0, 90)], "merged without a review"),
        (
            [
                span("d", 0, None, "", "deploy", environment="prod", state=State.WAITING),
                span("d/waiting", 0, None, "d", "stage", state=State.WAITING),
            ],
            "nobody approves prod",
        ),
        (
            [
                span("job", 0, 60, "", "build"),
                span("job/queued", 0, 50, "job", "stage"),
                span("job/running", 50, 60, "job", "stage"),
            ],
            "queued, no runner",
        ),
    ],
)
def test_each_wait_is_named_by_what_is_missing_and_by_whom(spans, name) -> None:
    renamed = [s._replace(name=s.key.rpartition("/")[2]) for s in spans]
    assert name in [wait.name for wait in path(*renamed, now=100).waits]


def test_what_goes_on_is_open_until_now() -> None:
    found = path(change(0, None), now=90)
    (wait,) = found.waits
    assert (wait.is_open, wait.duration) == (True, 90 * MINUTE)


def test_a_machine_at_work_and_an_open_wait_both_decide_the_end() -> None:
    spans = [change(0, None), span("ci", 50, None, "pr", "pipeline"), span("lint", 50, 51, "ci"),
             span("unit", 51, None, "ci")]  # fmt: skip
    found = path(*spans, now=60)
    assert "unit" in found.keys
    assert [w.name for w in found.waits if w.is_open] == ["nobody reviews"]


def test_of_what_runs_the_one_expected_to_end_last_decides() -> None:
    spans = [span("a", 0, None), span("b", 5, None)]
    assert path_of(spans, T + HOUR).keys == ("b",)
    assert path_of(spans, T + HOUR, {"a": T + 2 * HOUR}).keys == ("a",)


def test_waits_of_less_than_a_minute_are_no_rows() -> None:
    assert path(change(0, 5), review("r", 0.5, "approved")).keys != ()
    assert [w.name for w in path(change(0, 5), review("r", 0.5, "approved")).waits] == [
        "approved, not merged"
    ]


def test_bots_review_nothing() -> None:
    spans = [change(0, None), review("r", 10, "approved", actor="renovate[bot]")]
    assert [w.name for w in waits_of(spans, T + HOUR)] == ["nobody reviews"]


def test_a_deploy_in_the_pipeline_of_its_jobs_did_not_wait_for_them() -> None:
    spans = [
        change(0, 10),
        span("main", 10, 40, "pr", "pipeline"),
        span("test", 10, 30, "main"),
        span("deploy", 30, 40, "main", "deploy", environment="prod"),
    ]
    assert [w.name for w in path(*spans).waits] == ["merged without a review"]


def test_a_time_without_a_name_is_shown_as_one_in_which_nothing_ran() -> None:
    assert told(path(span("a", 0, 5), span("b", 65, 70))) == ["a", "nothing ran before b 60", "b"]


def test_such_a_time_stands_before_the_run_that_it_delayed() -> None:
    spans = [
        span("pr", 0, 100, "", "pull_request"),
        span("a", 0, 5, "pr", "pipeline"),
        span("run", 65, 70, "pr", "pipeline"),
        span("job", 65, 70, "run"),
        span("job/queued", 65, 65.2, "job", "stage")._replace(name="queued"),
    ]
    gaps = [w for w in path_of([s for s in spans if s.key != "pr"], T).waits if "nothing" in w.name]
    assert [(w.name, w.parent, w.until) for w in gaps] == [("nothing ran before run", "pr", "run")]

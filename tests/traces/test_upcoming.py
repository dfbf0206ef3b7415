"""Steps that a run has not begun, from what earlier runs of its series did."""

import pytest

from vs_tui.model.time import SECOND
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.steps import PastStep, steps_of, upcoming

T = 1_772_445_600_000_000


def span(
    name: str, begin: int | None, end: int | None = None, operation: str = "build", **more
) -> Span:
    return Span(
        key=name,
        ref=name,
        source="test",
        operation=operation,
        name=name,
        status=Status.IN_FLIGHT if end is None else Status.OK,
        state=State.RUNNING if end is None else State.OK,
        started_at=None if begin is None else T + begin * SECOND,
        ended_at=None if end is None else T + end * SECOND,
        **more,
    )


def run(end: int | None = None, operation: str = "pipeline") -> Span:
    return span("run", 0, end, operation)


def past(**steps: tuple[int, int]) -> tuple[PastStep, ...]:
    """name=(seconds from the begin, seconds it took)"""
    return tuple(
        PastStep("build", name, offset * SECOND, length * SECOND)
        for name, (offset, length) in steps.items()
    )


FULL = past(build=(0, 40), tests=(0, 60), image=(60, 20), smoke=(80, 10))
THRICE = [FULL] * 3


@pytest.mark.parametrize(
    ("begun", "now", "expected"),
    [
        pytest.param(
            [],
            0,
            [("build", 0, 40), ("tests", 0, 60), ("image", 60, 80), ("smoke", 80, 90)],
            id="nothing has begun",
        ),
        pytest.param(["build", "tests"], 30, [("image", 60, 80), ("smoke", 80, 90)], id="in time"),
        pytest.param(
            ["build", "tests"], 100, [("image", 100, 120), ("smoke", 120, 130)], id="late"
        ),
        pytest.param(["build", "tests", "image"], 70, [("smoke", 80, 90)], id="the last one"),
        pytest.param(["build", "tests", "image", "smoke"], 85, [], id="all have begun"),
        pytest.param(["build", "tests", "smoke"], 85, [], id="image was left out this time"),
        pytest.param(
            ["build"],
            5,
            [("tests", 5, 65), ("image", 65, 85), ("smoke", 85, 95)],
            id="those beside one that has begun are waited for",
        ),
    ],
)
def test_what_is_next(begun: list[str], now: int, expected: list[tuple[str, int, int]]) -> None:
    children = [span(name, 0) for name in begun]
    found = upcoming(run(), children, THRICE, T + now * SECOND)
    seconds = [(s.name, (s.begins - T) // SECOND, (s.ends - T) // SECOND) for s in found]
    assert seconds == expected
    assert all((step.n, step.of) == (3, 3) for step in found)


@pytest.mark.parametrize(
    ("of", "runs"),
    [
        pytest.param(run(90), THRICE, id="the run has ended"),
        pytest.param(run(operation="pull_request"), THRICE, id="people work on it"),
        pytest.param(span("run", None, operation="pipeline"), THRICE, id="no start is known"),
        pytest.param(run(), THRICE[:2], id="thin history"),
        pytest.param(run(), [], id="no history"),
        pytest.param(run(), [()] * 5, id="its runs have no steps"),
        pytest.param(run(), [FULL, (), (), (), ()], id="few of its runs had them"),
    ],
)
def test_nothing_is_expected(of: Span, runs: list[tuple[PastStep, ...]]) -> None:
    assert upcoming(of, [], runs, T) == []


def test_places_are_medians_of_the_runs_that_had_the_step() -> None:
    runs = [past(smoke=(80, 10)), past(smoke=(90, 30)), past(smoke=(100, 20)), ()]
    (smoke,) = upcoming(run(), [], runs, T)
    assert (smoke.begins, smoke.ends) == (T + 90 * SECOND, T + 110 * SECOND)
    assert (smoke.n, smoke.of) == (3, 4)


def test_a_step_that_ran_twice_is_expected_once() -> None:
    twice = (*past(flaky=(10, 5)), *past(flaky=(20, 5)))
    (flaky,) = upcoming(run(), [], [twice] * 3, T)
    assert flaky.begins == T + 10 * SECOND


def test_a_past_run_tells_its_steps_without_what_is_its_own() -> None:
    job = {"cicd.pipeline.name": "web", "cicd.pipeline.task.name": "e2e"}
    children = [
        span("web #17 e2e", 40, 60, attributes=job),
        span("queued", 0, 5, operation="stage"),
        span("running", 5, 90, operation="stage"),
        span("review of ana", 0, 5, operation="review"),
        span("cancelled before it began", None, 5),
        span("still open", 0),
        span("v17", 60, 70, operation="deploy", service="web", environment="prod"),
    ]
    assert steps_of(run(90), children) == (
        PastStep("build", "e2e", 40 * SECOND, 20 * SECOND),
        PastStep("deploy", "web to prod", 60 * SECOND, 10 * SECOND),
    )
    assert steps_of(span("run", None, 90), children) == ()

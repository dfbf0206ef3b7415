"""What earlier runs of a series went through, as the store tells it."""

from tests.store.conftest import T, custom, ref
from vs_tui.model.time import SECOND
from vs_tui.store.queries.read_traces import read_past_runs


def run(number: int, at: int, *, until: int | None = 90, error: bool = False) -> list:
    """A pipeline with a build and a smoke test, beginning `at` seconds."""
    below = {"parentid": ref("pipeline", number)}
    found = [
        custom("pipeline", number, "start", at, name="web"),
        custom("build", f"b{number}", "start", at + 5, name="compile", **below),
        custom("build", f"b{number}", "end", at + 45, name="compile", **below),
    ]
    if until is not None:
        found += [
            custom("test", f"s{number}", "start", at + 60, name="smoke", **below),
            custom("test", f"s{number}", "end", at + until - 10, name="smoke", **below),
            custom("pipeline", number, "end", at + until, error=error),
        ]
    return found


async def test_the_last_successes_of_the_series_with_their_steps(open_writer) -> None:
    writer = await open_writer()
    for intake in (
        *run(1, 0),
        *run(2, 1_000),
        *run(3, 2_000, error=True),
        *run(4, 3_000, until=100),
        *run(5, 4_000, until=None),
    ):
        await writer.submit(intake)
    key = ref("pipeline", 5)
    found = await writer.run(lambda db: read_past_runs(db, [key, "not there"]))
    steps = [
        [(s.operation, s.name, s.offset // SECOND, s.length // SECOND) for s in past]
        for past in found[key]
    ]
    assert steps == [
        [("build", "compile", 5, 40), ("test", "smoke", 60, 30)],
        [("build", "compile", 5, 40), ("test", "smoke", 60, 20)],
        [("build", "compile", 5, 40), ("test", "smoke", 60, 20)],
    ], "latest first; what failed is no example"
    then = await writer.run(lambda db: read_past_runs(db, [key], T + 2_000 * SECOND))
    assert len(then[key]) == 2, "what ended later was not known then"
    assert list(found) == [key]

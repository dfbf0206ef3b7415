"""What a batch asks of the database: few statements, however many deliveries it has, and each row
written once."""

from collections import Counter
from collections.abc import Iterator

from tests.store.conftest import custom, ref
from tests.store.tracing import World
from vs_tui.log.delivery import Intake


def runs(number: int) -> Iterator[Intake]:
    """A pipeline of two builds, of which the second names a commit."""
    yield custom("pipeline", number, "start", at=number)
    for part in "ab":
        parent = ref("pipeline", number)
        tags = {"commit": f"{number:07x}" + "0" * 33} if part == "b" else {}
        for action in ("start", "end"):
            yield custom("build", f"{number}{part}", action, number, parentid=parent, tags=tags)
    yield custom("pipeline", number, "end", at=number + 1)


def folded(pipelines: int) -> Counter[str]:
    """The statements that fold one batch, by their first words; not those of the log."""
    world = World().deliver(list(runs(10_000)))
    seen: Counter[str] = Counter()

    def see(sql: str) -> None:
        if " deliveries " not in sql:
            seen[" ".join(sql.split()[:3])] += 1

    world.db.set_trace_callback(see)
    world.deliver([delivery for number in range(pipelines) for delivery in runs(number)])
    world.db.set_trace_callback(None)
    assert sum(map(bool, world.parents().values())) == 2 * pipelines + 2
    return seen


def test_a_batch_reads_by_as_many_statements_for_many_deliveries_as_for_few() -> None:
    few, many = (
        sum(n for words, n in folded(size).items() if words.startswith(("SELECT", "WITH")))
        for size in (5, 50)
    )
    assert many == few


def test_a_new_span_is_written_once_with_its_place() -> None:
    seen = folded(50)
    assert seen["INSERT INTO spans"] == 150
    assert seen["UPDATE spans SET"] == 0

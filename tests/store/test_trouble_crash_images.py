"""What a power cut may leave: the WAL ends anywhere, and the store is a prefix of its commits."""

import contextlib
import random
import shutil
import sqlite3

import pytest

from tests.store.conftest import custom, ref
from vs_tui.log import sqlite_position
from vs_tui.store.schema import open_writer as open_database

COMMITS = 60


@pytest.mark.parametrize("cuts", [60, pytest.param(1_000, marks=pytest.mark.full)])
async def test_a_wal_cut_anywhere_holds_a_prefix_of_the_commits(
    open_writer, tmp_path, cuts
) -> None:
    writer = await open_writer()
    await writer.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    await writer.run(lambda db: db.execute("PRAGMA wal_autocheckpoint = 0").fetchall())
    for number in range(COMMITS):
        await writer.submit(custom("build", number, "start"))
    image = tmp_path / "image.db"
    wal = writer.path.with_name(writer.path.name + "-wal").read_bytes()
    seen = set()
    chance = random.Random(5)
    for cut in [0, len(wal), *(chance.randrange(len(wal)) for _ in range(cuts))]:
        for leftover in tmp_path.glob("image.db*"):
            leftover.unlink()
        shutil.copyfile(writer.path, image)
        image.with_name("image.db-wal").write_bytes(wal[:cut])
        with contextlib.closing(open_database(image)) as database:
            assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
            deliveries = [
                row[0] for row in database.execute("SELECT id FROM deliveries ORDER BY id")
            ]
            spans = {row[0] for row in database.execute("SELECT key FROM spans")}
            folded = sqlite_position.position(database)
        assert deliveries == list(range(1, len(deliveries) + 1)), "a prefix"
        assert folded <= len(deliveries)
        assert spans == {ref("build", n) for n in range(folded)}, "exactly up to the position"
        seen.add(len(deliveries))
    assert {0, COMMITS} <= seen
    assert len(seen) > 20, "cuts fell between many commits"


async def test_an_image_of_file_and_wal_taken_at_any_moment_opens(open_writer, tmp_path) -> None:
    """Copies of both files while nothing writes, after every commit: as SIGSTOP and cp."""
    writer = await open_writer()
    for number in range(40):
        await writer.submit(custom("build", number, "start"))
        image = tmp_path / "image.db"
        for leftover in tmp_path.glob("image.db*"):
            leftover.unlink()
        shutil.copyfile(writer.path, image)
        shutil.copyfile(writer.path.with_name(writer.path.name + "-wal"), tmp_path / "image.db-wal")
        with contextlib.closing(sqlite3.connect(image)) as database:
            stored = database.execute("SELECT COUNT(*) FROM deliveries").fetchone()
            assert stored == (number + 1,), "what is acknowledged is in the log"
            folded = database.execute("SELECT COUNT(*) FROM spans").fetchone()
            assert folded == (sqlite_position.position(database),)

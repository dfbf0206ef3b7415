"""The lock of a database holds for the file, by whatever name it is reached."""

from __future__ import annotations

import os

import pytest

from vs_tui.store.lock import DatabaseLock, InUse


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_hard_link_is_the_same_database(tmp_path) -> None:
    path, link = tmp_path / "t.db", tmp_path / "other.db"
    first, second = DatabaseLock(path), DatabaseLock(link)
    first.take()
    path.write_bytes(b"")  # it is created after the lock was taken
    first.opened()
    os.link(path, link)
    with pytest.raises(InUse) as refused:
        second.take()
    assert refused.value.holder == str(os.getpid())
    first.release()
    second.take()
    second.release()
    assert not list(tmp_path.glob("vs-tui-*/*.lock"))


def test_a_database_of_its_own_is_free(tmp_path) -> None:
    locks = []
    for name in ("a.db", "b.db"):
        (tmp_path / name).write_bytes(b"")
        locks.append(DatabaseLock(tmp_path / name))
        locks[-1].take()
        locks[-1].opened()
    for lock in locks:
        lock.release()


def test_without_a_place_for_it_the_lock_beside_the_database_holds(tmp_path, monkeypatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    (tmp_path / "t.db").write_bytes(b"")
    first, second = DatabaseLock(tmp_path / "t.db"), DatabaseLock(tmp_path / "t.db")
    first.take()
    first.opened()
    with pytest.raises(InUse):
        second.take()
    first.release()

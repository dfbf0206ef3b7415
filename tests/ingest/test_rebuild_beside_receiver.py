"""`vs-tui db rebuild` beside a receiver that receives: two processes, either of them killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.benchmarks.load import Load, post_all
from tests.ingest.server import TOKEN, Server, serving
from tests.ingest.test_between_append_and_fold import body, position_and_head, rows, undisturbed
from tests.patience import PATIENCE
from vs_tui.store.maintenance.backup import verify
from vs_tui.store.maintenance.table_swap import side_of

FULL = [pytest.mark.full, pytest.mark.timeout(1800)]
A_SECOND = 200


class Sending(threading.Thread):
    """200 deliveries a second from a tool that tries once."""

    def __init__(self, server: Server, bodies: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.server, self.bodies = server, bodies
        self.load: Load | None = None

    def run(self) -> None:
        self.load = asyncio.run(
            post_all(
                self.server.url,
                "/customhttp",
                self.bodies,
                lambda _: f"Authorization: {TOKEN}\r\n",
                connections=8,
                per_second=A_SECOND,
            )
        )


def begin(server: Server) -> subprocess.Popen[str]:
    folder = str(server.folder)
    return subprocess.Popen(
        [sys.executable, "-m", "vs_tui", "db", "rebuild", "--json", "--db", str(server.db)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "VS_CONFIG_DIR": folder, "VS_DATA_DIR": folder},
    )


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("kills", [1, pytest.param(100, marks=FULL)])
def test_killed_at_any_moment_under_load_it_changes_nothing(tmp_path, kills) -> None:
    chance = random.Random(kills)
    with serving(tmp_path) as server:
        sending = Sending(server, [body(number) for number in range(A_SECOND * (3 + 2 * kills))])
        sending.start()
        for _ in range(kills):
            process = begin(server)
            # From before the file beside it is there until all has changed places.
            time.sleep(chance.uniform(0.3, 2.5))
            process.kill()
            process.communicate()
            assert verify(server.db) == []
        done = ended(begin(server))
        assert done["deliveries"] > 0
        sending.join()
        assert sending.load is not None
        assert set(sending.load.statuses) == {200}
        server.wait_for(lambda: len(set(position_and_head(server.db))) == 1, "the last fold")
    assert verify(server.db) == []
    assert not [each for each in server.db.parent.iterdir() if "rebuild" in each.name]
    assert rows(server.db) == asyncio.run(undisturbed(tmp_path / "calm.db", sending.bodies))


@pytest.mark.parametrize("kills", [1, pytest.param(100, marks=FULL)])
def test_the_receiver_killed_meanwhile_folds_on_where_the_rebuild_was(tmp_path, kills) -> None:
    chance = random.Random(kills)
    bodies: list[bytes] = []
    with serving(tmp_path) as server:
        for _ in range(kills):
            sending = Sending(server, [body(len(bodies) + n) for n in range(100)])
            sending.start()
            sending.join()
            bodies += sending.bodies
            process = begin(server)
            time.sleep(chance.uniform(0.2, 1.5))
            server.kill()
            server.start()
            ended(process)
            server.wait_for(lambda: len(set(position_and_head(server.db))) == 1, "the last fold")
    assert verify(server.db) == []
    assert rows(server.db) == asyncio.run(undisturbed(tmp_path / "calm.db", bodies))


def test_what_a_killed_rebuild_has_left_is_deleted_by_the_next_start(tmp_path) -> None:
    with serving(tmp_path) as server:
        sending = Sending(server, [body(number) for number in range(100)])
        sending.start()
        sending.join()
        process = begin(server)
        server.wait_for(lambda: side_of(server.db).exists(), "a beginning")
        process.kill()
        process.communicate()
        server.stop()
        server.start()
        server.wait_for(lambda: not side_of(server.db).exists(), "a clearing up")

"""What no interruption, squatter, foreign file or full disk may do to what is stored."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

import pytest

from tests.ingest.server import TOKEN
from tests.patience import PATIENCE, free_port
from tests.store.conftest import Clock, custom
from vs_tui.cli import client as spools
from vs_tui.cli.client import Entry, Spool
from vs_tui.cli.main import main
from vs_tui.store.maintenance import backup as restoring
from vs_tui.store.maintenance.backup import backup
from vs_tui.store.schema import StoreError, open_writer
from vs_tui.store.writer import Writer

KILLED = 99


def filled(path: Path, builds: int) -> Path:
    async def fill() -> None:
        writer = Writer(path, Clock())
        await writer.open()
        for number in range(builds):
            await writer.submit(custom("build", number, "start", number))
        await writer.close()

    asyncio.run(fill())
    return path


def stored(path: Path) -> int:
    """How many deliveries a receiver would begin with."""
    database = open_writer(path, used=True)
    found = database.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0]
    database.close()
    return found


def killed_in_line(number: int, copy: Path, path: Path) -> bool:
    """Restore in a process that is gone at the n-th line of it; whether that came to be."""
    child = os.fork()
    if child == 0:
        left = [number]

        def trace(frame: FrameType, event: str, _: object) -> object:
            if frame.f_code.co_filename != restoring.__file__:
                return None
            if event == "line":
                left[0] -= 1
                if left[0] == 0:
                    os._exit(KILLED)
            return trace

        sys.settrace(trace)
        restoring.restore(copy, path)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def newest_in_the_log_only(path: Path) -> None:
    """As after a kill -9."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute(
        "INSERT INTO deliveries (id, source, kind, path, headers, body, sha256, "
        "received_at, dedupe, verdict, reason, status, duplicates, adapter, keys) "
        "SELECT 3, source, kind, path, headers, body, "
        "sha256, received_at, 'other', verdict, reason, status, duplicates, adapter, keys "
        "FROM deliveries WHERE id = 1"
    )
    database.commit()
    files = {each: each.read_bytes() for each in (path, path.with_name("t.db-wal"))}
    database.close()
    for file, held in files.items():
        file.write_bytes(held)
    path.with_name("t.db-shm").unlink(missing_ok=True)


@pytest.mark.parametrize("open_log", [False, True])
def test_a_restore_killed_anywhere_leaves_the_old_or_the_new_database(tmp_path, open_log) -> None:
    copy, old = tmp_path / "copy.db", tmp_path / "old"
    backup(filled(tmp_path / "new.db", 5), copy)
    old.mkdir()
    path = filled(old / "t.db", 2)
    if open_log:
        newest_in_the_log_only(path)
    seen = set()
    for number in range(1, 200):
        folder = tmp_path / str(number)
        shutil.copytree(old, folder)
        path = folder / "t.db"
        cut = killed_in_line(number, copy, path)
        seen.add(stored(path))
        assert seen <= {2 + open_log, 5}
        if not cut:
            break
    assert not cut, "it was killed in every line"
    assert seen == {2 + open_log, 5}


def test_a_restore_replaces_no_symbolic_link(tmp_path) -> None:
    copy, path = tmp_path / "copy.db", tmp_path / "t.db"
    backup(filled(tmp_path / "new.db", 3), copy)
    real = filled(tmp_path / "real.db", 2)
    path.symlink_to(real)
    with pytest.raises(StoreError, match="symbolic link; name the real file"):
        restoring.restore(copy, path)
    assert path.is_symlink()
    assert stored(real) == 2


def test_an_empty_database_with_a_journal_is_still_a_loss(tmp_path) -> None:
    """A journal of a copy that was cut short empties the file when it is opened."""
    path = tmp_path / "t.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("CREATE TABLE t (x)")
    database.execute("DROP TABLE t")
    database.close()
    assert path.stat().st_size > 0
    with pytest.raises(StoreError, match="is empty, but it held data"):
        open_writer(path, used=True)


@pytest.fixture
def squatter() -> Iterator[tuple[str, list[str]]]:
    """Whoever listens where the receiver was, and all that it is told."""
    told: list[str] = []

    class Squatter(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(f"{self.path} {self.headers}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            told.append(f"{self.path} {self.headers}")
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Squatter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()


def test_who_listens_in_the_receivers_place_learns_no_token_and_empties_no_spool(
    server, shell, squatter
) -> None:
    url, told = squatter
    sent = shell.run("vs-tui", "event", "--name", "kept", "start", VS_URL=url)
    shell.run("vs-tui", "link", VS_URL=url)
    shell.run("vs-tui", "run", "--", "true", VS_URL=url)
    assert "something else" in sent.stderr
    assert len(told) >= 3
    assert TOKEN not in str(told)
    assert shell.run("vs-tui", "flush").returncode == 1
    assert shell.run("vs-tui", "flush", "--any-url").returncode == 0
    assert "kept" in {span["name"] for span in server.spans()}


@pytest.mark.parametrize("status", [200, 204, 404])
def test_nobody_learns_the_token_of_what_is_replayed_imported_or_connected(
    tmp_path, monkeypatch, capsys, status
) -> None:
    """The address is that of the configuration, as after a reboot into another program."""
    told: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(f"{self.command} {self.path} {self.headers}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    recording = tmp_path / "r.jsonl"
    body = '{"type":"build","id":"1","action":"start"}'
    for path in ("/customhttp", "/github", "/v1/traces", "/deployments?x=1"):
        line = {"received_at": "2026-03-02T10:00:00Z", "path": path, "body": body, "headers": {}}
        with recording.open("a") as file:
            file.write(json.dumps(line) + "\n")
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_TOKEN", "a-token-that-is-secret")
    monkeypatch.setenv("GITHUB_TOKEN", "g")
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        (tmp_path / "config.toml").write_text(f"[server]\nport = {other.server_port}\n")
        store = ("--db", str(tmp_path / "t.db"))
        codes = {
            main(["replay", str(recording), "--to", url, "--token", "another-secret"]),
            main(["import", "github", "acme/api", "--url", url]),
            main(["import", "github", "acme/api", "--url", url, "--to", url]),
            main(["connect", "github", "acme", "--public-url", url, "--api", url, *store]),
        }
        other.shutdown()
    said = capsys.readouterr().err
    assert codes == {1}, said
    assert status >= 400 or "something else listens there" in said
    assert len(told) > 3
    assert "secret" not in str(told)
    assert "VS1 " in str(told)


def test_an_entry_that_cannot_be_read_holds_up_no_other_and_is_told(server, shell) -> None:
    """What `sudo vs-tui event` leaves; a folder cannot be read by root either. A pipe or a device
    would never end."""
    (shell.spool / "00000000000000000001-1-a.event").mkdir(parents=True)
    os.mkfifo(shell.spool / "00000000000000000001-2-a.event")
    (shell.spool / "00000000000000000001-3-a.event").symlink_to("/dev/zero")
    for number, content in enumerate(
        (b"", b"\xff", b"[" * 100_000, b"x" * 1_000_000, b'{"url":5}')
    ):
        (shell.spool / f"00000000000000000002-{number}-a.event").write_bytes(content)
    key = '{"url":"http://h/customhttp","key":"a\\r\\nX: y","body":"{}"}'
    (shell.spool / "00000000000000000003-1-a.event").write_text(key)
    shell.run("vs-tui", "event", "--name", "after", "start")
    done = shell.run("vs-tui", "flush", "--any-url")
    assert {span["name"] for span in server.spans()} == {"after"}
    assert done.returncode == 1
    assert "see who owns" in done.stderr
    assert len(shell.waiting()) == 3


def test_the_limit_of_the_spool_holds_though_nothing_may_be_sent(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(spools, "MAX_EVENTS", 3)
    spool = Spool(tmp_path / "spool")
    for number in range(5):
        spool.add(Entry("http://127.0.0.1:1/customhttp", f"k{number}", "{}"))
    assert [spool.read(path).key for path in spool.waiting()] == ["k2", "k3", "k4"]
    assert spool.dropped == 2


@pytest.mark.parametrize("name", ["t.db", "t.db-wal", "t.db.lock", "notes.txt"])
def test_record_writes_over_nothing(tmp_path, monkeypatch, capsys, name) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path / "config"))
    path = filled(tmp_path / "t.db", 2)
    victim = tmp_path / name
    if not victim.exists():
        victim.write_text("precious")
    before = victim.read_bytes()
    assert main(["record", "--db", str(path), "--out", str(victim)]) == 1
    assert "exists; choose another" in capsys.readouterr().err
    assert victim.read_bytes() == before
    assert main(["record", "--db", str(path), "--out", str(tmp_path / "fresh.jsonl")]) == 0
    assert main(["record", "--db", str(path), "--out", "/dev/null"]) == 0


@pytest.mark.parametrize("name", ["-wal", "-shm", "-journal", ".lock", ".rebuild-wal"])
def test_no_file_takes_a_name_that_belongs_to_the_database(
    tmp_path, monkeypatch, capsys, name
) -> None:
    """SQLite would delete it at the next start, or read it."""
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path / "config"))
    path = filled(tmp_path / "t.db", 2)
    path.with_name("t.db.lock").unlink()
    taken = tmp_path / f"t.db{name}"
    for command in (
        ["record", "--db", str(path), "--out", str(taken)],
        ["db", "backup", str(taken), "--db", str(path)],
        ["config", "init", "--config", str(taken)],
        ["serve", "--port", "0", "--db", str(taken)],
    ):
        taken.unlink(missing_ok=True)  # SQLite's own for a reader
        assert main(command) == 1, command
        assert "choose another" in capsys.readouterr().err
    assert stored(path) == 2


REDIRECTIONS = (">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full", "> /dev/full 2>&1")


@pytest.mark.parametrize("streams", [*REDIRECTIONS, "| true", "2> >(true)"])
def test_closed_pipes_and_full_disks_below_the_streams_stop_no_receiver(tmp_path, streams) -> None:
    port = free_port()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "VS_CONFIG_DIR": str(tmp_path)}
    serve = f"'{sys.executable}' -m vs_tui serve --no-auth --port {port} --db '{tmp_path}/t.db'"
    shell = subprocess.Popen(
        ["bash", "-c", f"{serve} {streams} & echo $! > '{tmp_path}/pid'; wait $!"],
        cwd=Path(__file__).parents[2],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answers = [post(port, b'{"type":"build","id":"1","action":"start"}', shell)]
        answers += [post(port, b"not json", shell), post(port, b"\xff", shell)]
        assert answers == [200, 400, 400]
        with sqlite3.connect(tmp_path / "t.db") as database:
            assert database.execute("SELECT COUNT(*) FROM deliveries").fetchone() == (1,)
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(PATIENCE)


def post(port: int, body: bytes, shell: "subprocess.Popen[bytes]") -> int:
    """The status of the answer, once somebody listens."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/customhttp", body)
    request.add_header("Content-Type", "application/json")
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            assert shell.poll() is None, "it did not start"

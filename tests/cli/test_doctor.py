"""`vs-tui doctor`: each thing that can be wrong is found, with what to do about it."""

import asyncio
import json
import os
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.ingest.server import Nearby
from tests.patience import PATIENCE, free_port
from tests.store.conftest import Clock, T, custom
from vs_tui.cli import doctor as command
from vs_tui.cli import doctor_store
from vs_tui.cli.common import now
from vs_tui.cli.doctor_store import Finding
from vs_tui.cli.main import main
from vs_tui.model.time import DAY, HOUR, SECOND
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.writer import Writer


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(command, "agent_url", lambda _: "")
    return tmp_path


def fill(path: Path) -> None:
    async def work() -> None:
        writer = Writer(path, Clock())
        await writer.open()
        await writer.submit(custom("build", 1, "start"))
        await writer.close()

    asyncio.run(work())


def doctor(capsys, *arguments: str) -> tuple[int, dict[str, list[Finding]]]:
    code = main(["doctor", "--json", *arguments])
    found: dict[str, list[Finding]] = {}
    for entry in json.loads(capsys.readouterr().out):
        found.setdefault(entry["check"], []).append(Finding(**entry))
    return code, found


def test_a_new_installation_is_well_and_every_line_says_what_comes_next(home, capsys) -> None:
    code, found = doctor(capsys, "--db", str(home / "t.db"))
    assert code == 0
    (database,) = found["database"]
    assert database.advice == "the first start creates it"
    for findings in found.values():
        for finding in findings:
            assert finding.level == "ok" or finding.advice, finding
    assert {"config", "settings", "clock", "sqlite", "http parser", "disk", "receiver"} <= set(
        found
    )


def test_settings_are_named_with_their_origin_and_no_secret(home, capsys, monkeypatch) -> None:
    (home / "config.toml").write_text("[server]\nport = 5999\n")
    monkeypatch.setenv("VS_TOKEN", "canary-token-1234")
    monkeypatch.setenv("VS_LOG_LEVEL", "debug")
    _, found = doctor(capsys, "--db", str(home / "t.db"))
    (settings,) = found["settings"]
    assert f"port from {home / 'config.toml'}" in settings.found
    assert "log_level from environment" in settings.found
    assert "db from flag" in settings.found
    assert "canary" not in str(found)


def test_what_is_stored_and_not_folded_is_a_warning(home, capsys, monkeypatch) -> None:
    fill(home / "t.db")
    monkeypatch.setattr(doctor_store, "LAG_SHOWN", 0.01)
    assert "lag" not in doctor(capsys, "--db", str(home / "t.db"))[1]
    with closing(sqlite3.connect(home / "t.db")) as db:  # as kill -9 before the fold leaves it
        db.execute("UPDATE meta SET value = 0 WHERE name = 'position'")
        db.commit()
    (lag,) = doctor(capsys, "--db", str(home / "t.db"))[1]["lag"]
    assert (lag.level, lag.found[:2]) == ("warn", "1 ")


def test_sqlite_below_the_fix_is_a_warning(home, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    assert doctor(capsys)[1]["sqlite"][0].level == "warn"
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert doctor(capsys)[1]["sqlite"][0].level == "ok"


def test_files_that_others_can_read_fail_with_the_command_that_mends_them(home, capsys) -> None:
    fill(home / "t.db")
    (home / "secrets.toml").write_text('token = "canary-token-1234"\n')
    (home / "secrets.toml").chmod(0o644)
    (home / "t.db.v1.bak").touch(0o644)
    (home / "t.db.v1.bak").chmod(0o644)
    code, found = doctor(capsys, "--db", str(home / "t.db"))
    assert code == 1
    assert found["secrets"][0].advice == f"chmod 600 {home / 'secrets.toml'}"
    assert [f.advice for f in found["file mode"]] == [f"chmod 600 {home / 't.db.v1.bak'}"]
    for name in ("secrets.toml", "t.db.v1.bak"):
        (home / name).chmod(0o600)
    code, found = doctor(capsys, "--db", str(home / "t.db"))
    assert code == 0
    assert found["file mode"][0].level == "ok"


def test_low_space_is_broken_before_the_disk_is_full(home, capsys) -> None:
    (home / "config.toml").write_text('[store]\nlow_space = "900000TiB"\n')
    code, found = doctor(capsys, "--db", str(home / "t.db"))
    assert code == 1
    assert "deliveries get 503" in found["disk"][0].found


def test_a_clock_before_the_installation_is_wrong(home, capsys, monkeypatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    code, found = doctor(capsys)
    assert (code, found["clock"][0].level) == (1, "fail")
    assert "timedatectl" in found["clock"][0].advice


def test_an_open_receiver_behind_a_tunnel_fails(home, capsys, monkeypatch) -> None:
    (home / "config.toml").write_text("[server]\nno_auth = true\n")
    monkeypatch.setattr(command, "agent_url", lambda _: "https://x.example")
    code, found = doctor(capsys)
    assert code == 1
    assert found["tunnel"][0].advice == "remove no_auth now"
    assert found["auth"][0].level == "warn"


def test_a_damaged_body_is_found_by_a_deep_look_only(home, capsys) -> None:
    fill(home / "t.db")
    raw = bytearray((home / "t.db").read_bytes())
    raw[raw.index(b'"type":"build"') + 9] ^= 1
    (home / "t.db").write_bytes(raw)
    assert doctor(capsys, "--db", str(home / "t.db"))[0] == 0
    code, found = doctor(capsys, "--db", str(home / "t.db"), "--deep")
    assert code == 1
    assert "does not match its hash" in found["contents"][0].found


def test_a_newer_database_fails_and_says_upgrade(home, capsys) -> None:
    fill(home / "t.db")
    with sqlite3.connect(home / "t.db") as database:
        database.execute("PRAGMA user_version = 99")
    code, found = doctor(capsys, "--db", str(home / "t.db"))
    assert code == 1
    assert "upgrade vs-tui" in found["database"][0].found
    assert found["database"][0].advice == "", "it is said already"


def test_a_running_receiver_is_found_ready_and_its_sources_listed(home, capsys) -> None:
    server = Nearby(home)
    try:
        server.call("/customhttp", {"type": "build", "id": "1", "action": "start"})
        port = server.url.rpartition(":")[2]
        (home / "config.toml").write_text(f"[server]\nport = {port}\n")
        code, found = doctor(capsys, "--db", str(server.db))
    finally:
        server.stop()
    assert code == 0
    assert "ready at" in found["receiver"][0].found
    assert found["customhttp"][0].found.startswith("1 received")


@pytest.mark.parametrize(
    ("text", "check", "level", "says"),
    [
        ('[keys]\nfrz = "space"\n', "keys", "fail", "[keys] frz is not an action; use one of"),
        ('[views]\nmine = "bogus:x"\n', "views", "warn", "mine: 'bogus:' is not known; use team:"),
        ('[correlation]\ndisable = ["luck"]\n', "correlation", "fail", "there is no rule 'luck'"),
    ],
)
def test_a_name_that_nobody_knows_is_found(home, capsys, text, check, level, says) -> None:
    (home / "config.toml").write_text(text)
    code, found = doctor(capsys, "--db", str(home / "t.db"))
    (finding,) = found[check]
    assert (code, finding.level) == (int(level == "fail"), level)
    assert says in finding.found
    assert finding.advice


def test_a_folder_that_cannot_be_written_is_found(home, capsys, monkeypatch) -> None:
    monkeypatch.setattr(
        doctor_store.os, "access", lambda path, _: Path(path) != home
    )  # root may all
    code, found = doctor(capsys, "--db", str(home / "new" / "t.db"))
    assert code == 1
    assert found["folder"][0].found == f"{home} cannot be written by you"


def test_a_receiver_that_cannot_store_is_broken_for_the_reason_it_gives(home, capsys) -> None:
    server = Nearby(home)
    try:
        port = server.url.rpartition(":")[2]
        (home / "config.toml").write_text(f"[server]\nport = {port}\n")
        server.db.rename(home / "away")
        server.wait_for(lambda: server.call("/readyz")[0] == 503, "readyz to notice")
        code, found = doctor(capsys, "--db", str(home / "away"))
        (home / "away").rename(server.db)
    finally:
        server.stop()
    (receiver,) = found["receiver"]
    assert (code, receiver.level) == (1, "fail")
    assert "is not ready" in receiver.found
    assert "put it back, or restart" in receiver.advice


@contextmanager
def other_program(status: int = 404) -> Iterator[int]:
    """A web server that is not ours, on a free port."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>Hello</html>")

        def log_message(self, *_: object) -> None:
            pass

    other = HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield other.server_port
    finally:
        other.shutdown()
        thread.join()
        other.server_close()


@pytest.mark.parametrize("status", [200, 404])
def test_another_program_on_the_port_is_not_taken_for_a_receiver(home, capsys, status) -> None:
    with other_program(status) as port:
        (home / "config.toml").write_text(f"[server]\nport = {port}\n")
        code, found = doctor(capsys, "--db", str(home / "t.db"))
    (receiver,) = found["receiver"]
    assert (code, receiver.level) == (1, "fail")
    assert f"answers {status}: it is another program" in receiver.found
    assert "end it, or choose another port" in receiver.advice


def test_what_has_the_port_and_speaks_no_http_is_another_program(home, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def greet() -> None:
            with listener.accept()[0] as client:
                client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        threading.Thread(target=greet, daemon=True).start()
        (home / "config.toml").write_text(f"[server]\nport = {listener.getsockname()[1]}\n")
        _, found = doctor(capsys, "--db", str(home / "t.db"))
    assert "is another program" in found["receiver"][0].found


def test_a_receiver_at_another_address_and_a_tunnel_that_ended_are_found(home, capsys) -> None:
    server = Nearby(home)
    port = server.url.rpartition(":")[2]
    config = home / "config.toml"
    try:
        config.write_text(f"[server]\nport = {free_port()}\n")
        _, found = doctor(capsys, "--db", str(server.db))
        (elsewhere,) = found["receiver"]
        assert elsewhere.level == "warn"
        assert f"process {os.getpid()} receives into {server.db}, but not at" in (elsewhere.found)
        assert "VS_ADDR" in elsewhere.advice
        with other_program() as other:
            config.write_text(
                f'[server]\nport = {port}\npublic_url = "http://127.0.0.1:{other}/a"\n'
            )
            _, found = doctor(capsys, "--db", str(server.db))
            (ended,) = found["tunnel"]
            assert (ended.level, "does not lead here: it answers 404" in ended.found) == (
                *("warn", True),
            )
        config.write_text(f'[server]\nport = {port}\npublic_url = "{server.url}"\n')
        _, found = doctor(capsys, "--db", str(server.db))
        assert found["tunnel"][0] == Finding("ok", "tunnel", server.url)
    finally:
        server.stop()


def test_times_are_said_to_the_second_and_sizes_with_their_unit(home, capsys) -> None:
    fill(home / "t.db")
    main(["doctor", "--db", str(home / "t.db")])
    out = capsys.readouterr().out
    assert not re.search(r"\d\.\d{3,}Z", out), out
    assert re.search(r"1 delivery, 1 span, [\d.]+ [KM]iB", out)
    assert re.search(r"disk +[\d.]+ [KMGT]iB free at ", out)


def test_text_has_the_advice_below_each_line(home, capsys) -> None:
    assert main(["doctor", "--db", str(home / "t.db")]) == 0
    lines = capsys.readouterr().out.splitlines()
    user = next(number for number, line in enumerate(lines) if " sqlite " in line)
    assert lines[user][:4] in ("ok  ", "warn")
    assert any(line.startswith(" " * 22 + "-> ") for line in lines)


def test_root_is_told_to_use_another_user(home, capsys, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert doctor(capsys)[1]["user"][0].level == "warn"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert doctor(capsys)[1]["user"][0].level == "ok"


def test_what_waits_because_the_clock_is_wrong_is_said(home, capsys) -> None:
    """By doctor, by who prunes, and over HTTP."""
    path, settings = home / "t.db", WriterSettings(timeouts={"deploy": HOUR})

    async def work() -> str:
        earlier = Writer(path, lambda: now() - 200 * DAY - HOUR, settings)
        await earlier.open()
        await earlier.submit(custom("deploy", 1, "start", (now() - T) // SECOND - 200 * 86_400))
        await earlier.close()
        writer = Writer(path, now, settings)
        await writer.open()
        await writer.sweep()
        await writer.close()
        reader = await SqliteReader(path, now).open()
        try:
            return (await reader.health()).clock
        finally:
            await reader.close()

    assert "the clock is 200d ahead: timeouts until" in asyncio.run(work())
    _, found = doctor(capsys, "--db", str(path))
    assert [each.level for each in found["clock"]] == ["ok", "warn"]
    assert "200d ahead" in found["clock"][1].found
    assert main(["db", "prune", "--older-than", "30d", "--dry-run", "--db", str(path)]) == 0
    assert "ages count from" in capsys.readouterr().err

"""`vs-tui serve` as a service: one line on stdout, structured logs, what the service manager hears,
a quick stop with clients still connected, and a crash report without secrets."""

import argparse
import json
import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest.server import TOKEN, Server
from tests.patience import PATIENCE, Stopwatch
from vs_tui.cli import serve
from vs_tui.cli.logs import KEPT, secrets_of, write_report
from vs_tui.cli.serve import ServiceManager
from vs_tui.config import Config, Secrets

CANARY = "canary-3f9a1c"
UNIT = Path(__file__).parents[2] / "docs" / "vs-tui.service"


@pytest.fixture
def manager_socket(tmp_path) -> socket.socket:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(PATIENCE)
        yield channel


def heard(channel: socket.socket, word: str) -> str:
    """The first message that holds a word."""
    while word not in (message := channel.recv(4096).decode()):
        pass
    return message


def test_the_service_manager_hears_ready_alive_and_stopping(
    tmp_path, manager_socket, monkeypatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    server = Server(tmp_path)
    assert f"STATUS=listening on {server.url}" in heard(manager_socket, "READY=1")
    assert "STATUS=receiving" in heard(manager_socket, "WATCHDOG=1")
    assert server.stop() == 0
    assert "STATUS=stopping" in heard(manager_socket, "STOPPING=1")


async def test_a_dead_writer_is_not_reported_alive(tmp_path, manager_socket) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    import asyncio

    living = True
    task = asyncio.create_task(
        ServiceManager(env).watch(lambda: living, lambda: "" if living else "the disk is full")
    )
    loop = asyncio.get_running_loop()
    assert "WATCHDOG=1" in await loop.run_in_executor(None, heard, manager_socket, "receiving")
    living = False
    message = await loop.run_in_executor(None, heard, manager_socket, "the disk is full")
    assert "WATCHDOG" not in message
    task.cancel()


def test_another_process_watchdog_is_not_ours_and_no_manager_is_no_error() -> None:
    assert ServiceManager({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_seconds == 0
    ServiceManager({}).tell("READY=1")
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/at/all"}).tell("READY=1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_stops_within_five_seconds_though_clients_stay(tmp_path, number) -> None:
    server = Server(tmp_path)
    host, port = server.url.removeprefix("http://").split(":")
    idle = socket.create_connection((host, int(port)))
    stream = socket.create_connection((host, int(port)))
    stream.sendall(
        f"GET /api/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    assert b"200 OK" in stream.recv(1024)
    half = socket.create_connection((host, int(port)))
    half.sendall(
        f"POST /customhttp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 50\r\n\r\n{".encode()
    )
    watch = Stopwatch(server.process.pid)
    server.process.send_signal(number)
    assert watch.until_end(server.process) < 5
    assert server.process.wait() == 0
    assert not server.db.with_name("t.db-wal").exists(), "the last checkpoint was done"
    for connection in (idle, stream, half):
        connection.close()
    server.stop()


def test_json_logs_are_one_object_a_line_and_stdout_is_one_line(tmp_path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vs_tui", "serve", "--port", "0", "--db", str(tmp_path / "t.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "VS_CONFIG_DIR": str(tmp_path),
            "VS_DATA_DIR": str(tmp_path),
            "VS_LOG_FORMAT": "json",
        },
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=PATIENCE)
    assert first.startswith("listening on http://127.0.0.1:")
    assert rest == ""
    lines = [json.loads(line) for line in errors.splitlines()]
    told = [line for line in lines if line["level"] == "info"]  # root is warned
    assert [line["message"].split(" ")[0] for line in told] == ["listening", "stopping"]
    assert {line["level"] for line in lines} <= {"info", "warning"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit_and_finds_little_exposed(tmp_path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/vs-tui/bin/vs-tui", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "vs-tui" not in verified.stderr, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = re.search(r"exposure level for vs-tui.service: (\d+\.\d)", judged.stdout)
    if exposure is None:
        pytest.skip("this systemd-analyze does not judge a file")
    assert float(exposure[1]) < 2


def test_a_folder_of_somebody_else_is_a_clear_error(tmp_path, monkeypatch, capsys) -> None:
    from vs_tui.cli.main import main
    from vs_tui.config import secrets

    def refused(path: object, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setattr(secrets.os, "open", refused)
    assert main(["serve", "--port", "0"]) == 1
    message = capsys.readouterr().err
    assert "Permission denied" in message
    assert "make the folder this user's own (chown)" in message


def config_with_canaries(folder: Path) -> Config:
    return Config(
        db=folder / "t.db", secrets=Secrets(CANARY, {"github": (f"{CANARY}-new", f"{CANARY}-old")})
    )


def boom(config: Config) -> None:
    local = config.secrets.token
    raise RuntimeError(f"cannot handle {local} and {CANARY}-old")


def test_a_crash_report_names_the_place_and_holds_no_secret(tmp_path) -> None:
    config = config_with_canaries(tmp_path)
    try:
        boom(config)
    except RuntimeError as error:
        path = write_report(error, config, tmp_path / "crashes")
    text = path.read_text()
    assert "raise RuntimeError" in text
    assert "test_serve.py" in text
    assert "sqlite" in text
    assert CANARY not in text
    assert "cannot handle (secret) and (secret)" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_only_the_newest_reports_are_kept_and_an_unwritable_folder_is_no_second_crash(
    tmp_path,
) -> None:
    folder = tmp_path / "crashes"
    folder.mkdir()
    for n in range(KEPT + 5):
        (folder / f"crash-2020{n:02}.txt").touch()
    assert write_report(ValueError("x"), Config(), folder) is not None
    assert len(list(folder.iterdir())) == KEPT
    (tmp_path / "file").touch()
    assert write_report(ValueError("x"), Config(), tmp_path / "file") is None


def test_a_bug_ends_serve_with_the_path_of_its_report(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(serve, "load_config", lambda *_, **__: config_with_canaries(tmp_path))

    async def broken(config: Config) -> int:
        boom(config)
        return 0

    monkeypatch.setattr(serve, "_serve", broken)
    before, handlers = os.umask(0o022), logging.getLogger().handlers[:]
    try:
        assert serve.run(argparse.Namespace(no_auth=None, no_auth_public=None)) == 1
    finally:
        os.umask(before)
        logging.getLogger().handlers[:] = handlers
    message = capsys.readouterr().err
    assert "is a bug in vs-tui; the report without secrets is" in message
    assert CANARY not in message
    assert CANARY not in Path(message.split("secrets is ")[1].strip()).read_text()


async def test_a_dashboard_that_crashes_leaves_a_report_and_shows_no_locals(
    tmp_path, monkeypatch, capsys
) -> None:
    from textual.app import App

    from vs_tui.cli.logs import guard

    class Broken(App):
        def on_mount(self) -> None:
            boom(config)

    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    config = config_with_canaries(tmp_path)
    app = Broken()
    guard(app, config)
    await app.run_async(headless=True)
    assert app.return_code == 1
    message = "".join(capsys.readouterr())
    assert "is a bug in vs-tui" in message
    assert CANARY not in message
    (written,) = (tmp_path / "crashes").iterdir()
    assert "raise RuntimeError" in written.read_text()
    assert CANARY not in written.read_text()


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_log_line_stays_one_line_whatever_is_in_it(kind, capsys) -> None:
    from vs_tui.cli.logs import set_up_logging

    handlers = logging.getLogger().handlers[:]
    try:
        set_up_logging(Config(log_format=kind))
        logging.getLogger("anyone").error("a\r\nFAKE line \x1b[2J \u202e %s", "\x9b")
    finally:
        logging.getLogger().handlers[:] = handlers
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert not set("\r\x1b\u202e\x9b") & set(written)


def test_what_a_library_logs_is_scrubbed(tmp_path, capsys) -> None:
    from vs_tui.cli.logs import scrub_logs, set_up_logging

    config = config_with_canaries(tmp_path)
    handlers = logging.getLogger().handlers[:]
    try:
        for kind in ("text", "json"):
            set_up_logging(Config(secrets=config.secrets, log_format=kind))
            scrub_logs(config)
            try:
                boom(config)
            except RuntimeError:
                logging.getLogger("anyone").exception("with %s", CANARY)
    finally:
        logging.getLogger().handlers[:] = handlers
    written = capsys.readouterr().err
    assert written.count("with (secret)") == 2
    assert "RuntimeError" in written
    assert CANARY not in written
    assert secrets_of(config)[0].endswith(("-new", "-old")), "the longest is masked first"


def test_the_unit_is_hardened_and_matches_what_serve_does() -> None:
    lines = [line for line in UNIT.read_text().splitlines() if line and line[0] not in "#["]
    settings = dict(line.split("=", 1) for line in lines)
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices"):
        assert settings[name] == "yes"
    assert settings["Type"] == "notify"
    assert settings["ProtectSystem"] == "strict"
    assert settings["UMask"] == "0077"
    assert settings["LimitCORE"] == "0", "a core file would hold the secrets"
    assert settings["OOMPolicy"] == "continue", "a large body is read in a process of its own"
    assert settings["ExecStartPre"].startswith("+"), "the folder of the secrets is made its own"
    command = settings["ExecStart"].split()
    assert Path(command[0]).name == "vs-tui"
    parser = argparse.ArgumentParser()
    serve.register(parser.add_subparsers())
    parser.parse_args(command[1:])

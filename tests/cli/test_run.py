"""`vs-tui run`: the command notices nothing, and the receiver learns everything."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import sys
import termios

import pytest

from tests.cli.shell import deliveries, one, tree
from tests.patience import PATIENCE
from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from vs_tui.cli.client import Spool


@pytest.mark.parametrize(
    ("command", "code", "status"), [("exit 0", 0, "ok"), ("exit 3", 3, "error")]
)
def test_the_exit_code_is_the_commands(server, shell, command, code, status):
    done = shell.run("vs-tui", "run", "--", "sh", "-c", command)

    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    span = one(server.spans(), operation="build")
    assert span["status"] == status
    assert span["attributes"]["process.exit.code"] == code
    assert span["error"] == (f"exit {code}" if code else None)


def test_a_command_that_cannot_start_ends_like_in_a_shell(server, shell):
    (shell.work / "text").write_text("no program")

    missing = shell.run("vs-tui", "run", "--", "no-such-command")
    barred = shell.run("vs-tui", "run", "--", "./text")

    assert (missing.returncode, barred.returncode) == (127, 126)
    assert shell.run("vs-tui", "run", "--type", "test", "--", "").returncode == 127
    assert "no-such-command: command not found" in missing.stderr
    assert [span["status"] for span in server.spans()] == ["error"] * 3


def test_without_a_command_nothing_is_sent(server, shell):
    done = shell.run("vs-tui", "run", "--type", "build", "--")

    assert done.returncode == 2
    assert "the command is missing" in done.stderr
    assert deliveries(server) == []


def test_input_output_and_errors_pass_through(server, shell):
    text = "some\ttext\n" * 20_000

    done = shell.run("vs-tui", "run", "--", "sh", "-c", "cat; echo trouble >&2", stdin=text)

    assert done.stdout == text
    assert done.stderr == "trouble\n"


def test_what_the_command_inherits_but_for_the_trace_is_unchanged(server, shell):
    """Ignored signals and open descriptors (make's jobserver) are part of a command's life."""
    probe = (
        "import os, signal; S = signal;"
        "print([s.name for s in S.Signals if S.getsignal(s) is S.SIG_IGN],"
        "sorted(S.pthread_sigmask(S.SIG_BLOCK, [])), os.read(9, 5))"
    )
    command = f"exec 9<<<inner; {{}} \"{sys.executable}\" -c '{probe}'"

    plain = shell.run("bash", "-c", "trap '' HUP;" + command.format(""))
    wrapped = shell.run("bash", "-c", "trap '' HUP;" + command.format("vs-tui run --"))

    assert "'SIGHUP'" in plain.stdout
    assert wrapped.stdout == plain.stdout


def test_a_command_ended_by_a_signal_looks_so_from_outside(server, shell):
    terminated = shell.run("vs-tui", "run", "--name", "t", "--", "sh", "-c", "kill -TERM $$")
    killed = shell.run("vs-tui", "run", "--name", "k", "--", "sh", "-c", "kill -KILL $$")

    assert terminated.returncode == -signal.SIGTERM
    assert killed.returncode == 128 + signal.SIGKILL
    # Nobody asked this command to stop, so it is an error, not a cancellation.
    assert one(server.spans(), name="t")["error"] == "SIGTERM"
    assert one(server.spans(), name="k")["status"] == "error"


def test_kill_term_reaches_the_command_and_cancels_the_span(server, shell):
    script = 'trap "echo cleaned up; exit 7" TERM; echo ready; while :; do sleep 0.05; done'
    running = shell.start("vs-tui", "run", "--", "sh", "-c", script)
    assert running.stdout.readline() == "ready\n"

    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=PATIENCE)

    assert (running.returncode, out, err) == (7, "cleaned up\n", "")
    span = one(server.spans(), operation="build")
    assert span["status"] == "cancelled"
    assert span["attributes"]["vs.signal"] == "SIGTERM"
    assert span["attributes"]["process.exit.code"] == 7


def test_kill_term_ends_a_command_that_does_not_care(server, shell):
    running = shell.start("vs-tui", "run", "--", "sleep", "60")
    server.wait_for(server.spans, "the start")

    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=PATIENCE)

    assert running.returncode == -signal.SIGTERM
    assert one(server.spans(), name="sleep 60")["status"] == "cancelled"


def test_other_signals_are_passed_on(server, shell):
    script = 'trap "echo one" USR1; trap "exit 0" USR2; echo ready; while :; do sleep 0.05; done'
    running = shell.start("vs-tui", "run", "--", "sh", "-c", script)
    assert running.stdout.readline() == "ready\n"

    running.send_signal(signal.SIGUSR1)
    assert running.stdout.readline() == "one\n"
    running.send_signal(signal.SIGUSR2)
    running.communicate(timeout=PATIENCE)

    assert running.returncode == 0
    assert one(server.spans(), operation="build")["status"] == "ok"


# Counts the interrupts that it gets: a second one must not follow the first.
COUNTING = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("ready", flush=True)
signal.sigwait([signal.SIGINT])
second = signal.sigtimedwait([signal.SIGINT], 0.5)
print("interrupts:", 1 if second is None else 2, flush=True)
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
signal.raise_signal(signal.SIGINT)
"""


def test_ctrl_c_reaches_the_command_once_and_cancels_the_span(server, shell):
    ours, theirs = pty.openpty()
    running = shell.start(
        *("vs-tui", "run", "--name", "long", "--", sys.executable, "-c", COUNTING),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    seen = _read_until(ours, b"ready")
    assert one(server.wait_for(server.spans, "the start"), name="long")["status"] == "in_flight"

    os.write(ours, b"\x03")
    running.wait(PATIENCE)
    seen += _read_until(ours, b"")
    os.close(ours)

    assert b"interrupts: 1" in seen
    assert running.returncode == -signal.SIGINT
    span = one(server.spans(), name="long")
    assert (span["status"], span["attributes"]["vs.signal"]) == ("cancelled", "SIGINT")


def _read_until(terminal: int, wanted: bytes) -> bytes:
    """What the terminal shows, up to a word or, without one, to the end."""
    seen = b""
    while not wanted or wanted not in seen:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not chunk:
            break
        seen += chunk
    return seen


def test_runs_in_runs_are_children(server, shell):
    shell.script(
        """
vs-tui run --type pipeline --name nightly -- bash -c '
    vs-tui run --name compile -- true
    ID=$(vs-tui event --type test --name suite start)
    vs-tui event end --event-id "$ID"
    VS_PARENT= vs-tui run --type deploy --name ship -- true'
"""
    )

    # `ship` finds its parent by the W3C trace context alone.
    assert tree(server) == {
        "nightly": None,
        "compile": "nightly",
        "suite": "nightly",
        "ship": "nightly",
    }
    assert len({span["trace_id"] for span in server.spans()}) == 1


MAKEFILE = """\
TRACE = @vs-tui run --name $@ --
all:  ; $(TRACE) $(MAKE) -s app
app:  ; $(TRACE) $(MAKE) -s lib
lib:  ; $(TRACE) $(MAKE) -s core
core: ; $(TRACE) $(MAKE) -s gen
gen:  ; $(TRACE) cat gate
"""


def test_a_make_build_of_five_nested_targets_is_one_tree_seen_live(server, shell):
    (shell.work / "Makefile").write_text(MAKEFILE)
    gate = shell.work / "gate"
    os.mkfifo(gate)  # the innermost target waits for us
    building = shell.start("make", "-s", "all")

    live = server.wait_for(
        lambda: (found := server.spans()) and len(found) == 5 and found, "five spans in flight"
    )
    assert {span["status"] for span in live} == {"in_flight"}
    gate.write_text("generated\n")
    out, err = building.communicate(timeout=PATIENCE)

    assert (building.returncode, out, err) == (0, "generated\n", "")
    assert {span["status"] for span in server.spans()} == {"ok"}
    assert tree(server) == {"all": None, "app": "all", "lib": "app", "core": "lib", "gen": "core"}


def test_a_run_joins_the_teams_trace_by_its_commit(server, shell):
    sha = shell.checkout("faster-invoices")
    pull = gh.pull("opened", head={"ref": "other-name", "sha": sha, "repo": gh.repo()})
    status, _ = server.call("/github", pull, {"X-GitHub-Event": "pull_request"})
    assert status == 200

    assert shell.run("vs-tui", "run", "--name", "unit tests", "--", "true").returncode == 0

    run = one(server.spans(), name="unit tests")
    change = one(server.spans(), operation="pull_request")
    assert run["parent_span_id"] == change["span_id"]
    assert run["trace_id"] == change["trace_id"]
    assert run["project"] == "acme/api"
    attributes = run["attributes"]
    assert attributes["vcs.ref.head.revision"] == sha
    assert attributes["vcs.ref.head.name"] == "faster-invoices"
    assert attributes["vcs.repository.url.full"] == "git@github.com:acme/api.git"
    assert attributes["user"] == "ana"
    assert attributes["host.name"] == os.uname().nodename


CI = {
    "github": (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "acme/api",
            "GITHUB_RUN_ID": "555",
            "GITHUB_RUN_ATTEMPT": "2",
            "GITHUB_SERVER_URL": "https://github.com",
        },
        ("/github", {"X-GitHub-Event": "workflow_run"}, gh.run("in_progress", attempt=2)),
        "https://github.com/acme/api/actions/runs/555",
    ),
    "gitlab": (
        {
            "GITLAB_CI": "true",
            "CI_PROJECT_PATH": "acme/api",
            "CI_JOB_ID": "9001",
            "CI_JOB_URL": "https://gitlab.example/acme/api/-/jobs/9001",
        },
        (
            "/gitlab",
            {"X-Gitlab-Event": "Job Hook"},
            gl.job_hook("running", "10:30:12", number=9001),
        ),
        "https://gitlab.example/acme/api/-/jobs/9001",
    ),
}


@pytest.mark.parametrize("tool", CI)
def test_in_ci_the_job_around_it_is_the_parent(server, shell, tool):
    env, (path, headers, body), url = CI[tool]
    status, answer = server.call(path, body, headers)
    assert (status, answer["verdict"]) == (200, "accepted")

    shell.run("vs-tui", "run", "--name", "lint", "--", "true", **env)

    (outer,) = (s for s in server.spans() if s["source"] == tool and s["operation"] != "stage")
    inner = one(server.spans(), name="lint")
    assert inner["parent_span_id"] == outer["span_id"]
    assert inner["url"] == url


def test_passwords_in_clone_urls_and_command_lines_stay_here(server, shell):
    shell.checkout("main", remote="https://ci:hunter2@git.example.com/acme/api.git")

    shell.run("vs-tui", "run", "--", "echo", "--password=hunter2", "hunter2")
    shell.run("vs-tui", "run", "--", "echo", "hunter2=hunter2")

    bodies = [delivery["body"] for delivery in deliveries(server)]
    assert len(bodies) == 4
    assert not [body for body in bodies if "hunter2" in body]
    spans = server.spans()
    assert {span["attributes"]["vcs.repository.url.full"] for span in spans} == {
        "https://git.example.com/acme/api.git"
    }


def test_a_deploy_has_its_environment_and_service(server, shell):
    shell.checkout("main")
    deploy = ("vs-tui", "run", "--type", "deploy", "--environment", "prod", "--tag", "version|1.4")

    assert shell.run(*deploy, "--", "true").returncode == 0
    assert shell.run(*deploy, "--service", "worker", "--", "false").returncode == 1

    first = one(server.spans(), service="api")
    second = one(server.spans(), service="worker")
    for span in (first, second):
        assert (span["operation"], span["environment"]) == ("deploy", "prod")
        assert span["project"] == "acme/api"
        assert span["attributes"]["vs.version"] == "1.4"
    assert (first["status"], second["status"]) == ("ok", "error")


def test_a_deploy_to_production_counts_for_dora(server, shell):
    shell.checkout("main")
    shell.run("vs-tui", "run", "--type", "deploy", "--environment", "prod", "--", "true")
    shell.run("vs-tui", "run", "--type", "deploy", "--environment", "prod", "--", "false")
    shell.run("vs-tui", "run", "--type", "deploy", "--environment", "staging", "--", "true")

    report = shell.run("vs-tui", "report", "dora", "--json", "--db", str(server.db))
    assert report.returncode == 0, report.stderr
    (figures,) = json.loads(report.stdout)["items"]
    assert figures["beside"]["deploys_started"] == 2
    assert figures["beside"]["deployed"] == 1
    assert figures["metrics"]["deployment_frequency"]["n"] == 1


def test_a_loop_of_the_shell_ends_at_ctrl_c(server, shell):
    """bash goes on with its loop unless the command ends by the very signal."""
    (shell.work / "loop").write_text(
        "for n in 1 2 3; do vs-tui run --name $n -- sleep 60; done; echo 'went on'"
    )
    ours, theirs = pty.openpty()
    running = shell.start(
        *("bash", "loop"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    server.wait_for(server.spans, "the start")
    os.write(ours, b"\x03")
    running.wait(PATIENCE)
    seen = _read_until(ours, b"")
    os.close(ours)

    assert b"went on" not in seen
    assert [(s["name"], s["status"]) for s in server.spans()] == [("1", "cancelled")]


def test_a_caller_that_ignores_its_children_changes_nothing(server, shell):
    done = shell.run("bash", "-c", "trap '' CHLD; exec vs-tui run -- sh -c 'sleep 0; exit 3'")

    assert (done.returncode, done.stderr) == (3, "")
    assert one(server.spans(), operation="build")["error"] == "exit 3"


def test_the_command_runs_when_the_receiver_is_down(server, shell):
    server.kill()

    done = shell.run("vs-tui", "run", "--", "sh", "-c", "echo out; exit 4")

    assert (done.returncode, done.stdout) == (4, "out\n")
    assert "is `vs-tui serve` running?" in done.stderr
    assert "2 events kept" in done.stderr

    server.start()
    assert shell.run("vs-tui", "flush").returncode == 0
    span = one(server.spans(), operation="build")
    assert (span["status"], span["error"]) == ("error", "exit 4")


def test_trouble_is_told_once_not_by_every_run_of_a_build(server, shell):
    server.kill()

    done = shell.script("for n in 1 2 3; do vs-tui run -- true; done")

    assert done.stderr.count("vs-tui run:") == 1
    assert len(shell.waiting()) == 6


def test_a_receiver_that_never_answers_costs_two_seconds_once(shell, silent):
    first = shell.impatient("vs-tui", "run", "--", "true", VS_URL=silent)
    assert Spool(shell.spool).slow, "for what comes next a quarter of a second is enough"
    second = shell.impatient("vs-tui", "run", "--", "true", VS_URL=silent)

    assert (first.returncode, second.returncode) == (0, 0)
    assert "did not answer" in first.stderr
    assert len(shell.waiting()) == 4


def test_an_unwritable_data_folder_disturbs_no_command(server, shell):
    done = shell.run("vs-tui", "run", "--", "echo", "fine", VS_DATA_DIR="/dev/null/nowhere")

    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert one(server.spans(), operation="build")["status"] == "ok"


def test_a_broken_configuration_disturbs_no_command(server, shell):
    folder = shell.folder / "config"
    folder.mkdir()
    (folder / "config.toml").write_text("[server\n")

    done = shell.run("vs-tui", "run", "--", "echo", "fine")

    assert (done.returncode, done.stdout) == (0, "fine\n")

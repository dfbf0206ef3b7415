"""The page of an empty dashboard: each line is a fact that is checked."""

from dataclasses import replace

import pytest

from tests.tui.fakes import NOW, FakeReader, busy_reader, delivery, span
from tests.tui.golden import assert_golden
from tests.tui.stage import NARROW, WIDE, Stage, does, stage
from tests.tui.test_output import write_all
from tests.tui.test_sources import GITHUB, JENKINS, connections
from vs_tui.cli.main import vs_tui_parser
from vs_tui.model.time import SECOND
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.reader_protocol import DeliveryRow
from vs_tui.tui.first_steps import Facts, Line, page, requests, tools


async def nothing(*_: object) -> None:
    """A receiver in this process takes decisions about links."""


async def tunnel() -> str:
    return "https://quiet-pond-41.ngrok.example"


def text(lines: list[Line]) -> str:
    return "\n".join("".join(piece for piece, _ in line.pieces) for line in lines)


def request(verdict: Verdict, status: int, reason: str = "", source: str = "github") -> DeliveryRow:
    return DeliveryRow(1, source, "ping", NOW, verdict, reason, 100, 0, status)


FACTS = Facts(
    url="http://127.0.0.1:5000", connections=(GITHUB, JENKINS), clock=lambda _: "15:12:31"
)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (request(Verdict.REJECTED, 401, "X-Hub-Signature-256 is missing or does not match"),
         ("signed with another secret than ours", "vs-tui secret show github")),
        (request(Verdict.REJECTED, 401, "missing or wrong proof: send the token", "jenkins"),
         ("the token is missing or another one", "put ?token= into the URL",
          "vs-tui secret show token")),
        (request(Verdict.REJECTED, 401, "missing or wrong proof: send the header X-Hub-Signature"),
         ("it carries no X-Hub-Signature-256", "enter a secret in the webhook's form")),
        (request(Verdict.REJECTED, 404, "not_found: no source receives at this path"),
         ("no source has this path", "use the URL shown")),
        (request(Verdict.REJECTED, 400, "body: is not JSON"),
             ("not the JSON that this path takes", "application/json")),
        (request(Verdict.REJECTED, 413), ("larger than a request may be",)),
        (request(Verdict.QUARANTINED, 200), ("proven, but not understood", "vs-tui db rebuild")),
    ],
)  # fmt: skip
def test_the_remedy_is_that_for_the_verdict(row, said) -> None:
    facts = replace(FACTS, requests=(row,))
    shown = text(page(facts, full=True))
    for words in said:
        assert words in shown
    assert said[0] in text(requests(facts)) or row.verdict is Verdict.QUARANTINED


def test_configured_is_not_arrived() -> None:
    assert FACTS.done == 1
    assert replace(FACTS, public_url="https://a.example").done == 2
    refused = replace(FACTS, requests=(request(Verdict.REJECTED, 401),))
    assert refused.done == 2
    assert replace(FACTS, requests=(request(Verdict.IGNORED, 200),)).done == 4, (
        "a ping makes no row"
    )


@does("first_page")
async def test_the_page_that_is_asked_for_later_knows_that_there_are_rows() -> None:
    async with stage(busy_reader(), by_trace=True, connections=connections) as on:
        await on.press("f2")
        await on.sees("5 ✓ first row", "it is in Live: F2 goes back there")
        await on.press("f2")
        await on.sees("WAITING FOR SOMEONE")


def test_a_viewer_shows_what_is_there_and_tells_no_tool() -> None:
    shown = text(page(replace(FACTS, own=False), full=True))
    assert "tell the tool" not in shown
    assert "the receiver listens" in shown
    assert "first request" in shown


@pytest.mark.parametrize("tool", ["github", "gitlab", "jira", "jenkins"])
def test_the_commands_of_the_page_are_commands(tool) -> None:
    shown = page(replace(FACTS, tool=tool), full=True)
    commands = [each.copies[1] for each in shown if each.copies[0] == "the command"]
    ours = [command.partition("vs-tui ")[2] for command in commands if "vs-tui " in command]
    assert {command.split()[0] for command in ours} >= {"import", "demo"}
    for command in ours:
        name, *words = command.split()
        vs_tui_parser([name]).parse_args([name, *words])


def test_the_usual_tools_come_first() -> None:
    assert tools(connections())[:3] == ["github", "jenkins", "jira"]


def copied(on: Stage) -> list[str]:
    return list(on.app.notices)


@pytest.mark.parametrize(
    ("name", "size", "ascii"), [("large", (200, 60), False), ("ascii", NARROW, True)]
)
async def test_the_first_page_on_other_screens(name, size, ascii) -> None:
    options = {"by_trace": True, "connections": connections, "send_links": nothing, "ascii": ascii}
    async with stage(FakeReader(), size=size, find_public_url=tunnel, **options) as on:
        await on.sees("the receiver listens", "ngrok.example/github")
        assert_golden(f"first-{name}-{size[0]}x{size[1]}", on.text)
        assert not ascii or on.text.isascii()


def test_the_secret_of_a_tool_that_makes_it_is_not_ours() -> None:
    linear = replace(GITHUB, title="Linear", makes_secret=True)
    told = text(page(replace(FACTS, connections=(linear, JENKINS)), full=True))
    assert "Linear shows it: put it into secrets.toml" in told
    assert "copies it" not in told


@does("next_tool", "previous_tool", "first_page")
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_from_nothing_to_the_first_row(size) -> None:
    reader = FakeReader()
    name = f"{size[0]}x{size[1]}"
    options = {"by_trace": True, "connections": connections, "send_links": nothing}
    async with stage(reader, size=size, find_public_url=tunnel, **options) as on:
        await on.sees("1 ✓ the receiver listens", "ngrok.example/github", "2 of 5")
        assert_golden(f"first-{name}", on.text)
        assert "gh-s3cret" not in on.text
        await on.press("v")
        await on.sees("gh-s3cret")
        on.clock.now += 31 * SECOND
        await on.no_longer_sees("gh-s3cret")
        await on.press("Y", "l")
        assert "copied the secret of GitHub" in copied(on)
        await on.sees("[jenkins]", "ngrok.example/jenkins?t")
        await on.press("h", "h")
        await on.sees("[emmetrics]")
        await on.press("l", "g", "enter")
        assert any("copied the URL" in said for said in copied(on))
        refused = delivery(
            -1,
            "ping",
            Verdict.REJECTED,
            status=401,
            reason="X-Hub-Signature-256 is missing or does not match the body",
        )
        reader.stored[-1] = refused
        await on.sees("with another secret than ours")
        on.app.clear_notice()
        await on.settle()
        assert_golden(f"first-refused-{name}", on.text)
        reader.put(span("b-1", "build", "first build", began=SECOND))
        await on.sees("first build")
        assert "The first minute" not in on.text
        assert on.app.screen.selection() == "b-1", "the row, not the heading above it"
        await on.sees("PROJECT" if size == WIDE else "WHAT")
        await on.press("f2")
        await on.sees("The first minute")
        await on.press("f2")
        await on.no_longer_sees("The first minute")


async def test_enter_sends_a_trial_run_and_says_what_was_answered() -> None:
    sent = []

    async def send(say) -> None:
        sent.append("run")
        say("this receiver answered 200 accepted")

    options = {"by_trace": True, "connections": connections, "send_links": nothing}
    async with stage(FakeReader(), send_trial=send, **options) as on:
        steps = on.app.view.first.steps
        await on.press(*"j" * 20)
        while steps.chosen.does != "trial":
            await on.press("k")
        await on.press("enter")
        await on.sees("this receiver answered 200 accepted")
        assert sent == ["run"]


async def test_an_export_of_the_first_page_holds_no_secret(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"by_trace": True, "connections": connections, "send_links": nothing}
    async with stage(FakeReader(), **options) as on:
        await on.press("v")
        await on.sees("gh-s3cret")
        await write_all(on)
        await on.sees("wrote")
        written = list(tmp_path.iterdir())
        assert written and all("s3cret" not in path.read_text() for path in written)

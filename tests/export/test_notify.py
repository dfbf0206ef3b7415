"""`[[notify]]`: told once for each span and state, whatever the target does, and never in the way
of the receiver."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.export.receiving import post, receiver, until
from tests.patience import PATIENCE
from vs_tui.cli.common import now
from vs_tui.cli.config import effective
from vs_tui.cli.runtime import Runtime
from vs_tui.config import ConfigError, load
from vs_tui.config.model import NotifyRule
from vs_tui.export import notices, notifier, sending
from vs_tui.metrics.cards import read_goals
from vs_tui.model.teams import Team, Teams
from vs_tui.model.time import DAY, HOUR, iso
from vs_tui.store.shared_writer import LogPlace, start_over


class Chat:
    """A target that keeps what it is sent; `answers` are the statuses of the next calls."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.answers: list[int] = []
        self.tries = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook/s3cret", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook/s3cret"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.tries += 1
        body = await request.json()
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        self.got.append(body)
        return web.Response()

    @property
    def told(self) -> list[tuple[str, str]]:
        """(event, name of the span) of all notices."""
        found = [notice for body in self.got for notice in body["notices"]]
        return [(n["event"], n["span"]["name"] if "span" in n else n["title"]) for n in found]


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    found = Chat()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(notifier, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(notifier, "BOARD_SECONDS", 0.01)
    monkeypatch.setattr(notifier, "TEAMS_SECONDS", 0.01)
    monkeypatch.setattr(notifier, "BETWEEN_SECONDS", 0.01)
    monkeypatch.setattr(sending, "delay", lambda failures, asked: 0.01)
    # What was sent is told again if the receiver stops before that is stored.
    monkeypatch.setattr(sending, "STOP_SECONDS", PATIENCE)
    monkeypatch.setattr(notifier, "COMMAND_SECONDS", PATIENCE)


def rule(chat: Chat, *on: str, **more: Any) -> dict[str, Any]:
    return {"notify": (NotifyRule(on, "json", chat.url, **more),)}


async def deploy(runtime: Runtime, name: str, *, error: bool = False, **more: Any) -> None:
    tags = {"service": "api", "environment": "production", **more.pop("tags", {})}
    base = {"type": "deploy", "id": name, "name": name, "tags": tags, **more}
    await post(runtime, "/customhttp", action="start", **base)
    await post(runtime, "/customhttp", action="end", error=error, **base)
    await runtime.writer.caught_up()


async def begun(runtime: Runtime) -> None:
    """The position is kept: what comes now is news."""
    sql = "SELECT COUNT(*) FROM meta WHERE name = 'notify_position'"

    async with asyncio.timeout(PATIENCE):
        while not await runtime.reader.run(lambda db: db.execute(sql).fetchone()[0]):
            pass


async def test_failed_and_recovered_are_told_once(tmp_path, chat) -> None:
    async with receiver(tmp_path, "", rule(chat, "failed", "recovered")) as runtime:
        await begun(runtime)
        await deploy(runtime, "one")
        await deploy(runtime, "two", error=True)
        await until(lambda: len(chat.told) == 1)
        await deploy(runtime, "elsewhere", error=True, tags={"environment": "staging"})
        await deploy(runtime, "three")
        await deploy(runtime, "four")
        await until(lambda: len(chat.told) == 2)
    async with receiver(tmp_path, "", rule(chat, "failed", "recovered")) as runtime:
        await deploy(runtime, "five", error=True)
        await until(lambda: len(chat.told) == 3)
    assert chat.told == [("failed", "two"), ("recovered", "three"), ("failed", "five")]


async def test_a_rebuild_tells_nothing_again(tmp_path, chat) -> None:
    async with receiver(tmp_path, "", rule(chat, "failed", "recovered")) as runtime:
        await begun(runtime)
        await deploy(runtime, "one", error=True)
        await until(lambda: len(chat.told) == 1)
        await runtime.writer.start_over(lambda *_: None)
        await runtime.writer.caught_up()
        await deploy(runtime, "two")
        await until(lambda: len(chat.told) == 2)
    assert chat.told == [("failed", "one"), ("recovered", "two")]


async def test_a_follower_that_begins_anew_tells_and_counts_nothing_again(tmp_path, chat) -> None:
    """It forgets what it read of a shared log, and reads it all once more."""

    async def counted(runtime: Runtime) -> int:
        totals = await runtime.receiver.totals.totals()
        return sum(total.n for total in totals if total.name == "change_failure_count")

    async with receiver(tmp_path, "", rule(chat, "failed")) as runtime:
        await begun(runtime)
        at = iso(now())
        await deploy(runtime, "one", error=True, timestamp=at)
        await until(lambda: len(chat.told) == 1)
        assert await counted(runtime) == 1
        await runtime.writer.start_over(lambda db, known: start_over(db, known, LogPlace()))
        assert not (await runtime.reader.spans()).items
        await deploy(runtime, "one", error=True, timestamp=at)
        await deploy(runtime, "two", error=True)
        await until(lambda: len(chat.told) == 2)
        assert await counted(runtime) == 2
    assert chat.told == [("failed", "one"), ("failed", "two")]


async def test_a_filter_chooses_and_incidents_are_started(tmp_path, chat) -> None:
    rules = (
        NotifyRule(("started",), "json", chat.url),
        NotifyRule(("failed",), "json", chat.url, filter="kind:pipeline name:*main*"),
    )
    async with receiver(tmp_path, "", {"notify": rules}) as runtime:
        await begun(runtime)
        for name in ("on main", "aside"):
            base = {"type": "pipeline", "id": name, "name": name}
            await post(runtime, "/customhttp", action="start", **base)
            await post(runtime, "/customhttp", action="end", error=True, **base)
        await post(runtime, "/customhttp", type="incident", id="i", name="down", action="start")
        await until(lambda: len(chat.told) == 2)
    assert sorted(chat.told) == [("failed", "on main"), ("started", "down")]


async def test_what_was_before_and_what_is_imported_is_no_news(tmp_path, chat) -> None:
    async with receiver(tmp_path, "") as runtime:
        await deploy(runtime, "before", error=True)
    async with receiver(tmp_path, "", rule(chat, "failed")) as runtime:
        await begun(runtime)
        long_ago = iso(now() - 3 * DAY)
        await deploy(runtime, "imported", error=True, timestamp=long_ago)
        await deploy(runtime, "new", error=True)
        await until(lambda: chat.told)
    assert chat.told == [("failed", "new")]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_target_in_trouble_is_told_later(tmp_path, chat, status) -> None:
    chat.answers = [status, status]
    async with receiver(tmp_path, "", rule(chat, "failed")) as runtime:
        await begun(runtime)
        await deploy(runtime, "one", error=True)
        await until(lambda: chat.told)
    assert (chat.told, chat.tries) == ([("failed", "one")], 3)


async def test_what_is_refused_is_dropped_and_the_secret_is_not_logged(
    tmp_path, chat, caplog
) -> None:
    caplog.set_level(logging.DEBUG)
    chat.answers = [404]
    async with receiver(tmp_path, "", rule(chat, "failed")) as runtime:
        await begun(runtime)
        await deploy(runtime, "one", error=True)
        await until(lambda: chat.tries == 1)
        await deploy(runtime, "two", error=True)
        await until(lambda: chat.told)
        shown = json.dumps(effective(runtime.config), default=str)
    assert chat.told == [("failed", "two")]
    assert "answered 404" in caplog.text and "127.0.0.1" in caplog.text
    for text in (caplog.text, shown, repr(runtime.config)):
        assert "s3cret" not in text


async def test_a_burst_is_few_messages_and_waits_bounded(tmp_path, chat) -> None:
    async with receiver(tmp_path, "") as runtime:
        target = NotifyRule(("failed",), "json", chat.url).target
        many = [
            notices.Notice(target, str(n), {"event": "failed", "title": str(n), "text": ""})
            for n in range(notices.MOST_WAITING + 100)
        ]
        for _ in range(2):
            await runtime.writer.transaction(lambda db, _: notices.keep_notices(db, many, now()))
    async with receiver(tmp_path, "", rule(chat, "failed")) as runtime:
        await until(lambda: chat.got)
        await begun(runtime)
        await deploy(runtime, "next", error=True)
        await until(lambda: len(chat.got) == 2)
    first = chat.got[0]
    assert len(first["notices"]) == notifier.AT_ONCE
    assert first["more"] == notices.MOST_WAITING - notifier.AT_ONCE


async def test_a_review_that_waits_is_told_once(tmp_path, chat) -> None:
    async with receiver(tmp_path, "", rule(chat, "waiting", filter="wait>1h")) as runtime:
        opened = iso(now() - 5 * HOUR)
        await post(runtime, "/pull-requests", id="7", team_id="core", opened_at=opened)
        await until(lambda: chat.told)
        await deploy(runtime, "x")
        board = await runtime.reader.board("wait>1h")
    assert len(chat.told) == len(board.rows) == 1
    assert chat.told[0][0] == "waiting"


@pytest.mark.parametrize("filter_", ["", "team:core kind:deploy", "-team:web"])
async def test_a_missed_goal_is_told_once_a_week(tmp_path, chat, filter_) -> None:
    """To those whose filter admits the team; its terms about spans do not count."""
    rules = (
        NotifyRule(("goal_missed", "regressed"), "json", chat.url, filter=filter_),
        NotifyRule(("goal_missed",), "json", chat.url + "?of=web", filter="team:web"),
    )
    settings = {
        "notify": rules,
        "teams": Teams((Team("core", ("*",), ()),)),
        "goals": read_goals({"core": {"change_fail_rate": "1%"}}),
    }
    async with receiver(tmp_path, "") as runtime:
        await deploy(runtime, "one", error=True)
    for _ in range(2):
        async with receiver(tmp_path, "", settings) as runtime:
            await begun(runtime)
            await until(lambda: chat.told)
    ((event, title),) = chat.told
    assert event == "goal_missed" and title.startswith("core: change fail rate is 100")


async def test_a_command_gets_title_and_text_and_no_shell(tmp_path) -> None:
    out = tmp_path / "told.json"
    script = f"import json, sys; open({str(out)!r}, 'w').write(json.dumps(sys.argv[1:]))"
    told = NotifyRule(("failed",), "command", command=(sys.executable, "-c", script))
    async with receiver(tmp_path, "", {"notify": (told,)}) as runtime:
        await begun(runtime)
        await deploy(runtime, "a; touch /tmp/x $(id)", error=True)
        await until(lambda: out.exists() and out.read_text())
    title, text = json.loads(out.read_text())
    assert title == "vs-tui: deploy failed: a; touch /tmp/x $(id) - api production (failure)"
    assert text.startswith("deploy failed: a; touch /tmp/x $(id)")


def body(**more: Any) -> dict[str, Any]:
    url = "https://ci.example/1"
    return {
        "event": "failed",
        "title": "deploy failed",
        "text": "t",
        "url": url,
        "span": {},
        **more,
    }


# What would work in a text of each kind of chat: mentions, links that say something else, addresses
# that are links or are fetched for a preview.
WORKS = {
    "slack": r"<[!@#]|<https?:|@(?=all|channel|here|everyone)|\]\(|://evil|\bwww\.evil",
    "discord": r"(?<!\\)[<*\[_`~|>#]|@(?=everyone|here)|\]\(|://evil|\bwww\.evil",
    "teams": r"(?<!\\)[<*\[_`~|>#]|\]\(|://evil|\bwww\.evil",
}
HOSTILE = (
    *("<!channel>", "<!here|x>", "<@U123>", "<#C1>", "<https://evil.example|our build>"),
    *("@everyone", "@here", "@all", "@channel", "<@&123>", "<t:1:R>", "<at>Bob</at>"),
    *("[build](http://evil.example)", "![x](http://evil.example/x.png)", "HTTP://evil.example"),
    *(
        "www.evil.example",
        "**x** _y_ `z` ~~s~~ ||spoiler|| # head",
        "> quote",
        "{{DATE(2026-01-01)}}",
    ),
    *("a\x1b[31mb", "a\u202eb", "line\n<!channel>", "a\u2028@everyone"),
)


@pytest.mark.parametrize("format_", WORKS)
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_event_text_is_only_text(format_: str, number: int) -> None:
    """In the title, in the text, and beside a link of ours."""
    told = body(title=f"deploy failed: {HOSTILE[number]}", text=HOSTILE[number])
    message = json.loads(notices.POSTED[format_]([told], 0))
    if format_ == "teams":
        card = message["attachments"][0]["content"]
        assert [action["url"] for action in card["actions"]] == ["https://ci.example/1"]
        (text,) = [block["text"] for block in card["body"]]
    else:
        ours = " <https://ci.example/1|open>" if format_ == "slack" else " <https://ci.example/1>"
        text = message["text" if format_ == "slack" else "content"]
        assert text.endswith(ours)
        text = text.removesuffix(ours)
    assert not re.search(WORKS[format_], text, re.IGNORECASE), text
    assert not re.search(r"[\x00-\x1f\u202e\u2028]", text)


def test_no_chat_is_asked_for_previews_or_mentions() -> None:
    slack = json.loads(notices.slack([body()], 3))
    assert (slack["mrkdwn"], slack["unfurl_links"], slack["unfurl_media"]) == (False,) * 3
    assert "and 3 more" in slack["text"]
    discord = json.loads(notices.discord([body()], 0))
    assert discord["allowed_mentions"] == {"parse": []} and discord["flags"] == 4
    for url in ("javascript:alert(1)", "https://x/>|<!channel>", "https://x/a b"):
        for message in (notices.slack, notices.discord, notices.teams):
            assert url not in json.dumps(json.loads(message([body(url=url)], 0)))


def test_the_desktop_shows_no_markup(monkeypatch) -> None:
    """notify-send's body may have links and pictures."""
    told = body(title='<a href="http://evil.example">x</a> <img src="http://evil.example">')
    for platform, program, escaped in (
        ("linux", "notify-send", True),
        ("darwin", "osascript", False),
    ):
        monkeypatch.setattr(notices.sys, "platform", platform)
        command = notices.command_of((), [told], 0)
        assert command[0] == program and ("<a" not in command[-1]) == escaped


@pytest.mark.parametrize("letter", ["x", "@", "&", "<", "\U0001f525"])
def test_messages_are_not_longer_than_a_chat_takes_and_not_empty(letter: str) -> None:
    """Nobody can hide a failure behind a long name."""
    url = f"https://ci.example/{'a' * 480}"
    many = [body(title=letter * 5_000, text=letter * 5_000, url=url)] * 10
    for number in (1, 10):
        content = json.loads(notices.discord(many[:number], 0))["content"]
        assert 100 < len(content) <= 2_000
        slack = json.loads(notices.slack(many[:number], 0))["text"]
        assert 100 < len(slack) <= 4_000


def test_a_text_is_no_option_of_a_command() -> None:
    command = notices.command_of(("tell",), [body(title="--help")], 0)
    assert command[0] == "tell" and not any(word.startswith("-") for word in command[1:])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("on = 'exploded'\nformat = 'slack'\nurl = 'https://x'", "on must be one or more of"),
        ("on = 'failed'\nformat = 'irc'", "format must be one of"),
        ("on = 'failed'\nformat = 'slack'", "url must be a URL"),
        ("on = 'failed'\nformat = 'slack'\nurl = 's3cret://x'", "url must be a URL"),
        ("on = 'failed'\nformat = 'desktop'\nurl = 'https://x/s3cret'", "url has no use"),
        ("on = 'failed'\nformat = 'command'", "command goes with"),
        ("on = 'failed'\nformat = 'desktop'\nfilter = 'dur>x'", "filter: "),
        ("on = 'failed'\nformat = 'desktop'\nsound = true", "sound is not a setting"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, table, said) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[[notify]]\n{table}\n")
    with pytest.raises(ConfigError) as refused:
        load(file, env={})
    assert said in str(refused.value) and "s3cret" not in str(refused.value)


def test_rules_are_read(tmp_path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "[[notify]]\non = 'failed'\nformat = 'slack'\nurl = 'https://hooks/x'\n"
        "[[notify]]\non = ['started', 'waiting']\nformat = 'desktop'\n"
    )
    first, second = load(file, env={}).notify
    assert (first.on, first.format, first.url) == (("failed",), "slack", "https://hooks/x")
    assert second.filter_of("started") == "kind:incident" and first.target != second.target

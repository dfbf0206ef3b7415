"""Sources: URLs, secrets, what came today, how each source does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest

from tests.tui.fakes import NOW, FakeReader, busy_reader, delivery
from tests.tui.golden import assert_golden
from tests.tui.stage import NARROW, WIDE, does, stage
from tests.tui.test_output import write_all
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources import github, jenkins, jira
from vs_tui.sources.base import Source
from vs_tui.sources.mapped import presets
from vs_tui.store.queries.reader_protocol import SourceHealth
from vs_tui.tui import source_status
from vs_tui.tui.source_status import Connection, condition


def _connection(source: Source, proof: str, secret: str, token: str) -> Connection:
    kept_as = source.name if proof else "token"
    return Connection(
        source.name, source.title, source.paths[:1], proof, source.token_in_url, kept_as, secret,
        token, source.form,
    )  # fmt: skip


GITHUB = _connection(github.SOURCE, "X-Hub-Signature-256", "gh-s3cret", "tok")
JENKINS = _connection(jenkins.SOURCE, "", "tok-0123", "tok-0123")
JIRA = _connection(jira.SOURCE, "X-Hub-Signature", "ji-s3cret", "tok")
EMETRICS = Connection("emmetrics", "em-metrics", ("/deployments", "/incidents/*"), "", False)


def connections() -> list[Connection]:
    return [GITHUB, JENKINS, JIRA, EMETRICS]


def row_of(on, title: str) -> str:
    return next(line for line in on.lines if title in line and "│" in line)


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_looks(size) -> None:
    name = f"{size[0]}x{size[1]}"
    async with stage(size=size, connections=connections) as on:
        await on.press("5")
        assert_golden(f"sources-{name}", on.text)
        await on.press("j", "v")
        assert_golden(f"sources-revealed-{name}", on.text)
    async with stage(size=size, connections=connections, ascii=True) as on:
        await on.press("5")
        assert_golden(f"sources-ascii-{name}", on.text)
        assert on.text.isascii()


@pytest.mark.parametrize("size", [(60, 16), (40, 12)])
async def test_a_low_screen_has_rows_and_details(size) -> None:
    async with stage(size=size, connections=connections) as on:
        await on.press("5")
        await on.sees("▌", "┌─ GitHub", "health")


async def test_what_came_today_is_counted_by_verdict() -> None:
    reader = busy_reader()
    old = delivery(90, "push")
    reader.stored[90] = replace(old, row=replace(old.row, received_at=NOW - DAY))
    refused = delivery(-7, "", Verdict.REJECTED, duplicates=3, status=401)
    reader.stored[-7] = refused
    async with stage(reader, connections=connections) as on:
        await on.press("5")
        cells = next(r.cells for r in on.list.rows if r.key == "github")
        # Two accepted, one ignored, two repeats of an accepted one, 1 + (1 + 3) refused.
        assert [text for text, _ in cells[4:9]] == ["2", "1", "2", "·", "5"]
        await on.sees("3 accepted", "2 rejected")
        await on.sees("it works, but 5 rejected today: enter shows why")


@does("reveal")
async def test_the_secret_is_shown_only_when_asked_for() -> None:
    async with stage(connections=connections) as on:
        await on.press("5")
        await on.sees("********", "X-Hub-Signature-256")
        assert "gh-s3cret" not in on.text
        await on.press("v")
        await on.sees("gh-s3cret")
        await on.press("v")
        await on.no_longer_sees("gh-s3cret")
        await on.press("v", "j")
        assert "gh-s3cret" not in on.text, "another source is selected"
        await on.press("k", "v")
        await on.sees("gh-s3cret")
        await on.press("4", "5")
        assert "gh-s3cret" not in on.text, "the screen was left"
        await on.press("v")
        on.clock.now += 31 * SECOND
        on.app._tick()
        await on.no_longer_sees("gh-s3cret")


@does("copy_secret")
async def test_copying(monkeypatch, tmp_path) -> None:
    async with stage(connections=connections, remember_to=str(tmp_path / "state.json")) as on:
        copied: list[str] = []
        monkeypatch.setattr(on.app.output, "copy", copied.append)
        await on.press("5")
        await on.sees("GitHub")
        await on.press("y", "Y", "Y", "j", "Y", "Y")
        assert copied == [
            "http://127.0.0.1:8787/github",
            "gh-s3cret",
            "gh-s3cret",
            "tok-0123",
            "http://127.0.0.1:8787/jenkins?token=tok-0123",
        ]
        assert "s3cret" not in on.text and "tok-0123" not in on.text
        written = "".join(path.read_text() for path in tmp_path.iterdir())
        assert "s3cret" not in written and "tok-0123" not in written


async def test_without_the_secrets_it_says_where_they_are() -> None:
    there = [replace(GITHUB, secret="", token="")]
    async with stage(connections=lambda: there) as on:
        await on.press("5")
        await on.sees("on the receiver's machine", "vs-tui secret show github")
        for key in ("v", "Y"):
            await on.press(key)
            await on.sees("there is no secret here")


async def test_a_tool_that_makes_its_secret_has_none_to_show_or_copy(monkeypatch) -> None:
    linear = replace(GITHUB, name="linear", title="Linear", kept_as="linear", makes_secret=True)
    async with stage(connections=lambda: [linear]) as on:
        copied: list[str] = []
        monkeypatch.setattr(on.app.output, "copy", copied.append)
        await on.press("5")
        await on.sees("its own")
        await on.press("G")
        await on.sees("Linear makes it: enter it in secrets.toml, [linear]")
        assert "copies it" not in on.text and "****" not in on.text
        for key in ("v", "Y"):
            await on.press(key)
            await on.sees("Linear makes the secret; there is none to copy")
        assert not copied and "gh-s3cret" not in on.text


async def test_a_tunnel_changes_the_urls() -> None:
    async def find() -> str:
        return "https://abc.ngrok.app"

    async with stage(connections=connections, find_public_url=find) as on:
        await on.press("5")
        await on.sees("https://abc.ngrok.app/github")
        assert "this machine only" not in on.text


async def test_the_tunnel_is_not_asked_for_before_the_screen_is_opened() -> None:
    asked: list[int] = []

    async def find() -> str:
        asked.append(1)
        return ""

    async with stage(connections=connections, find_public_url=find) as on:
        await on.press("2", "4")
        assert asked == []
        await on.press("5", "4", "5")
        assert len(asked) == 2


async def test_enter_shows_the_deliveries_of_the_source() -> None:
    async with stage(connections=connections) as on:
        await on.press("5")
        await on.until(lambda: len(on.list.rows) > 1, "sources")
        await on.press("j")
        await on.until(lambda: on.list.selected.key == "jenkins", "the cursor on jenkins")
        await on.press("enter")
        await on.until(lambda: on.app.view.where == "events", "its deliveries")
        assert on.app.view.filter_text == "source:jenkins"


async def test_sorting_and_next_in_trouble() -> None:
    async with stage(connections=connections) as on:
        await on.press("5")
        assert [row.key for row in on.list.rows] == ["github", "jenkins", "jira", "emmetrics"]
        await on.press("n")
        assert on.list.selected_key == "jenkins"
        await on.press("s")
        assert on.list.rows[0].key == "jenkins"
        await on.press("s")
        assert [row.key for row in on.list.rows] == ["emmetrics", "github", "jenkins", "jira"]
        await on.press("S")
        assert on.list.rows[0].key == "jira"


async def test_all_paths_are_listed_and_open_mode_is_said() -> None:
    async with stage(connections=lambda: [EMETRICS], open_mode=True) as on:
        await on.press("5")
        while on.list.selected_key != "emmetrics":
            await on.press("j")
        await on.sees("8787/deployments", "8787/incidents/", "--no-auth")


async def test_a_source_that_is_not_installed_any_more_is_listed() -> None:
    async with stage(connections=lambda: [GITHUB]) as on:
        await on.press("5")
        await on.sees("jenkins", "only quarantined")


async def test_hostile_names() -> None:
    reader = busy_reader()
    reader.stored[1] = replace(
        reader.stored[1], row=replace(reader.stored[1].row, source="\x1b]0;x\a[b]", kind="\u202ek")
    )
    async with stage(reader, connections=connections) as on:
        await on.press("5")
        assert not any(c in on.text for c in "\x1b\a\u202e")


async def test_export_holds_no_secret(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with stage(connections=connections) as on:
        await on.press("5")
        await on.until(lambda: len(on.list.rows) > 1, "sources")
        await on.press("v")
        await on.sees("s3cret")
        await write_all(on)
        await on.sees("wrote")
        assert all("s3cret" not in path.read_text() for path in tmp_path.iterdir())


def health(age: int, **counts: int) -> SourceHealth:
    return SourceHealth("github", NOW - age, "push", counts)


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (None, "none", "no delivery yet"),
        (health(0), "none", "no delivery yet"),
        (health(HOUR, accepted=5), "ok", "ok"),
        (health(HOUR, accepted=5, rejected=3), "ok", "ok"),
        (health(HOUR, ignored=5), "ok", "ok"),
        (health(HOUR, rejected=3), "refused", "only rejected"),
        (health(HOUR, quarantined=3), "unread", "only quarantined"),
        (health(HOUR, quarantined=3, rejected=1), "unread", "only quarantined"),
        (health(HOUR, accepted=9, quarantined=3), "unread", "3 quarantined"),
        (health(8 * DAY, accepted=9), "quiet", "silent since 8d"),
        (health(90 * DAY, accepted=9), "none", "silent since 90d"),
    ],
)
def test_conditions(found, level, words) -> None:
    judged = condition(GITHUB, found, NOW)
    assert (judged.level, judged.text) == (level, words)
    assert judged.advice


def test_the_silence_of_a_paging_tool_is_good_news() -> None:
    github = health(8 * DAY, accepted=9)
    assert source_status.is_silent(github, NOW)
    assert not source_status.is_silent(replace(github, source="pagerduty"), NOW)
    for name, preset in presets().items():
        pages_only = {rule["operation"] for rule in preset.definition["events"]} == {"incident"}
        silent = source_status.is_silent(replace(github, source=name), NOW)
        assert silent is not pages_only, name


def test_the_day_begins_in_the_users_zone() -> None:
    from datetime import timedelta, timezone

    east = timezone(timedelta(hours=5, minutes=30))
    assert NOW - source_status.midnight(NOW, UTC) == (9 * HOUR + 41 * MINUTE + 7 * SECOND)
    assert NOW - source_status.midnight(NOW, east) == 15 * HOUR + 11 * MINUTE + 7 * SECOND


def test_a_secret_is_not_in_the_repr() -> None:
    assert "gh-s3cret" not in repr(GITHUB) and "'tok'" not in repr(GITHUB)


async def test_what_came_after_the_past_moment_shown_has_no_age() -> None:
    at = NOW - 30 * DAY
    async with stage(connections=connections, at=at, size=WIDE) as on:
        await on.press("5")
        await on.sees("GitHub", "after the moment shown")
        row = next(line for line in on.lines if "http://127.0.0.1:8787/github" in line)
        assert " 0s " not in row


async def test_what_was_heard_first_comes_into_sight_for_who_has_chosen_none() -> None:
    many = [replace(GITHUB, name=f"tool{n:02}", title=f"Tool {n:02}") for n in range(40)]
    reader = FakeReader()
    async with stage(reader, size=NARROW, connections=lambda: many) as on:
        await on.press("5")
        assert on.list.selected_key == "tool00"
        reader.stored[1] = delivery(1, "push", source="tool33")
        reader.put()
        await on.until(lambda: on.list.selected_key == "tool33", "the one that sent")
        assert on.list.first == 0
        await on.press("j")
        reader.stored[2] = delivery(2, "push", source="tool35")
        reader.put()
        await on.until(lambda: on.list.rows[1].key in ("tool33", "tool35"), "both that sent")
        await on.settle()
        assert on.list.selected_key == "tool00", "a chosen one stays"


async def test_keys_for_a_span_say_what_a_source_has_instead() -> None:
    async with stage(connections=connections) as on:
        await on.press("5", "o")
        await on.sees("a source is no span: enter lists its deliveries, y copies its URL")


def test_a_tool_that_makes_its_secret_asks_for_it_to_be_entered_here():
    linear = replace(GITHUB, name="linear", title="Linear", kept_as="linear", makes_secret=True)
    advice = condition(linear, None, NOW).advice
    assert "the secret that it shows into secrets.toml, under [linear]" in advice

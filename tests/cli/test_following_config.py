"""A running receiver goes by the configuration file as it is now."""

import argparse
import asyncio
from pathlib import Path

import pytest

from tests.sources import github_payloads as gh
from tests.store.tracing import from_github
from vs_tui.cli.common import checked_config, now, read_config
from vs_tui.cli.runtime import Runtime, writer_settings
from vs_tui.config import reread
from vs_tui.config.reread import Reread, following


@pytest.fixture
def args(tmp_path, monkeypatch) -> argparse.Namespace:
    monkeypatch.setattr(reread, "LOOK_SECONDS", 0.01)
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    path = tmp_path / "config.toml"
    path.write_text("")
    return argparse.Namespace(config=path, db=str(tmp_path / "team.db"), port=0)


async def test_teams_environments_and_notifications_follow_the_file(args) -> None:
    config = read_config(args)
    runtime = Runtime(config, now)
    await runtime.open_store()
    told: asyncio.Queue[Reread] = asyncio.Queue()
    try:
        await runtime.listen()
        await runtime.writer.submit(from_github("pull_request", gh.pull("opened")))
        await runtime.writer.caught_up()
        project = (await runtime.reader.spans("")).items[0].project
        read = checked_config(args, writer_settings)
        async with following(config, read, runtime.take_over, told.put):
            await _changes(runtime, args.config, told, project)
    finally:
        await runtime.close()


async def _changes(runtime: Runtime, path: Path, told: asyncio.Queue[Reread], project: str) -> None:
    team = f'[teams.core]\nprojects = ["{project}"]\n'
    path.write_text(
        f'{team}[environments]\nproduction = ["live"]\n[[notify]]\nformat = "json"\nurl = "https://h.example/x"\n'
        'on = ["failed"]\n'
    )
    found = await told.get()
    assert found.changed == ["[teams]", "[environments]", "[[notify]]"], found
    await runtime.writer.adopt()
    assert [span.team for span in (await runtime.reader.spans("kind:pull_request")).items] == [
        "core"
    ]
    assert "core" in await runtime.reader.teams()
    assert runtime.reports.config.environments.is_production("live")
    assert runtime.receiver.reports.config is runtime.receiver.config is runtime.config
    assert runtime.notifier is not None
    path.write_text('[correlation]\ndisable = ["no such rule"]\n')
    found = await told.get()
    assert "there is no rule 'no such rule'" in found.message
    assert runtime.config.teams.names == ["core"]
    path.write_text(team)
    found = await told.get()
    assert found.changed == ["[environments]", "[[notify]]"]
    assert runtime.notifier is None

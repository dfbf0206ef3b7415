"""`vs-tui report digest` says in sentences what the other reports say in numbers."""

from __future__ import annotations

import asyncio
import json

from tests.export.receiving import post, receiver
from vs_tui.cli.common import now
from vs_tui.cli.main import main
from vs_tui.model.time import HOUR, iso


async def tell(folder) -> None:
    async with receiver(folder, "") as runtime:
        for number, error in ((1, False), (2, True), (3, False)):
            tags = {"service": "api", "environment": "production", "project": "acme/api"}
            base = {"type": "deploy", "id": str(number), "name": "api", "tags": tags}
            for action, hours in (("start", 0), ("end", 1)):
                at = iso(now() - (20 - 4 * number - hours) * HOUR)
                more = {"error": error} if action == "end" else {}
                await post(runtime, "/customhttp", action=action, timestamp=at, **base, **more)
        await runtime.writer.caught_up()


def test_the_digest_of_a_week(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    asyncio.run(tell(tmp_path))
    options = ["--db", str(tmp_path / "export.db"), "--tz", "UTC"]
    assert main(["report", "digest", *options]) == 0
    text = capsys.readouterr().out
    assert "Change fail rate: 33" in text and "1 of 3 deployments" in text
    assert "Recovery time: 4" in text and "a small sample" in text
    assert main(["report", "dora", "--since", "7d", "--json", *options]) == 0
    (card,) = json.loads(capsys.readouterr().out)["items"]
    assert f"Deployment frequency: {card['metrics']['deployment_frequency']['text']}" in text
    assert main(["report", "digest", "--json", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [item["text"] for item in document["items"]] == [
        line.strip().removeprefix("(all)").strip()
        for line in text.splitlines()
        if line.strip().startswith(
            ("(all)", "Change", "Recovery", "Deployment rework", "1 ", "The ")
        )
    ]


def test_a_quiet_week_says_so(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))

    async def open_only() -> None:
        async with receiver(tmp_path, ""):
            pass

    asyncio.run(open_only())
    assert main(["report", "digest", "--db", str(tmp_path / "export.db")]) == 0
    assert "No production deployment." in capsys.readouterr().out

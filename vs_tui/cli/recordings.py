"""`vs-tui replay`: send recorded deliveries at any speed, to a receiver or straight into a
database; and `vs-tui record`: write stored deliveries to such a recording, without secrets."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from vs_tui.cli.commands import UsageError, add_command
from vs_tui.cli.common import (
    Bar,
    CommandError,
    SourceName,
    add_store_options,
    load_config,
    moment,
    new_file,
    now,
)
from vs_tui.cli.receiver_api import ReceiverApi
from vs_tui.config import Config
from vs_tui.log.recording import Delivery, format_line, pace, read, shift, whole_seconds
from vs_tui.model.display import clean, escaped_json

_SHOWN_EVERY: Final = 25
"""Deliveries between two updates of the gauge."""
_CONNECTIONS: Final = 16
"""Connections to a receiver; it commits together what arrives together."""


def register(subparsers: Any) -> None:
    _register_replay(subparsers)
    _register_record(subparsers)


def _register_replay(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "replay",
        replay,
        description="Sends the deliveries of recordings (files or folders of .jsonl) in the order "
        "of their times: to a running receiver with --to URL, else straight into the database.",
        epilog="""
        examples:
          vs-tui replay sample_events --shift-to-now
          vs-tui replay bug.jsonl --to http://127.0.0.1:5000 --speed 60
          vs-tui replay bug.jsonl --only /github --json
        """,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="recordings or folders")
    parser.add_argument("--speed", default="max", help="60 makes an hour a minute; max (default)")
    parser.add_argument(
        "--shift-to-now", action="store_true", help="move all times so that the last one is now"
    )
    parser.add_argument("--only", metavar="PATH", help="only deliveries to this path, e.g. /github")
    parser.add_argument("--to", metavar="URL", help="a running receiver")
    parser.add_argument(
        "--token", help="token for --to (default: VS_TOKEN, on this machine the configured one)"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    add_store_options(parser)


def replay(args: argparse.Namespace) -> int:
    speed = speed_of(args.speed)
    if args.to:
        ReceiverApi(args.to, args.token or "").close()
    if args.only and not args.only.startswith("/"):
        raise UsageError(f"--only '{args.only[:100]}': write a path such as /github")
    deliveries = load(args.paths)
    if args.only:
        deliveries = [d for d in deliveries if d.path.partition("?")[0] == args.only]
    if not deliveries:
        raise CommandError("there is nothing to replay: no delivery in these recordings")
    if args.shift_to_now:
        delta = whole_seconds(now() - deliveries[-1].received_at)
        deliveries = [shift(delivery, delta) for delivery in deliveries]
    config = load_config(args)
    counts = asyncio.run(_replay(config, args, deliveries, speed))
    if args.json:
        import json

        print(json.dumps(counts))
    else:
        print(clean(", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))))
    return 1 if counts.get("refused") else 0


def load(paths: list[Path]) -> list[Delivery]:
    """All deliveries of files and folders, by time. RecordingError names the file and the line."""
    found: list[Delivery] = []
    for file in _files(paths):
        with file.open("rb") as lines:
            found.extend(read(lines, str(file)))
    found.sort(key=lambda delivery: delivery.received_at)
    return found


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.jsonl"))
            if not inside:
                raise CommandError(f"{path} holds no .jsonl file; `vs-tui record` writes one")
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"{path} does not exist; name a recording or a folder of them")


def speed_of(text: str) -> float:
    """`max` or a positive number; UsageError says so."""
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise UsageError(f"--speed '{text}': write 60 (an hour a minute), 1, or max")
    return speed


async def _replay(
    config: Config, args: argparse.Namespace, deliveries: list[Delivery], speed: float
) -> dict[str, int]:
    async with _target(config, args) as target:
        with Bar(sys.stderr) as bar:
            counts = await _send_all(target, deliveries, speed, bar)
            bar.show("folding")
            await target.folded()
            return counts


async def _send_all(
    target: Target, deliveries: list[Delivery], speed: float, bar: Bar
) -> dict[str, int]:
    """Send each delivery at its time, at most 64 at once; the number of each verdict."""
    counts: dict[str, int] = {}
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting: set[asyncio.Task[str]] = set()
    try:
        for number, (offset, delivery) in enumerate(pace(deliveries, speed), 1):
            delay = began + offset / 1_000_000 - loop.time()
            if delay > 0 and math.isfinite(speed):
                await asyncio.sleep(delay)
            waiting.add(asyncio.create_task(target.send(delivery)))
            if len(waiting) >= 64:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                _tally(counts, done)
            if number % _SHOWN_EVERY == 0 or delay > 0:
                bar.show("replaying", number, len(deliveries), "deliveries")
        if waiting:
            done, waiting = await asyncio.wait(waiting)
            _tally(counts, done)
    finally:  # after a failure, none of the others is waited for
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return counts


def _tally(counts: dict[str, int], done: set[asyncio.Task[str]]) -> None:
    failed = [error for task in done if (error := task.exception()) is not None]
    if failed:
        raise failed[0]
    for task in done:
        verdict = task.result()
        counts[verdict] = counts.get(verdict, 0) + 1


@asynccontextmanager
async def _target(config: Config, args: argparse.Namespace) -> AsyncIterator[Target]:
    if args.to:
        with ReceiverTarget(args.to, args.token or "") as target:
            yield target
    else:
        from vs_tui.cli.runtime import Runtime
        from vs_tui.store.lock import InUse

        runtime = Runtime(config, now)
        try:
            await runtime.open_store()
        except InUse:
            raise CommandError(
                f"{config.db} is in use by a running receiver; send to it with "
                f"--to http://{config.host}:{config.port}, or name another file with --db"
            ) from None
        try:
            yield StoreTarget(runtime)
        finally:
            await runtime.close()


class ReceiverTarget:
    """Posts to a receiver over several connections, each in a thread of its own."""

    def __init__(self, url: str, token: str) -> None:
        self._all = [ReceiverApi(url, token) for _ in range(_CONNECTIONS)]
        self._free = list(self._all)
        self._threads = ThreadPoolExecutor(_CONNECTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for api in self._all:
            api.abort()
        self._threads.shutdown(cancel_futures=True)
        for api in self._all:
            api.close()

    async def folded(self) -> None:
        """The receiver goes on folding by itself."""

    async def send(self, delivery: Delivery) -> str:
        """Send one delivery; returns the verdict, or `refused` and why."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._send, delivery)

    def _send(self, delivery: Delivery) -> str:
        api = self._free.pop()
        try:
            return api.deliver(delivery.path, delivery.headers, delivery.body)
        finally:
            self._free.append(api)


class StoreTarget:
    """Writes straight into a database that no receiver uses."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    async def folded(self) -> None:
        """Nobody folds the rest when this process has ended, until a receiver is started."""
        await self._runtime.writer.folded()

    async def send(self, delivery: Delivery) -> str:
        from vs_tui.log.append_queue import Unavailable

        try:
            return await self._store(delivery)
        except Unavailable:  # what it refers to is not folded yet
            await self.folded()
            return await self._store(delivery)

    async def _store(self, delivery: Delivery) -> str:
        outcome = await self._runtime.ingest(
            urlsplit(delivery.path).path,
            delivery.headers,
            delivery.body,
            delivery.received_at,
            dict(parse_qsl(urlsplit(delivery.path).query)),
        )
        return "refused" if outcome is None else str(outcome.verdict.value)


Target = ReceiverTarget | StoreTarget
"""Where deliveries go."""


def _register_record(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "record",
        record,
        description="Writes stored deliveries with the headers that matter and their bodies, one a "
        "line. Tokens, signatures and cookies are never stored and never written.",
        epilog="""
        examples:
          vs-tui record --out bug.jsonl --since 2h --source github
          vs-tui record --delivery 812           one delivery, on stdout
          vs-tui record --since 2026-03-02 --until 2026-03-03 | gzip > day.jsonl.gz
        """,
    )
    parser.add_argument("--out", default="-", metavar="FILE", help="where to (default: stdout)")
    parser.add_argument("--since", metavar="TIME", help="from this time on, or an age such as 2h")
    parser.add_argument("--until", metavar="TIME", help="before this time, or an age")
    parser.add_argument("--source", type=SourceName, help="only this source")
    parser.add_argument("--delivery", type=int, metavar="ID", help="only this one")
    add_store_options(parser)


def record(args: argparse.Namespace) -> int:
    from vs_tui.store.queries.read_deliveries import recorded
    from vs_tui.store.schema import open_reader

    since = moment("--since", args.since) if args.since else None
    until = moment("--until", args.until) if args.until else None
    connection = open_reader(load_config(args).db)
    try:
        found = recorded(
            connection,
            since=since,
            until=until,
            source=args.source,
            delivery_id=args.delivery,
        )
        written = _write(args.out, found)
    finally:
        connection.close()
    if not written:
        _explain(args)
    print(f"{written} deliveries", file=sys.stderr)
    return 0


def _explain(args: argparse.Namespace) -> None:
    """Why nothing was found under a given name."""
    from vs_tui.sources.dispatch import sources

    if args.source and args.source not in (known := sources()):
        raise UsageError(f"there is no source '{args.source}'; there are {', '.join(known)}")
    if args.delivery is not None:
        raise CommandError(
            f"there is no such delivery {args.delivery}, or it was pruned; Events lists them "
            "(refused requests, whose numbers are negative, are not kept whole)"
        )


def _write(out: str, deliveries: Iterator[Delivery]) -> int:
    written = 0
    if out == "-":
        for delivery in deliveries:
            line = format_line(delivery).decode("utf-8", "surrogatepass")
            sys.stdout.buffer.write(escaped_json(line).encode())
            written += 1
        return written
    try:
        descriptor = new_file(out)
    except FileExistsError:
        raise CommandError(f"{out} exists; choose another --out or remove it first") from None
    except OSError as error:
        raise CommandError(
            f"{out} cannot be written: {error.strerror}; choose another --out"
        ) from None
    with open(descriptor, "wb") as file:  # noqa: PTH123
        for delivery in deliveries:
            file.write(format_line(delivery))
            written += 1
    return written

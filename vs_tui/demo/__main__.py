"""`python -m vs_tui.demo` rewrites sample_events/: one recording per source, and the teams."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from vs_tui.demo.story import TEAMS, by_source, story
from vs_tui.log.recording import write


def main(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        path.unlink()
    for source, deliveries in sorted(by_source(story()).items()):
        (folder / f"{source}.jsonl").write_bytes(b"".join(write(deliveries)))
    shutil.copyfile(TEAMS, folder / TEAMS.name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sample_events"))

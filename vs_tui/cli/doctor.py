"""`vs-tui doctor`: check this installation, and say what to do about each problem."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from vs_tui.cli.common import add_store_options, load_config
from vs_tui.cli.doctor_checks import Finding, examine, look_deep
from vs_tui.cli.doctor_export import export_findings
from vs_tui.cli.doctor_metrics import metrics_findings
from vs_tui.cli.manual import add_command
from vs_tui.model.display import clean


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "doctor",
        help="check the installation, and say what to do",
        description="Checks SQLite, disk, file modes, clock, configuration, authentication, "
        "receiver, tunnel, each source, the exports, and which spans the metrics count. Exit code "
        "1 when something is broken; warnings alone exit 0.",
        epilog="""
        examples:
          vs-tui doctor
          vs-tui doctor --deep                   reads the whole database, too
          vs-tui doctor --json | jq '.[] | select(.level != "ok")'
        """,
    )
    add_store_options(parser)
    parser.add_argument("--deep", action="store_true", help="read the whole database, too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    config = load_config(args)
    findings = [*examine(config), *export_findings(config), *metrics_findings(config)]
    if args.deep:
        findings += look_deep(config)
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            show(finding)
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def show(finding: Finding) -> None:
    """One line for the finding, and below it what to do."""
    marks = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
    print(f"{marks[finding.level]}  {finding.check:<14} {clean(finding.found)}")
    if finding.advice:
        print(f"{'':22}-> {clean(finding.advice)}")

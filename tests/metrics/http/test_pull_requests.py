"""The pull-request report of what GitHub sent, as we print it and as ValueStream reads it."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.story import Story, command

WINDOW = ("--since", "2026-03-01", "--until", "2026-03-16", "--tz", "UTC")
SIZE = {"additions": 30, "deletions": 10, "comments": 1, "review_comments": 3}
ZERO = datetime(1, 1, 1, tzinfo=UTC)
FIELDS = {
    **dict.fromkeys(("owner", "repo", "ID", "author", "url", "title", "Reviewers"), str),
    **dict.fromkeys(("comments", "additions", "deletions", "total_changes"), int),
    **dict.fromkeys(("duration", "duration_per_comment", "duration_per_line"), float),
    **dict.fromkeys(("created_at", "merged_at", "closed_at", "updated_at"), datetime),
    "merged": bool,
}
"""The columns of ValueStream's struct with their types in Go."""


def decode(kind: type, cell: str) -> Any:
    """A cell as Go's reader takes it; it has no empty time and only Go's words for a bool."""
    if kind is datetime:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", cell), cell
        return datetime.fromisoformat(cell)
    if kind is bool:
        return {"true": True, "false": False}[cell]
    if kind in (int, float):
        return kind(cell) if cell else kind(0)
    return cell


@pytest.fixture(scope="module")
def told(receiver):
    story = Story()
    own = GitHub(story, "acme/prs")
    # Sunday 8 March begins a new week for ValueStream, Monday the 9th for us.
    people = [{"login": "cid"}, {"login": "dan"}]
    own.pull(1, "10:00", "12:00", requested_reviewers=people, **SIZE)
    own.pull(2, "Sat 10:00", "Sun 10:00", additions=0, deletions=0)
    own.pull(3, "Sun 11:00", title='=cmd(), "quoted"')
    own.pull(4, "2026-03-09 10:00", closed="2026-03-09 13:00", **SIZE)
    # GitLab tells neither lines nor comments.
    GitLab(story, "acme/mrs").pull(9, "Tue 10:00", "Tue 11:00")
    story.tell(receiver)
    return receiver


def printed(server, *options: str) -> list[dict[str, str]]:
    text = command(server, "report", "pull-requests", *options, *WINDOW)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_for_each_pull_request(told) -> None:
    rows = {(row["repo"], row["id"]): row for row in printed(told, "--format", "csv")}
    first = rows["prs", "1"]
    # Comments of reviews count as comments.
    assert (first["comments"], first["total_changes"]) == ("4", "40")
    assert float(first["duration"]) == 7200
    assert (float(first["duration_per_comment"]), float(first["duration_per_line"])) == (1800, 180)
    assert first["reviewers"] == "cid,dan"
    second = rows["prs", "2"]
    assert (second["comments"], float(second["duration_per_comment"])) == ("0", 0)
    assert second["duration_per_line"] == ""
    third, fourth = rows["prs", "3"], rows["prs", "4"]
    assert (third["merged"], third["merged_at"], third["closed_at"]) == ("false", "", "")
    assert (fourth["merged_at"], float(fourth["duration"])) == ("", 3 * 3600)
    unknown = rows["mrs", "9"]
    assert [unknown[name] for name in ("comments", "additions", "duration_per_line")] == [""] * 3


def test_valuestreams_aggregator_reads_its_format(told) -> None:
    rows = printed(told, "--format", "valuestream")
    assert set(rows[0]) == set(FIELDS)
    found = [{name: decode(kind, row[name]) for name, kind in FIELDS.items()} for row in rows]
    by_id = {(row["repo"], row["ID"]): row for row in found}
    assert by_id["prs", "1"]["Reviewers"] == "cid|dan"
    assert by_id["prs", "3"]["merged_at"] == by_id["prs", "3"]["closed_at"] == ZERO
    assert by_id["prs", "2"]["duration_per_line"] == 0
    assert by_id["mrs", "9"]["comments"] == 0
    assert by_id["prs", "3"]["title"].endswith('=cmd(), "quoted"')
    assert not by_id["prs", "3"]["title"].startswith("=")


def test_its_weeks_are_our_weeks(told) -> None:
    """ValueStream's weeks begin on Sunday; so do ours with --week-start sunday."""
    weeks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in printed(told, "--format", "valuestream"):
        entry = {name: decode(kind, row[name]) for name, kind in FIELDS.items()}
        created = entry["created_at"]
        begin = (created - timedelta(days=created.isoweekday() % 7)).date().isoformat()
        weeks.setdefault((begin, entry["repo"]), []).append(entry)
    options = ("--by", "week", "--week-start", "sunday", "--json")
    answer = json.loads(command(told, "report", "pull-requests", *options, *WINDOW))
    ours = {(item["period"], item["repo"]): item for item in answer["items"]}
    assert ours.keys() == weeks.keys()
    for key, entries in weeks.items():
        assert ours[key]["total"] == len(entries)
        assert ours[key]["merged"] == sum(entry["merged"] for entry in entries)
        if key[1] == "prs":
            merged = [entry for entry in entries if entry["merged"] or entry["closed_at"] != ZERO]
            if len(merged) == len(entries):
                mean = sum(entry["duration"] for entry in entries) / len(entries) / 3600
                assert ours[key]["duration_h"] == pytest.approx(mean)


@pytest.mark.parametrize("arguments", [("dora",), ("pull-requests", "--by", "week")])
def test_only_the_list_of_pull_requests_has_that_format(told, arguments) -> None:
    with pytest.raises(AssertionError, match="--format valuestream prints the list"):
        command(told, "report", *arguments, "--format", "valuestream")

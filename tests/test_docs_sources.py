"""Each source that receives has a page, and what the page shows is accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.sources.webhook_tools import RECEIVED, fold_all
from vs_tui.config import SIGNING_SOURCES
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import Inbound
from vs_tui.sources.registry import BUILT_IN, sources

FOLDER = Path(__file__).parents[1] / "docs" / "sources"
RECEIVING = [name for name in BUILT_IN if name != "user"]
EXAMPLE = re.compile(
    r"`POST (?P<path>/\S+)`(?P<rest>[^\n]*)\n\n```json\n(?P<body>.*?)\n```", re.DOTALL
)
HEADER = re.compile(r"`([A-Za-z-]+): ([^`]+)`")


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text("utf-8")


def test_there_is_a_page_a_source_and_no_other():
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted([*RECEIVING, "README"])


@pytest.mark.parametrize("name", RECEIVING)
def test_a_page_names_the_paths_and_the_index_lists_it(name):
    index = page("README")
    assert f"({name}.md)" in index
    for path in sources()[name].paths:
        plain = path.removesuffix("/*")
        assert f"`{plain}`" in page(name)
        assert f"`{plain}`" in index
    assert page(name).startswith("# ")
    for heading in ("Connect", "Limits", "Example"):
        assert f"\n## {heading}\n" in page(name)


@pytest.mark.parametrize("name", RECEIVING)
def test_a_page_says_how_the_tool_proves_itself(name):
    source, words = sources()[name], page(name)
    if name in SIGNING_SOURCES:
        assert f"`vs-tui secret show {name}`" in words
        assert any(header in words.lower() for header in source.signature_headers)
    else:
        assert "`vs-tui secret show token`" in words
    assert ("?token=" in words) == source.token_in_url


@pytest.mark.parametrize("name", RECEIVING)
def test_a_pages_examples_are_accepted(name):
    examples = list(EXAMPLE.finditer(page(name)))
    assert len(examples) == page(name).count("```json")
    assert examples
    for example in examples:
        headers = {header.lower(): value for header, value in HEADER.findall(example["rest"])}
        body = example["body"].encode()
        json.loads(body)
        parsed = sources()[name].parse(Inbound(example["path"], headers, body, RECEIVED))
        assert parsed.verdict is Verdict.ACCEPTED, parsed.reason
        spans = [folded.span for folded in fold_all(parsed.events).values()]
        assert all((span.name and span.started_at) or span.ended_at for span in spans)


def test_argo_cds_template_sends_the_fields_that_are_read():
    words = page("argocd")
    template = words.partition("body: |\n")[2].partition("\ntrigger.")[0]
    sent = set(re.findall(r'^\s+"(\w+)":', template, re.MULTILINE))
    shown = set(json.loads(EXAMPLE.search(words)["body"]))
    assert sent == shown

"""Each source that receives has a page, and what the page shows is accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.ingest.bodies import EXAMPLE, HEADER
from tests.sources.webhook_tools import RECEIVED, fold_all
from vs_tui.config import load
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import Inbound
from vs_tui.sources.dispatch import built_in, sources
from vs_tui.sources.mapped import MappedSource, presets

FOLDER = Path(__file__).parents[1] / "docs" / "sources"
OWN = [source.name for source in built_in()]
RECEIVING = [name for name in (*OWN, *presets()) if name != "user"]


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text("utf-8")


def test_there_is_a_page_a_source_and_no_other():
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted(
        [*RECEIVING, "README", "mapped"]
    )


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


def test_the_readme_names_every_tool():
    readme = (FOLDER.parents[1] / "README.md").read_text("utf-8").lower()
    first_words = {name: sources()[name].title.lower().split()[0].strip(",") for name in RECEIVING}
    first_words["customhttp"] = "/customhttp"
    assert [name for name, word in first_words.items() if word not in readme] == []


@pytest.mark.parametrize("name", RECEIVING)
def test_a_page_says_how_the_tool_proves_itself(name):
    source, words = sources()[name], page(name)
    if source.signature_headers:
        assert f"`vs-tui secret show {name}`" in words
        assert any(header in words.lower() for header in source.signature_headers)
    else:
        assert "`vs-tui secret show token`" in words
    assert ("?token=" in words) == source.token_in_url


@pytest.mark.parametrize("name", RECEIVING)
def test_a_page_says_who_makes_the_secret(name):
    source, words = sources()[name], page(name)
    enters = f"`VS_SECRET_{name.upper()}`"
    assert source.makes_secret == (enters in words and "replace Buildkite's" not in words)


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


@pytest.mark.parametrize("name", presets())
def test_a_presets_page_shows_its_sample_and_what_it_was_made_after(name):
    definition = presets()[name].definition
    shown = [match["body"].strip() for match in EXAMPLE.finditer(page(name))]
    assert set(shown) <= {sample["body"].strip() for sample in definition["samples"]}
    for link in definition["documentation"]:
        assert f"<{link}>" in page(name)


def test_the_mapping_of_the_docs_makes_what_the_docs_show(tmp_path):
    words = page("mapped")
    file = tmp_path / "config.toml"
    file.write_text(words.partition("```toml\n")[2].partition("```")[0])
    ((name, table),) = load(file, env={}).sources.items()
    source = MappedSource(name, table).check()
    example = EXAMPLE.search(words)
    assert source.paths == (example["path"],)
    parsed = source.parse(Inbound(example["path"], {}, example["body"].encode(), RECEIVED))
    (folded,) = fold_all(parsed.events).values()
    assert (folded.span.key, folded.span.name) == ("vstrace-shipit-deploy-77", "cart to production")
    assert "vstrace-shipit-deploy-77" in words


def test_the_page_of_mappings_lists_every_setting_and_function():
    from vs_tui.sources import mapped
    from vs_tui.sources.expressions import _Functions
    from vs_tui.sources.signatures import SETTINGS

    words = page("mapped")
    for setting in (*mapped._SETTINGS, *mapped._RULE, *SETTINGS):
        assert f"`{setting}`" in words or setting == "events", setting
    ours = set(_Functions.FUNCTION_TABLE) - set(_Functions.__mro__[1].FUNCTION_TABLE)
    for function in ours:
        assert f"`{function}(" in words, function

"""No text of an event can be read as markup: by the code's shape, and by clicking on it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vs_tui.tui
from tests.tui.fakes import FakeReader, delivery, span
from tests.tui.stage import stage
from vs_tui.model.time import SECOND

FOLDER = Path(vs_tui.tui.__file__).parent
SINKS = {
    *("Static", "Label", "Button", "Checkbox", "Collapsible", "DataTable", "Digits", "Header"),
    *("Input", "Link", "ListItem", "Log", "Markdown", "MarkdownViewer", "MaskedInput", "Option"),
    *("OptionList", "Pretty", "RadioButton", "RichLog", "Select", "SelectionList", "Tab", "Tabs"),
    *("TabPane", "TextArea", "Toast", "Tree", "add_row", "add_column", "add_option", "add_leaf"),
    *(
        "notify",
        "panic",
        "exit",
        "set_options",
        "write_line",
        "markup",
        "from_markup",
        "render_str",
    ),
}
"""What takes a text and may read markup in it, or writes it as it is."""
PAINTED = {
    "border_title",
    "border_subtitle",
    "sub_title",
    "title",
    "tooltip",
    "placeholder",
    "help",
}


def faults(source: str, where: str = "") -> list[str]:
    """Places where a text that is put together reaches a sink."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in ("from_markup", "render_markup", "render_str"):
                found.append(f"{where}:{node.lineno}: {name}")
            literal = any(_is_markup_off(keyword) for keyword in node.keywords)
            texts = [*node.args, *(k.value for k in node.keywords if k.arg in PAINTED)]
            if name in SINKS and not literal and any(_is_made(text) for text in texts):
                found.append(f"{where}:{node.lineno}: {name}")
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {_name(target) for target in targets if isinstance(target, ast.Attribute)}
            if names & (PAINTED - {"help", "title"}) and node.value and _is_made(node.value):
                found.append(f"{where}:{node.lineno}: {names}")
    return found


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_markup_off(keyword: ast.keyword) -> bool:
    off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
    return keyword.arg == "markup" and off


def _is_made(node: ast.expr) -> bool:
    """An f-string with values in it, a sum, `%`, `.format` or `.join`."""
    for part in ast.walk(node):
        if isinstance(part, ast.FormattedValue):
            return True
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add | ast.Mod):
            return any(isinstance(each, ast.Constant | ast.JoinedStr) for each in ast.walk(part))
        if isinstance(part, ast.Call) and _name(part.func) in ("format", "join"):
            return True
    return False


def test_no_made_text_reaches_what_reads_markup() -> None:
    found = []
    for path in sorted(FOLDER.rglob("*.py")):
        found += faults(path.read_text("utf-8"), str(path.relative_to(FOLDER)))
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        'Static(f"{name}")',
        'self.notify(f"{name} ended")',
        'self.notify("ended: " + name)',
        'table.add_row("x", f"{name}")',
        'Label("%s" % name)',
        'widget.border_title = f"{name}"',
        'widget.tooltip = "x".join(names)',
        'Content.from_markup("x")',
        'Static("{}".format(name), markup=True)',
    ],
)
def test_the_check_finds(line) -> None:
    assert faults(line)


@pytest.mark.parametrize(
    "line", ['Static("plain")', 'self.notify(f"{name}", markup=False)', 'log(f"{name}")']
)
def test_the_check_lets_pass(line) -> None:
    assert faults(line) == []


def test_no_text_goes_into_textuals_toasts() -> None:
    """They read markup unless told not to, and cover what is below them."""
    calls = [
        node
        for path in FOLDER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and _name(node.func) == "notify"
    ]
    assert calls == []


MARKUP = (
    "[@click=app.quit]quit[/]", "[@click='app.quit']quit[/]", "[link=https://evil]x[/link]",
    "[/foo]",
    "[0]", "[/", "[", "[[", "\\[/]", "[bold", "[red]x[/red]", "[$error]x[/]", "[JIRA-12] list[int]",
    "[@click=app.do('quit')]quit[/]",
)  # fmt: skip


@pytest.mark.parametrize("key", ["1", "2", "4", "5"])
async def test_a_click_on_markup_opens_what_it_names_and_nothing_else(key) -> None:
    reader = FakeReader(
        [
            span(
                f"m-{n}", "deploy", text, began=(n + 1) * SECOND, actor=text, stage=text,
                team=text, environment=text, service=text, error=text, attributes={text: text},
            )
            for n, text in enumerate(MARKUP)
        ]
    )  # fmt: skip
    for number, text in enumerate(MARKUP, 1):
        reader.stored[number] = delivery(number, text, source=text, reason=text, body=text.encode())
    async with stage(reader, size=(140, 45)) as on:
        await on.press(key)
        for row in range(3, 15):
            for column in (30, 110):
                await on.pilot.click(offset=(column, row))
                assert on.app.is_running, (key, row, column)
                assert on.app.return_code in (None, 0)
                assert on.app._exception is None
            await on.settle()
            if key not in on.text[:400]:
                await on.press("escape", key)
        await on.press(key)
        if key == "1":
            await on.press("escape")  # a click on the metrics leads to a filter by deployments
        if key in "124":
            shown = on.text
            await on.settle()
            assert "quit[/]" in shown, "it is shown as it was written"

"""File names and labels are words of strangers: no page makes a link, an image, an icon or markup
of them.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import PATIENCE, QUIET, running_app
from tests.support import ROOT
from ui.common.downloads import _button
from ui.common.messages import JOINER, plain

NAMES = (
    "![x](http://evil.example/a.png).jpg",
    "[click](http://evil.example).jpg",
    "www.evil.example.jpg",
    "http://evil.example/a.jpg",
    "me@evil.example.jpg",
    ":smile: :material/face:.jpg",
    ":material/face.jpg",
    ":red[x].jpg",
    "<img src=x onerror=alert(1)>.jpg",
    "<script>alert(1)</script>.jpg",
    "`code`*bold*_it_~~no~~.jpg",
    "$x^2$.jpg",
    "a -- b -> c.jpg",
    "&lt;b&gt;&amp;.jpg",
    "1. one.jpg",
    "# head.jpg",
    "> quote.jpg",
    "- list.jpg",
    "a | b.jpg",
    ":streamlit: :+1:.jpg",
    "back\\slash.jpg",
    "a__b__c.jpg",
)
SCRIPT = f"""
import streamlit as st
from ui.common.messages import plain
NAMES = {NAMES!r}
for number, name in enumerate(NAMES):
    with st.container(key=f"name-{{number}}"):
        st.markdown(plain(name))
        st.caption(plain(name))
        st.button(plain(name), key=f"button-{{number}}")
        st.info("x", title=plain(name))
        st.expander(plain(name), key=f"expander-{{number}}")
"""
PLACES = (
    "[data-testid=stMarkdown] p",
    "[data-testid=stCaptionContainer] p",
    "button p",
    "[data-testid=stAlertTitle] p",
    "summary p",
)
MARKS = (
    ":is(a, img, b, i, em, strong, code, del, h1, h2, h3, li, blockquote, table, .katex,"
    " [role=img])"
)


@pytest.mark.e2e
def test_names_are_shown_letter_for_letter(browser: Any, tmp_path: Path) -> None:
    script = tmp_path / "shown.py"
    script.write_text(SCRIPT)
    root = str(ROOT)
    with running_app(script=str(script), switches={"PYTHONPATH": root}) as url:
        page = browser.new_context().new_page()
        page.set_default_timeout(PATIENCE // 4)
        page.goto(url)
        page.locator(f".st-key-name-{len(NAMES) - 1} summary").wait_for()
        page.locator(QUIET).wait_for()
        wrong = []
        for number, name in enumerate(NAMES):
            box = page.locator(f".st-key-name-{number}")
            for where in PLACES:
                found = box.locator(where).first
                if found.text_content().replace(JOINER, "") != name or found.locator(MARKS).count():
                    wrong.append((name, where, found.inner_html()))
        page.context.close()
    assert wrong == []


def test_what_cannot_be_seen_is_shown() -> None:
    assert plain("photo\u202egpj.exe") == "photo\ufffdgpj\\.exe"
    assert (
        plain("a\nb\n\n# c") == "a b \\# c" and plain("x\0\x1by\u2028z") == "x\ufffd\ufffdy\ufffdz"
    )
    assert plain("Zoë 2020.jpg") == "Zoë 2020\\.jpg" and plain("") == ""


def test_tooltips_of_downloads_read_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, Any] = {}
    monkeypatch.setattr("streamlit.download_button", lambda *given, **more: said.update(more))
    _button(
        "JSON",
        "{}",
        "![x](http://evil.example/a.png)-faces.json",
        "application/json",
        ":material/table:",
    )
    assert said["help"].startswith("Save \\!\\[x\\]\\(")


READS_MARKDOWN = {
    "markdown",
    "caption",
    "info",
    "warning",
    "error",
    "success",
    "subheader",
    "header",
    "button",
    "expander",
    "write",
    "spinner",
    "toast",
    "badge",
    "progress",
}
NAMED = {"file", "name", "error", "problem", "reason", "missing", "asked"}
"""What variables and attributes with words of strangers are called."""


@pytest.mark.parametrize(
    "path", sorted([*Path("ui").glob("*.py"), *Path("pages").glob("*.py")]), ids=str
)
def test_no_place_reads_a_strangers_words_as_markdown_or_html(path: Path) -> None:
    """Every value in a text for Markdown that is called as such words are goes through ``plain``,
    in ``st.html`` through ``escape``.
    """
    found = []
    for call in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        assert not any(word.arg == "unsafe_allow_html" for word in call.keywords), (
            f"{path}:{call.lineno}: st.html with escape is for that"
        )
        if (
            call.func.attr not in READS_MARKDOWN | {"html"}
            or getattr(call.func.value, "id", "") == "LOG"
        ):
            continue
        texts = [
            *call.args[:1],
            *(
                word.value
                for word in call.keywords
                if word.arg in ("help", "title", "label", "caption")
            ),
        ]
        for text in texts:
            found += [f"{path}:{value.lineno}" for value in _inside(text) if _stranger(value)]
    assert found == []


def _inside(node: ast.AST) -> list[ast.AST]:
    """What stands in a text as it is: values of f-strings, sums and choices, not those given to a
    function.
    """
    if isinstance(node, ast.JoinedStr):
        return [
            one
            for part in node.values
            if isinstance(part, ast.FormattedValue)
            for one in _inside(part.value)
        ]
    if isinstance(node, ast.BinOp):
        return _inside(node.left) + _inside(node.right)
    if isinstance(node, ast.IfExp):
        return _inside(node.body) + _inside(node.orelse)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "str":
        return [one for given in node.args for one in _inside(given)]
    return [node]


def _stranger(node: ast.AST) -> bool:
    return getattr(node, "attr", getattr(node, "id", "")) in NAMED

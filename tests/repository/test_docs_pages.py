"""README and docs/ name only what exists: files, headings, commands, options, settings, code; and
the README stays short.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict, is_typeddict

import pytest
from PIL import Image
from typer.main import get_command

from agegender_core.cli.application import app
from agegender_core.datasets.registry import TERMS, TEST_SPLITS
from agegender_core.inference.model_zoo import list_weights
from agegender_core.serving import api_schema
from agegender_core.settings import Settings
from agegender_core.video import template_matching, tracker
from agegender_core.vision.image_io import MAX_BYTES, MAX_PIXELS
from tests.support import ROOT

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
ENTRIES = list_weights(ROOT / "weights")
MODULE_CALLED = ("batch.md", "runs.md")
"""Pages that name commands by the module."""
FOLDERS = (
    "agegender_core",
    "ui",
    "pages",
    "configs",
    "weights",
    "reports",
    "docs",
    "deploy",
    "tests",
)
COMMAND = re.compile(r"^(?:agegender|python -m agegender_core) (.+)$")


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def anchors(text: str) -> set[str]:
    """Headings as GitHub links them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def called(text: str) -> Iterator[list[str]]:
    """Words of each call of the command line in a page, in blocks and between backticks."""
    lines = [line.strip() for block in blocks(text, "bash") for line in block.splitlines()]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", text)]:
        if found := COMMAND.match(line.split(" #")[0].strip()):
            yield found[1].split()


def settings() -> set[str]:
    """All variables that the code or its tests read: in their own words, or as a field of
    ``Settings``.
    """
    texts = [
        path.read_text()
        for folder in ("agegender_core", "ui", "pages", "tests")
        for path in (ROOT / folder).rglob("*.py")
    ]
    return set(
        re.findall(
            r"AGEGENDER_[A-Z][A-Z_]*[A-Z]",
            "\n".join(text for text in texts if "def settings()" not in text),
        )
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name} points to {target}, which is missing"
        assert not anchor or anchor in anchors(path.read_text()), (
            f"{page.name}: {target} has no heading #{anchor}"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", page.read_text()):
        assert "NAME" in name or (ROOT / name).exists(), (
            f"{page.name} names {name}, which is missing"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    group: Any = get_command(app)
    for words in called(page.read_text()):
        command, rest = group, list(words)
        while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"{page.name}: «agegender {' '.join(words)}»"
            command = command.commands[rest.pop(0)]
        options = {
            name
            for parameter in command.params
            for name in (*parameter.opts, *parameter.secondary_opts)
        } | {"--help"}
        given = {word.split("=")[0] for word in rest if word.startswith("-")}
        assert given <= options, (
            f"{page.name}: «agegender {' '.join(words)}» has no {given - options}"
        )


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        text = page.read_text()
        words = [
            line for block in blocks(text, "bash") for line in block.splitlines()
        ] + re.findall(r"`([^`\n]+)`", text)
        for target in {found[1] for line in words if (found := re.match(r"make ([\w-]+)", line))}:
            assert target in targets, f"{page.name}: make {target}"


def test_settings_are_all_told_and_none_is_made_up() -> None:
    known, table = settings(), (ROOT / "docs" / "settings.md").read_text()
    for page in PAGES:
        assert set(re.findall(r"AGEGENDER_[A-Z][A-Z_]*[A-Z]", page.read_text())) <= known, page.name
    fields = {f"AGEGENDER_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert fields <= set(re.findall(r"AGEGENDER_[A-Z_]+", table)), "docs/settings.md lacks some"


def test_defaults_and_limits_are_the_codes() -> None:
    row = {
        name: line
        for line in (ROOT / "docs" / "settings.md").read_text().splitlines()
        for name in re.findall(r"AGEGENDER_\w+", line)
    }
    usual = Settings()
    for names in (
        ("max_mb", "max_megapixels"),
        ("max_pictures", "max_faces"),
        ("concurrent", "waiting"),
    ):
        line = row[f"AGEGENDER_{names[0].upper()}"]
        assert line.split("|")[3].strip() == ", ".join(
            str(getattr(usual, name)) for name in names
        ), line
    for page in (README, ROOT / "docs" / "api.md"):
        text = page.read_text()
        assert f"{MAX_BYTES // 2**20} MB" in text and f"{MAX_PIXELS // 10**6} megapixels" in text, (
            page.name
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_pages_is_python_and_imports_what_is_there(page: Path) -> None:
    for block in blocks(page.read_text(), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names), (
                    f"{page.name}: {ast.unparse(node)}"
                )


def test_readme_is_short_and_leads_to_every_page() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 150 and text.count("![") == 1
    for page in PAGES[1:]:
        assert f"](docs/{page.name}" in text, f"the README does not lead to docs/{page.name}"


def test_architecture_names_every_folder_of_code() -> None:
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("agegender_core", "ui")
        for path in (ROOT / top).rglob("*.py")
    }
    assert {folder for folder in folders if f"| `{folder}/`" not in ARCHITECTURE} == set()


def test_modules_that_architecture_names_lie_in_that_folder() -> None:
    rows = re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", ARCHITECTURE, re.M)
    named = {
        (folder, name)
        for folder, text in rows
        for name in re.findall(r"`(\w+(?:\.py)?)`", text)
        if folder.startswith(("agegender_core", "ui"))
    }
    assert len(named) > 40, "the table names hardly any module"
    assert {
        f"{folder}/{name}"
        for folder, name in named
        if not (ROOT / folder / f"{name.removesuffix('.py')}.py").is_file()
    } == set()


def test_api_page_names_every_field_of_the_answers() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    kinds = {
        name: kind
        for name, kind in vars(api_schema).items()
        if is_typeddict(kind) and kind is not TypedDict
    }
    assert len(kinds) >= 10
    fields = {f"{name}.{field}" for name, kind in kinds.items() for field in kind.__annotations__}
    assert {field for field in fields if f"`{field.partition('.')[2]}`" not in page} == set()


def test_the_command_is_called_by_its_name() -> None:
    """``python -m agegender_core`` stands where a checkout without installation is meant, and
    nowhere with a command behind it.
    """
    code = [path for top in ("ui", "pages") for path in (ROOT / top).rglob("*.py")]
    others = [page for page in PAGES if page.name not in MODULE_CALLED]
    for path in [*others, *code, *(ROOT / "configs").rglob("*.toml")]:
        found = re.search(r"python\W+-m\W+agegender_core\s+[a-z]", path.read_text())
        assert found is None, f"{path.name}: «{found}»"


def test_datasets_and_their_terms_are_the_registrys() -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    rows = re.findall(
        r"^\| ([^|]+?) (?:\(([^|)]+)\) )?\| ([^|]+) \| (training, test|test alone) \|$", page, re.M
    )
    own = {TERMS[name].title: TERMS[name] for name in TEST_SPLITS}
    assert {title for title, *_ in rows} == set(own)
    trained = {name for info in ENTRIES for name in info.training["sets"]}
    for title, source, terms, use in rows:
        assert terms == own[title].terms, title
        authors, _, year = source.rpartition(", ")
        assert own[title].source.startswith(authors) and own[title].source.endswith(year), title
        assert use == ("training, test" if _key(title) in trained else "test alone"), title


def _key(title: str) -> str:
    return next(name for name, terms in TERMS.items() if terms.title == title)


def test_results_name_every_architecture_with_its_size_and_the_default() -> None:
    page = (ROOT / "docs" / "results.md").read_text().partition("## The systems")[2]
    rows = re.findall(r"^\| `(\w+)`, (.+?) \| .+ \| (.+) \|$", page, re.M)
    assert {name for name, *_ in rows} == {info.architecture for info in ENTRIES}
    recipes = {name: set(re.findall(r"`(\w+)`", cell)) for name, _, cell in rows}
    for info in ENTRIES:
        if not info.for_comparison:
            assert info.name in recipes[info.architecture], info.name
    (default,) = [info.name for info in ENTRIES if info.default]
    assert re.findall(r"`(\w+)` \([^()]*the app's default\)", page) == [default]
    for name, title, _ in rows:
        counts = [info.parameters / 1e6 for info in ENTRIES if info.architecture == name]
        if (said := re.match(r"[\d.]+M", title)) and "at full width" not in title:
            assert {said[0]} & {f"{count:.{n}f}M" for count in counts for n in (0, 1)}, title


def test_about_says_what_live_remembers_of_a_face() -> None:
    text = " ".join((ROOT / "pages" / "about.py").read_text().split())
    side = max(template_matching.SIDE, template_matching.APPEARANCE.size)
    assert f"thumbnail of at most {side} × {side} pixels" in text
    assert "gone for about two seconds" in text and 1 < tracker.FORGET <= 2


def test_terms_name_both_portraits() -> None:
    for name in ("Eileen Collins by NASA", "Grace Hopper by the US Navy"):
        assert name in README.read_text()


def test_the_share_images_python_runs(
    portrait: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/guess.md's snippet, word for word, on the sample portrait."""
    portrait.save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    (snippet,) = blocks((ROOT / "docs" / "guess.md").read_text(), "python")
    exec(compile(snippet, "guess.md", "exec"), {})
    with Image.open(tmp_path / "share.png") as image:
        assert image.size == (1200, 630)


def test_the_readmes_python_and_command_run(
    portrait: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one-line Python and the one command, word for word, on the sample portrait."""
    from typer.testing import CliRunner

    (tmp_path / "photos").mkdir()
    portrait.save(tmp_path / "photo.jpg")
    portrait.save(tmp_path / "photos" / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    text = README.read_text()
    (local,) = [block for block in blocks(text, "python") if "analyze" in block]
    exec(compile(local, "README.md", "exec"), {})
    (words,) = [words for words in called(text) if words[0] == "predict"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and (tmp_path / words[-1]).read_text().count("\n") == 2, done.output

"""What a glob matches and what lies below a folder: links, brackets, folders that may not be
read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agegender_core.errors import DatasetError
from agegender_core.vision import image_files
from agegender_core.vision.image_files import expand_glob, images_below


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.mark.timeout(20)
def test_links_to_a_folder_above_end_and_give_each_image_once() -> None:
    touch("in/a.jpg", "in/deep/b.jpg")
    for name in ("in/self", "in/again", "in/deep/up"):
        Path(name).symlink_to(Path("in").absolute())
    Path("in/knot").symlink_to("knot")
    expected = ["in/a.jpg", "in/deep/b.jpg"]
    assert expand_glob("in/**/*.jpg") == expected
    assert expand_glob("in/**/**/*.jpg") == expected
    assert expand_glob("in/**/*/*.jpg") == [
        "in/again/a.jpg",
        "in/deep/b.jpg",
    ]  # nothing but a link leads to a.jpg in two steps
    assert expand_glob("**/*.jpg") == expected
    assert [path for path in expand_glob("in/**") if path.endswith(".jpg")] == expected
    assert sorted(images_below("in")) == expected


def test_links_to_other_folders_are_followed_once() -> None:
    touch("elsewhere/a.jpg", "in/b.jpg", "in/z/c.jpg")
    Path("in/one").symlink_to(Path("elsewhere").absolute())
    Path("in/two").symlink_to(Path("elsewhere").absolute())
    Path("in/a_link").symlink_to("z")
    assert list(images_below("in")) == ["in/b.jpg", "in/z/c.jpg", "in/one/a.jpg"]
    assert expand_glob("in/**/*.jpg") == ["in/b.jpg", "in/one/a.jpg", "in/z/c.jpg"]
    assert list(images_below("in", ["elsewhere"])) == ["in/b.jpg", "in/z/c.jpg"]


def test_a_part_that_exists_is_taken_literally() -> None:
    touch(
        "Urlaub [2020]/a.jpg",
        "Urlaub [2020]/x[1].jpg",
        "Urlaub 2/b.jpg",
        "Urlaub [2020]/below/c.jpg",
    )
    assert expand_glob("Urlaub [2020]/*.jpg") == ["Urlaub [2020]/a.jpg", "Urlaub [2020]/x[1].jpg"]
    assert expand_glob(str(Path("Urlaub [2020]").absolute() / "**" / "c*")) == [
        str(Path("Urlaub [2020]/below/c.jpg").absolute())
    ]
    assert expand_glob("Urlaub [23]/*.jpg") == ["Urlaub 2/b.jpg"]
    assert expand_glob("*/x[1].jpg") == ["Urlaub [2020]/x[1].jpg"]


def test_a_missing_file_with_brackets_is_a_file() -> None:
    assert expand_glob("missing [1].jpg") == ["missing [1].jpg"]
    with pytest.raises(DatasetError, match="nothing matches"):
        expand_glob("missing [1]*.jpg")


def test_globs_match_as_before() -> None:
    touch(
        "in/b.png",
        "in/a.png",
        "in/deep/c.png",
        "in/.hidden.png",
        "in/.git/x.png",
        "in/d.gif",
        "a.png",
    )
    assert expand_glob("in/*.png") == ["in/a.png", "in/b.png"]
    assert expand_glob("./in/*.png") == ["./in/a.png", "./in/b.png"]
    assert expand_glob("in/.*.png") == ["in/.hidden.png"]
    assert expand_glob("in/**/*.png") == ["in/a.png", "in/b.png", "in/deep/c.png"]
    assert expand_glob("**/?.png") == ["a.png", "in/a.png", "in/b.png", "in/deep/c.png"]
    assert expand_glob("in/[!a].*") == ["in/b.png", "in/d.gif"]
    assert expand_glob("in/../*.png") == ["in/../a.png"]
    with pytest.raises(DatasetError, match="folders only"):
        expand_glob("i*")


def test_a_folder_that_may_not_be_read_is_given_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.jpg", "in/private/b.jpg")
    scandir, listdir = os.scandir, os.listdir

    def refuse(path, real):
        if os.path.basename(path) == "private":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(image_files.os, "scandir", lambda path: refuse(path, scandir))
    monkeypatch.setattr(image_files.os, "listdir", lambda path: refuse(path, listdir))
    assert list(images_below("in")) == ["in/a.jpg", "in/private"]
    assert expand_glob("in/**/*.jpg") == ["in/a.jpg", "in/private"]
    assert expand_glob("in/private/*.jpg") == ["in/private"]

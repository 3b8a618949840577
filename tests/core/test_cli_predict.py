"""``python -m agegender_core predict`` from outside: what it reads, writes and answers to the shell. The predictor is a fake."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import agegender_core
from agegender_core.cli import app
from agegender_core.errors import WeightsMissingError
from agegender_core.export import COLUMN_TYPES, table_columns
from agegender_core.types import Analysis
from tests.fakes import FakePredictor

ROOT = Path(__file__).parents[2]
Run = Callable[..., Result]


@dataclass
class Backend:
    """Stands in for ``agegender_core.predictor`` and remembers what it was asked."""

    predictor: FakePredictor = field(default_factory=FakePredictor)
    asked: dict = field(default_factory=dict)
    failures: dict[str, BaseException] = field(default_factory=dict)

    def load_predictor(self, weights: str | None = None, *, race: bool = False, min_face: int = 24) -> Backend:
        if weights == "absent":
            raise WeightsMissingError("There are no weights named absent. Run `weights list`.")
        self.asked = {"weights": weights, "race": race, "min_face": min_face}
        return self

    def run(self, source: str) -> Analysis:
        failure = self.failures.get(os.path.basename(source))
        if failure is not None:
            raise failure
        return self.predictor.run(source)


@pytest.fixture
def backend(monkeypatch) -> Backend:
    backend = Backend()
    module = types.ModuleType("agegender_core.predictor")
    module.load_predictor = backend.load_predictor
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(agegender_core, "predictor", module, raising=False)
    monkeypatch.delenv("AGEGENDER_RACE", raising=False)
    monkeypatch.delenv("AGEGENDER_WEIGHTS", raising=False)
    return backend


@pytest.fixture
def run(backend, tmp_path, monkeypatch) -> Run:
    """Runs ``predict`` with the given arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["predict", *map(str, arguments)])


def draw(path: str | Path, size: tuple[int, int] = (120, 90)) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 90, 90)).save(path)
    return path


def answers(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def files(text: str) -> list[str]:
    return [answer["file"] for answer in answers(text)]


class TestInputs:
    def test_one_file(self, run):
        draw("a.png")
        result = run("a.png")
        assert result.exit_code == 0
        (answer,) = answers(result.stdout)
        assert (answer["file"], len(answer["faces"]), answer["faces"][0]["gender"]["label"]) == ("a.png", 1, "Female")

    def test_folders_are_searched_in_order_for_pictures(self, run):
        for name in ("in/b.JPG", "in/a.png", "in/deep/er/c.webp", "in/.hidden.png", "in/.git/x.png", "in/._a.png"):
            draw(name)
        Path("in/notes.txt").write_text("no picture")
        result = run("in")
        assert result.exit_code == 0
        assert files(result.stdout) == ["in/a.png", "in/b.JPG", "in/deep/er/c.webp"]

    def test_globs(self, run):
        for name in ("in/b.png", "in/a.png", "in/deep/c.png", "in/d.bmp"):
            draw(name)
        assert files(run("in/*.png").stdout) == ["in/a.png", "in/b.png"]
        assert files(run("in/**/*.png").stdout) == ["in/a.png", "in/b.png", "in/deep/c.png"]

    def test_a_name_that_looks_like_a_glob(self, run):
        draw("a[1].png")
        assert files(run("a[1].png").stdout) == ["a[1].png"]

    def test_each_file_once(self, run):
        draw("in/a.png")
        draw("in/b.png")
        assert files(run("in/b.png", "in", "in/*.png", Path("in/a.png").absolute()).stdout) == ["in/b.png", "in/a.png"]

    def test_a_missing_path_is_a_failed_row(self, run):
        draw("a.png")
        result = run("absent.png", "a.png")
        assert result.exit_code == 1
        first, second = answers(result.stdout)
        assert first == {"file": "absent.png", "error": {"reason": "not_found", "message": first["error"]["message"]}}
        assert "faces" in second

    @pytest.mark.parametrize("arguments", [["nothing/*.png"], ["empty"], ["a.png", "*.gif"], []])
    def test_no_match_is_a_usage_error(self, run, arguments):
        draw("a.png")
        Path("empty").mkdir()
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")

    def test_names_that_are_not_utf8(self, run):
        draw("a.png")
        os.rename("a.png", b"\xff.png")
        result = run(".")
        assert result.exit_code == 0
        assert files(result.stdout) == ["./\\udcff.png"]


class TestFailures:
    def test_a_bad_file_in_the_middle(self, run):
        draw("1.png")
        Path("2.png").write_text("not a picture")
        draw("3.png")
        result = run("1.png", "2.png", "3.png")
        assert result.exit_code == 1
        one, two, three = answers(result.stdout)
        assert two["error"]["reason"] == "not_an_image"
        assert "faces" in one and "faces" in three
        assert "3 pictures, 2 faces, 1 failed" in result.stderr

    def test_an_unexpected_exception(self, run, backend):
        draw("1.png")
        draw("2.png")
        backend.failures["1.png"] = RuntimeError("no luck")
        result = run("1.png", "2.png", "-f", "csv")
        assert result.exit_code == 1
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["error"] for row in rows] == ["RuntimeError: no luck", ""]

    @pytest.mark.parametrize(("suffix", "lines"), [("jsonl", 1), ("csv", 2)])
    def test_interrupted_keeps_what_it_has(self, run, backend, suffix, lines):
        for name in ("1.png", "2.png", "3.png"):
            draw(name)
        backend.failures["2.png"] = KeyboardInterrupt()
        result = run("1.png", "2.png", "3.png", "-o", f"out.{suffix}")
        assert result.exit_code == 130
        assert len(Path(f"out.{suffix}").read_text().splitlines()) == lines
        assert "stopped before 2 of 3 files: 1 picture, 1 face, 0 failed" in result.stderr
        assert "Traceback" not in result.stderr

    def test_interrupted_parquet_keeps_what_it_has(self, run, backend):
        draw("1.png")
        draw("2.png")
        backend.failures["2.png"] = KeyboardInterrupt()
        assert run("1.png", "2.png", "-o", "out.parquet").exit_code == 130
        assert pd.read_parquet("out.parquet")["file"].tolist() == ["1.png"]

    def test_rows_are_on_disk_before_the_next_file_is_read(self, run, backend):
        draw("1.png")
        draw("2.png")
        seen = []

        class Watching(FakePredictor):
            def run(self, source):
                seen.append(Path("out.jsonl").read_text().count("\n"))
                return super().run(source)

        backend.predictor = Watching()
        run("1.png", "2.png", "-o", "out.jsonl")
        assert seen == [0, 1]

    def test_unknown_weights_are_a_usage_error(self, run):
        draw("a.png")
        Path("out.jsonl").write_text("older results")
        result = run("a.png", "--weights", "absent", "-o", "out.jsonl")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no weights named absent" in result.stderr
        assert Path("out.jsonl").read_text() == "older results"


class TestFormats:
    def test_csv(self, run, backend):
        backend.predictor = FakePredictor(faces=2)
        draw("a.png")
        result = run("a.png", "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert list(rows[0]) == table_columns()
        assert [(row["face"], row["faces"], row["gender"]) for row in rows] == [("1", "2", "Female"), ("2", "2", "Male")]

    def test_a_picture_without_faces_stays_in_the_table(self, run, backend):
        backend.predictor = FakePredictor(faces=0)
        draw("a.png")
        result = run("a.png", "-f", "csv")
        assert result.exit_code == 0
        (row,) = csv.DictReader(io.StringIO(result.stdout))
        assert (row["file"], row["face"], row["faces"], row["error"]) == ("a.png", "", "0", "")

    @pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
    def test_the_outputs_suffix_decides(self, run, suffix):
        draw("a.png")
        result = run("a.png", "-o", f"out.{suffix}")
        assert (result.exit_code, result.stdout) == (0, "")
        path = Path(f"out.{suffix}")
        if suffix == "jsonl":
            assert files(path.read_text()) == ["a.png"]
        else:
            table = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
            assert list(table) == table_columns()
            assert (table["file"][0], round(table["age"][0])) == ("a.png", 34)

    def test_format_wins_over_the_suffix(self, run):
        draw("a.png")
        run("a.png", "-o", "out.txt", "-f", "csv")
        assert Path("out.txt").read_text().startswith("file,face,")

    @pytest.mark.parametrize(
        "arguments",
        [["-f", "parquet"], ["-o", "out.xlsx"], ["-f", "xml"], ["-o", "absent/out.csv"], ["--min-face", "0"], ["-f", "csv", "-o", "a.png"]],
    )
    def test_usage_errors(self, run, arguments):
        before = draw("a.png").read_bytes()
        result = run("a.png", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert Path("a.png").read_bytes() == before


class TestOptions:
    def test_defaults(self, run, backend):
        draw("a.png")
        run("a.png")
        assert backend.asked == {"weights": None, "race": False, "min_face": 24}

    def test_given(self, run, backend):
        draw("a.png")
        run("a.png", "--weights", "mine", "--race", "--min-face", "40")
        assert backend.asked == {"weights": "mine", "race": True, "min_face": 40}

    def test_from_the_environment(self, run, backend, monkeypatch):
        monkeypatch.setenv("AGEGENDER_RACE", "1")
        monkeypatch.setenv("AGEGENDER_WEIGHTS", "theirs")
        draw("a.png")
        run("a.png")
        assert backend.asked == {"weights": "theirs", "race": True, "min_face": 24}
        run("a.png", "--no-race")
        assert backend.asked["race"] is False

    def test_a_broken_setting_is_a_usage_error(self, run, monkeypatch):
        monkeypatch.setenv("AGEGENDER_RACE", "perhaps")
        draw("a.png")
        result = run("a.png")
        assert result.exit_code == 2
        assert "AGEGENDER_RACE" in result.stderr

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_race_columns(self, run, backend, suffix):
        backend.predictor = FakePredictor(race=True)
        draw("a.png")
        Path("b.png").touch()
        assert run("b.png", "a.png", "--race", "-o", f"out.{suffix}").exit_code == 1
        table = pd.read_csv(f"out.{suffix}") if suffix == "csv" else pd.read_parquet(f"out.{suffix}")
        assert list(table) == list(COLUMN_TYPES)
        assert table["race"].isna().tolist() == [True, False]


class TestStreams:
    def test_only_data_on_stdout(self, run):
        draw("a.png")
        result = run("a.png")
        assert len(answers(result.stdout)) == 1
        assert result.stderr.startswith("1 picture, 1 face, 0 failed, ")

    def test_quiet(self, run):
        draw("a.png")
        result = run("a.png", "--quiet")
        assert len(answers(result.stdout)) == 1
        assert result.stderr == ""


class TestAnnotate:
    def test_named_after_the_source(self, run):
        draw("in/a.jpg")
        draw("in/b.webp")
        result = run("in", "--annotate", "out/marked")
        assert result.exit_code == 0
        assert sorted(os.listdir("out/marked")) == ["a.jpg", "b.png"]
        with Image.open("out/marked/a.jpg") as marked, Image.open("in/a.jpg") as plain:
            assert (marked.format, marked.size) == ("JPEG", plain.size)
            assert marked.convert("RGB").getcolors(100_000) != plain.getcolors(100_000)

    def test_same_names_do_not_overwrite_each_other(self, run):
        for name in ("in/x/a.png", "in/y/a.png", "in/z/a.webp"):
            draw(name)
        run("in", "--annotate", "out")
        assert sorted(os.listdir("out")) == ["a-2.png", "a-3.png", "a.png"]

    def test_nothing_that_exists_is_overwritten(self, run):
        before = draw("a.png").read_bytes()
        run("a.png", "--annotate", ".")
        assert Path("a.png").read_bytes() == before
        assert Path("a-2.png").exists()

    def test_a_failed_file_has_no_annotated_picture(self, run):
        Path("bad.png").touch()
        assert run("bad.png", "--annotate", "out").exit_code == 1
        assert os.listdir("out") == []

    def test_a_file_in_the_folders_place(self, run):
        draw("a.png")
        assert run("a.png", "--annotate", "a.png").exit_code == 2

    def test_a_full_disk_keeps_the_row(self, run, monkeypatch):
        def full(*_args, **_more):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("agegender_core.predict_command.save_annotated", full)
        draw("a.png")
        result = run("a.png", "--annotate", "out")
        assert result.exit_code == 1
        assert len(answers(result.stdout)) == 1
        assert "No space left" in result.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from agegender_core.cli import app\n"
        "assert CliRunner().invoke(app, ['predict', '--help']).exit_code == 0\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'PIL', 'tqdm'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "agegender_core", "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "predict" in done.stdout

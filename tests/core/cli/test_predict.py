"""``python -m agegender_core predict`` from outside: what it reads, writes and answers to the
shell. The predictor is a fake.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import agegender_core.inference
from agegender_core.cli.application import app
from agegender_core.errors import WeightsMissingError
from agegender_core.output.tables import COLUMN_TYPES, table_columns
from agegender_core.settings import Settings
from agegender_core.types import Analysis
from agegender_core.vision.image_io import ImageLimits
from tests.support import ROOT
from tests.support.fakes import FakePredictor

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@dataclass
class Backend:
    """Stands in for ``agegender_core.inference.predictor`` and remembers what it was asked."""

    predictor: FakePredictor = field(default_factory=FakePredictor)
    asked: dict = field(default_factory=dict)
    limits: dict = field(default_factory=dict)
    failures: dict[str, BaseException] = field(default_factory=dict)

    def load_predictor(
        self,
        weights: str | None = None,
        *,
        race: bool = False,
        min_face: int = 24,
        **limits: object,
    ) -> Backend:
        if weights == "absent":
            raise WeightsMissingError("There are no weights named absent. Run `weights list`.")
        self.asked = {"weights": weights, "race": race, "min_face": min_face}
        self.limits = limits
        return self

    def run(self, source: str) -> Analysis:
        failure = self.failures.get(os.path.basename(source))
        if failure is not None:
            raise failure
        return self.predictor.run(source)


@pytest.fixture
def backend(monkeypatch) -> Backend:
    backend = Backend()
    module = types.ModuleType("agegender_core.inference.predictor")
    module.load_predictor = backend.load_predictor
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(agegender_core.inference, "predictor", module, raising=False)
    monkeypatch.delenv("AGEGENDER_RACE", raising=False)
    monkeypatch.delenv("AGEGENDER_WEIGHTS", raising=False)
    return backend


@pytest.fixture
def run(backend, tmp_path, monkeypatch) -> Run:
    """Runs ``predict`` with the given arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["predict", *map(str, arguments)])


class LongPredictor(FakePredictor):
    """Answers with an image longer than a JPEG may be."""

    def run(self, source: str) -> Analysis:
        answer = FakePredictor.run(self, source)
        return replace(answer, image=Image.new("RGB", (65_600, 24)))


def full_disk(*_args: object, **_more: object) -> None:
    raise OSError(28, "No space left on device")


def no_permission(*_args: object, **_more: object) -> None:
    raise PermissionError(13, "Permission denied")


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
        assert (answer["file"], len(answer["faces"]), answer["faces"][0]["gender"]["label"]) == (
            "a.png",
            1,
            "Female",
        )

    def test_folders_are_searched_in_order_for_images(self, run):
        for name in (
            "in/b.JPG",
            "in/a.png",
            "in/deep/er/c.webp",
            "in/.hidden.png",
            "in/.git/x.png",
            "in/._a.png",
        ):
            draw(name)
        Path("in/notes.txt").write_text("no image")
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
        assert files(run("in/b.png", "in", "in/*.png", Path("in/a.png").absolute()).stdout) == [
            "in/b.png",
            "in/a.png",
        ]

    def test_a_missing_path_is_a_failed_row(self, run):
        draw("a.png")
        result = run("absent.png", "a.png")
        assert result.exit_code == 1
        first, second = answers(result.stdout)
        assert first == {
            "file": "absent.png",
            "error": {"reason": "not_found", "message": first["error"]["message"]},
        }
        assert "faces" in second

    @pytest.mark.parametrize("arguments", [["nothing/*.png"], ["a.png", "*.gif"], []])
    def test_no_match_is_a_usage_error(self, run, arguments):
        draw("a.png")
        Path("empty").mkdir()
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")

    @pytest.mark.parametrize("more", [[], ["-o", "faces.csv"], ["--quiet"]])
    def test_an_empty_folder_alone_is_named_and_fails(self, run, more):
        Path("empty").mkdir()
        result = run("empty", *more)
        assert (result.exit_code, result.stdout) == (1, "") and not Path("faces.csv").exists()
        assert "there are no images in empty" in result.stderr

    def test_an_empty_folder_beside_others_is_named(self, run):
        draw("in/a.png")
        Path("empty").mkdir()
        result = run("empty", "in")
        assert result.exit_code == 1 and files(result.stdout) == ["in/a.png"]
        assert "there are no images in empty" in result.stderr

    def test_a_folder_and_a_link_to_it(self, run):
        draw("in/a.png")
        Path("link").symlink_to("in")
        assert files(run("link", "in", "*/a.png").stdout) == ["link/a.png"]

    def test_brackets(self, run):
        draw("Urlaub [2020]/a.png")
        result = run("Urlaub [2020]/*.png", "missing [1].png")
        assert result.exit_code == 1
        assert files(result.stdout) == ["Urlaub [2020]/a.png", "missing [1].png"]

    def test_names_that_are_not_utf8(self, run):
        draw("a.png")
        os.rename("a.png", b"\xff.png")
        result = run(".")
        assert result.exit_code == 0
        assert files(result.stdout) == ["./\\udcff.png"]


class TestFailures:
    def test_a_bad_file_in_the_middle(self, run):
        draw("1.png")
        Path("2.png").write_text("not an image")
        draw("3.png")
        result = run("1.png", "2.png", "3.png")
        assert result.exit_code == 1
        one, two, three = answers(result.stdout)
        assert two["error"]["reason"] == "not_an_image"
        assert "faces" in one and "faces" in three
        assert "3 images, 2 faces, 1 failed" in result.stderr

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
        assert "stopped before 2 of 3 files: 1 image, 1 face, 0 failed" in result.stderr
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
                seen.append([path.read_text().count("\n") for path in Path().glob("out.jsonl*")])
                return super().run(source)

        backend.predictor = Watching()
        run("1.png", "2.png", "-o", "out.jsonl")
        assert seen == [[0], [1]]
        assert sorted(os.listdir()) == ["1.png", "2.png", "out.jsonl"]

    def test_unknown_weights_are_a_usage_error(self, run):
        draw("a.png")
        Path("out.jsonl").write_text("older results")
        result = run("a.png", "--weights", "absent", "-o", "out.jsonl")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no weights named absent" in result.stderr
        assert Path("out.jsonl").read_text() == "older results"

    def test_interrupted_before_the_first_answer_leaves_older_results(self, run, backend):
        draw("1.png")
        Path("out.jsonl").write_text("older results")
        backend.failures["1.png"] = KeyboardInterrupt()
        assert run("1.png", "-o", "out.jsonl").exit_code == 130
        assert Path("out.jsonl").read_text() == "older results" and sorted(os.listdir()) == [
            "1.png",
            "out.jsonl",
        ]


@contextlib.contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Files may have ``size`` bytes at most, as on a disk that is full then."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestWriting:
    @pytest.fixture(autouse=True)
    def pictures(self, run):
        for number in range(8):
            draw(f"{number}.png")

    @pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
    def test_a_full_disk_loses_no_answer_and_no_older_results(self, run, suffix):
        Path(f"out.{suffix}").write_text("older results")
        with disk_of(700 if suffix == "csv" else 2000):
            result = run(*sorted(Path().glob("*.png")), "-o", f"out.{suffix}")
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        (messages,) = result.stderr.splitlines()
        assert messages.startswith(
            f"error: out.{suffix} cannot be written: File too large; finished answers are saved"
        )
        assert Path(f"out.{suffix}").read_text() == "older results"
        (partial,) = Path().glob(f"out.{suffix}.*.partial")
        lines = partial.read_text().splitlines()
        count = int(messages.rsplit(" ", 1)[1])
        assert str(partial) in messages and 0 < count < 8
        names = (
            [row["file"] for row in csv.DictReader(lines)]
            if suffix == "csv"
            else [json.loads(line)["file"] for line in lines]
        )
        assert names == [f"{number}.png" for number in range(count)]

    def test_a_disk_that_takes_no_answer(self, run):
        with disk_of(10):
            result = run("1.png", "-o", "out.csv")
        assert result.exit_code == 1 and "there was no answer yet" in result.stderr
        assert not list(Path().glob("out*"))

    def test_a_disk_that_takes_the_rows_but_not_the_table(self, run, monkeypatch):
        monkeypatch.setattr(
            "agegender_core.cli.predict_output.FileOutput._write_parquet", full_disk
        )
        result = run("1.png", "2.png", "-o", "out.parquet")
        assert (
            result.exit_code == 1
            and "No space left on device; finished answers are saved as JSON lines" in result.stderr
        )
        (partial,) = Path().glob("out*")
        assert [json.loads(line)["file"] for line in partial.read_text().splitlines()] == [
            "1.png",
            "2.png",
        ]

    @pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
    def test_a_folder_that_may_not_be_written_is_known_before_any_work(
        self, run, backend, monkeypatch, suffix
    ):
        monkeypatch.setattr("agegender_core.cli.predict_output.tempfile.mkstemp", no_permission)
        result = run("1.png", "-o", f"out.{suffix}")
        assert (
            result.exit_code == 1
            and result.stderr == f"error: out.{suffix} cannot be written: Permission denied\n"
        )
        assert backend.asked == {}

    def test_a_link_stays_a_link_and_rights_stay_rights(self, run):
        Path("real").mkdir()
        Path("real/out.csv").touch(mode=0o640)
        os.chmod("real/out.csv", 0o640)
        Path("out.csv").symlink_to("real/out.csv")
        assert run("1.png", "-o", "out.csv").exit_code == 0
        assert Path("out.csv").is_symlink() and Path("real/out.csv").stat().st_mode & 0o777 == 0o640
        assert len(Path("real/out.csv").read_text().splitlines()) == 2 and os.listdir("real") == [
            "out.csv"
        ]

    @pytest.mark.parametrize("chosen", ["jsonl", "csv", "parquet"])
    def test_a_device_is_written_to_and_not_replaced(self, run, chosen):
        assert run("1.png", "-o", "/dev/null", "-f", chosen).exit_code == (
            1 if chosen == "parquet" else 0
        )
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
        if chosen != "parquet":
            result = run("1.png", "-o", "/dev/full", "-f", chosen)
            assert (
                result.exit_code == 1
                and "/dev/full cannot be written: No space left on device" in result.stderr
            )

    def test_an_image_under_another_name_is_not_written_over(self, run):
        Path("link.csv").symlink_to("1.png")
        os.link("1.png", "hard.csv")
        before = Path("1.png").read_bytes()
        assert [run("1.png", "-o", name).exit_code for name in ("link.csv", "hard.csv")] == [2, 2]
        assert Path("1.png").read_bytes() == before

    def test_parquet_in_several_row_groups(self, run, monkeypatch):
        monkeypatch.setattr("agegender_core.cli.predict_output.ROWS", 3)
        assert run(*sorted(Path().glob("*.png")), "-o", "out.parquet").exit_code == 0
        table = pd.read_parquet("out.parquet")
        assert table["file"].tolist() == [f"{number}.png" for number in range(8)]
        assert str(table["face"].dtype) == "Int64" and str(table["error"].dtype) == "string"

    def test_standard_output_that_is_full(self):
        code = (
            "import sys\nfrom agegender_core.cli.predict_output import Encoder, OutputError,"
            " StreamOutput, TableFormat\n"
        )
        code += (
            "out = StreamOutput(sys.stdout, 'standard output', Encoder(TableFormat.csv, False))\n"
        )
        code += (
            "try:\n    out.write('a.jpg', ValueError('x'))\nexcept OutputError as error:\n   "
            " sys.exit(str(error))\n"
        )
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", code],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        assert (
            done.stderr
            == "standard output cannot be written: No space left on device; answers written before"
            " it: 0\n"
        )

    @pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
    def test_asked_to_end_it_keeps_what_it_has(self, run, backend, suffix):
        class Ending(FakePredictor):
            def run(self, source):
                if source == "2.png":
                    os.kill(os.getpid(), signal.SIGTERM)
                return super().run(source)

        backend.predictor = Ending()
        assert run(*sorted(Path().glob("*.png")), "-o", f"out.{suffix}").exit_code == 130
        path = Path(f"out.{suffix}")
        assert len(
            pd.read_parquet(path) if suffix == "parquet" else path.read_text().splitlines()
        ) == (3 if suffix == "csv" else 2)


class TestFormats:
    def test_csv(self, run, backend):
        backend.predictor = FakePredictor(faces=2)
        draw("a.png")
        result = run("a.png", "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert list(rows[0]) == table_columns()
        assert [(row["face"], row["faces"], row["gender"]) for row in rows] == [
            ("1", "2", "Female"),
            ("2", "2", "Male"),
        ]

    def test_an_image_without_faces_stays_in_the_table(self, run, backend):
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
        [
            ["-f", "parquet"],
            ["-o", "out.xlsx"],
            ["-f", "xml"],
            ["-o", "absent/out.csv"],
            ["--min-face", "0"],
            ["-f", "csv", "-o", "a.png"],
        ],
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
        limits = {
            "limits": ImageLimits(25 * 2**20, Settings.max_megapixels * 1_000_000),
            "max_faces": 200,
            "threads": None,
        }
        assert backend.limits == limits

    def test_the_operators_limits(self, run, backend, monkeypatch):
        for name, value in {"MAX_MEGAPIXELS": 1, "MAX_MB": 2, "MAX_FACES": 3, "THREADS": 1}.items():
            monkeypatch.setenv(f"AGEGENDER_{name}", str(value))
        draw("a.png")
        run("a.png")
        assert backend.limits == {
            "limits": ImageLimits(2 * 2**20, 1_000_000),
            "max_faces": 3,
            "threads": 1,
        }

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
        table = (
            pd.read_csv(f"out.{suffix}") if suffix == "csv" else pd.read_parquet(f"out.{suffix}")
        )
        assert list(table) == list(COLUMN_TYPES)
        assert table["race"].isna().tolist() == [True, False]


class TestStreams:
    def test_only_data_on_stdout(self, run):
        draw("a.png")
        result = run("a.png")
        assert len(answers(result.stdout)) == 1
        assert result.stderr.startswith("1 image, 1 face, 0 failed, ")

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

    def test_a_failed_file_has_no_annotated_image(self, run):
        Path("bad.png").touch()
        assert run("bad.png", "--annotate", "out").exit_code == 1
        assert os.listdir("out") == []

    def test_a_file_in_the_folders_place(self, run):
        draw("a.png")
        assert run("a.png", "--annotate", "a.png").exit_code == 2

    def test_an_image_too_long_for_a_jpeg_becomes_a_png(self, run, backend):
        draw("long.jpg")
        backend.predictor = LongPredictor()
        assert run("long.jpg", "--annotate", "out").exit_code == 0
        assert os.listdir("out") == ["long.png"]
        with Image.open("out/long.png") as marked:
            assert marked.size == (65_600, 24)

    @pytest.mark.parametrize(
        "failure",
        [OSError(28, "No space left on device"), ValueError("no luck"), KeyboardInterrupt()],
    )
    def test_what_cannot_be_written_leaves_no_file(self, run, monkeypatch, failure):
        def broken(*_args, **_more):
            raise failure

        draw("a.png")
        monkeypatch.setattr("agegender_core.output.drawing.ImageDraw.Draw", broken)
        assert run("a.png", "--annotate", "out").exit_code == (
            130 if isinstance(failure, KeyboardInterrupt) else 1
        )
        assert os.listdir("out") == []

    def test_a_disk_that_is_full_leaves_no_file(self, run):
        draw("a.png")
        with disk_of(50):
            result = run("a.png", "--annotate", "out")
        assert (
            result.exit_code == 1
            and "a.png: its annotated image cannot be written: File too large" in result.stderr
        )
        assert os.listdir("out") == []

    def test_a_folder_that_may_not_be_written_is_known_before_any_work(
        self, run, backend, monkeypatch
    ):
        monkeypatch.setattr("agegender_core.cli.predict.tempfile.TemporaryFile", no_permission)
        draw("a.png")
        result = run("a.png", "--annotate", "out")
        assert (
            result.exit_code == 2 and "Permission denied" in result.stderr and backend.asked == {}
        )

    def test_a_full_disk_keeps_the_row(self, run, monkeypatch):
        def full(*_args, **_more):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("agegender_core.cli.predict.save_annotated", full)
        draw("a.png")
        result = run("a.png", "--annotate", "out")
        assert result.exit_code == 1
        assert len(answers(result.stdout)) == 1
        assert "No space left" in result.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from agegender_core.cli.application import app\n"
        "assert CliRunner().invoke(app, ['predict', '--help']).exit_code == 0\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'PIL', 'tqdm'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "agegender_core", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "predict" in done.stdout

"""Learning from a teacher: what it is asked, what is kept, the loss, and what is refused before
images are read.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.errors import ConfigError, WeightsError
from agegender_core.inference.forward import run_network
from agegender_core.inference.model_zoo import find_weights, load_network
from agegender_core.training import distil, trainer
from agegender_core.training.augmentation import centre
from agegender_core.training.config import DistilConfig, Recipe, load_recipe
from agegender_core.training.crop_dataset import load_split
from agegender_core.training.distil import distillation_loss, teacher_logits
from agegender_core.training.trainer import start, step, train
from agegender_core.vision.preprocessing import normalise
from tests.support import CONFIGS
from tests.support.networks import write_networks

SMALL = {
    "schedule.batch_size": 8,
    "schedule.epochs": 1,
    "model.width": 0.125,
    "schedule.cpu_bf16": False,
}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A small GRA_Net that learns from a made-up network called «distribution»."""
    folder = tmp_path / "weights"
    folder.mkdir()
    write_networks(folder)
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(folder))
    return load_recipe(
        CONFIGS / "gra_net_dist.toml", SMALL | {"distil.teacher": "distribution", "input.size": 32}
    )


def test_the_loss_is_the_divergence_from_the_teacher() -> None:
    torch.manual_seed(0)
    student, teacher = ({"age": torch.randn(5, 101), "gender": torch.randn(5, 2)} for _ in range(2))
    config = DistilConfig("t", age=2.0, gender=0.5, temperature=2.0)
    wanted = 0.0
    for name, weight in (("age", 2.0), ("gender", 0.5)):
        p, q = (functional.softmax(values[name] / 2, dim=1) for values in (teacher, student))
        wanted += weight * 4 * float((p * (p / q).log()).sum(dim=1).mean())
    assert float(distillation_loss(student, teacher, config)) == pytest.approx(wanted, rel=1e-4)
    assert float(distillation_loss(teacher, teacher, config)) == pytest.approx(0, abs=1e-5)
    assert (
        float(distillation_loss(student, teacher, dataclasses.replace(config, age=0, gender=0)))
        == 0
    )


def test_the_teacher_is_asked_once_about_both_views(
    recipe: Recipe, drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, messages = load_split(recipe, "train"), []
    found = teacher_logits(recipe, crops, tmp_path, messages.append)
    info = find_weights("distribution")
    images = normalise(centre(crops.wide[:4], info.input.size, crops.view), info.input)
    wanted = run_network(load_network(info), images, flip=True).logits
    assert (
        set(found) == {"age", "gender"} and len(found["age"]) == len(crops) and len(messages) == 1
    )
    assert torch.allclose(found["age"][:4].float(), wanted["age"], rtol=2e-3, atol=1e-2)
    monkeypatch.setattr(distil, "load_network", lambda info: pytest.fail("asked again"))
    again = teacher_logits(recipe, crops, tmp_path, messages.append)
    assert len(messages) == 1 and all(
        torch.equal(again[name], value) for name, value in found.items()
    )
    fewer = load_split(
        dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, sets=("utkface",))),
        "train",
    )
    with pytest.raises(pytest.fail.Exception):  # other images: what was kept no longer holds
        teacher_logits(recipe, fewer, tmp_path, messages.append)


def test_several_teachers_teach_their_mean_probabilities(
    recipe: Recipe, drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, messages = load_split(recipe, "train"), []
    alone = teacher_logits(recipe, crops, tmp_path, messages.append)
    other = dataclasses.replace(find_weights("distribution"), name="other", sha256="other")
    first = find_weights
    monkeypatch.setattr(
        distil, "find_weights", lambda name: other if name == "other" else first(name)
    )
    sharper = {name: value * 3 for name, value in alone.items()}
    monkeypatch.setattr(distil, "_compute", lambda info, crops: sharper)
    both = dataclasses.replace(
        recipe, distil=dataclasses.replace(recipe.distil, teacher="distribution + other")
    )
    found = teacher_logits(both, crops, tmp_path, messages.append)
    assert [text.split()[3] for text in messages] == ["distribution", "other"], "each once"
    for name in ("age", "gender"):
        wanted = sum(part[name].float().softmax(1) for part in (alone, sharper)) / 2
        assert torch.allclose(found[name].float().softmax(1), wanted, atol=2e-3)
    monkeypatch.setattr(distil, "_compute", lambda *_: pytest.fail("asked again"))
    again = teacher_logits(both, crops, tmp_path, messages.append)
    assert torch.equal(again["age"], found["age"])


def test_teachers_need_agree_in_the_heads_alone_that_teach() -> None:
    one, other = ({"age": torch.randn(4, size), "gender": torch.randn(4, 2)} for size in (101, 9))
    assert set(distil._mean([one, other], ["gender"])) == {"gender"}


def test_a_step_follows_the_teacher(recipe: Recipe, drawn_sets: Path, tmp_path: Path) -> None:
    crops, rows = load_split(recipe, "train"), torch.arange(8)
    crops = dataclasses.replace(crops, teacher=teacher_logits(recipe, crops, tmp_path, print))
    losses = {}
    for name in ("labels", "both"):
        torch.manual_seed(0)
        state = start(recipe, torch.device("cpu"))
        losses[name] = step(
            recipe, state, crops if name == "both" else dataclasses.replace(crops, teacher={}), rows
        )
    assert losses["both"] > losses["labels"] + 0.01


def test_a_run_with_a_teacher_can_be_resumed(
    recipe: Recipe, drawn_sets: Path, tmp_path: Path
) -> None:
    messages: list[str] = []
    train(recipe, tmp_path / "run", device="cpu", report=messages.append)
    longer = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, epochs=2))
    train(longer, tmp_path / "run", device="cpu", report=messages.append)
    assert sum("running the teacher" in text for text in messages) == 1
    assert any("resumed" in text for text in messages)


WRONG = {
    "nobody": "no weights called 'nobody'",
    "groups": "its teacher groups has age = 9, the recipe has age = 101",
    "decade_digit": "its teacher decade_digit has no head age, the recipe has age = 101",
}


@pytest.mark.parametrize("teacher", WRONG)
def test_teachers_that_cannot_teach_are_one_sentence(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: str
) -> None:
    monkeypatch.setattr(
        trainer,
        "load_split",
        lambda *_: pytest.fail("images were read before the teacher was looked for"),
    )
    path, out = CONFIGS / "gra_net_dist.toml", tmp_path / "runs"
    result = CliRunner().invoke(
        app, ["train", str(path), "--out", str(out), "--set", f"distil.teacher='{teacher}'"]
    )
    assert result.exit_code != 0 and result.exception.__class__ is SystemExit
    words = " ".join(result.output.split())
    assert WRONG[teacher] in words and "Traceback" not in words and not out.exists()


def test_a_teacher_whose_file_is_gone_or_that_sees_another_frame(recipe: Recipe) -> None:
    other = dataclasses.replace(recipe, input=dataclasses.replace(recipe.input, margin=0.3))
    with pytest.raises(ConfigError, match=r"with margin 0\.1, the recipe with 0\.3"):
        distil.find_teachers(other)
    find_weights("distribution").paths[0].unlink()
    with pytest.raises(ConfigError, match="teacher distribution is not installed"):
        distil.find_teachers(recipe)


@pytest.mark.parametrize(
    ("heads", "complaint"),
    [
        ({"age": 1, "gender": 2}, "both have age = 1, so that there is no distribution to learn"),
        ({"gender": 2}, "both have no head age, so that"),
        ({"age": 101, "gender": 1}, "both have gender = 1, so that"),
    ],
)
def test_heads_that_teach_nothing_are_refused(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, heads: dict[str, int], complaint: str
) -> None:
    """The divergence between two distributions over one value is 0, whatever the teacher says."""
    teacher = dataclasses.replace(find_weights("distribution"), heads=heads)
    monkeypatch.setattr(distil, "find_weights", lambda name: teacher)
    with pytest.raises(ConfigError, match=complaint):
        distil.find_teachers(dataclasses.replace(recipe, heads=heads))


def test_an_unreadable_start_is_noticed_before_images_are_read(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        trainer, "load_split", lambda *_: pytest.fail("images were read before the start was")
    )
    begin = tmp_path / "begin.safetensors"
    begin.write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match="cannot be read"):
        train(dataclasses.replace(recipe, start_from=str(begin)), tmp_path / "run")
    save_file({"other": torch.zeros(1)}, begin)
    with pytest.raises(ConfigError, match="do not fit gra_net") as told:
        train(dataclasses.replace(recipe, start_from=str(begin)), tmp_path / "run")
    assert "1 tensor unknown, such as other" in str(told.value)
    assert "\n" not in str(told.value) and len(str(told.value)) < 300
    with pytest.raises(ConfigError, match="does not take these options"):
        train(dataclasses.replace(recipe, model={"nonsense": 1}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_named_in_one_sentence(
    recipe: Recipe, tmp_path: Path, content: bytes
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(content)
    with pytest.raises(ConfigError, match=r"checkpoint\.pt is no whole .*--restart") as told:
        trainer.read_checkpoint(checkpoint, recipe, torch.device("cpu"))
    assert "\n" not in str(told.value)
    torch.save({"recipe": 1}, checkpoint)
    with pytest.raises(ConfigError, match="expected a table"):
        trainer.read_checkpoint(checkpoint, recipe, torch.device("cpu"))


@pytest.mark.parametrize(
    ("recipe_name", "start", "complaint"),
    [
        ("efficientnet_lite0", "nowhere.pth", "starts from nowhere.pth, which is missing"),
        (
            "multitask_cnn_dist",
            "imagenet",
            "ImageNet weights are for xception, efficientnet_lite0 and efficientnet_lite2",
        ),
        ("multitask_cnn_dist", "published", "no weights called 'multitask_cnn_dist'"),
    ],
)
def test_starts_that_are_missing_are_one_sentence(
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe_name: str,
    start: str,
    complaint: str,
) -> None:
    monkeypatch.setattr(
        trainer,
        "load_split",
        lambda *_: pytest.fail("images were read before the start was looked for"),
    )
    arguments = [
        "train",
        str(CONFIGS / f"{recipe_name}.toml"),
        "--out",
        str(tmp_path / "runs"),
        "--set",
        f"start_from='{start}'",
    ]
    result = CliRunner().invoke(app, arguments)
    words = " ".join(result.output.split())
    assert result.exit_code != 0 and complaint in words and "Traceback" not in words

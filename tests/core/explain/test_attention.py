"""Looking into gated attention: masks, gates, changed masks against Table 3, and the way from a
photo to images of masks.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.errors import NoFaceError, WeightsMissingError
from agegender_core.explain import attention as core
from agegender_core.explain.attention import (
    AttentionNetwork,
    BlockMaps,
    attention_maps,
    intervention,
    occluded,
    save_npz,
)
from agegender_core.explain.attention_images import block_image, block_title, viridis
from agegender_core.inference.predictor import Predictor
from agegender_core.types import Face
from agegender_core.vision.preprocessing import to_batch
from tests.support.attention_networks import HEADS, card_of, crop_of, small
from tests.support.networks import write_network, write_recipes

BLOCKS = ("attention1", "attention2", "attention3")
FACE = Face((0.0, 0.0, 32.0, 32.0), 1.0)


@pytest.fixture(scope="module")
def gated() -> AttentionNetwork:
    return small()


@pytest.mark.parametrize("mask", ["mixed", "channel", "spatial"])
def test_masks_have_their_shapes_and_ranges(mask: str) -> None:
    maps = small(mask=mask).explain(crop_of(32), FACE)
    assert tuple(block.name for block in maps.blocks) == BLOCKS and maps.face is FACE
    assert [block.mask.shape for block in maps.blocks] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    for block in maps.blocks:
        assert block.mask.min() >= 0 and block.mask.max() <= 1 and block.gate == pytest.approx(0.3)
        assert (
            block.features.shape == block.output.shape == block.mask.shape
            and block.side == block.mask.shape[2]
        )
        assert np.allclose(block.output, block.factor() * block.features, atol=1e-4), "equation 3"
        assert block.mean().shape == block.maximum().shape == block.mask.shape[1:]
        assert (block.mean() <= block.maximum() + 1e-6).all()
        spread = block.mask.std(axis=(1, 2))[block.by_activity()]
        assert (
            sorted(block.by_activity()) == list(range(len(block.mask)))
            and (np.diff(spread) <= 0).all()
        )
    with pytest.raises(KeyError, match="attention1, attention2"):
        maps.block("attention4")


def test_the_effect_is_how_far_flattening_moves_the_output() -> None:
    for network in (small(), small(gated=False)):
        crop = crop_of(32)
        own = network.explain(crop)
        output = network.own(crop)
        flat = network.network(
            network._views(crop), intervention(output, {"attention1": "mean"})
        ).attention[0]
        block = own.block("attention1")
        moved = np.abs(block.output - flat.output[0].detach().numpy()).mean(axis=0)
        assert block.effect().shape == (16, 16) and block.effect().min() >= 0
        assert np.allclose(block.effect(), moved / np.abs(block.output).mean(), atol=1e-5)


def test_channels_that_prefer_other_places_cancel_in_the_mean_and_not_in_the_effect() -> None:
    mask = np.full((2, 4, 4), 0.5, dtype=np.float32)
    mask[0, :2, :2], mask[1, :2, :2] = 0.9, 0.1
    features = np.ones((2, 4, 4), dtype=np.float32)
    block = BlockMaps("attention1", mask, 0.0, features, mask * features)
    assert np.ptp(block.mean()) < 1e-6
    assert (block.deviation()[:2, :2] > 2 * block.deviation()[2:, 2:].max()).all()
    assert (block.effect()[:2, :2] > 2 * block.effect()[2:, 2:].max()).all()
    features[:, :2, :2] = 0  # where nothing passes, a mask has nothing to change
    nothing = BlockMaps("attention1", mask, 0.0, features, mask * features)
    assert np.array_equal(nothing.deviation(), block.deviation()), "of the mask alone"
    assert (nothing.effect()[:2, :2] == 0).all() and nothing.effect()[2:, 2:].min() > 0


def test_ungated_blocks_multiply_by_one_plus_the_mask() -> None:
    block = small(gated=False).explain(crop_of(32)).block("attention2")
    assert block.gate is None and np.allclose(
        block.output, (1 + block.mask) * block.features, atol=1e-4
    )
    assert "No gate" in block.gate_words() and "up to twice" in block.gate_words()


def test_gates_in_words() -> None:
    empty = np.zeros((1, 2, 2))
    words = BlockMaps("attention1", empty, 0.25, empty, empty).gate_words()
    assert words == "Gate 0.25: the mask can suppress features by up to 75 %."


def answered(network: AttentionNetwork, intervene: dict) -> float:
    """Years by the bare network with ``intervene``, read out by hand."""
    with torch.inference_mode():
        logits = network.network(to_batch([crop_of(32)], network.info.input), intervene).logits[
            "age"
        ]
    return float(logits.double().softmax(dim=1)[0] @ torch.arange(101, dtype=torch.float64))


def test_off_leaves_the_trunk_untouched(gated: AttentionNetwork) -> None:
    own, off = (
        gated.answer(crop_of(32))[0],
        gated.answer(crop_of(32), {name: "off" for name in BLOCKS})[0],
    )
    assert off.years == pytest.approx(
        answered(gated, {f"{name}.gate": 1.0 for name in BLOCKS}), abs=1e-4
    )
    assert abs(off.years - own.years) > 1e-3
    ungated = small(gated=False)
    off = ungated.answer(crop_of(32), {"attention2": "off"})[0]
    assert off.years == pytest.approx(answered(ungated, {"attention2.mask": 0.0}), abs=1e-4)


def test_table_three_of_the_paper(gated: AttentionNetwork) -> None:
    block = gated.network.attention[0]
    x = torch.randn(1, 16, 16, 16)
    with torch.inference_mode():
        features, mask = block(x, {})[1].features, block(x, {})[1].mask
        opened, closed = (
            block(x, {"attention1.gate": 1.0})[1],
            block(x, {"attention1.gate": 0.0})[1],
        )
    assert torch.equal(opened.output, features), "gate 1 leaves the trunk untouched"
    assert torch.allclose(closed.output, mask * features), "gate 0 multiplies by the mask"


def test_off_with_others_is_the_same_as_alone_where_the_others_are_their_own(
    gated: AttentionNetwork,
) -> None:
    alone = gated.answer(crop_of(32), {"attention3": "off"})[0].years
    assert alone == gated.answer(crop_of(32), {"attention1": "own", "attention3": "off"})[0].years
    with torch.inference_mode():
        own = gated.network(to_batch([crop_of(32)], gated.info.input))
    mixed = intervention(own, {"attention1": "mean", "attention3": "off"})
    assert set(mixed) == {"attention1.mask", "attention3.gate"}
    both = gated.answer(crop_of(32), {"attention1": "mean", "attention3": "off"})[0].years
    assert both == pytest.approx(answered(gated, mixed), abs=1e-4) and both != alone
    known = gated.answer(
        crop_of(32), {"attention1": "mean", "attention3": "off"}, own=gated.own(crop_of(32))
    )[0].years
    assert known == both, "what the unchanged network made may be handed over"


def test_mean_and_shuffled_keep_what_they_promise(gated: AttentionNetwork) -> None:
    with torch.inference_mode():
        own = gated.network(to_batch([crop_of(32), crop_of(32, 1)], gated.info.input))
    block = own.attention[0]
    mean = intervention(own, {"attention1": "mean"})["attention1.mask"]
    assert torch.allclose(
        mean.expand_as(block.mask).mean(dim=(2, 3)), block.mask.mean(dim=(2, 3)), atol=1e-6
    )
    assert mean.shape[2:] == (1, 1), "the same everywhere"
    shuffled = intervention(own, {"attention1": "shuffled"}, seed=3)["attention1.mask"]
    assert torch.equal(shuffled.flatten(2).sort().values, block.mask.flatten(2).sort().values), (
        "each channel's histogram"
    )
    flat = block.mask.flatten(2)
    order = torch.randperm(flat.shape[2], generator=torch.Generator().manual_seed(3))
    assert torch.equal(shuffled.flatten(2), flat[:, :, order]), (
        "one permutation for all channels and images"
    )
    together = intervention(own, {"attention1": "shuffled", "attention2": "shuffled"}, seed=3)
    assert torch.equal(together["attention1.mask"], shuffled) and "attention3.mask" not in together
    assert torch.equal(
        together["attention2.mask"],
        intervention(own, {"attention2": "shuffled"}, seed=3)["attention2.mask"],
    )
    assert not torch.equal(
        intervention(own, {"attention1": "shuffled"}, seed=4)["attention1.mask"], shuffled
    )


@pytest.mark.parametrize("flip", [False, True])
def test_the_unchanged_answer_is_the_predictors(flip: bool) -> None:
    network, crop = small(flip=flip), crop_of(32)
    (wanted,) = Predictor(network.info, network.network, lambda image: []).predict_crops(
        [crop], [FACE]
    )
    maps = network.explain(crop)
    for age, gender in (
        network.answer(crop),
        (maps.age, maps.gender),
        network.answer(crop, {name: "own" for name in BLOCKS}),
    ):
        assert np.allclose(age.probs, wanted.age.probs, atol=1e-6) and age.years == pytest.approx(
            wanted.age.years, abs=1e-4
        )
        assert gender.probs == pytest.approx(wanted.gender.probs, abs=1e-6)
    mirrored = network.answer(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[0].years
    assert (mirrored == pytest.approx(wanted.age.years, abs=1e-3)) is flip
    plain = AttentionNetwork(card_of("gra_net", HEADS, 32), network.network).explain(crop)
    assert np.allclose(plain.block("attention1").mask, maps.block("attention1").mask, atol=1e-5), (
        "masks are those of the crop as it is"
    )


def test_networks_of_a_trio_go_by_their_heads() -> None:
    trio = small("gra_net_trio", {"decade": 10, "digit": 1, "gender": 2})
    maps = trio.explain(crop_of(32))
    assert [block.name for block in maps.blocks] == [
        f"{head}.{name}" for head in ("decade", "digit", "gender") for name in BLOCKS
    ]
    before, after = (
        trio.answer(crop_of(32)),
        trio.answer(crop_of(32), {"gender.attention1": "off", "gender.attention3": "shuffled"}),
    )
    assert after[0].years == before[0].years and after[1].probs != before[1].probs, (
        "they share nothing"
    )
    with pytest.raises(KeyError, match=r"no block attention1; there are decade\.attention1"):
        trio.answer(crop_of(32), {"attention1": "off"})


def test_unknown_blocks_and_changes_are_refused(gated: AttentionNetwork) -> None:
    with pytest.raises(
        KeyError, match="no block attention4; there are attention1, attention2, attention3"
    ):
        gated.answer(crop_of(32), {"attention4": "off"})
    with pytest.raises(KeyError, match="no change half; there are own, off, mean, shuffled"):
        gated.answer(crop_of(32), {"attention1": "half"})
    with pytest.raises(ValueError, match="32x32"):
        gated.explain(crop_of(48))


def test_npz_round_trip(gated: AttentionNetwork, tmp_path: Path) -> None:
    maps = gated.explain(crop_of(32))
    buffer = io.BytesIO()
    for target in (buffer, tmp_path / "masks.npz"):
        save_npz(maps, target)
    buffer.seek(0)
    for source in (buffer, tmp_path / "masks.npz"):
        with np.load(source) as found:
            names = [
                f"{block}.{what}"
                for block in BLOCKS
                for what in ("mask", "gate", "features", "output", "effect")
            ]
            assert sorted(found) == sorted(["crop", *names])
            assert all(np.array_equal(found[name], array) for name, array in maps.arrays().items())
            assert found["attention2.gate"].shape == () and found["crop"].shape == (32, 32, 3)
    assert "attention1.gate" not in small(gated=False).explain(crop_of(32)).arrays()


def test_occluded_covers_a_square_and_nothing_else() -> None:
    crop = crop_of(32)
    before, after = np.asarray(crop), np.asarray(occluded(crop, 0.25, 0.5, 0.25))
    assert (after[16:24, 8:16] == 128).all() and np.array_equal(np.asarray(crop), before)
    after = after.copy()
    after[16:24, 8:16] = before[16:24, 8:16]
    assert np.array_equal(after, before)
    assert (np.asarray(occluded(crop, 0.75, -0.5, 5.0))[:, 24:] == 128).all(), "cut off at the edge"
    assert np.array_equal(np.asarray(occluded(crop, 1.5, 0, 0.5)), before)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with a network without masks as the default, and one with."""
    folder = tmp_path_factory.mktemp("weights")
    write_recipes(folder, ["multitask_cnn_dist", "gra_net_ablation_mixed"])
    return folder


@pytest.fixture
def weights(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(installed))
    return installed


def test_attention_maps_of_a_portrait(weights: Path) -> None:
    maps = attention_maps(sample_portrait())
    assert (
        maps.weights == "gra_net_ablation_mixed"
        and maps.crop.size == (32, 32)
        and maps.face.source == "mtcnn"
    )
    assert [block.mask.shape for block in maps.blocks] == [(32, 16, 16), (64, 8, 8), (128, 4, 4)]
    assert maps.age.years == pytest.approx(36, abs=1) and maps.gender.label == "Male", (
        "the answers this network was given by hand"
    )


def test_faces_of_a_reduced_file_are_in_its_own_pixels(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A very large JPEG comes at half its size."""
    small = sample_portrait()
    whole = attention_maps(small).face
    monkeypatch.setattr(core, "scale_of", lambda image: 2.0)
    face = attention_maps(small).face
    assert whole is not None and face is not None
    assert np.allclose(face.box_xyxy, 2 * np.array(whole.box_xyxy))


def test_missing_faces_are_told(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        NoFaceError, match=r"face 0 was asked for \(the largest is 0\), but no face was found"
    ):
        attention_maps(Image.new("RGB", (200, 200), "white"))
    with pytest.raises(NoFaceError, match=r"face 1 was asked for .*, but 1 face was found"):
        attention_maps(sample_portrait(), face=1)
    two = [Face((0.0, 0.0, 90.0, 90.0), 1.0), Face((100.0, 0.0, 180.0, 80.0), 1.0)]
    monkeypatch.setattr(
        core,
        "load_predictor",
        lambda name: Predictor(core.find_attention(name), None, lambda image: two),
    )
    for face in (-1, 2):
        with pytest.raises(
            NoFaceError, match=f"face {face} was asked for .*, but 2 faces were found"
        ):
            attention_maps(Image.new("RGB", (200, 200), "white"), face=face)


def test_networks_without_masks_are_refused(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [info.name for info in core.attention_entries()] == ["gra_net_ablation_mixed"]
    with pytest.raises(
        WeightsMissingError,
        match=(
            "'multitask_cnn_dist' has no attention masks; networks that have:"
            " gra_net_ablation_mixed"
        ),
    ):
        core.find_attention("multitask_cnn_dist")
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsMissingError, match="no weights with attention masks are installed"):
        core.find_attention()


def test_networks_for_use_come_before_those_for_comparisons(tmp_path: Path) -> None:
    from agegender_core.inference.model_zoo import write_manifest

    trio = {"decade": 10, "digit": 1, "gender": 2}
    wanted = [
        ("a_ablation", "gra_net", HEADS),
        ("b_trio", "gra_net_trio", trio),
        ("c_net", "gra_net", HEADS),
    ]
    entries = [
        write_network(
            tmp_path,
            name,
            kind,
            heads,
            options={"width": 0.125},
            for_comparison=name == "a_ablation",
        )
        for name, kind, heads in wanted
    ]
    write_manifest(entries, tmp_path)
    assert [info.name for info in core.attention_entries(tmp_path)] == [
        "c_net",
        "b_trio",
        "a_ablation",
    ]
    (tmp_path / "c_net.safetensors").unlink()
    assert [info.name for info in core.attention_entries(tmp_path)] == ["b_trio", "a_ablation"]


def test_block_images_show_blocks_as_coarse_as_the_mask() -> None:
    mask = np.stack([np.arange(16.0).reshape(4, 4) / 20] * 3)
    image = block_image(
        Image.new("RGB", (32, 32), "white"), BlockMaps("attention3", mask, 0.1, mask, mask)
    )
    assert image.size == (384, 384 + 3 * 18) and image.mode == "RGB"
    shown = np.asarray(image)[18 : 18 + 384]
    cells = shown.reshape(4, 96, 4, 96, 3).swapaxes(1, 2).reshape(16, 96 * 96, 3)
    assert (
        all((cell == cell[0]).all() for cell in cells)
        and len({tuple(cell[0]) for cell in cells}) == 16
    )
    assert viridis(np.array([[0.0, 1.0]])).tolist() == [[[0x44, 0x01, 0x54], [0xFD, 0xE7, 0x25]]]
    flat = block_image(
        crop_of(32), BlockMaps("attention3", np.full((1, 4, 4), 0.5), None, mask, mask)
    )
    assert flat.size == image.size, "a flat mask has no range to divide by"


def test_a_title_is_never_cut_off() -> None:
    many = np.full((512, 4, 4), 0.5)
    for size in (80, 96, 128):
        titled = block_image(
            crop_of(size), BlockMaps("decade.attention2", many, 0.125, many, many), effect=True
        )
        head = np.asarray(titled.convert("L"))[:17]
        assert head.min() < 100 and (head[:, -2:] == 255).all(), "the whole title is there"


def test_an_image_calls_its_block_what_the_pages_call_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda draw, at, text, *_, **__: written.append(text)
    )
    mask = np.full((1, 4, 4), 0.5)
    block_image(crop_of(32), BlockMaps("decade.attention2", mask, None, mask, mask))
    assert written[0].startswith("Decade, block 2: 4x4, mean of 1 channels")
    assert block_title("attention1") == "Block 1"
    assert block_title("decade.attention1.effect") == "Decade, block 1: effect"
    written.clear()
    block_image(crop_of(32), BlockMaps("attention2", mask, None, mask, mask), effect=True)
    assert written[0].startswith("Block 2: 4x4, effect, mean of 1 channels")


def run(*arguments: str):
    return CliRunner().invoke(app, ["attention", *arguments])


def test_attention_by_command(weights: Path, tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "new" / "out"
    sample_portrait().save(photo)
    result = run(str(photo), "-o", str(out), "--npz")
    assert result.exit_code == 0, result.output
    images = [f"{name}{part}.png" for name in BLOCKS for part in ("", ".effect")]
    files = [*images, "attention.json", "masks.npz"]
    assert result.output.splitlines() == [f"wrote {out / name}" for name in files]
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    reported = json.loads((out / "attention.json").read_text())
    assert (
        reported["file"] == "photo.png"
        and reported["weights"] == "gra_net_ablation_mixed"
        and reported["gender"]["label"] == "Male"
    )
    assert [block["shape"] for block in reported["blocks"]] == [
        [32, 16, 16],
        [64, 8, 8],
        [128, 4, 4],
    ]
    assert (
        reported["blocks"][0]["gate"] == pytest.approx(0.05, abs=1e-3)
        and "95 %" in reported["blocks"][0]["gate_words"]
    )
    assert reported["blocks"][0]["effect"]["highest"] > reported["blocks"][0]["effect"]["lowest"]
    maps = attention_maps(sample_portrait())
    for part, effect in (("", False), (".effect", True)):
        with Image.open(out / f"attention2{part}.png") as image:
            assert image.size == (384, 438)
            drawn = block_image(maps.crop, maps.block("attention2"), effect)
            assert np.abs(np.asarray(image, int) - np.asarray(drawn, int)).mean() < 1


def test_mistakes_are_told_by_command(weights: Path, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (120, 120), "white").save(blank)
    cases = [
        ((str(blank), "-o", str(tmp_path / "a")), 1, "no face was found"),
        ((str(tmp_path / "none.png"), "-o", str(tmp_path / "a")), 1, "no such file"),
        (
            (str(blank), "-o", str(tmp_path / "a"), "--weights", "multitask_cnn_dist"),
            1,
            "has no attention masks",
        ),
        ((str(blank), "-o", str(blank)), 2, "no files can be written in the folder"),
        ((str(blank),), 2, "output"),
    ]
    for arguments, code, words in cases:
        result = run(*arguments)
        assert (
            result.exit_code == code
            and words in " ".join(result.output.split())
            and "Traceback" not in result.output
        ), result.output


def test_the_operators_limits_hold_by_command(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (1100, 1000), "white").save(tmp_path / "large.png")
    monkeypatch.setenv("AGEGENDER_MAX_MEGAPIXELS", "1")
    result = run(str(tmp_path / "large.png"), "-o", str(tmp_path / "a"))
    assert result.exit_code == 1 and "more than 1 megapixels" in result.output

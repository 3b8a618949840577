"""Saliency of every architecture, the numbers it is about against the decoder's, and toy networks
whose right map is known.
"""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from agegender_core.explain.saliency import (
    CELLS,
    LAYERS,
    METHODS,
    answered_gender,
    normalised,
    saliency_map,
    target_values,
)
from agegender_core.inference.decoding import read_out
from agegender_core.inference.forward import run_network
from agegender_core.models import architectures
from agegender_core.vision.preprocessing import to_batch
from tests.support.attention_networks import CORNER, Corner, card_of, crop_of, network_of
from tests.support.networks import ENSEMBLE, HEADS

CASES = {
    "gra_net": ({"age": 101, "gender": 2}, 32, {"width": 0.125}, 4),
    "gra_net_trio": ({"decade": 10, "digit": 1, "gender": 2}, 32, {"width": 0.125}, 4),
    "multitask_cnn": ({"targets": 2}, 64, {}, 4),
    "residual_cnn": ({"age": 9, "gender": 2, "race": 7}, 32, {"side": 32, "hidden": 16}, 4),
    "two_branch_cnn": ({"age": 1, "gender": 1}, 48, {"side": 48}, 4),
    "xception": ({"age": 1, "gender": 1}, 64, {}, 4),
    "efficientnet_lite0": ({"age": 101, "gender": 2, "race": 7}, 64, {}, 4),
    "efficientnet_lite2": ({"age": 101, "gender": 2, "race": 7}, 64, {}, 4),
    "ensemble": ({"age": 101, "gender": 2}, 64, ENSEMBLE, 4),
}
"""Heads, crop size, options and side of Grad-CAM's map, by architecture."""


@pytest.mark.parametrize("architecture", CASES)
def test_every_architecture_has_both_maps_for_both_targets(architecture: str) -> None:
    heads, size, options, side = CASES[architecture]
    info = card_of(architecture, heads, size, flip=True, **options)
    network, crop = network_of(info), crop_of(size)
    before = copy.deepcopy(network.state_dict())
    for target in ("age", "gender"):
        gradient = saliency_map(network, info, crop, "grad_cam", target)
        assert (
            gradient.shape == (side, side)
            and gradient.dtype == np.float32
            and gradient.min() >= 0
            and np.isfinite(gradient).all()
        )
    occlusion = saliency_map(network, info, crop, "occlusion", "age")
    assert (
        occlusion.shape == (CELLS, CELLS)
        and occlusion.dtype == np.float32
        and occlusion.min() >= 0
        and occlusion.max() > 0
    )
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in network.modules()
    ), "no hooks on shared networks"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_no_architecture_is_forgotten() -> None:
    known = {
        name
        for name, built in architectures().items()
        if built.build.__module__.startswith("agegender_core")
    }
    assert {*LAYERS, "ensemble"} == known == set(CASES), "an ensemble has its members' layers"


@pytest.mark.parametrize("kind", HEADS)
def test_targets_are_what_the_decoder_says(kind: str) -> None:
    info = card_of("made up", HEADS[kind], 32)
    generator = torch.Generator().manual_seed(0)
    logits = {head: torch.randn(5, size, generator=generator) for head, size in HEADS[kind].items()}
    # Sure of its decade, and a whole digit: then the expectation is the answer.
    if kind == "decade_digit":
        logits = {
            **logits,
            "decade": 1000 * logits["decade"],
            "digit": torch.tensor([[0.0], [3.0], [9.0], [5.0], [1.0]]),
        }
    if kind == "regression":
        logits["age"] = logits["age"].abs() * 30
    if kind == "two_values":
        logits["targets"] = torch.rand(5, 2, generator=generator)
    answers = read_out(logits, info.decoding)
    age = target_values(logits, info.decoding, "age", 0).numpy()
    wanted = logits["targets"][:, 0].numpy() if kind == "two_values" else answers.years
    assert np.allclose(age, wanted, atol=1e-3)
    female, male = (
        target_values(logits, info.decoding, "gender", index).numpy() for index in (0, 1)
    )
    assert np.allclose(female + male, 1, atol=1e-6)
    if answers.gender_probs is not None:
        assert np.allclose(male, answers.gender_probs[:, 1], atol=1e-5)
    else:
        assert np.array_equal(male, logits["targets"][:, 1].numpy())
    assert answered_gender(logits) == answers.gender[0]


def test_gradients_of_targets_reach_the_logits() -> None:
    for kind, heads in HEADS.items():
        info = card_of("made up", heads, 32)
        for target in ("age", "gender"):
            logits = {
                head: torch.randn(1, size, requires_grad=True) for head, size in heads.items()
            }
            target_values(logits, info.decoding, target, 1).sum().backward()
            names = {
                "age": set(heads) & {"age", "decade", "digit", "targets"},
                "gender": set(heads) & {"gender", "targets"},
            }[target]
            assert all(
                logits[name].grad is not None and logits[name].grad.any() for name in names
            ), (kind, target)


def test_occlusion_sees_the_corner_and_nothing_else() -> None:
    crop = Image.new("RGB", (32, 32), (255, 0, 0))
    found = saliency_map(Corner(), CORNER, crop, "occlusion", "age")
    # A window covers 4x4 of the quarter's 256 pixels and takes their red from 255 to 128.
    wanted = np.zeros((8, 8))
    wanted[:4, :4] = 100 * 16 / 256 * (255 - 128) / 255
    assert np.allclose(found, wanted, atol=1e-3)
    dark = saliency_map(Corner(), CORNER, Image.new("RGB", (32, 32)), "occlusion", "age")
    assert np.allclose(dark[:4, :4], 100 * 16 / 256 * 128 / 255, atol=1e-3), (
        "changes either way count"
    )


def test_windows_of_odd_crops_are_cut_off_at_the_edge() -> None:
    info = card_of("corner", {"age": 1, "gender": 1}, 35)
    found = saliency_map(
        Corner(), info, Image.new("RGB", (35, 35), (255, 0, 0)), "occlusion", "age"
    )
    assert found.shape == (7, 7), "windows of 5 px"
    assert (found[:3, :3] > 0).all() and (found[4:] == 0).all() and (found[:, 4:] == 0).all()


def test_grad_cam_weighs_maps_by_their_mean_gradient() -> None:
    crop = crop_of(32)
    found = saliency_map(Corner(), CORNER, crop, "grad_cam", "age")
    batch = to_batch([crop], CORNER.input)
    # Of years to a value of the map, nought outside the corner, mean over the map.
    gradient = 100 * 0.25 / 256 * (16 * 16) / (32 * 32)
    assert np.allclose(found, np.maximum(gradient * batch[0, 0].numpy(), 0), atol=1e-5)
    away = saliency_map(Corner(-100.0), CORNER, crop, "grad_cam", "age")
    assert np.allclose(away, np.maximum(-gradient * batch[0, 0].numpy(), 0), atol=1e-5), (
        "positive part alone"
    )


def test_mirrored_crops_have_mirrored_maps_where_weights_average_both() -> None:
    info = card_of("gra_net", {"age": 101, "gender": 2}, 32, flip=True, width=0.125)
    network, crop = network_of(info), crop_of(32)
    for method in METHODS:
        found = saliency_map(network, info, crop, method, "age")
        mirrored = saliency_map(
            network, info, crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT), method, "age"
        )
        assert np.allclose(found, mirrored[:, ::-1], rtol=1e-2, atol=1e-3 * found.max()), method


def test_other_threads_go_on_while_gradients_are_taken() -> None:
    info = card_of("gra_net", {"age": 101, "gender": 2}, 32, width=0.125)
    network, crop = network_of(info), crop_of(32)
    batch = to_batch([crop_of(32, seed) for seed in range(3)], info.input)
    wanted, map_wanted = (
        run_network(network, batch, False).logits["age"],
        saliency_map(network, info, crop, "grad_cam", "age"),
    )
    failures: list[str] = []

    def ask() -> None:
        for _ in range(10):
            if not torch.allclose(
                run_network(network, batch, False).logits["age"], wanted, atol=1e-4
            ):
                failures.append("another answer")

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(4):
        assert np.allclose(
            saliency_map(network, info, crop, "grad_cam", "age"), map_wanted, atol=1e-5
        )
    thread.join()
    assert not failures


def test_maps_can_be_had_inside_inference_mode() -> None:
    network = Corner()
    with torch.inference_mode():
        assert saliency_map(network, CORNER, crop_of(32), "occlusion", "gender").shape == (8, 8)
        assert saliency_map(network, CORNER, crop_of(32), "grad_cam", "gender").shape == (32, 32)


def test_wrong_words_are_refused() -> None:
    for arguments, words in (
        (("gradcam", "age"), "grad_cam, occlusion"),
        (("occlusion", "race"), "age, gender"),
    ):
        with pytest.raises(ValueError, match=words):
            saliency_map(Corner(), CORNER, crop_of(32), *arguments)
    with pytest.raises(ValueError, match="32x32"):
        saliency_map(Corner(), CORNER, crop_of(40), "occlusion", "age")


def test_normalised_maps_reach_one_and_keep_nought() -> None:
    assert normalised(np.array([[0, 2], [4, -1]], np.float32)).tolist() == [[0, 0.5], [1, 0]]
    assert not normalised(np.zeros((2, 2))).any() and normalised(np.full((2, 2), 0.2)).tolist() == [
        [1, 1],
        [1, 1],
    ]

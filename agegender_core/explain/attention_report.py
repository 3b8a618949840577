"""Attention over a whole test split: average masks, and whether masks and saliency show what the
answers depend on.

The files are ``<weights>/attention/<set>.json`` and ``.npz`` in ``reports/``;
``report_store.read_attention`` reads both. They contain no image of a person: mean faces are of at
least ``PEOPLE`` people and at most ``FACE_SIDE`` px.

Of each block three maps are judged: «attention1», the mask's mean over channels;
«attention1.deviation», how far the channels lie from their own means; and «attention1.effect», what
the mask changes (``attention.mask_deviation``, ``mask_effect``). Beside random maps stand two
controls: «centre», nearness to the crop's centre, and «attention1.trunk», the mean size of the
features before the mask, which an effect is made of too.

Arrays of the NPZ are named «slicing/group/what»: slicing and group as in «groups» of the JSON, what
is a block's name, or one with «.effect», with (h, w) float32, the map's mean over images; «n» with
the number of images; and, for large groups, «face» with (H, W, 3) uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image
from torch import nn

from agegender_core.datasets import FaceRecord, iter_images, labelled_targets, read_records
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import ConfigError
from agegender_core.evaluation.evaluate import largest_faces
from agegender_core.evaluation.metrics import band_name, bootstrap_mean
from agegender_core.evaluation.report_types import (
    CENTRE,
    DEVIATION,
    EFFECT,
    TRUNK,
    AttentionReport,
    ChangeEffect,
    Estimate,
    MapCurve,
    MapCurves,
    MaskActivity,
    is_control,
)
from agegender_core.explain.attention import judged_maps
from agegender_core.explain.faithfulness import (
    KINDS,
    STEPS,
    YEARS,
    Kind,
    area,
    centre_map,
    curves,
    random_map,
)
from agegender_core.explain.mask_ablation import Activity, changed_answers, effects
from agegender_core.explain.saliency import METHODS, Target, saliency_map
from agegender_core.inference.decoding import Answers, read_out
from agegender_core.inference.forward import run_network
from agegender_core.inference.model_zoo import ModelInfo, load_network, reading_of
from agegender_core.labels import AGE_BANDS, FAIRFACE_GROUPS, GENDERS
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.types import AttentionBlock, StageProgress
from agegender_core.vision.alignment import align
from agegender_core.vision.image_io import load_image
from agegender_core.vision.preprocessing import normalise, to_uint8

PEOPLE = 200
"""A mean face needs at least this many people: of fewer it might show one of them."""
FACE_SIDE = 32
"""Largest side of a mean face in pixels."""
LIMIT = 200
BATCH = 128
HEAD_TARGETS: dict[str, Target] = {"decade": "age", "digit": "age", "gender": "gender"}
"""What the networks of a trio estimate, by the first part of their blocks' names."""

Groups = Mapping[str, Mapping[str, np.ndarray]]
"""By slicing and group: (N,) bool, who belongs to it."""


@dataclass(frozen=True, eq=False)
class CropExplanations:
    """A network's answers and masks for N images. ``masks``: by block, (N, h, w) float32, the mean
    over channels, and with «.deviation», «.effect» or «.trunk» behind the block's name, the other
    maps. ``activity``: by block.
    """

    answers: Answers
    masks: dict[str, np.ndarray]
    activity: dict[str, MaskActivity]


@dataclass(frozen=True, eq=False)
class FaceCurves:
    """One face's (steps + 1,) curves by target, map and kind; ``sides``: cells of each map along
    one side.
    """

    curves: Mapping[Target, Mapping[str, Mapping[Kind, np.ndarray]]]
    sides: Mapping[str, int]


def attention_report(
    info: ModelInfo,
    set_name: str,
    reports: Path,
    limit: int = LIMIT,
    progress: StageProgress | None = None,
    steps: int = STEPS,
) -> AttentionReport:
    """Explain the test split of dataset ``set_name``, write both files into ``reports`` and return
    the report.

    ``limit``: images for the curves, drawn with a fixed seed; masks are changed on five times as
    many and averaged over all. Networks without masks have curves of saliency alone. Raises
    ``ConfigError`` for an unknown dataset or a limit below 1, ``DatasetError`` where it is absent,
    and ``WeightsError``.
    """
    if set_name not in TEST_SPLITS:
        raise ConfigError(f"unknown dataset {set_name!r}; known: {', '.join(TEST_SPLITS)}")
    if limit < 1:
        raise ConfigError(f"the limit must be at least 1 image, got {limit}")
    network = load_network(info)
    records, crops = read_crops(info, set_name)
    seen = explain_crops(network, info, crops, progress)
    groups = grouped(records, seen.answers)
    chosen = np.sort(np.random.default_rng(0).permutation(len(records))[:limit])
    found = []
    for done, index in enumerate(chosen, start=1):
        masks = {name: mask[index] for name, mask in seen.masks.items()}
        found.append(
            face_curves(
                network,
                info,
                Image.fromarray(np.array(crops[index])),
                masks,
                records[index].row,
                steps,
            )
        )
        if progress:
            progress("curves", done, len(chosen))
    changes_n, changes = (
        _changed(network, info, records, crops, limit, progress) if seen.masks else (0, ())
    )
    report = AttentionReport(
        weights=info.name,
        weights_sha256=info.sha256,
        decoding=reading_of(info),
        set=set_name,
        split=TEST_SPLITS[set_name],
        n=len(records),
        curves_n=len(chosen),
        steps=steps,
        how=(
            f"pixels replaced by a blurred copy; age: what is left within {YEARS:g} years of the"
            " answer; masks: mean over channels; deviation: of the channels from their own means;"
            " effect: what a mask changes against a flat one; controls: nearness to the crop's"
            " centre, and the size of the features before the mask"
        ),
        sides=dict(found[0].sides),
        groups={
            slicing: {name: int(member.sum()) for name, member in parts.items()}
            for slicing, parts in groups.items()
        },
        activity=seen.activity,
        changes_n=changes_n,
        changes=changes,
        targets={target: summarise(found, target) for target in get_args(Target)},
    )
    folder = reports / info.name / "attention"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / f"{set_name}.npz",
        **averages(
            groups,
            {
                name: maps
                for name, maps in seen.masks.items()
                if not name.endswith((DEVIATION, TRUNK))
            },
            crops,
            people(records),
        ),
    )
    write_json(folder / f"{set_name}.json", to_json(report))
    return report


def _changed(
    network: nn.Module,
    info: ModelInfo,
    records: Sequence[FaceRecord],
    crops: np.ndarray,
    limit: int,
    progress: StageProgress | None,
) -> tuple[int, tuple[ChangeEffect, ...]]:
    """How the answers change when masks are changed, on how many images: five for each one with
    curves.
    """
    chosen = np.sort(np.random.default_rng(1).permutation(len(records))[: 5 * limit])
    own, answers = changed_answers(
        network,
        info,
        crops[chosen],
        lambda done: progress("changes", done, len(chosen)) if progress else None,
    )
    ages = exact_ages(records)[chosen]
    genders = labelled_targets(records).gender[chosen]
    return len(chosen), effects(own, answers, ages, genders)


def read_crops(info: ModelInfo, set_name: str) -> tuple[list[FaceRecord], np.ndarray]:
    """Records of the test split and their (N, H, W, 3) uint8 crops; photographs in which no face is
    found are left out.
    """
    records = read_records(set_name, TEST_SPLITS[set_name])
    if set_name != "fgnet":
        return records, load_crops(records, info.input)
    rows = tuple(record.row for record in records)
    faces = largest_faces(set_name, rows)
    crops = [
        align(load_image(encoded), faces[row], info.input)
        for row, encoded in iter_images(set_name, rows)
        if row in faces
    ]
    return [record for record in records if record.row in faces], np.stack(
        [np.asarray(crop) for crop in crops]
    )


def explain_crops(
    network: nn.Module, info: ModelInfo, crops: np.ndarray, progress: StageProgress | None = None
) -> CropExplanations:
    """Of (N, H, W, 3) uint8 crops: answers, averaged with the mirror image where the weights use
    it, masks of the crops as they are, and how much these vary.
    """
    logits: dict[str, list[torch.Tensor]] = {}
    masks: dict[str, list[np.ndarray]] = {}
    activity = Activity()
    for start in range(0, len(crops), BATCH):
        images = normalise(to_uint8(crops[start : start + BATCH]), info.input)
        output = run_network(network, images, info.flip)
        for name, value in output.logits.items():
            logits.setdefault(name, []).append(value)
        activity.add(output.attention)
        for block in output.attention:
            for name, found in block_maps(block).items():
                masks.setdefault(name, []).append(found)
        if progress:
            progress("masks", min(start + BATCH, len(crops)), len(crops))
    answers = read_out({name: torch.cat(parts) for name, parts in logits.items()}, info.decoding)
    return CropExplanations(
        answers, {name: np.concatenate(parts) for name, parts in masks.items()}, activity.found()
    )


def block_maps(block: AttentionBlock) -> dict[str, np.ndarray]:
    """The maps of a block for N images, (N, h, w) float32 each, by name."""
    mask, features, output = (
        tensor.float().cpu().numpy() for tensor in (block.mask, block.features, block.output)
    )
    gate = None if block.gate is None else float(block.gate)
    return judged_maps(block.name, mask, gate, features, output)


def grouped(records: Sequence[FaceRecord], answers: Answers) -> dict[str, dict[str, np.ndarray]]:
    """Who belongs to which group; groups without an image are left out.

    «all»; «age»: bands of ``AGE_BANDS``, or FairFace's ranges; «gender» as labelled;
    «gender_answer»: right or wrong; «age_answer»: right (within five years) or wrong, where the
    exact age is known.
    """
    ages = exact_ages(records)
    bands = np.array([_band(record) for record in records], dtype=object)
    genders = np.array([record.gender for record in records], dtype=object)
    named, exact = np.array([gender is not None for gender in genders]), ~np.isnan(ages)
    gender_right = genders == np.array(GENDERS, dtype=object)[answers.gender]
    age_right = np.abs(answers.years - ages) <= YEARS
    order = dict.fromkeys(
        group.name for group in sorted((*AGE_BANDS, *FAIRFACE_GROUPS), key=lambda group: group.lo)
    )
    groups = {
        "all": {"all": np.ones(len(records), bool)},
        "age": {name: bands == name for name in order},
        "gender": {name: genders == name for name in GENDERS},
        "gender_answer": {"right": named & gender_right, "wrong": named & ~gender_right},
        "age_answer": {"right": exact & age_right, "wrong": exact & ~age_right},
    }
    return {
        slicing: {name: member for name, member in parts.items() if member.any()}
        for slicing, parts in groups.items()
    }


def exact_ages(records: Sequence[FaceRecord]) -> np.ndarray:
    """(N,) float years; NaN where only a range is known."""
    return np.array(
        [np.nan if record.age is None else record.age for record in records], dtype=float
    )


def _band(record: FaceRecord) -> str | None:
    if record.age is not None:
        return band_name(record.age)
    return next(
        (
            group.name
            for group in FAIRFACE_GROUPS
            if record.age_range and group.lo == record.age_range[0]
        ),
        None,
    )


def people(records: Sequence[FaceRecord]) -> np.ndarray:
    """(N,) who is in each image; where the dataset does not name people, every image counts
    as another person.
    """
    return np.array(
        [
            f"image {record.row}" if record.subject is None else f"person {record.subject}"
            for record in records
        ]
    )


def averages(
    groups: Groups, masks: Mapping[str, np.ndarray], crops: np.ndarray, who: np.ndarray
) -> dict[str, Any]:
    """Arrays of the NPZ, named as above. ``masks``: by block, (N, h, w); ``crops``: (N, H, W, 3)
    uint8; ``who``: (N,) see ``people``.
    """
    found: dict[str, Any] = {}
    for slicing, parts in groups.items():
        faces = may_show_faces(parts, who)
        for name, member in parts.items():
            key = f"{slicing}/{name}"
            found[f"{key}/n"] = np.int64(member.sum())
            found |= {
                f"{key}/{block}": mask[member].mean(axis=0, dtype=np.float64).astype(np.float32)
                for block, mask in masks.items()
            }
            if name in faces:
                found[f"{key}/face"] = mean_face(crops, member)
    return found


def may_show_faces(parts: Mapping[str, np.ndarray], who: np.ndarray) -> list[str]:
    """Groups of one slicing, largest first, whose mean faces reveal no fewer than ``PEOPLE``
    people.

    A mean face of all images less those of the groups shown is the mean of the rest, so the rest
    must be empty or as large.
    """
    counts = {name: len(np.unique(who[member])) for name, member in parts.items()}
    shown = sorted(
        (name for name in parts if counts[name] >= PEOPLE), key=lambda name: -counts[name]
    )
    while shown:
        rest = ~np.any([parts[name] for name in shown], axis=0)
        if not rest.any() or len(np.unique(who[rest])) >= PEOPLE:
            break
        shown.pop()
    return shown


def mean_face(crops: np.ndarray, member: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 mean of the chosen crops, at most ``FACE_SIDE`` px a side. For large groups
    only: see ``averages``.
    """
    total = np.zeros(crops.shape[1:], np.float64)
    for index in np.flatnonzero(member):
        total += crops[index]
    mean = Image.fromarray((total / member.sum()).round().astype(np.uint8))
    side = min(FACE_SIDE, mean.width)
    return np.asarray(mean.resize((side, side), Image.Resampling.BOX))


def face_curves(
    network: nn.Module,
    info: ModelInfo,
    crop: Image.Image,
    masks: Mapping[str, np.ndarray],
    row: int,
    steps: int,
) -> FaceCurves:
    """Curves of one face. ``masks``: by block, (h, w). For every resolution there is a random map,
    drawn for the image's ``row``.
    """
    targets = get_args(Target)
    saliency = {
        target: {name: saliency_map(network, info, crop, name, target) for name in METHODS}
        for target in targets
    }
    sides = {name: int(found.shape[-1]) for name, found in {**masks, **saliency["age"]}.items()}
    sides[CENTRE] = max(sides.values())
    random = {
        random_name(side): random_map(side, row, side)
        for side in sorted(set(sides.values()), reverse=True)
    }
    shared = {name: mask for name, mask in masks.items() if _about(name) is None}
    shared[CENTRE] = centre_map(sides[CENTRE])
    found = curves(network, info, crop, shared | random, targets, steps)
    for target in targets:
        own = {name: mask for name, mask in masks.items() if _about(name) == target}
        found[target] |= curves(network, info, crop, own | saliency[target], (target,), steps)[
            target
        ]
    return FaceCurves(found, sides)


def _about(block: str) -> Target | None:
    """What a block's network estimates; None where it estimates everything."""
    return HEAD_TARGETS.get(block.split(".")[0])


def random_name(side: int) -> str:
    """Name of the random map of one resolution."""
    return f"random {side}x{side}"


def summarise(faces: Sequence[FaceCurves], target: Target) -> dict[str, MapCurves]:
    """Means over ``faces`` by map and kind."""
    result: dict[str, MapCurves] = {}
    first = faces[0]
    names = [
        *(name for name in first.sides if name in first.curves[target]),
        *(name for name in first.curves[target] if "random" in name),
    ]
    for name in names:
        result[name] = {}
        for kind in KINDS:
            areas = _areas(faces, target, name, kind)
            mean = np.mean([face.curves[target][name][kind] for face in faces], axis=0)
            measured = MapCurve(_estimate(areas).rounded(), tuple(mean.round(4).tolist()))
            if name in first.sides:
                difference = _estimate(
                    areas - _areas(faces, target, random_name(first.sides[name]), kind)
                )
                measured = replace(
                    measured,
                    difference=difference.rounded(),
                    verdict=verdict(difference, kind),
                    against={
                        control.rpartition(".")[2]: _estimate(
                            areas - _areas(faces, target, control, kind)
                        ).rounded()
                        for control in controls(name)
                    },
                )
            result[name][kind] = measured
    return result


def controls(name: str) -> tuple[str, ...]:
    """The maps that know less than the map ``name`` and that it should beat; none for these maps
    themselves.
    """
    if is_control(name):
        return ()
    if name.endswith(EFFECT):
        return CENTRE, name.removesuffix(EFFECT) + TRUNK
    return (CENTRE,)


def verdict(difference: Estimate, kind: Kind) -> str:
    """What a difference in area from random means, in words: a direction counts only where the
    whole interval agrees.
    """
    if difference.low <= 0 <= difference.high:
        return "no better than random"
    return (
        "better than random"
        if (difference.value < 0) == (kind == "deletion")
        else "worse than random"
    )


def _areas(faces: Sequence[FaceCurves], target: Target, name: str, kind: Kind) -> np.ndarray:
    return np.array([area(face.curves[target][name][kind]) for face in faces])


def _estimate(values: np.ndarray) -> Estimate:
    found = bootstrap_mean(values)
    assert found is not None
    return found

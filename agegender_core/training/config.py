"""Training recipes: typed, read from TOML, unknown keys refused. Plain dataclasses, checked by
hand, so that a bare training machine without pydantic can read them.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agegender_core.errors import ConfigError
from agegender_core.inference.decoding import decoding_kind
from agegender_core.inference.model_zoo import teacher_names
from agegender_core.inference.quantization import Storage
from agegender_core.labels import (
    AGE_BANDS,
    AGE_GROUP_SETS,
    FAIRFACE_GROUPS,
    FAIRFACE_RACES,
    MAX_AGE,
)
from agegender_core.toml_tables import read_table
from agegender_core.types import InputSpec

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo


@dataclass(frozen=True)
class DataConfig:
    """``sets``: names of datasets under the data folder. ``split``: trained on. ``val_split``:
    measured after each epoch.

    ``resplit``: splits the images of every dataset again, near-duplicates and all, for measuring
    what a protocol does, never for weights to be used: «random» into splits of the same sizes,
    «stratified_age_bins» as the third paper did (5,000 images, 90/5/5).
    """

    sets: tuple[str, ...] = ("utkface", "all_age_faces", "fairface")
    split: str = "train"
    val_split: str = "val"
    resplit: Literal["", "random", "stratified_age_bins"] = ""


@dataclass(frozen=True)
class ScheduleConfig:
    """How long and how fast.

    ``epochs``: full length. ``budget_minutes``: a schedule that would take longer shrinks to fit
    (0: no limit).
    ``warmup``: share of the run in which the learning rate rises. ``cosine``: fall to zero along a
    cosine, else stay constant.
    ``sizes``: (share of the run from which it applies, side of the crop in pixels): small crops
    first are faster.
    ``watch``: number of training images measured after each epoch like the validation split,
    without augmentation, for learning curves.
    ``cpu_bf16``: bfloat16 on processors that multiply it in hardware, twice as fast for wide
    networks, no faster for small ones (a GPU always uses it).
    """

    epochs: int = 30
    budget_minutes: float = 0.0
    batch_size: int = 96
    warmup: float = 0.1
    cosine: bool = True
    sizes: tuple[tuple[float, int], ...] = ()
    cpu_bf16: bool = False
    watch: int = 0


@dataclass(frozen=True)
class OptimizerConfig:
    """``name``: adam (L2 as in the papers: added to the gradient), adamw (decoupled) or nadam.

    ``eps``: added to the root of the second moment. ``ema``: decay of averaged weights, 0 for none.
    """

    name: Literal["adam", "adamw", "nadam"] = "adamw"
    lr: float = 5e-3
    eps: float = 1e-8
    weight_decay: float = 0.05
    clip_norm: float = 0.0
    ema: float = 0.0


ABOVE_ZERO = ("optimizer.lr", "optimizer.eps", "loss.sigma", "distil.temperature", "input.std")
HEAD_SIZES: dict[str, tuple[int, ...]] = {
    "age": (MAX_AGE + 1, len(FAIRFACE_GROUPS), 1),
    "decade": (10, 11),
    "digit": (1,),
    "gender": (2, 1),
    "race": (len(FAIRFACE_RACES),),
    "targets": (2,),
}
"""Sizes of the heads that can be learned, by name: see ``Recipe.heads``."""
SHARES = ("schedule.warmup", "optimizer.ema", "loss.gender_smoothing")
"""Settings between 0 and 1; those that end with «_p» are as well."""
SEEDS = 2**32
"""Seeds are smaller than this: what numpy and torch both take."""
VAL_SPLITS = ("val", "test")
SIDES = (8, 512)
"""Smallest and largest side of a crop in pixels."""
BEST_QUALITY = 95
"""Of a compressed training crop: JPEG as good as cameras write it."""


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of a training crop. ``p`` is a probability.

    ``rotate``, ``shear``: largest angles in degrees. ``scale``, ``shift``, ``contrast``,
    ``colour``: as fractions. ``brightness``: factors lie within this distance of
    ``brightness_middle``. ``noise``: largest standard deviation of added noise, of 0 to 255.
    ``jpeg_quality``: lowest quality, 1 to 95, at which a crop is compressed.
    """

    flip_p: float = 0.5
    affine_p: float = 1.0
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    brightness_middle: float = 1.0
    contrast: float = 0.0
    colour: float = 0.0
    grey_p: float = 0.0
    lowres_p: float = 0.0
    noise_p: float = 0.0
    noise: float = 0.0
    jpeg_p: float = 0.0
    jpeg_quality: int = 20
    erase_p: float = 0.0


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts.

    ``sigma``: width in years of the Gaussian an exact age is smeared to. ``mean_l1``: weight of the
    error of the distribution's mean. ``age``, ``gender``, ``race``: weights of the heads.
    ``gender_smoothing``: label smoothing. ``groups``: age groups of ``two_values``.
    ``age_bands``: weights of the images in each band of ``AGE_BANDS`` in the loss of a distribution
    of ages (a head «age» of 101), > 0; empty: all alike. A range of ages counts to the band of its
    middle. For training alone, and not for the teacher's share: validation weighs all images alike.
    """

    sigma: float = 2.5
    mean_l1: float = 0.08
    age: float = 1.0
    gender: float = 1.0
    race: float = 0.3
    gender_smoothing: float = 0.03
    groups: str = "adience8"
    age_bands: tuple[float, ...] = ()


@dataclass(frozen=True)
class DistilConfig:
    """Learning from another network beside the labels (Hinton, Vinyals and Dean 2015).

    ``teacher``: name of installed weights whose heads of the same size are learned from, empty for
    none; several, whose mean probabilities are learned, as «one + another». ``age``, ``gender``:
    weights of the divergence from the teacher's distributions. ``temperature``: both networks'
    logits are divided by it, > 0.
    """

    teacher: str = ""
    age: float = 1.0
    gender: float = 1.0
    temperature: float = 1.0

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names in ``teacher``, each once."""
        return teacher_names(self.teacher)


@dataclass(frozen=True)
class CardConfig:
    """What people read about the weights.

    ``title``, ``summary``, ``paper``: for people. ``caveats``: what to know before use.
    ``default``: whether the app opens with these weights. ``flip``: average with the mirrored crop.
    ``for_comparison``: made to compare options, not for use. ``storage``: half precision, or fewer
    bits a value for networks too large for that.
    """

    title: str = ""
    summary: str = ""
    paper: str = ""
    caveats: str = ""
    default: bool = False
    flip: bool = True
    for_comparison: bool = False
    storage: Storage = "half"


@dataclass(frozen=True)
class Recipe:
    """One training run. ``model``: the architecture's own options.

    ``start_from``: nothing for random values; «imagenet» (efficientnet_lite0, efficientnet_lite2:
    of the packages that carry them; xception: by timm); «published», the installed weights of the
    same name; or the path of a safetensors file (with timm's names for these three). ``fresh``:
    parts that start from random values all the same, by a piece of their tensors' names, such as
    «mask_branch».

    ``heads``: output size by name; name and size determine what is learned: age 101 (distribution),
    9 (FairFace's ranges) or 1 (years), decade (classes) and digit 1, gender 2 or 1, race 7, or
    targets 2 (age group index and gender as two numbers).
    """

    name: str
    architecture: str
    heads: dict[str, int]
    model: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    start_from: str = ""
    fresh: tuple[str, ...] = ()
    input: InputSpec = InputSpec()
    data: DataConfig = DataConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    distil: DistilConfig = DistilConfig()
    card: CardConfig = field(default_factory=CardConfig)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping of every setting, defaults included."""
        return dataclasses.asdict(self)


def load_recipe(path: Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe. ``overrides``: dotted keys such as ``{"schedule.epochs": 2}``.

    Raises ``ConfigError`` for an unreadable file, an unknown or missing key, or a value of the
    wrong type.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:  # a ValueError: neither UTF-8 nor TOML
        raise ConfigError(f"cannot read recipe {path}: {error}") from error
    for key, value in (overrides or {}).items():
        _assign(raw, key, value)
    recipe = read_table(Recipe, raw, str(path))
    _check(recipe, path)
    return recipe


def recipe_from_dict(raw: dict[str, Any], where: str = "recipe") -> Recipe:
    """The reverse of ``Recipe.as_dict``. Raises ``ConfigError`` as ``load_recipe`` does."""
    return read_table(Recipe, raw, where)


def changed_settings(recipe: Recipe, base: Recipe) -> dict[str, Any] | None:
    """What ``recipe`` sets otherwise than ``base``, by dotted key, as ``train --set`` takes it;
    None where it lacks something of ``base``, such as a head, which ``--set`` cannot take away.
    The card, which is words, is left out.
    """
    ours, theirs = (_flat(one.as_dict() | {"card": {}}) for one in (recipe, base))
    if theirs.keys() - ours.keys():
        return None
    return {key: value for key, value in ours.items() if value != theirs.get(key)}


def _flat(settings: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{start}{key}.")
        else:
            found[f"{start}{key}"] = _listed(value)
    return found


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def recipe_of(info: ModelInfo) -> Recipe:
    """As much of the recipe of published weights as the manifest says: what decides which images
    have labels for them.
    """
    return Recipe(
        info.name,
        info.architecture,
        dict(info.heads),
        data=DataConfig(sets=tuple(info.training["sets"])),
        input=info.input,
        loss=LossConfig(groups=info.decoding.groups),
    )


def _check(recipe: Recipe, path: Path) -> None:
    try:
        decoding_kind(recipe.heads)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    _check_heads(recipe, path)
    if recipe.data.val_split not in VAL_SPLITS:
        raise ConfigError(
            f"{path}: data.val_split must be {' or '.join(VAL_SPLITS)}, images that are not learned"
            f" from, got {recipe.data.val_split!r}"
        )
    if not 0 <= recipe.seed < SEEDS:
        raise ConfigError(f"{path}: seed must lie between 0 and {SEEDS - 1}, got {recipe.seed}")
    if not recipe.data.sets:
        raise ConfigError(f"{path}: data.sets is empty: name the datasets to learn from")
    if recipe.schedule.epochs < 1 or recipe.schedule.batch_size < 2:
        raise ConfigError(f"{path}: schedule needs epochs >= 1 and batch_size >= 2")
    _check_numbers(recipe, path)
    if not 1 <= recipe.augment.jpeg_quality <= BEST_QUALITY:
        raise ConfigError(
            f"{path}: augment.jpeg_quality must lie in 1 to {BEST_QUALITY}, got"
            f" {recipe.augment.jpeg_quality}"
        )
    bands = recipe.loss.age_bands
    if bands and recipe.heads.get("age") != MAX_AGE + 1:
        raise ConfigError(
            f"{path}: loss.age_bands weighs the loss of a distribution of ages, a head age ="
            f" {MAX_AGE + 1}, which {recipe.name} does not have: leave it empty"
        )
    if bands and (
        len(bands) != len(AGE_BANDS) or not all(0 < weight < math.inf for weight in bands)
    ):
        raise ConfigError(
            f"{path}: loss.age_bands needs a weight above 0 for each of the {len(AGE_BANDS)} bands"
            f" of ages, from {AGE_BANDS[0].name} to {AGE_BANDS[-1].name}, got {list(bands)}"
        )


def _check_heads(recipe: Recipe, path: Path) -> None:
    """Every head has a loss, and something is to be learned."""
    for name, size in recipe.heads.items():
        if size not in HEAD_SIZES.get(name, ()):
            known = "; ".join(
                f"{head} {' or '.join(map(str, sizes))}" for head, sizes in HEAD_SIZES.items()
            )
            raise ConfigError(f"{path}: a head {name} = {size} cannot be learned; known: {known}")
    if recipe.loss.groups not in AGE_GROUP_SETS:
        raise ConfigError(
            f"{path}: loss.groups {recipe.loss.groups!r} is not one of {', '.join(AGE_GROUP_SETS)}"
        )
    loss = recipe.loss
    weights = {"age": loss.age, "decade": loss.age, "digit": loss.age, "targets": 1.0}
    weights |= {"gender": loss.gender, "race": loss.race}
    if not any(weights[name] for name in recipe.heads):
        raise ConfigError(f"{path}: loss weighs every head by 0: there is nothing to learn")


def _check_numbers(recipe: Recipe, path: Path) -> None:
    """Every number is finite and in its range; ``input.mean`` may be any."""
    sections = ("input", "schedule", "optimizer", "augment", "loss", "distil")
    numbers = _flat({"seed": recipe.seed, **{name: recipe.as_dict()[name] for name in sections}})
    sides = numbers.pop("schedule.sizes")
    numbers.pop("loss.age_bands")  # these have a sentence of their own
    for key, value in numbers.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, str | bool):
                continue
            share = key in SHARES or key.endswith("_p")
            fits = (
                math.isfinite(number)
                and (number >= 0 or key == "input.mean")
                and (number > 0 or key not in ABOVE_ZERO)
                and (number <= 1 or not share)
            )
            if not fits:
                words = (
                    "between 0 and 1" if share else "above 0" if key in ABOVE_ZERO else "0 or more"
                )
                raise ConfigError(f"{path}: {key} must be a number {words}, got {number}")
    if [share for share, _ in sides] != sorted(share for share, _ in sides):
        raise ConfigError(f"{path}: schedule.sizes must be in the order of their shares")
    for share, side in [*sides, (0.0, recipe.input.size)]:
        if not (0 <= share <= 1 and SIDES[0] <= side <= SIDES[1]):
            raise ConfigError(
                f"{path}: input.size and schedule.sizes need sides of {SIDES[0]} to {SIDES[1]}"
                f" pixels, from a share of the run between 0 and 1, got {side} from {share:g}"
            )


def _assign(raw: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for name in tables:
        raw = raw.setdefault(name, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"--set {key}: {name} is a single value, it has no {last}")
    raw[last] = value

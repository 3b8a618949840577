"""Trained weights: what is installed, what it needs, what it measured. ``weights/manifest.toml`` is
the one list of them.

A missing file shows as not installed. Random weights are never served.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from agegender_core.errors import (
    ConfigError,
    WeightsCorruptError,
    WeightsError,
    WeightsMismatchError,
    WeightsMissingError,
)
from agegender_core.inference.decoding import DecodingSpec, decoding_dict
from agegender_core.output.files import write_text
from agegender_core.settings import weights_dir
from agegender_core.toml_tables import read_table
from agegender_core.types import InputSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

Made = TypeVar("Made")
PART_BYTES = 45_000_000
"""A file in the repository may have 50 MB."""
KNOWN_STARTS = ("from scratch", "from ImageNet weights")
"""How the first stage of training may begin, so that it is known which faces were learned from."""


@dataclass(frozen=True)
class ModelInfo:
    """One entry of the manifest.

    ``title``, ``summary``: for people. ``files``: names beside the manifest, several where one
    would be too large for a repository;
    ``sha256``: of their bytes, one after the other. ``architecture``, ``options``, ``heads``: what
    ``create_model`` takes. ``flip``: answers average the crop and its mirror image. ``parameters``:
    trainable values. ``for_comparison``: made to compare options on a small budget, not for use.
    ``training``: data, split, recipe, commit, device, minutes, images seen. ``measured``: our own
    numbers by «set/metric»; ``claimed``: the paper's, never mixed with ours. ``terms``: terms of
    the training data. ``caveats``: what to know before use. ``paper``: where the system comes from.
    """

    name: str
    title: str
    summary: str
    files: tuple[str, ...]
    sha256: str
    architecture: str
    heads: Mapping[str, int]
    paper: str
    terms: str
    folder: Path
    caveats: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    input: InputSpec = InputSpec()
    decoding: DecodingSpec = DecodingSpec()
    flip: bool = False
    parameters: int = 0
    default: bool = False
    for_comparison: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    claimed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The weights' files."""
        return tuple(self.folder / name for name in self.files)

    @property
    def installed(self) -> bool:
        """Whether the weights' files exist."""
        return bool(self.files) and all(path.is_file() for path in self.paths)

    @property
    def size(self) -> int:
        """Bytes on disk of the files that exist."""
        return sum(path.stat().st_size for path in self.paths if path.is_file())


def list_weights(folder: Path | None = None) -> list[ModelInfo]:
    """All entries, the default first and those made for comparisons last; a missing manifest has
    none.

    Raises ``WeightsError`` for one that cannot be read.
    """
    folder = folder or weights_dir()
    manifest = folder / "manifest.toml"
    if not manifest.is_file():
        return []
    try:
        tables = tomllib.loads(manifest.read_text(encoding="utf-8")).get("weights", {})
        if not isinstance(tables, dict):
            raise ConfigError("weights: expected a table")
        entries = [_model_info(name, table, folder) for name, table in tables.items()]
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        # What is no TOML or no UTF-8 is a ValueError.
        raise WeightsError(
            f"{manifest} cannot be read ({error}): restore it from the repository"
        ) from error
    return sorted(entries, key=lambda info: (not info.default, info.for_comparison))


def _model_info(name: str, table: Any, folder: Path) -> ModelInfo:
    own = {"name": name, "folder": folder}
    info = read_table(ModelInfo, table | own if isinstance(table, dict) else table, name)
    if outside := next((file for file in info.files if Path(file).name != file), None):
        raise ConfigError(f"{name}: files: {outside!r} is not the name of a file in this folder")
    return info


def find_weights(name: str | None = None, folder: Path | None = None) -> ModelInfo:
    """The entry called ``name``, or the default one. Raises ``WeightsMissingError`` for an unknown
    name or an empty manifest.
    """
    entries = list_weights(folder)
    if not entries:
        raise WeightsMissingError(
            f"no weights in {folder or weights_dir()}: get the repository with its weights folder,"
            " or train a recipe"
        )
    if name is None:
        return entries[0]
    for info in entries:
        if info.name == name:
            return info
    raise WeightsMissingError(
        f"no weights called {name!r}: choose one of {', '.join(info.name for info in entries)}"
    )


def from_clean_commit(training: Mapping[str, Any]) -> bool:
    """Whether ``training``, of a run or an entry, names a commit without uncommitted changes, or
    several of them, divided by commas: a run may be stopped and go on.
    """
    commits = str(training.get("commit") or "unknown").split(", ")
    return not any(commit.endswith(("-dirty", "unknown")) for commit in commits)


def stages_of(info: ModelInfo) -> list[dict[str, Any]]:
    """Stages of training behind ``info``, first to last: «start», «minutes», «pictures»,
    «pictures_seen», «commit», «teacher», «interpolate», «sets», «split» and «settings» (those that
    differ from the recipe's file, by dotted key), as far as they are known; of an ensemble those of
    all members, with «member», the name of its weights. Entries written before stages were recorded
    have the last one alone.
    """
    if "stages" in info.training:
        return [dict(stage) for stage in info.training["stages"]]
    keys = ("start", "minutes", "pictures", "pictures_seen", "commit")
    found = {key: info.training[key] for key in keys if key in info.training}
    return [found] if found else []


def passes_of(stage: Mapping[str, Any]) -> float | None:
    """How often ``stage``, one of ``stages_of`` or anything else with «pictures_seen» and
    «pictures», saw each of its training images; None where that was not kept.
    """
    seen, pictures = stage.get("pictures_seen"), stage.get("pictures")
    return seen / pictures if seen and pictures else None


def teacher_names(teacher: str) -> tuple[str, ...]:
    """The teachers of a stage, «one + another», in parts, each once."""
    return tuple(dict.fromkeys(name.strip() for name in teacher.split("+") if name.strip()))


def trained_on(info: ModelInfo) -> list[tuple[tuple[str, ...], str]] | None:
    """Datasets and split of each stage of training behind ``info``, each pair once; stages of
    before they were recorded count as the last. None where that is not known: in old entries, and
    after a start from a file of which nothing is known.
    """
    if "sets" not in info.training:
        return None
    stages = stages_of(info)
    if stages and not str(stages[0].get("start", KNOWN_STARTS[0])).startswith(KNOWN_STARTS):
        return None
    entries = [stage for stage in stages if "sets" in stage] + [info.training]
    pairs = ((tuple(one["sets"]), str(one.get("split", "train"))) for one in entries)
    return list(dict.fromkeys(pairs))


def verify(info: ModelInfo) -> None:
    """Raise ``WeightsMissingError`` where a file is absent, ``WeightsCorruptError`` where the bytes
    differ from the manifest.
    """
    if not info.installed:
        missing = next((path for path in info.paths if not path.is_file()), info.folder / info.name)
        raise WeightsMissingError(f"weights {info.name!r} are not installed: {missing} is missing")
    found = sha256(*info.paths)
    if found != info.sha256:
        raise WeightsCorruptError(
            f"{_named(info)} damaged or another file: the sha256 is {found[:12]}…, the manifest"
            f" has {info.sha256[:12]}…; restore it from the repository"
        )


def _named(info: ModelInfo) -> str:
    return (
        f"{info.paths[0]} is"
        if len(info.paths) == 1
        else f"one of {', '.join(map(str, info.paths))} is"
    )


def load_network(info: ModelInfo) -> nn.Module:
    """The network with its trained weights, ready for inference. Raises a ``WeightsError``."""
    from agegender_core.inference.forward import optimize_for_inference
    from agegender_core.inference.quantization import unpack
    from agegender_core.models import create_model

    tensors = load_tensors(info)
    try:
        model = create_model(info.architecture, info.heads, **info.options)
        model.load_state_dict(unpack(tensors))
    except (ConfigError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise WeightsMismatchError(
            f"{_named(info)} of another architecture than {info.architecture!r}: {error}"
        ) from error
    return optimize_for_inference(model)


def load_tensors(info: ModelInfo) -> dict[str, Tensor]:
    """The entry's tensors as they are stored, after ``verify``. Raises a ``WeightsError``."""
    verify(info)
    return read_tensors(info.paths)


def read_tensors(paths: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of safetensors files. Raises ``WeightsMissingError`` or
    ``WeightsCorruptError``.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in paths:
        if not path.is_file():
            raise WeightsMissingError(f"weights {path} are missing")
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsCorruptError(
                f"{path} cannot be read ({error}): restore it from the repository"
            ) from error
    return tensors


class Measured(Protocol):
    """Saved numbers: they name the weights they were measured with."""

    @property
    def weights(self) -> str: ...
    @property
    def weights_sha256(self) -> str | None: ...


INTERVAL = {"coverage", "margins"}
"""What of a decoding determines the interval alone."""


def is_current(saved: Measured, info: ModelInfo, *, interval: bool = False) -> bool:
    """Whether ``saved`` was measured with the weights of ``info``, read as they are today. Numbers
    that do not keep how logits were read count by the weights alone. ``interval``: whether they
    depend on the interval too; then they must say how they were read.
    """
    if (saved.weights, saved.weights_sha256) != (info.name, info.sha256):
        return False
    then, today = getattr(saved, "decoding", None), reading_of(info)
    if then is None:
        return not interval
    apart = set() if interval else INTERVAL
    if "views" not in then:  # saved before 29 November 2026
        apart = apart | {"views"}
    return all(then.get(key) == today.get(key) for key in (then.keys() | today.keys()) - apart)


def reading_of(info: ModelInfo) -> dict[str, Any]:
    """How the logits of ``info`` are read, as reports keep it: its decoding, and of how many views
    of a face logits are the mean.
    """
    return decoding_dict(info.decoding) | {"views": 2 if info.flip else 1}


def sha256(*paths: Path) -> str:
    """Hex digest of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            while block := handle.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def save_parts(
    tensors: Mapping[str, Tensor], folder: Path, name: str, largest: int = PART_BYTES
) -> tuple[str, ...]:
    """Write ``tensors`` to ``name``.safetensors in ``folder``, or where they have more than
    ``largest`` bytes to several files named like ``name``-00001-of-00002.safetensors; returns the
    names. One tensor is never split.
    """
    from safetensors.torch import save_file

    parts: list[dict[str, Tensor]] = [{}]
    filled = 0
    for key, tensor in tensors.items():
        if parts[-1] and filled + tensor.nbytes > largest:
            parts.append({})
            filled = 0
        parts[-1][key] = tensor
        filled += tensor.nbytes
    count = len(parts)
    names = (
        (f"{name}.safetensors",)
        if count == 1
        else tuple(f"{name}-{i + 1:05}-of-{count:05}.safetensors" for i in range(count))
    )
    for file, part in zip(names, parts, strict=True):
        save_file(part, folder / file)
    return names


def write_manifest(entries: list[ModelInfo], folder: Path) -> None:
    """Write ``manifest.toml``, atomically."""
    import tomli_w

    tables = {info.name: _table(info) for info in entries}
    head = (
        "# Written by «agegender weights publish». measured: our numbers; claimed:"
        " the paper's, on its own data.\n\n"
    )
    write_text(folder / "manifest.toml", head + tomli_w.dumps({"weights": tables}))


def _table(info: ModelInfo) -> dict[str, Any]:
    table = {
        key: value
        for key, value in dataclasses.asdict(info).items()
        if key not in ("name", "folder")
    }
    table |= {"files": list(info.files), "decoding": decoding_dict(info.decoding)}
    return {key: _without_none(value) for key, value in table.items()}


def _without_none(value: Any) -> Any:
    return (
        {key: item for key, item in value.items() if item is not None}
        if isinstance(value, dict)
        else value
    )

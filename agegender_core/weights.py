"""Trained weights: what is installed, what it needs, what it measured. ``weights/manifest.toml`` is the one list of them.

A missing file shows as not installed. Random weights are never served.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender_core.decoding import DecodingSpec
from agegender_core.errors import WeightsCorruptError, WeightsError, WeightsMismatchError, WeightsMissingError
from agegender_core.settings import place
from agegender_core.types import InputSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

PART_BYTES = 45_000_000
"""A file in the repository may have 50 MB."""


@dataclass(frozen=True)
class WeightsEntry:
    """One entry of the manifest.

    ``title``, ``summary``: for people. ``files``: names beside the manifest, several where one would be too large for a repository;
    ``sha256``: of their bytes, one after the other. ``architecture``, ``options``, ``heads``: what ``create_model`` takes. ``flip``:
    answers average the crop and its mirror image. ``parameters``: trainable values. ``training``: data, split, recipe, commit, device,
    minutes, pictures seen. ``measured``: our own numbers by «set/metric»; ``claimed``: the paper's, never mixed with ours. ``terms``:
    terms of the training data. ``caveats``: what to know before use. ``paper``: where the system comes from.
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
    training: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    claimed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def for_comparison(self) -> bool:
        """Whether it was made to compare options on a small budget («…_ablation_…»), not for use."""
        return "_ablation" in self.name

    @property
    def paths(self) -> tuple[Path, ...]:
        """The weights' files."""
        return tuple(self.folder / name for name in self.files)

    @property
    def installed(self) -> bool:
        """Whether the weights' files are there."""
        return bool(self.files) and all(path.is_file() for path in self.paths)

    @property
    def size(self) -> int:
        """Bytes on disk, of what is there."""
        return sum(path.stat().st_size for path in self.paths if path.is_file())


def weights_dir() -> Path:
    """Folder of the manifest: ``AGEGENDER_WEIGHTS_DIR``, else ``weights/`` at the repository's top."""
    named = place("weights_dir")
    return Path(named) if named else Path(__file__).resolve().parents[1] / "weights"


def list_weights(folder: Path | None = None) -> list[WeightsEntry]:
    """All entries, the default first and those made for comparisons last; a missing manifest has none.

    Raises ``WeightsError`` for one that cannot be read.
    """
    folder = folder or weights_dir()
    manifest = folder / "manifest.toml"
    if not manifest.is_file():
        return []
    try:
        raw = tomllib.loads(manifest.read_text())
        entries = [_entry(name, table, folder) for name, table in raw.get("weights", {}).items()]
    except (OSError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise WeightsError(f"{manifest} cannot be read ({error}): restore it from the repository") from error
    return sorted(entries, key=lambda entry: (not entry.default, entry.for_comparison))


def _entry(name: str, table: dict[str, Any], folder: Path) -> WeightsEntry:
    table = dict(table)
    spec = {key: tuple(value) if isinstance(value, list) else value for key, value in table.pop("input", {}).items()}
    decoding = DecodingSpec(**table.pop("decoding", {}))
    files = tuple(table.pop("files"))
    return WeightsEntry(name=name, folder=folder, files=files, input=InputSpec(**spec), decoding=decoding, **table)


def find_weights(name: str | None = None, folder: Path | None = None) -> WeightsEntry:
    """The entry called ``name``, or the default one. Raises ``WeightsMissingError`` for an unknown name or an empty manifest."""
    entries = list_weights(folder)
    if not entries:
        raise WeightsMissingError(f"no weights in {folder or weights_dir()}: get the repository with its weights folder, or train a recipe")
    if name is None:
        return entries[0]
    for entry in entries:
        if entry.name == name:
            return entry
    raise WeightsMissingError(f"no weights called {name!r}: choose one of {', '.join(entry.name for entry in entries)}")


def verify(entry: WeightsEntry) -> None:
    """Raise ``WeightsMissingError`` where a file is absent, ``WeightsCorruptError`` where the bytes differ from the manifest."""
    if not entry.installed:
        missing = next((path for path in entry.paths if not path.is_file()), entry.folder / entry.name)
        raise WeightsMissingError(f"weights {entry.name!r} are not installed: {missing} is missing")
    found = sha256(*entry.paths)
    if found != entry.sha256:
        raise WeightsCorruptError(
            f"{_named(entry)} damaged or another file: the sha256 is {found[:12]}…, the manifest says {entry.sha256[:12]}…; "
            "restore it from the repository"
        )


def _named(entry: WeightsEntry) -> str:
    return f"{entry.paths[0]} is" if len(entry.paths) == 1 else f"one of {', '.join(map(str, entry.paths))} is"


def load_network(entry: WeightsEntry) -> nn.Module:
    """The network with its trained weights, ready for inference. Raises a ``WeightsError``."""
    from agegender_core.compact import unpack
    from agegender_core.models import create_model
    from agegender_core.network import prepare

    tensors = load_tensors(entry)
    model = create_model(entry.architecture, entry.heads, **entry.options)
    try:
        model.load_state_dict(unpack(tensors))
    except RuntimeError as error:
        raise WeightsMismatchError(f"{_named(entry)} no fit for architecture {entry.architecture!r}: {error}") from error
    return prepare(model)


def load_tensors(entry: WeightsEntry) -> dict[str, Tensor]:
    """The entry's tensors as they are stored, after ``verify``. Raises a ``WeightsError``."""
    verify(entry)
    return read_tensors(entry.paths)


def read_tensors(paths: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of safetensors files. Raises ``WeightsMissingError`` or ``WeightsCorruptError``."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in paths:
        if not path.is_file():
            raise WeightsMissingError(f"weights {path} are missing")
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsCorruptError(f"{path} cannot be read ({error}): restore it from the repository") from error
    return tensors


def sha256(*paths: Path) -> str:
    """Hex digest of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            while block := handle.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def save_parts(tensors: Mapping[str, Tensor], folder: Path, name: str, largest: int = PART_BYTES) -> tuple[str, ...]:
    """Write ``tensors`` to ``name``.safetensors in ``folder``, or where they have more than ``largest`` bytes to several files named like
    ``name``-00001-of-00002.safetensors; returns the names. One tensor is never split."""
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
    names = (f"{name}.safetensors",) if count == 1 else tuple(f"{name}-{i + 1:05}-of-{count:05}.safetensors" for i in range(count))
    for file, part in zip(names, parts, strict=True):
        save_file(part, folder / file)
    return names


def write_manifest(entries: list[WeightsEntry], folder: Path) -> None:
    """Write ``manifest.toml``, atomically."""
    import tomli_w

    tables = {entry.name: _table(entry) for entry in entries}
    head = "# Written by «python -m agegender_core weights publish». measured: our numbers; claimed: the paper's, on its own data.\n\n"
    partial = folder / "manifest.toml.tmp"
    partial.write_text(head + tomli_w.dumps({"weights": tables}))
    partial.replace(folder / "manifest.toml")


def _table(entry: WeightsEntry) -> dict[str, Any]:
    table = {key: value for key, value in dataclasses.asdict(entry).items() if key not in ("name", "folder")} | {"files": list(entry.files)}
    return {key: _without_none(value) for key, value in table.items()}


def _without_none(value: Any) -> Any:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value

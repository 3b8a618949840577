"""Parquet in the hub's image format, with a column ``image``: {bytes, path}. A file, a folder of
shards, or a dataset of the Hugging Face hub.

On the hub a dataset is named ``hub:owner/name``, with ``:config`` and ``@revision`` after it where
needed; only then is the ``datasets`` library imported. An image's split comes from the column
«split», else from the shard's name («validation-00000-of-00002.parquet»). ``tables`` says which
columns are understood.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agegender_core.datasets.readers.base import Collector, Layout, LoadedDataset
from agegender_core.datasets.readers.label_columns import Row, take_rows, with_names, with_split
from agegender_core.datasets.records import FaceRecord
from agegender_core.errors import DatasetError

PREFIX = "hub:"
EXPECTS = "Parquet with a column «image»: a file, a folder of shards, or hub:owner/name"
SHARD = re.compile(r"(?P<split>.+?)-\d{5}-of-(?P<count>\d{5})(-[0-9a-f]+)?$")
SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}


def detect(path: Path) -> float:
    """1 for a file or a folder of shards with an image column, 0.95 for a folder of several such
    datasets.
    """
    if str(path).startswith(PREFIX):
        return 1.0
    files = [file for file in _files(path) if _has_images(file)]
    return 0.0 if not files else 1.0 if _one_dataset(files) else 0.95


def read(path: Path) -> LoadedDataset:
    """All rows of one dataset. Raises ``DatasetError``."""
    if str(path).startswith(PREFIX):
        return read_hub(str(path))
    files = [file for file in _files(path) if _has_images(file)]
    if not files:
        raise DatasetError(f"{path} does not contain {EXPECTS}")
    if not _one_dataset(files):
        raise DatasetError(
            f"{path} contains several datasets ({', '.join(file.name for file in files)}): name one"
            " of the files"
        )
    name = path.stem if path.is_file() else path.resolve().name
    collector = Collector(name)
    counts = [pq.read_metadata(file).num_rows for file in files]
    rows = [with_split(row, _split_of(file)) for file in files for row in _table_rows(file)]
    take_rows(collector, rows)
    if short := _missing_shards(files):
        collector.notes.append(short)
    starts = tuple(itertools.accumulate(counts[:-1], initial=0))
    return collector.finish(path, ParquetImages(tuple(files), starts))


def read_hub(source: str) -> LoadedDataset:
    """A dataset of the Hugging Face hub by ``hub:owner/name[:config][@revision]``, downloaded and
    cached by the ``datasets`` library.

    Raises ``DatasetError`` where the library is missing, the hub cannot be reached or the dataset
    has no images.
    """
    named = re.fullmatch(
        r"hub:(?P<repo>[\w.-]+/[\w.-]+?)(:(?P<config>[^@]+))?(@(?P<revision>.+))?", source
    )
    if named is None:
        raise DatasetError(
            f"{source!r}: expected hub:owner/name, with :config and @revision where needed"
        )
    try:
        import datasets
    except ImportError as error:
        raise DatasetError(
            f"{source} needs the library that reads the hub: pip install datasets; or download its"
            " Parquet files and name their folder"
        ) from error
    try:
        loaded = datasets.load_dataset(named["repo"], named["config"], revision=named["revision"])
        parts = {
            split: part.cast_column("image", datasets.Image(decode=False))
            for split, part in loaded.items()
        }
    except Exception as error:  # the library lets out whatever its network and file layers raise
        raise DatasetError(
            f"{source} cannot be loaded ({type(error).__name__}: {error}). Offline? Download its"
            " Parquet files and name their folder. Several configurations? Name one:"
            " hub:owner/name:config"
        ) from error
    return _hub_dataset(source, named["repo"].split("/")[1], parts)


def _hub_dataset(source: str, name: str, parts: Mapping[str, Any]) -> LoadedDataset:
    collector = Collector(name)
    rows: list[Row] = []
    for split, part in parts.items():
        names = {
            column: feature.names
            for column, feature in part.features.items()
            if hasattr(feature, "names")
        }
        table = part.select_columns(
            [column for column in part.column_names if column != "image"]
        ).to_list()
        named = (
            {"file": f"{split}/{index}", **with_names(row, names)}
            for index, row in enumerate(table)
        )
        rows += [with_split(row, SPLIT_NAMES.get(split, split)) for row in named]
    take_rows(collector, rows)
    starts = tuple(
        itertools.accumulate((len(part) for part in list(parts.values())[:-1]), initial=0)
    )
    return collector.finish(source, HubImages(tuple(parts.values()), starts))


@dataclass(frozen=True)
class ParquetImages:
    """Images in the ``image`` column of ``files``; ``starts``: row at which each begins.

    The row group read last is cached: going through the rows in order reads each group once.
    """

    files: tuple[Path, ...]
    starts: tuple[int, ...]

    def has(self, record: FaceRecord) -> bool:
        """True: whether a cell is empty shows when it is read."""
        return True

    def read(self, record: FaceRecord) -> bytes:
        """Bytes of the cell of ``record.row``."""
        index = bisect.bisect_right(self.starts, record.row) - 1
        file, row = self.files[index], record.row - self.starts[index]
        edges = _group_edges(file, file.stat().st_mtime_ns)
        group = bisect.bisect_right(edges, row) - 1
        return _cell_bytes(
            _group_images(file, file.stat().st_mtime_ns, group)[row - edges[group]].as_py(), record
        )


@dataclass(frozen=True, eq=False)
class HubImages:
    """Images in the parts of a dataset of the ``datasets`` library, undecoded."""

    parts: tuple[Any, ...]
    starts: tuple[int, ...]

    def has(self, record: FaceRecord) -> bool:
        """True: whether a cell is empty shows when it is read."""
        return True

    def read(self, record: FaceRecord) -> bytes:
        """Bytes of the cell of ``record.row``."""
        index = bisect.bisect_right(self.starts, record.row) - 1
        cell = self.parts[index][record.row - self.starts[index]]["image"]
        if cell and not cell["bytes"] and cell["path"]:
            try:
                return Path(cell["path"]).read_bytes()
            except OSError as error:
                raise DatasetError(
                    f"{record.file}: {cell['path']} cannot be read: {error.strerror}"
                ) from error
        return _cell_bytes(cell, record)


def _cell_bytes(cell: Mapping[str, Any] | None, record: FaceRecord) -> bytes:
    if not cell or not cell["bytes"]:
        raise DatasetError(f"{record.file}: the image column is empty in row {record.row}")
    return cell["bytes"]


@functools.lru_cache(maxsize=64)
def _group_edges(file: Path, _changed: int) -> tuple[int, ...]:
    metadata = pq.read_metadata(file)
    counts = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups - 1))
    return tuple(itertools.accumulate(counts, initial=0))


@functools.lru_cache(maxsize=1)
def _group_images(file: Path, _changed: int, group: int) -> pa.ChunkedArray:
    return pq.ParquetFile(file).read_row_group(group, columns=["image"]).column("image")


def _table_rows(file: Path) -> list[dict[str, Any]]:
    """All columns but the images' bytes, and ``path``, which is stored with the image."""
    schema = pq.read_schema(file)
    try:
        stored = (
            json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
            .get("info", {})
            .get("features", {})
        )
    except json.JSONDecodeError:
        stored = {}
    names = {
        column: kind["names"]
        for column, kind in stored.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
    }
    table = pq.read_table(
        file, columns=[*(column for column in schema.names if column != "image"), "image.path"]
    ).to_pylist()
    for row in table:
        row["path"] = (row.pop("image", None) or {}).get("path")
    return [with_names(row, names) for row in table]


def _files(path: Path) -> list[Path]:
    """Parquet files at ``path``: itself, in it, or in its folder ``data``."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    return sorted(path.glob("*.parquet")) or sorted((path / "data").glob("*.parquet"))


def _has_images(file: Path) -> bool:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{file} is no Parquet file, or is damaged: {error}") from error
    kind = schema.field("image").type if "image" in schema.names else None
    return (
        kind is not None
        and pa.types.is_struct(kind)
        and {"bytes", "path"} <= {kind.field(i).name for i in range(kind.num_fields)}
    )


def _one_dataset(files: Sequence[Path]) -> bool:
    return len(files) == 1 or all(_split_of(file) for file in files)


def _split_of(file: Path) -> str | None:
    """Split by the name of a shard, None if the name has none."""
    shard = SHARD.match(file.stem)
    return SPLIT_NAMES.get(shard["split"], shard["split"]) if shard else SPLIT_NAMES.get(file.stem)


def _missing_shards(files: Sequence[Path]) -> str | None:
    shards = [hit for file in files if (hit := SHARD.match(file.stem))]
    wanted = {hit["split"]: int(hit["count"]) for hit in shards}
    here = {split: sum(hit["split"] == split for hit in shards) for split in wanted}
    short = [
        f"{here[split]} of {count} shards of {split}"
        for split, count in wanted.items()
        if here[split] != count
    ]
    return f"only {', '.join(short)} are here" if short else None


LAYOUT = Layout("parquet", "Parquet in the hub's image format", EXPECTS, "", detect, read)

"""Tiny copies of the official layouts with drawn images, faults of the real ones included. Nothing
here shows a person.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from agegender_core.vision.alignment import TEMPLATE
from tests.support.drawn_sets import drawn_chip

SIZE = (64, 48)
"""Width and height of the FG-NET samples: not square, as the real ones."""

ADIENCE_HEADER = ["user_id", "original_image", "face_id", "age", "gender", "x", "y", "dx", "dy"]
ADIENCE_HEADER += ["tilt_ang", "fiducial_yaw_angle", "fiducial_score"]


def encoded(seed: str = "", kind: str = "JPEG") -> bytes:
    """A drawn face; another one for another ``seed``."""
    number = zlib.crc32(seed.encode())
    buffer = io.BytesIO()
    drawn_chip(np.random.default_rng(number), number % 80, bool(number % 2)).save(buffer, kind)
    return buffer.getvalue()


def put(root: Path, file: str, content: bytes | None = None) -> None:
    """An image at ``root / file``."""
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(file) if content is None else content)


def write_fgnet(root: Path) -> Path:
    """Three people, six images; one with points, one with damaged points, and one that is
    misnamed.
    """
    for name in ("001A02", "001A05", "001A43a", "001A43b", "002A00", "082A69"):
        buffer = io.BytesIO()
        Image.new("RGB", SIZE, (120, 100, 90)).save(buffer, "JPEG")
        put(root, f"images/{name}.JPG", buffer.getvalue())
    put(root, "images/002B04.JPG")
    (root / "points").mkdir()
    points = np.full((68, 2), 5.0)
    points[[31, 36, 67, 48, 54]] = TEMPLATE * SIZE
    write_points(root / "points" / "001a02.pts", points)
    write_points(root / "points" / "001a05.pts", points[:60])
    points[[31, 36]] = points[[36, 31]]
    write_points(root / "points" / "002a00.pts", points)
    (root / "images" / "Thumbs.db").write_bytes(b"not an image")
    return root


def write_points(path: Path, points: np.ndarray) -> None:
    """Points in the format of FG-NET's .pts files."""
    lines = [f"{x:.3f} {y:.3f}" for x, y in points]
    path.write_text("\n".join(["version: 1", f"n_points: {len(points)}", "{", *lines, "}"]) + "\n")


def write_afad(root: Path) -> Path:
    """Ages 15 and 20, four faces, and images in folders that mean nothing."""
    for file in (
        "15/111/10-0.jpg",
        "15/112/11-0.jpg",
        "20/111/12-0.jpg",
        "20/111/12-1.jpg",
        "20/113/13-0.jpg",
        "20/14-0.jpg",
    ):
        put(root, file)
    put(root, "999/111/15-0.jpg")
    (root / "15" / "111" / "Thumbs.db").write_bytes(b"not an image")
    (root / "AFAD-Full.txt").write_text("./15/111/10-0.jpg\n")
    return root


def datenum(year: int, month: int, day: int) -> float:
    """MATLAB's number of a day."""
    return float(date(year, month, day).toordinal() + 366)


WIKI_ROWS = (
    # file, date of birth, year, gender, face_score, second_face_score
    ("00/100_1980-06-30_2010.jpg", datenum(1980, 6, 30), 2010, 1.0, 4.2, np.nan),
    ("00/101_1980-07-01_2010.jpg", datenum(1980, 7, 1), 2010, 0.0, 3.1, np.nan),
    ("01/102_1950-01-01_2000.jpg", datenum(1950, 1, 1), 2000, np.nan, 3.1, np.nan),
    ("01/103_1950-01-01_2000.jpg", datenum(1950, 1, 1), 2000, 1.0, -np.inf, np.nan),
    ("01/104_1950-01-01_2000.jpg", datenum(1950, 1, 1), 2000, 1.0, 3.1, 2.2),
    ("02/105_0003-01-01_2011.jpg", 1000.0, 2011, 1.0, 3.1, np.nan),
    ("02/106_2009-01-01_1961.jpg", datenum(2009, 1, 1), 1961, 0.0, 3.1, np.nan),
    ("02/107_0000-00-00_2011.jpg", 0.0, 2011, 0.0, 3.1, np.nan),
)


def write_wiki(root: Path, name: str = "wiki") -> Path:
    """Two good rows and one of each fault, as MATLAB's struct of columns."""
    from scipy.io import savemat

    columns = list(zip(*WIKI_ROWS, strict=True))
    cells = np.empty((1, len(WIKI_ROWS)), object)
    cells[0, :] = columns[0]
    fields = ("dob", "photo_taken", "gender", "face_score", "second_face_score")
    struct = {
        field: np.array([column], dtype=float)
        for field, column in zip(fields, columns[1:], strict=True)
    }
    root.mkdir(parents=True, exist_ok=True)
    savemat(root / f"{name}.mat", {name: struct | {"full_path": cells}}, oned_as="row")
    for file in columns[0]:
        put(root, file)
    return root


UTKFACE_NAMES = (
    "26_1_2_20170117154554862.jpg.chip.jpg",
    "1_0_0_20161219140623097.jpg",
    "116_1_4_20170120134744096.jpg.chip.jpg",
    "24_0_1_20170116220224657 .jpg.chip.jpg",
    "55_0_3_20170116232725357jpg.chip.jpg",
    "39_1_20170116174525125.jpg.chip.jpg",
    "61_1_20170109142408075.jpg.chip.jpg",
    "61_1_20170109150557335.jpg.chip.jpg",
    "53__0_20170116184028385.jpg.chip.jpg",
    "30_3_1_20170116184028386.jpg.chip.jpg",
    "portrait.jpg",
    "200_0_0_20170116184028387.jpg.chip.jpg",
)


def write_utkface(root: Path) -> Path:
    """Good names, the three official misnamed files, other odd ones, and two that say nothing."""
    for name in UTKFACE_NAMES:
        put(root, name)
    return root


def write_adience(root: Path, images: str = "aligned") -> Path:
    """One album a fold, with every kind of odd label in fold 0 and one row twice."""
    good = [("(0, 2)", "f"), ("(60, 100)", "m")]
    odd = [
        ("(8, 12)", "u"),
        ("13", "f"),
        ("(27, 32)", "f"),
        ("(25, 23)", "f"),
        ("(38, 48)", "m"),
        ("(38, 42)", "m"),
        ("29", ""),
    ]
    lost = [("35", "m"), ("(8, 23)", "m"), ("None", "f"), ("None", ""), ("", "u"), ("56", "")]
    for fold in range(5):
        rows = [
            (f"{fold}@N00", f"{100 * fold + index}_o.jpg", str(100 * fold + index), age, gender)
            for index, (age, gender) in enumerate([*good, *(odd + lost if fold == 0 else [])])
        ]
        write_adience_table(
            root / f"fold_{fold}_data.txt", [*rows, *(rows[:1] if fold == 0 else [])]
        )
        prefix = "landmark_aligned_face" if images == "aligned" else "coarse_tilt_aligned_face"
        for user, image, face, *_ in rows:
            put(root, f"{images}/{user}/{prefix}.{face}.{image}")
    return root


def write_adience_table(path: Path, rows: list[tuple[str, ...]]) -> None:
    """A fold file with the official columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [ADIENCE_HEADER, *([*row, *["0"] * 7] for row in rows)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines))


FAIRFACE_ROWS = {
    "train": [
        ("train/1.jpg", "59-59", "Male", "East Asian", "True"),
        ("train/2.jpg", "50-59", "Male", "East Asian", "True"),
        ("train/3.jpg", "more than 70", "Female", "Latino_Hispanic", "False"),
        ("train/4.jpg", "0-2", "Female", "Martian", "False"),
        ("train/5.jpg", "", "", "White", "False"),
    ],
    "val": [
        ("val/1.jpg", "3-9", "Male", "Black", "False"),
        ("val/2.jpg", "10-19", "Female", "White", "True"),
    ],
}


def write_fairface(root: Path, *, excel: bool = False, subfolder: str = "") -> Path:
    """Both tables; ``excel``: as a spreadsheet leaves them."""
    dates = {"3-9": "03-Sep", "10-19": "Oct-19"} if excel else {}
    root.mkdir(parents=True, exist_ok=True)
    for split, rows in FAIRFACE_ROWS.items():
        with (root / f"fairface_label_{split}.csv").open(
            "w", newline="", encoding="utf-8-sig" if excel else "utf-8"
        ) as handle:
            writer = csv.writer(handle, delimiter=";" if excel else ",")
            writer.writerow(["file", "age", "gender", "race", "service_test"])
            writer.writerows([file, dates.get(age, age), *rest] for file, age, *rest in rows)
        for file, *_ in rows:
            put(root / subfolder, file)
    return root


def write_all_age_faces(root: Path, folder: str = "original images") -> Path:
    """Both sides of the border between women and men, one number beyond the end, and the official
    lists.
    """
    for name in ("00000A02", "07380A80", "07381A02", "13321A80", "13322A30", "face"):
        put(root, f"{folder}/{name}.jpg")
    (root / "key points").mkdir(exist_ok=True)
    (root / "image sets").mkdir()
    (root / "image sets" / "train.txt").write_text(
        "00000A02.jpg 0\n07381A02.jpg 1\n13321A80.jpg 0\n"
    )
    (root / "image sets" / "val.txt").write_text("07380A80.jpg 0\n")
    return root


def write_hub(root: Path, *, named: bool = False, rows: int = 7) -> Path:
    """Shards in a folder ``data``, two of train and one of validation, as the hub has them: class
    numbers, no column «file».

    ``named``: words instead of numbers, and a column «file».
    """
    (root / "data").mkdir(parents=True)
    ages, genders, races = (
        ["0-2", "3-9", "more than 70"],
        ["Male", "Female"],
        ["East Asian", "White", "Latino_Hispanic"],
    )
    classes = {
        name: {"names": names, "_type": "ClassLabel"}
        for name, names in (("age", ages), ("gender", genders), ("race", races))
    }
    schema = {"info": {"features": {"image": {"_type": "Image"}, **({} if named else classes)}}}
    for shard in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        table = []
        for index in range(rows):
            codes = index % 3, index % 2, (index + 1) % 3
            labels = (ages[codes[0]], genders[codes[1]], races[codes[2]]) if named else codes
            row = {"image": {"bytes": encoded(f"{shard}{index}", "PNG"), "path": f"{index}.png"}}
            table.append(
                row
                | dict(zip(("age", "gender", "race"), labels, strict=True))
                | ({"file": f"{shard}/{index}"} if named else {})
            )
        content = pa.Table.from_pylist(table).replace_schema_metadata(
            {"huggingface": json.dumps(schema)}
        )
        pq.write_table(content, root / "data" / f"{shard}.parquet", row_group_size=3)
    return root

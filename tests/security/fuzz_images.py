"""Thousands of mutated images against the reader: ``python -m tests.security.fuzz_images --count
5000``.

Small images in eight formats and many layouts are drawn, then flipped, cut, repeated, spliced and
lied about in their sizes. Each must be read or refused with one of our errors, within five seconds
of computing time. They are read in a process of its own, so that a crash is seen, named and
survived. The same ``--seed`` gives the same images; ``--show N`` writes one of them to standard
output.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import select
import struct
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.memory import peak_mb

FORMATS = ("JPEG", "PNG", "WebP", "AVIF", "HEIC", "BMP", "TIFF", "GIF")
HANG = 5.0
"""Seconds of computing for one image that count as a hang."""
GIVE_UP = 90.0
"""Seconds of waiting after which the process is ended; the computer may be busy."""
LIES = (0, 1, 19, 127, 255, 256, 4096, 65535, 65536, 9_000_000, 2**31 - 1, 2**31, 2**32 - 1)
Rng = random.Random


@dataclass
class Report:
    """``outcomes``: how often by name; ``failures``: what went wrong, by the image's number;
    ``peak_mb``: most memory of the reading process, ``base_mb`` what it took before the first
    image;
    ``slowest``: seconds of computing for one image.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    by_format: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    base_mb: float = 0.0
    peak_mb: float = 0.0
    slowest: float = 0.0

    def words(self) -> str:
        """For people."""
        told = ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common())
        formats = ", ".join(f"{name} {count}" for name, count in sorted(self.by_format.items()))
        count = sum(self.outcomes.values())
        crashes, hangs, untyped = (self.outcomes[name] for name in ("crash", "hang", "untyped"))
        lines = [
            f"{count} images ({formats}): {told}.",
            (
                f"{crashes} crashes, {hangs} hangs over {HANG:.0f} s, {untyped} untyped errors;"
                f" slowest {self.slowest:.2f} s; memory {self.base_mb:.0f} MB before,"
                f" {self.peak_mb:.0f} MB at its peak."
            ),
        ]
        return "\n".join(
            [*lines, *(f"  {number}: {what}" for number, what in self.failures.items())]
        )


def drawn() -> Image.Image:
    """A small image with edges, a ramp and noise; always the same."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 60, (44, 60, 3)) + np.arange(60)[None, :, None] * 3
    pixels[10:30, 20:40] = (220, 170, 140)
    return Image.fromarray(pixels.astype(np.uint8))


@cache
def seeds() -> dict[str, list[bytes]]:
    """Sound files by format, in the layouts that take different ways through the decoders."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    picture = drawn()
    clear = picture.copy()
    clear.putalpha(Image.linear_gradient("L").resize(picture.size))
    frames = {"save_all": True, "append_images": [picture.rotate(180), picture.rotate(90)]}
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    deep = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 250)
    grey, floats = picture.convert("L"), deep.convert("F")
    ways: dict[str, list[tuple[Image.Image, dict]]] = {
        "JPEG": [
            (picture, {"exif": exif}),
            (picture, {"progressive": True, "comment": b"words"}),
            (grey, {}),
            (picture.convert("CMYK"), {}),
            (picture, {"subsampling": 0, "restart_marker_blocks": 2}),
        ],
        "PNG": [
            (picture, {"exif": exif}),
            (clear, {}),
            (deep, {}),
            (picture.quantize(16), {"transparency": 3}),
            (picture, frames),
            (picture.convert("1"), {}),
        ],
        "WebP": [(picture, {"exif": exif}), (clear, {"lossless": True}), (picture, frames)],
        "AVIF": [(picture, {"exif": exif}), (clear, {"speed": 10}), (picture, frames)],
        "HEIF": [(picture, {"exif": exif.tobytes()}), (clear, {}), (picture, frames)],
        "BMP": [(picture, {}), (picture.quantize(16), {}), (picture.convert("1"), {})],
        "TIFF": [
            *(
                (picture, {"compression": name})
                for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
            ),
            (clear, {}),
            (deep, {"compression": "tiff_lzw"}),
            (floats, {}),
            (picture.convert("1"), {"compression": "group4"}),
            (picture, {"big_tiff": True}),
            (picture.quantize(9), {}),
            (picture.convert("LAB"), {}),
            (picture, frames),
        ],
        "GIF": [
            (picture.quantize(16), {"comment": b"words"}),
            (picture.quantize(16), frames),
            (picture.quantize(4), {"interlace": 1}),
        ],
    }
    return {
        {"HEIF": "HEIC"}.get(kind, kind): (
            [_saved(image, kind, options) for image, options in layouts] + _more(kind)
        )
        for kind, layouts in ways.items()
    }


def _saved(image: Image.Image, kind: str, options: dict) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _more(kind: str) -> list[bytes]:
    """Layouts that Pillow reads but does not write."""
    if kind != "TIFF":
        return []
    import tifffile

    pixels = np.asarray(drawn()).astype(np.uint16) * 250
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    made = []
    for values, options in (
        (pixels, {"photometric": "rgb", "tile": (16, 16), "byteorder": ">"}),
        (planes, {"photometric": "rgb", "planarconfig": "separate"}),
        (
            planes,
            {
                "photometric": "rgb",
                "planarconfig": "separate",
                "compression": "zlib",
                "byteorder": ">",
            },
        ),
        (pixels[..., 0], {"photometric": "miniswhite", "byteorder": ">"}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values, **options)
        made.append(buffer.getvalue())
    return made


def _flip(data: bytearray, rng: Rng) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _bytes(data: bytearray, rng: Rng) -> None:
    for _ in range(rng.choice((1, 2, 5, 20))):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 127, 128, 254, 255, rng.randrange(256)))


def _lie(data: bytearray, rng: Rng) -> None:
    """A number in the head says something else."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        form = rng.choice((">H", "<H", ">I", "<I"))
        size = struct.calcsize(form)
        at = rng.randrange(max(1, min(len(data), 400) - size))
        data[at : at + size] = struct.pack(form, rng.choice(LIES) % 2 ** (8 * size))


def _cut(data: bytearray, rng: Rng) -> None:
    del data[rng.randrange(4, len(data)) :]


def _remove(data: bytearray, rng: Rng) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 30, 300))]


def _repeat(data: bytearray, rng: Rng) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.choice((1, 4, 12, 60, 600))] * rng.choice((1, 2, 50, 2000))


def _splice(data: bytearray, rng: Rng) -> None:
    """The rest of another file of any format."""
    other = rng.choice(rng.choice(list(seeds().values())))
    at = rng.randrange(12, max(13, len(data)))
    data[at:] = other[rng.randrange(len(other)) :]


MUTATIONS: tuple[Callable[[bytearray, Rng], None], ...] = (
    _flip,
    _flip,
    _bytes,
    _lie,
    _lie,
    _lie,
    _cut,
    _remove,
    _repeat,
    _splice,
)


def mutated(number: int, seed: int) -> tuple[str, bytes]:
    """Format and bytes of one image."""
    rng = random.Random(f"{seed} {number}")
    kind = FORMATS[number % len(FORMATS)]
    data = bytearray(rng.choice(seeds()[kind]))
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(MUTATIONS)(data, rng)
        if len(data) < 16:
            break
    return kind, bytes(data)


def outcome(data: bytes) -> str:
    """What becomes of one image: «read», a reason, or «untyped» with the error."""
    from agegender_core.errors import InvalidImageError
    from agegender_core.vision.image_io import check_image, load_image

    try:
        told = []
        for reader in (check_image, load_image):
            try:
                reader(data)
                told.append("read")
            except InvalidImageError as error:
                assert str(error).count(".") >= 2, f"says not what to do: {error}"
                told.append(error.reason)
    except Exception as error:
        return f"untyped {type(error).__name__}: {error}"
    return told[1]


def _work(first: int, last: int, seed: int) -> None:
    """Read images and say a line of JSON about each."""
    warnings.simplefilter("ignore")
    seeds()
    outcome(seeds()["HEIC"][0])
    print(json.dumps({"base": peak_mb()}), flush=True)
    for number in range(first, last):
        kind, data = mutated(number, seed)
        started = time.process_time()
        told = outcome(data)
        seconds = round(time.process_time() - started, 3)
        print(
            json.dumps(
                {
                    "number": number,
                    "kind": kind,
                    "told": told,
                    "seconds": seconds,
                    "peak": peak_mb(),
                }
            ),
            flush=True,
        )


def run(count: int, seed: int = 1, first: int = 0) -> Report:
    """Read ``count`` images. Nothing of them is kept."""
    report, number, last = Report(), first, first + count
    while number < last:
        for line in _lines(number, last, seed):
            if "base" in line:
                report.base_mb = line["base"]
                continue
            number = line["number"] + 1
            _add(report, line)
        if number < last:  # the process ended or was ended in this image
            what = "crash" if _last_code != GIVEN_UP else "hang"
            report.outcomes[what] += 1
            report.failures[number] = f"{what} ({_last_code})"
            number += 1
    return report


def _add(report: Report, line: dict) -> None:
    told = line["told"].partition(" ")[0]
    if line["seconds"] > HANG:
        told = "hang"
    report.outcomes[told] += 1
    report.by_format[line["kind"]] += 1
    report.slowest = max(report.slowest, line["seconds"])
    report.peak_mb = max(report.peak_mb, line["peak"])
    if told in ("hang", "untyped"):
        report.failures[line["number"]] = f"{line['kind']}: {line['told']}, {line['seconds']} s"


GIVEN_UP = "given up"
_last_code: int | str | None = None


def _command(first: int, last: int, seed: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        __spec__.name,
        "--work",
        str(first),
        str(last),
        "--seed",
        str(seed),
    ]


def _lines(first: int, last: int, seed: int) -> Iterator[dict]:
    """What a process of its own says; how it ended is in ``_last_code``."""
    global _last_code
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        _command(first, last, seed), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root
    ) as process:
        assert process.stdout is not None
        while select.select([process.stdout], [], [], GIVE_UP)[0]:
            line = process.stdout.readline()
            if not line:
                _last_code = process.wait()
                return
            yield json.loads(line)
        process.kill()
        _last_code = GIVEN_UP


def main() -> int:
    """Run it. Returns the exit code: 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, metavar="N")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        _work(*chosen.work, chosen.seed)
        return 0
    if chosen.show is not None:
        sys.stdout.buffer.write(mutated(chosen.show, chosen.seed)[1])
        return 0
    report = run(chosen.count, chosen.seed)
    print(report.words())
    return bool(report.failures)


if __name__ == "__main__":
    sys.exit(main())

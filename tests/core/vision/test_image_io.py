"""Every kind of image people give, and every refusal. All images are drawn here."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from agegender_core.errors import InvalidImageError
from agegender_core.vision.image_io import IMAGE_SUFFIXES, MAX_BYTES, ImageLimits, load_image
from tests.support import ROOT
from tests.support.drawn_images import (
    CORNERS,
    HEIGHT,
    WIDTH,
    corner_names,
    distance,
    encoded,
    noise,
    quartered,
    refusal,
)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and carries next to no pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class TestFormats:
    @pytest.mark.parametrize(
        "kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "BMP", "TIFF", "GIF", "MPO"]
    )
    def test_reads(self, kind):
        image = load_image(encoded(quartered(), kind))
        assert type(image) is Image.Image
        assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
        assert corner_names(image) == list(CORNERS)

    @pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
    def test_compressed_tiff(self, compression):
        assert corner_names(
            load_image(encoded(quartered(), "TIFF", compression=compression))
        ) == list(CORNERS)

    def test_mpo_gives_its_first_image(self):
        data = encoded(
            quartered(), "MPO", save_all=True, append_images=[Image.new("RGB", (60, 60))]
        )
        assert Image.open(io.BytesIO(data)).format == "MPO"
        assert corner_names(load_image(data)) == list(CORNERS)

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
    def test_animation_gives_its_first_frame(self, kind):
        frames = [Image.new("RGB", (40, 40), colour) for colour in ("black", "white")]
        data = encoded(quartered(40, 40), kind, save_all=True, append_images=frames)
        assert Image.open(io.BytesIO(data)).n_frames == 3
        assert corner_names(load_image(data)) == list(CORNERS)

    def test_every_source_type(self, tmp_path):
        data = encoded(quartered(), "PNG")
        path = tmp_path / "wrong-suffix.jpg"
        path.write_bytes(data)
        with path.open("rb") as file:
            sources = [
                data,
                bytearray(data),
                memoryview(data),
                str(path),
                path,
                io.BytesIO(data),
                file,
                Image.open(path),
                quartered(),
            ]
            for source in sources:
                assert corner_names(load_image(source)) == list(CORNERS)
            assert not file.closed

    def test_a_stream_read_before_is_rewound(self):
        stream = io.BytesIO(encoded(quartered(), "PNG"))
        stream.read()
        assert load_image(stream).size == (WIDTH, HEIGHT)

    def test_a_stream_that_gives_little_at_a_time(self):
        class Trickle(io.BytesIO):
            def read(self, size=-1):
                return super().read(min(size, 100))

        assert load_image(Trickle(encoded(noise(), "PNG"))).size == (120, 90)

    def test_other_types_are_a_programming_error(self):
        with pytest.raises(TypeError, match="NoneType"):
            load_image(None)

    def test_a_pil_image_is_copied_and_left_alone(self):
        given = quartered()
        given.info["comment"] = "mine"
        result = load_image(given)
        result.putpixel((0, 0), (1, 2, 3))
        assert given.getpixel((0, 0)) == (255, 0, 0)
        assert given.info == {"comment": "mine"}
        assert result.info == {}

    def test_metadata_is_dropped(self):
        exif = Image.Exif()
        exif[0x010E] = "where I live"
        result = load_image(encoded(quartered(), "JPEG", exif=exif, comment=b"secret"))
        assert (result.info, dict(result.getexif())) == ({}, {})

    def test_suffixes_cover_the_formats(self):
        assert {
            ".jpg",
            ".jpeg",
            ".png",
            ".webp",
            ".avif",
            ".heic",
            ".bmp",
            ".tif",
            ".tiff",
            ".gif",
        } <= IMAGE_SUFFIXES


STORED = {
    1: ["red", "green", "blue", "white"],
    2: ["green", "red", "white", "blue"],
    3: ["white", "blue", "green", "red"],
    4: ["blue", "white", "red", "green"],
    5: ["red", "blue", "green", "white"],
    6: ["green", "white", "red", "blue"],
    7: ["white", "green", "blue", "red"],
    8: ["blue", "red", "white", "green"],
}
"""How the upright image's quarters lie in the file, by EXIF orientation, from the EXIF standard's
table of row 0 and column 0.
"""


class TestOrientation:
    @pytest.fixture(params=sorted(STORED))
    def stored(self, request) -> tuple[int, Image.Image]:
        """An orientation and the image as a camera would store it."""
        orientation = request.param
        size = (WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH)
        image = Image.new("RGB", size)
        half_width, half_height = size[0] // 2, size[1] // 2
        for index, name in enumerate(STORED[orientation]):
            x, y = (index % 2) * half_width, (index // 2) * half_height
            image.paste(CORNERS[name], (x, y, x + half_width, y + half_height))
        return orientation, image

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
    def test_files(self, stored, kind):
        orientation, image = stored
        exif = Image.Exif()
        exif[0x0112] = orientation
        result = load_image(encoded(image, kind, exif=exif))
        assert result.size == (WIDTH, HEIGHT)
        assert corner_names(result) == list(CORNERS)

    def test_heic_turned_by_its_container_is_not_turned_twice(self, stored):
        import pillow_heif

        orientation, image = stored
        exif = Image.Exif()
        exif[0x0112] = orientation
        stream = io.BytesIO()
        pillow_heif.from_pillow(image).save(stream, exif=exif.tobytes())
        result = load_image(stream.getvalue())
        assert result.size == (WIDTH, HEIGHT)
        assert corner_names(result) == list(CORNERS)

    def test_pil_image(self, stored):
        orientation, image = stored
        exif = image.getexif()
        exif[0x0112] = orientation
        assert corner_names(load_image(image)) == list(CORNERS)

    def test_orientation_out_of_range_is_upright(self):
        exif = Image.Exif()
        exif[0x0112] = 99
        assert corner_names(load_image(encoded(quartered(), "JPEG", exif=exif))) == list(CORNERS)


@pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF", "ignore:Truncated File Read", "ignore:Metadata Warning"
)
class TestCorruptExif:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIC"])
    @pytest.mark.parametrize(
        "exif",
        [
            b"Exif\0\0garbage",
            b"Exif\0\0II*\0\xff\xff\xff\xff",
            b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 30,
        ],
    )
    def test_a_good_image_is_kept(self, kind, exif):
        if kind == "PNG":
            exif = exif[6:]
        assert corner_names(load_image(encoded(quartered(), kind, exif=exif))) == list(CORNERS)

    def test_avif(self):
        exif = Image.Exif()
        exif[0x010F] = "maker" * 5
        data = encoded(quartered(), "AVIF", exif=exif)
        start = data.index(exif.tobytes()[6:])
        damaged = data[:start] + b"\xff\xff\xff\xff" + data[start + 4 :]
        assert corner_names(load_image(damaged)) == list(CORNERS)


class TestModes:
    @pytest.mark.parametrize(
        "mode",
        ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"],
    )
    def test_pil_modes(self, mode):
        grey = Image.new("L", (30, 30), 0)
        grey.paste(255, (15, 0, 30, 30))
        step = {"La": "LA", "RGBa": "RGBA", "PA": "P", "HSV": "RGB", "YCbCr": "RGB"}.get(mode)
        source = (grey.convert(step) if step else grey).convert(mode)
        assert source.mode == mode
        result = load_image(source)
        assert result.mode == "RGB"
        assert distance(result.getpixel((3, 3)), (0, 0, 0)) <= 6
        assert distance(result.getpixel((25, 25)), (255, 255, 255)) <= 6

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    def test_cmyk_file(self, kind):
        result = load_image(encoded(quartered().convert("CMYK"), kind))
        assert corner_names(result) == list(CORNERS)
        assert distance(result.getpixel((5, 5)), (255, 0, 0)) < 30

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
    def test_alpha_is_laid_over_white(self, mode):
        black = Image.new({"RGBA": "RGB", "LA": "L", "PA": "P"}[mode], (30, 30), 0)
        opacity = Image.new("L", (30, 30), 0)
        opacity.paste(255, (15, 0, 30, 30))
        black.putalpha(opacity)
        assert black.mode == mode
        result = load_image(black)
        assert result.getpixel((3, 3)) == (255, 255, 255)
        assert result.getpixel((25, 25)) == (0, 0, 0)

    def test_half_transparent(self):
        result = load_image(encoded(Image.new("RGBA", (30, 30), (255, 0, 0, 128)), "PNG"))
        assert distance(result.getpixel((3, 3)), (255, 127, 127)) <= 2

    def test_palette_without_transparency(self):
        assert corner_names(load_image(encoded(quartered().quantize(4), "PNG"))) == list(CORNERS)

    @pytest.mark.parametrize("kind", ["PNG", "GIF"])
    def test_palette_with_one_transparent_colour(self, kind):
        palette = quartered().quantize(4)
        clear = palette.getpixel((WIDTH // 4, HEIGHT // 4))  # red
        result = load_image(encoded(palette, kind, transparency=clear))
        assert corner_names(result) == ["white", "green", "blue", "white"]

    def test_palette_with_alpha_per_colour(self):
        palette = quartered().quantize(4)
        alphas = bytearray([255] * 4)
        alphas[palette.getpixel((WIDTH // 4, HEIGHT // 4))] = 0
        result = load_image(encoded(palette, "PNG", transparency=bytes(alphas)))
        assert corner_names(result) == ["white", "green", "blue", "white"]

    def test_rgb_with_a_transparent_colour(self):
        result = load_image(encoded(quartered(), "PNG", transparency=(255, 0, 0)))
        assert corner_names(result) == ["white", "green", "blue", "white"]

    def test_lab(self):
        assert (
            distance(
                load_image(Image.new("LAB", (30, 30), (255, 128, 128))).getpixel((3, 3)),
                (255, 255, 255),
            )
            <= 6
        )


def ramp(top: int, dtype: str) -> np.ndarray:
    """(30, 256) rows from 0 to ``top``."""
    return np.tile(np.linspace(0, top, 256).round(), (30, 1)).astype(dtype)


class TestDeepGrey:
    @pytest.mark.parametrize("top", [255, 1023, 4095, 16383, 65535])
    @pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N", "I", "F"])
    def test_the_range_used_becomes_8_bits(self, mode, top):
        dtype = {"I;16B": ">u2", "I": "<i4", "F": "<f4"}.get(mode, "<u2")
        source = Image.frombytes(mode, (256, 30), ramp(top, dtype).tobytes())
        values = np.asarray(load_image(source))[0, :, 0].astype(int)
        assert np.abs(values - np.arange(256)).max() <= 1

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_16_bit_files(self, kind):
        values = np.asarray(load_image(encoded(Image.fromarray(ramp(65535, "<u2")), kind)))
        assert (values[0, 0] == 0).all()
        assert (values[0, -1] == 255).all()
        assert np.abs(values[0, :, 0].astype(int) - np.arange(256)).max() <= 1

    def test_16_bit_rgb_png(self):
        rows = b"".join(b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 30 for _ in range(30))
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", 30, 30, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ]
        parts = [
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        ]
        assert load_image(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).getpixel((9, 9)) == (255, 128, 0)

    def test_floats_from_0_to_1(self):
        values = np.asarray(
            load_image(Image.fromarray(np.tile(np.linspace(0, 1, 256, dtype=np.float32), (30, 1))))
        )
        assert (values[0, 0, 0], values[0, -1, 0]) == (0, 255)

    def test_values_out_of_range_are_stretched(self):
        values = np.asarray(
            load_image(
                Image.fromarray(np.tile(np.linspace(-5e5, 5e5, 256, dtype=np.float32), (30, 1)))
            )
        )
        assert (values[0, 0, 0], values[0, -1, 0]) == (0, 255)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -3.0])
    def test_flat_and_broken_floats(self, value):
        assert load_image(Image.fromarray(np.full((30, 30), value, np.float32))).mode == "RGB"


class TestNotAnImage:
    @pytest.mark.parametrize(
        ("data", "word"),
        [
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
            (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by hand -->\n<svg></svg>", "SVG"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF"),
            (b"just a note, no image", "text"),
            ("nur ein Gruß".encode(), "text"),
            (b"BMW is a car, not a bitmap; nothing to see here", "text"),
            (b"<!DOCTYPE html><html></html>", "web page"),
            (b"PK\x03\x04\x14\0", "ZIP"),
            (b"8BPS\0\x01", "Photoshop"),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "video"),
            (b"\x1aE\xdf\xa3\x01\0\0\0", "video"),
            (b"RIFF\x24\0\0\0AVI LIST", "video"),
            (b"\0\0\x01\0\x01\0", "Icon"),
            (bytes(range(256)), "not an image"),
            (b"\x89PNG", "not an image"),
        ],
    )
    def test_what_it_is_instead(self, data, word):
        refusal(data, "not_an_image", word)

    def test_formats_pillow_knows_but_we_do_not_take(self):
        refusal(encoded(quartered(), "PPM"), "not_an_image")
        refusal(encoded(quartered(), "TGA"), "not_an_image")
        refusal(encoded(quartered(), "EPS"), "not_an_image")

    @pytest.mark.parametrize("source", [b"", io.BytesIO()])
    def test_empty(self, source):
        refusal(source, "empty", "again")

    def test_empty_file(self, tmp_path):
        path = tmp_path / "empty.jpg"
        path.touch()
        refusal(path, "empty", "again")


class TestTruncated:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "BMP", "TIFF", "GIF"])
    @pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
    def test_cut_short(self, kind, share):
        data = encoded(noise(), kind)
        refusal(data[: max(40, int(len(data) * share))], "truncated", "again")

    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_cut_anywhere_never_ends_in_another_error(self, kind):
        data = encoded(noise(40, 30), kind)
        for length in range(1, len(data), 37):
            with pytest.raises(InvalidImageError) as caught:
                load_image(data[:length])
            assert caught.value.reason == ("truncated" if length >= 8 else "not_an_image")

    def test_damaged_in_the_middle(self):
        data = bytearray(encoded(noise(), "PNG"))
        data[len(data) // 2] ^= 0xFF
        refusal(bytes(data), "truncated")

    def test_a_lazy_pil_image_of_a_cut_file(self):
        data = encoded(noise(), "JPEG")
        refusal(Image.open(io.BytesIO(data[: len(data) // 2])), "truncated", "JPEG")


class TestLimits:
    def test_too_many_bytes(self):
        refusal(b"\xff\xd8\xff" + bytes(MAX_BYTES), "too_many_bytes", "25 MB")
        refusal(io.BytesIO(bytes(MAX_BYTES + 1)), "too_many_bytes", "25 MB")

    def test_a_large_file_is_refused_by_its_size_unread(self, tmp_path, monkeypatch):
        path = tmp_path / "large.jpg"
        with path.open("wb") as file:
            file.truncate(MAX_BYTES + 1)
        monkeypatch.setattr(
            "builtins.open", lambda *_args, **_more: pytest.fail("the file was opened")
        )
        refusal(path, "too_many_bytes", "25 MB")

    def test_an_endless_stream_is_not_read_to_its_end(self):
        class Endless(io.RawIOBase):
            given = 0

            def read(self, size=-1):
                self.given += size
                return b"\xff" * size

        stream = Endless()
        refusal(stream, "too_many_bytes")
        assert stream.given <= MAX_BYTES + 1

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize(
        ("width", "height"),
        [(60_000, 60_000), (10_000, 10_000), (8_126, 8_000), (2_000_000_000, 1)],
    )
    def test_a_header_that_claims_too_much_is_refused_undecoded(self, width, height):
        started = time.perf_counter()
        refusal(
            png_header(width, height),
            "too_many_pixels",
            "65 megapixels",
            f"{width} x {height}",
            "smaller",
        )
        assert time.perf_counter() - started < 1

    @pytest.mark.parametrize(
        ("kind", "at", "size"),
        [
            ("GIF", 6, struct.pack("<HH", 65_535, 65_535)),
            ("BMP", 18, struct.pack("<ii", 30_000, 30_000)),
            ("AVIF", None, b""),
        ],
    )
    def test_other_headers_that_claim_too_much(self, kind, at, size):
        data = bytearray(encoded(quartered(), kind))
        if kind == "AVIF":
            at, size = data.index(b"ispe") + 8, struct.pack(">II", 9000, 9000)
        data[at : at + len(size)] = size
        started = time.perf_counter()
        refusal(bytes(data), "too_many_pixels", "smaller")
        assert time.perf_counter() - started < 1

    def test_pillows_own_limit_does_not_matter(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        assert load_image(encoded(quartered(), "PNG")).size == (WIDTH, HEIGHT)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        refusal(png_header(60_000, 60_000), "too_many_pixels")

    @pytest.mark.parametrize(("width", "height"), [(19, 200), (200, 19), (1, 1)])
    def test_too_small(self, width, height):
        refusal(
            encoded(Image.new("RGB", (width, height)), "PNG"),
            "too_small",
            f"{width} x {height}",
            "larger",
        )
        refusal(Image.new("RGB", (width, height)), "too_small")

    def test_just_large_enough(self):
        assert load_image(Image.new("RGB", (20, 20))).size == (20, 20)

    def test_own_limits(self):
        data = encoded(quartered(), "PNG")
        refusal(data, "too_many_bytes", limits=ImageLimits(max_bytes=50))
        refusal(data, "too_many_pixels", "0.001 megapixels", limits=ImageLimits(max_pixels=1000))
        refusal(data, "too_small", "40", limits=ImageLimits(min_side=40))
        refusal(quartered(), "too_many_pixels", limits=ImageLimits(max_pixels=1000))


class TestNotFound:
    def test_no_such_file(self, tmp_path):
        refusal(tmp_path / "absent.jpg", "not_found", "Check the path")
        refusal(str(tmp_path / "absent" / "x.jpg"), "not_found")
        refusal("zero\0byte.jpg", "not_found")
        refusal("x" * 5000, "not_found")

    def test_folder(self, tmp_path):
        refusal(tmp_path, "not_found", "folder")

    def test_device(self):
        refusal("/dev/null", "not_found", "device")

    def test_web_address(self):
        refusal("https://example.org/face.jpg", "not_found", "Download")

    def test_forbidden(self, tmp_path, monkeypatch):
        path = tmp_path / "closed.jpg"
        path.write_bytes(b"x")

        def closed(*_args, **_more):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", closed)
        refusal(path, "not_found", "permissions")


class TestNoSideEffects:
    def test_many_threads(self):
        kinds = ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "GIF", "TIFF", "BMP"]
        files = [encoded(quartered(), kind) for kind in kinds] * 8
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(load_image, files))
        assert all(corner_names(result) == list(CORNERS) for result in results)

    def test_nothing_global_is_changed(self):
        code = (
            "import sys, warnings, numpy; from PIL import Image; Image.init();before ="
            " (set(Image.OPEN), Image.MAX_IMAGE_PIXELS, list(warnings.filters),"
            " set(Image.EXTENSION));from agegender_core.vision.image_io import load_image; assert"
            " 'pillow_heif' not in sys.modules;load_image(sys.stdin.buffer.read());assert before =="
            " (set(Image.OPEN), Image.MAX_IMAGE_PIXELS, list(warnings.filters),"
            " set(Image.EXTENSION))"
        )
        root = ROOT
        subprocess.run(
            [sys.executable, "-c", code], input=encoded(quartered(), "HEIC"), check=True, cwd=root
        )

"""What files state is checked before a decoder takes memory or time for it, and odd but sound files
are read.
"""

from __future__ import annotations

import gc
import io
import struct
import time
import weakref
import zlib

import numpy as np
import pytest
from PIL import Image

from agegender_core.errors import InvalidImageError
from agegender_core.vision.image_io import (
    ImageLimits,
    check_header,
    check_image,
    load_image,
    scale_of,
)
from tests.support.drawn_images import (
    CORNERS,
    corner_names,
    encoded,
    noise,
    quartered,
    refusal,
)

tifffile = pytest.importorskip("tifffile", reason="comes with scikit-image")
SOON = 2.0
"""Seconds in which a hostile file is refused, on a busy computer."""


def quickly(data: bytes, reason: str, *words: str, **options) -> None:
    """Refused by its head alone, by ``check_image`` as by ``load_image``."""
    started = time.process_time()
    message = refusal(data, reason, *words, **options)
    for check in (check_header, check_image):
        with pytest.raises(InvalidImageError) as caught:
            check(data, **options)
        assert (str(caught.value), caught.value.reason) == (message, reason)
    assert time.process_time() - started < SOON


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


def segments(data: bytes) -> list[int]:
    """Where the markers of a JPEG's head lie, the last of them its first scan."""
    at, found = 2, []
    while True:
        found.append(at)
        if data[at + 1] == 0xDA:
            return found
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


class TestJpeg:
    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize("cut", [1, 2])
    def test_without_its_end_marker_every_pixel_is_there(self, progressive, cut):
        data = encoded(noise(), "JPEG", progressive=progressive, quality=90)
        assert data.endswith(b"\xff\xd9")
        whole, cut_off = np.asarray(load_image(data)), np.asarray(load_image(data[:-cut]))
        assert (whole == cut_off).all()
        check_image(data[:-cut])

    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize("missing", [12, 60, 400])
    def test_without_its_last_pixels_it_is_damaged(self, progressive, missing):
        data = encoded(noise(), "JPEG", progressive=progressive, quality=90)
        refusal(data[:-missing], "truncated", "again")

    def test_what_follows_the_end_does_not_matter(self):
        data = encoded(quartered(), "JPEG")
        assert corner_names(load_image(data + b"\xff\xda" * 1000 + bytes(5000))) == list(CORNERS)

    def scans(self, side: int, count: int) -> bytes:
        data = encoded(Image.new("RGB", (side, side), "grey"), "JPEG", progressive=True)
        last = data[data.rfind(b"\xff\xda") : -2]
        return data[:-2] + last * count + b"\xff\xd9"

    def test_a_bomb_of_scans_is_refused_before_decoding(self):
        quickly(self.scans(6000, 700), "too_costly", "710 scans", "6000 x 6000")
        quickly(self.scans(64, 15_000), "too_costly", "scans")

    def test_an_ordinary_number_of_scans_is_read(self):
        assert load_image(self.scans(200, 30)).size == (200, 200)

    def test_a_head_of_countless_parts_is_refused(self):
        data = encoded(quartered(), "JPEG")
        quickly(data[:2] + b"\xff\xfe\0\2" * 50_000 + data[2:], "too_costly")

    def test_metadata_do_not_reach_the_decoder(self):
        """An EXIF block whose tags share their bytes would take them many times."""
        data = encoded(quartered(), "JPEG")
        tags = b"".join(struct.pack("<HHII", 700 + number, 7, 60_000, 0) for number in range(3000))
        block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 3000) + tags
        spoiled = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
        assert corner_names(load_image(spoiled)) == list(CORNERS)

    def test_the_orientation_of_xmp_counts_where_exif_has_none(self):
        packet = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="3"/>'
        data = encoded(quartered(), "JPEG")
        turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet + data[2:]
        assert corner_names(load_image(turned)) == list(CORNERS)[::-1]

    def test_twelve_bits_are_refused_by_their_reason(self):
        data = bytearray(encoded(quartered(), "JPEG"))
        frame = next(at for at in segments(data) if data[at + 1] == 0xC0)
        data[frame + 4] = 12
        refusal(bytes(data), "unsupported", "12 bits")

    def test_very_large_ones_come_at_half_their_size(self):
        data = encoded(quartered(480, 320), "JPEG")
        reduced = load_image(data, limits=ImageLimits(reduce_above=100_000))
        assert (reduced.size, scale_of(reduced)) == ((240, 160), 2.0)
        assert corner_names(reduced) == list(CORNERS)
        assert scale_of(load_image(data)) == 1.0

    def test_reduced_and_turned(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        data = encoded(quartered(481, 321), "JPEG", exif=exif)
        reduced = load_image(data, limits=ImageLimits(reduce_above=100_000))
        assert reduced.size == (161, 241) and reduced.info == {"full_size": (321, 481)}

    def test_photographs_of_phones_are_not_too_large(self):
        for width, height in ((8064, 6048), (8160, 6144), (9280, 6944)):
            head = bytearray(encoded(quartered(), "JPEG"))
            frame = next(at for at in segments(head) if head[at + 1] == 0xC0)
            head[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
            check_header(bytes(head))


class TestPng:
    def with_chunk(self, extra: bytes, before: bytes = b"IDAT") -> bytes:
        data = encoded(quartered(), "PNG")
        at = data.index(before) - 4
        return data[:at] + extra + data[at:]

    @pytest.mark.parametrize(
        "name", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"tIME", b"eXIf", b"acTL", b"prVt"]
    )
    def test_a_damaged_chunk_beside_the_pixels_does_no_harm(self, name):
        for extra in (chunk(name, b"k\0\0garbage", crc=1), chunk(name, b"")):
            assert corner_names(load_image(self.with_chunk(extra))) == list(CORNERS)
        assert corner_names(
            load_image(self.with_chunk(chunk(name, b"k\0\0x", crc=1), b"IEND"))
        ) == list(CORNERS)

    def test_text_that_unpacks_to_much_is_not_unpacked(self):
        bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(80_000_000)))
        started = time.process_time()
        assert corner_names(load_image(self.with_chunk(bomb * 20))) == list(CORNERS)
        assert time.process_time() - started < SOON

    def test_a_damaged_chunk_of_the_pixels_is_damage(self):
        refusal(self.with_chunk(chunk(b"PLTE", bytes(9), crc=1)), "truncated")
        refusal(self.with_chunk(chunk(b"NEED", b"")), "truncated")

    def test_countless_chunks_are_refused(self):
        quickly(self.with_chunk(chunk(b"IDAT", b"") * 70_000), "too_costly")

    def test_exif_turns_it_and_damaged_exif_does_not(self):
        exif = Image.Exif()
        exif[0x0112] = 3
        block = exif.tobytes().removeprefix(b"Exif\0\0")
        assert (
            corner_names(load_image(self.with_chunk(chunk(b"eXIf", block)))) == list(CORNERS)[::-1]
        )
        assert corner_names(load_image(self.with_chunk(chunk(b"eXIf", block, crc=1)))) == list(
            CORNERS
        )

    @pytest.mark.parametrize("top", [1023, 4095, 16383, 65535])
    @pytest.mark.parametrize("alpha", [None, 65535, "top"])
    def test_colours_of_fewer_bits_in_16_keep_their_contrast(self, top, alpha):
        colours = np.stack([ramp(top), ramp(top)[::-1], np.full((32, 256), top // 2)], axis=2)
        if alpha is not None:
            colours = np.dstack([colours, np.full((32, 256), top if alpha == "top" else alpha)])
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
        head = struct.pack(">IIBBBBB", 256, 32, 16, 2 if alpha is None else 6, 0, 0, 0)
        data = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b"")
        )
        got = np.asarray(load_image(data)).astype(int)
        assert np.abs(got - np.rint(colours[..., :3] * (255 / top))).max() <= 1


class TestGifWebpBmp:
    def gif(self, comments: int) -> bytes:
        data = encoded(quartered().quantize(4), "GIF")
        at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
        comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * comments + b"\0"
        return data[:at] + comment + data[at:]

    def test_a_huge_comment_costs_nothing(self):
        started = time.process_time()
        # 20 MB: minutes if it is read.
        assert corner_names(load_image(self.gif(80_000))) == list(CORNERS)
        assert time.process_time() - started < SOON

    def test_a_frame_larger_than_its_screen(self):
        data = bytearray(encoded(quartered().quantize(4), "GIF"))
        at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
        at = data.index(b"\x2c", at)
        data[at + 5 : at + 9] = struct.pack("<HH", 60_000, 60_000)
        quickly(bytes(data), "too_many_pixels", "60000 x 60000")

    @pytest.mark.parametrize("lossless", [False, True])
    def test_a_webp_that_claims_too_much(self, lossless):
        still = bytearray(encoded(quartered(), "WEBP", lossless=lossless))
        if lossless:
            still[21:25] = struct.pack("<I", 9999 | 9999 << 14)
        else:
            still[26:30] = struct.pack("<HH", 10_000, 10_000)
        quickly(bytes(still), "too_many_pixels", "10000 x 10000")
        moving = bytearray(
            encoded(quartered(), "WEBP", save_all=True, append_images=[noise(WIDTH, HEIGHT)])
        )
        assert moving[12:16] == b"VP8X"
        moving[24:30] = (16_000).to_bytes(3, "little") * 2
        quickly(bytes(moving), "too_many_pixels", "16001 x 16001")

    def test_a_large_run_length_coded_bmp(self):
        body = b"\1\1" * 1_500_000
        head = struct.pack("<IiiHHIIiiII", 40, 5000, 600, 1, 8, 1, len(body), 0, 0, 256, 0)
        data = (
            b"BM"
            + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 54 + 1024)
            + head
            + bytes(1024)
            + body
        )
        quickly(data, "too_costly", "BMP")

    def test_a_small_run_length_coded_bmp_is_read(self):
        body = (b"\x30\1\0\0") * 32 + b"\0\1"
        head = struct.pack("<IiiHHIIiiII", 40, 48, 32, 1, 8, 1, len(body), 0, 0, 256, 0)
        data = (
            b"BM"
            + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 54 + 1024)
            + head
            + bytes([9] * 1024)
            + body
        )
        assert load_image(data).getpixel((5, 5)) == (9, 9, 9)


WIDTH, HEIGHT = 48, 32


class TestAvif:
    def test_a_small_frame_around_a_large_image(self):
        """libavif would decode all of it and scale it down."""
        data = encoded(Image.new("RGB", (1500, 1000), "grey"), "AVIF", speed=10)
        shrunk = data.replace(struct.pack(">II", 1500, 1000), struct.pack(">II", 60, 40))
        assert shrunk != data
        assert load_image(shrunk).size == (60, 40)
        quickly(shrunk, "too_many_pixels", "1500 x 1000", limits=ImageLimits(max_pixels=1_000_000))

    def test_a_sequence_that_decodes_to_more_than_it_says(self):
        frames = [Image.new("RGB", (1500, 1000), colour) for colour in ("grey", "red")]
        data = encoded(frames[0], "AVIF", speed=10, save_all=True, append_images=frames[1:])
        shrunk = data.replace(struct.pack(">II", 1500, 1000), struct.pack(">II", 60, 40))
        quickly(shrunk, "too_many_pixels", "1500 x 1000", limits=ImageLimits(max_pixels=1_000_000))


def ramp(top: int, width: int = 256) -> np.ndarray:
    """(32, width) rows from 0 to ``top``."""
    return np.tile(np.linspace(0, top, width).round(), (32, 1)).astype(np.int64)


def tiff(pixels: np.ndarray, order: str, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, byteorder=order, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
class TestTiff:
    @pytest.mark.parametrize("packing", [None, "zlib"])
    @pytest.mark.parametrize("tile", [None, (16, 16)])
    @pytest.mark.parametrize("top", [255, 4095, 65535])
    def test_16_bit_colours(self, order, packing, tile, top):
        colours = np.stack([ramp(top), ramp(top)[:, ::-1], ramp(top) // 2], axis=2).astype(
            np.uint16
        )
        got = np.asarray(
            load_image(tiff(colours, order, photometric="rgb", compression=packing, tile=tile))
        )
        assert np.abs(got.astype(int) - colours * (255 / top)).max() <= 1

    @pytest.mark.parametrize("tile", [None, (16, 16)])
    @pytest.mark.parametrize("alpha", [False, True])
    @pytest.mark.parametrize(("packing", "top"), [(None, 4095), (None, 65535), ("zlib", 65535)])
    def test_16_bit_colours_in_planes(self, order, packing, top, tile, alpha):
        colours = np.stack([ramp(top), ramp(top)[:, ::-1], ramp(top) // 2]).astype(np.uint16)
        planes = (
            np.concatenate([colours, np.full((1, 32, 256), 65535, np.uint16)]) if alpha else colours
        )
        more = {"extrasamples": ["unassalpha"]} if alpha else {}
        data = tiff(
            planes,
            order,
            photometric="rgb",
            planarconfig="separate",
            compression=packing,
            tile=tile,
            **more,
        )
        got = np.asarray(load_image(data)).astype(int)
        assert np.abs(got - colours.transpose(1, 2, 0) * (255 / top)).max() <= 1

    def test_planes_whose_lower_bytes_cannot_be_had_are_refused_by_their_reason(self, order):
        planes = np.stack([ramp(4095)] * 3).astype(np.uint16)
        data = tiff(planes, order, photometric="rgb", planarconfig="separate", compression="zlib")
        refusal(data, "unsupported", "separate planes")

    @pytest.mark.parametrize("packing", [None, "zlib"])
    @pytest.mark.parametrize(
        ("kind", "top"), [("u1", 255), ("u2", 4095), ("u2", 65535), ("f4", 1), ("f4", 65535)]
    )
    @pytest.mark.parametrize("white", [False, True])
    def test_grey_and_which_end_of_it_is_white(self, order, packing, kind, top, white):
        grey = np.tile(np.linspace(0, top, 256), (32, 1))
        grey = (grey if kind == "f4" else grey.round()).astype(kind)
        zero = "miniswhite" if white else "minisblack"
        got = np.asarray(load_image(tiff(grey, order, photometric=zero, compression=packing)))[
            0, :, 0
        ]
        assert (
            np.abs(got.astype(int) - (np.arange(256)[::-1] if white else np.arange(256))).max() <= 1
        )

    @pytest.mark.parametrize("packing", [None, "zlib"])
    @pytest.mark.parametrize(("kind", "top"), [("i2", 32767), ("i4", 65535)])
    def test_signed_grey(self, order, packing, kind, top):
        got = np.asarray(
            load_image(
                tiff(ramp(top).astype(kind), order, photometric="minisblack", compression=packing)
            )
        )
        assert np.abs(got[0, :, 0].astype(int) - np.arange(256)).max() <= 1

    @pytest.mark.parametrize(
        ("pixels", "photometric", "words"),
        [
            (np.zeros((32, 40, 3), np.float32), "rgb", ("3 channels", "32-bit floating-point")),
            (np.zeros((32, 40), np.float64), "minisblack", ("1 channel of 64-bit floating-point",)),
            (np.zeros((32, 40), np.float16), "minisblack", ("16-bit floating-point",)),
        ],
    )
    def test_other_floats_are_refused_by_their_reason(self, order, pixels, photometric, words):
        refusal(tiff(pixels, order, photometric=photometric), "unsupported", *words)

    def directory(self, order: str, tags: list[tuple[int, int, int, int]], room: int = 0) -> bytes:
        head = b"II*\0" if order == "<" else b"MM\0*"
        body = b"".join(struct.pack(f"{order}HHII", *tag) for tag in tags)
        return head + struct.pack(f"{order}IH", 8, len(tags)) + body + bytes(4 + room)

    SIZE: tuple = ((256, 4, 1, 64), (257, 4, 1, 64))

    def test_tags_that_share_their_bytes(self, order):
        tags = [*self.SIZE, *((1000 + number, 7, 900_000, 8) for number in range(3000))]
        quickly(self.directory(order, tags, 1_000_000), "too_costly", "tags")

    def test_tiles_larger_than_any_image(self, order):
        tags = [*self.SIZE, (322, 4, 1, 40_000), (323, 4, 1, 40_000), (324, 4, 1, 8)]
        quickly(self.directory(order, tags), "too_many_pixels", "40000 x 40000")

    def test_countless_strips(self, order):
        tags = [*self.SIZE, (273, 4, 2_000_000, 8)]
        quickly(self.directory(order, tags, 8_000_000), "too_costly", "parts")


class TestMemory:
    def test_a_refusal_keeps_no_pixels(self, monkeypatch):
        """Errors are kept: by the answers of a batch, by a page. Decoders and their pixels are not,
        then.
        """
        from PIL import PngImagePlugin

        made = []
        plain = PngImagePlugin.PngImageFile.__init__

        def noted(self, *given, **named):
            plain(self, *given, **named)
            made.append(weakref.ref(self))

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "__init__", noted)
        data = encoded(noise(), "PNG")
        with pytest.raises(InvalidImageError) as caught:
            load_image(data[: len(data) // 2])
        gc.collect()
        assert made and [one() for one in made] == [None] * len(made)
        assert caught.value.__context__ is None and caught.value.__cause__ is None

    def test_no_memory_is_said_so(self, monkeypatch):
        def none_left(*_given):
            raise MemoryError

        monkeypatch.setattr(Image.core, "new", none_left)
        refusal(encoded(noise(), "PNG"), "too_many_pixels", "memory")

    def test_only_kinds_that_are_asked_for(self):
        limits = ImageLimits(kinds=frozenset({"JPEG", "PNG"}))
        assert load_image(encoded(quartered(), "PNG"), limits=limits).size == (WIDTH, HEIGHT)
        refusal(encoded(quartered(), "TIFF"), "not_an_image", "TIFF", "JPEG, PNG", limits=limits)

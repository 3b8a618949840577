"""What kind of file it is, by its first bytes, and the message for kinds that are not read."""

from __future__ import annotations

from agegender_core.errors import InvalidImageError

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
    }
    | {".bmp", ".dib", ".tif", ".tiff", ".gif"}
)
"""Lower-case file name suffixes of the accepted formats, for finding images in folders."""

_ACCEPTED = "JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF or GIF"

_SIGNATURES = (
    ("JPEG", (b"\xff\xd8\xff",)),
    ("PNG", (b"\x89PNG\r\n\x1a\n",)),
    ("GIF", (b"GIF87a", b"GIF89a")),
    ("TIFF", (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
)
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)

_EXPORT = "Export it as JPEG or PNG and try again."
_STRANGERS = (
    ((b"%PDF",), f"This is a PDF document, not an image. {_EXPORT}"),
    (
        (b"PK\x03\x04",),
        (
            "This is a ZIP archive or an office document, not an image. Take the image out of it"
            " and give that."
        ),
    ),
    ((b"8BPS",), f"Photoshop files cannot be read. {_EXPORT}"),
    ((b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"), f"JPEG 2000 images cannot be read. {_EXPORT}"),
    ((b"\x00\x00\x00\x0cJXL ", b"\xff\x0a"), f"JPEG XL images cannot be read. {_EXPORT}"),
    ((b"\x00\x00\x01\x00",), f"Icon files cannot be read. {_EXPORT}"),
    (
        (b"\x1aE\xdf\xa3",),
        "This is a video, not an image. Save one of its frames as JPEG or PNG and give that.",
    ),
)


def kind_of(data: bytes) -> str:
    """Format of the file by its first bytes: a key of ``_PLUGINS``. Raises ``InvalidImageError``
    for anything else.
    """
    for kind, signatures in _SIGNATURES:
        if data.startswith(signatures):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIF_BRANDS:
        return "HEIC"
    raise InvalidImageError(_what_it_is(data, brands), "not_an_image")


def _brands(data: bytes) -> frozenset[bytes]:
    """Four-letter brands a file of the MP4 family (AVIF, HEIC and videos) lists in its first box;
    empty for other files.
    """
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), 256)
    listed = (data[start : start + 4] for start in range(16, end, 4))
    return frozenset({data[8:12], *listed})


def _what_it_is(data: bytes, brands: frozenset[bytes]) -> str:
    """The message for a file that is not an image we read."""
    for signatures, message in _STRANGERS:
        if data.startswith(signatures):
            return message
    if brands or (data[:4] == b"RIFF" and data[8:12] == b"AVI "):
        return (
            "This is a video or an image of an unknown kind. Save a frame of it as JPEG or PNG and"
            " give that."
        )
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<") and b"<svg" in head:
        return f"This is an SVG drawing, not a photograph. {_EXPORT}"
    if head.startswith((b"<!doctype html", b"<html")):
        return "This is a web page, not an image. Save the image itself and give that file."
    if not any(byte < 9 for byte in head):
        return f"This is a text file, not an image. Give a {_ACCEPTED} file."
    return f"This is not an image that can be read. Give a {_ACCEPTED} file."

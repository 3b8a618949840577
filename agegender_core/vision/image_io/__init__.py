"""Bytes, a path, an open file or a PIL image become one upright RGB image, or are refused with a
reason.

Accepted: JPEG (MPO included), PNG, WebP, AVIF, HEIC, BMP, TIFF and GIF; of several frames the
first. A file's kind is read from its first bytes, never from its name. Steps, each of which may
refuse: bytes in hand and counted, kind recognised, container walked (``jpeg``, ``png``, ``gif``,
``webp``, ``bmp``, ``tiff``, ``boxes``), pixels decoded, colours made 8-bit RGB, orientation
applied.

What is parsed before a decoder runs. Every size a file states is checked before memory is allocated
for pixels, and so is the work it asks for: scans of a JPEG, run-length codes of a BMP,
tags and strips of a TIFF. Metadata are not passed on: decoders get what the pixels need, so that
damaged or huge comments, profiles and EXIF blocks do no harm; the orientation is read beforehand.

Colours. Transparency is laid over white. Images of more than 8 bits a channel are scaled, never
clipped: the range is the smallest of 8, 10, 12, 14 and 16 bits that contains the brightest value,
so that a 12-bit image stored in 16 bits keeps its contrast. Floats within 0..1 are scaled from
that; values below 0 or above 65535 stretch from darkest to brightest. Colour profiles are ignored,
as they were in training.

Pillow's plugin classes are called directly instead of ``Image.open``: an allow-list of formats that
needs no plugin registered and no process-wide ``Image.MAX_IMAGE_PIXELS``. Nothing here is global or
cached, so ``load_image`` may be called from many threads. It writes and logs nothing.
"""

from agegender_core.types import scale_of
from agegender_core.vision.image_io.kinds import IMAGE_SUFFIXES
from agegender_core.vision.image_io.limits import (
    DEFAULT_LIMITS,
    MAX_BYTES,
    MAX_PIXELS,
    MIN_SIDE,
    ImageLimits,
)
from agegender_core.vision.image_io.loading import (
    ImageSource,
    check_header,
    check_image,
    load_image,
)

__all__ = [
    "DEFAULT_LIMITS",
    "IMAGE_SUFFIXES",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "ImageLimits",
    "ImageSource",
    "check_header",
    "check_image",
    "load_image",
    "scale_of",
]

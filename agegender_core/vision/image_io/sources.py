"""The bytes of an image: from memory, a path or an open file, and never more than allowed."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from agegender_core.errors import InvalidImageError
from agegender_core.vision.image_io.limits import ImageLimits, too_many_bytes


def read(source: str | os.PathLike[str] | bytes | BinaryIO, limits: ImageLimits) -> bytes:
    """The source's bytes, at least one and at most ``limits.max_bytes``."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        data = _read_path(source, limits)
    elif hasattr(source, "read"):
        data = _read_stream(source, limits)
    else:
        raise TypeError(
            "load_image takes a path, bytes, a binary file or a PIL image, not"
            f" {type(source).__name__}"
        )
    if len(data) > limits.max_bytes:
        raise too_many_bytes(limits)
    if not data:
        raise InvalidImageError("The file is empty. Copy or upload the image again.", "empty")
    return data


def _read_path(path: str | os.PathLike[str], limits: ImageLimits) -> bytes:
    """Bytes of a regular file; a file over the limit is refused by its size on disk, unread."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InvalidImageError(
                "This is a folder, not an image. Give an image file inside it.", "not_found"
            )
        if not stat.S_ISREG(status.st_mode):
            raise InvalidImageError(
                "This is a device or a pipe, not an image file. Give the path of an image file.",
                "not_found",
            )
        if status.st_size > limits.max_bytes:
            raise too_many_bytes(limits)
        with open(path, "rb") as file:
            return _read_stream(file, limits)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _read_stream(stream: BinaryIO, limits: ImageLimits) -> bytes:
    """Bytes from the stream's start, at most one more than the limit. Streams may give less than
    asked for, so ask until full.
    """
    if stream.seekable():
        stream.seek(0)  # an upload may have been read once already
    wanted, parts = limits.max_bytes + 1, []
    while wanted > 0 and (part := stream.read(wanted)):
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)


def _unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> InvalidImageError:
    if isinstance(error, PermissionError):
        return InvalidImageError("The file may not be read. Check its permissions.", "not_found")
    if str(path).startswith(("http://", "https://")):
        return InvalidImageError(
            "Web addresses are not fetched. Download the image and give the file.", "not_found"
        )
    if isinstance(error, ValueError) or error.errno in {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.EINVAL,
    }:
        return InvalidImageError(
            "There is no such file. Check the path for typing mistakes.", "not_found"
        )
    return InvalidImageError(
        f"The file cannot be read ({error.strerror}). Check the disk or copy the file again.",
        "not_found",
    )

"""Every error this package raises for outside input.

    AgeGenderError
    ├── InvalidImageError        the bytes are not an image we accept
    ├── DetectorError            the face detector failed
    ├── NoFaceError              the image shows fewer faces than asked for
    ├── WeightsError             weights cannot be used
    │   ├── WeightsMissingError      not installed
    │   ├── WeightsCorruptError      bytes differ from the manifest
    │   └── WeightsMismatchError     tensors do not fit the architecture
    ├── BusyError                too many are asking at once
    ├── ConfigError              a recipe or a setting is wrong
    └── DatasetError             a dataset is absent or not in the expected layout

A message states what was wrong and what to do about it, fit to be shown to the user.
"""


class AgeGenderError(Exception):
    """Base of all errors raised on purpose by this package."""


class InvalidImageError(AgeGenderError):
    """The bytes are not an image this package accepts.

    ``reason`` is a stable machine-readable word: ``empty``, ``not_an_image``, ``truncated``,
    ``unsupported`` (sound, but of a layout that is not read), ``too_many_bytes``,
    ``too_many_pixels``, ``too_costly`` (far more work than its size warrants), ``too_small``,
    ``not_found``.
    """

    def __init__(self, message: str, reason: str = "not_an_image") -> None:
        super().__init__(message)
        self.reason = reason


class DetectorError(AgeGenderError):
    """The face detector could not run on a valid image."""


class NoFaceError(AgeGenderError):
    """The image shows no face, or fewer than asked for."""


class WeightsError(AgeGenderError):
    """Trained weights cannot be used."""


class WeightsMissingError(WeightsError):
    """The manifest names weights whose file is not installed, or the name is unknown."""


class WeightsCorruptError(WeightsError):
    """A weights file is unreadable or its sha256 differs from the manifest."""


class WeightsMismatchError(WeightsError):
    """A weights file's tensors do not fit the architecture the manifest names."""


class BusyError(AgeGenderError):
    """Too many are asking at once; later it will work."""


class ConfigError(AgeGenderError):
    """A recipe or setting has an unknown key or an impossible value."""


class DatasetError(AgeGenderError):
    """A dataset is absent, unreadable or not in the expected layout."""

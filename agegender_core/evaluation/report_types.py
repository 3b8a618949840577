"""What the files in ``reports/`` contain, as types; ``json_records`` reads and writes them.

Field names are the files' keys. A field with a default may be missing in a file. Imports nothing
heavy: pages read reports too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

from agegender_core.output.json_records import to_json

LABEL_COLUMNS = (
    "file",
    "subject",
    "split",
    "age_true",
    "age_range_true",
    "gender_true",
    "race_true",
    "face_found",
)
ANSWER_COLUMNS = (
    "age_pred",
    "age_low",
    "age_high",
    "fairface9_pred",
    "adience8_pred",
    "gender_pred",
    "gender_probability",
    "race_pred",
)
"""Columns of ``predictions.parquet``: the same for all weights, labels «…_true» in the dataset's
own words, and what each model estimated. None where there is none.
"""


@dataclass(frozen=True)
class Estimate:
    """``value`` with the bounds of its 95 % bootstrap interval, over ``n`` images."""

    value: float
    low: float
    high: float
    n: int

    def rounded(self) -> Self:
        """To 5 digits, as reports store it."""
        ends = {name: round(getattr(self, name), 5) for name in ("value", "low", "high")}
        return replace(self, **ends)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping, rounded."""
        return to_json(self.rounded())


@dataclass(frozen=True)
class FoldedEstimate(Estimate):
    """Adds mean and standard deviation over the folds; ``fold_sd``: None for a single fold."""

    fold_mean: float
    fold_sd: float | None


DEVIATION, EFFECT, TRUNK = ".deviation", ".effect", ".trunk"
"""Behind a block's name in an attention report, for other maps than the mean of its mask: how far
the mask's channels lie from their own means; what the mask changes; and, as a control, where the
trunk before it is active.
"""
CENTRE = "centre"
"""Name there of the map that ranks pixels by how near they are to the crop's centre."""


def is_control(name: str) -> bool:
    """Whether the map ``name`` of an attention report is there for others to be compared with."""
    return name == CENTRE or name.endswith(TRUNK)


ALL_BLOCKS = "all"
"""Name in attention reports for all blocks of a network at once."""
Estimates = dict[str, Estimate]
"""By metric."""


@dataclass(frozen=True)
class DecadeDigit:
    """Where an age made of decade and digit goes wrong.

    ``decade_accuracy``: share of correct decades. ``digit_mae``: error of the last digit, 0 to 9.
    ``perfect_decades``, ``perfect_digits``: mean absolute error in years if one part were always
    correct and the other as it is. ``digits_answered``, ``digits_true``: (10,) share of each digit.
    """

    decade_accuracy: Estimate
    digit_mae: Estimate
    perfect_decades: Estimate
    perfect_digits: Estimate
    digits_answered: tuple[float, ...]
    digits_true: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """``metrics.json``: one model on one test split.

    ``no_face``: images in which no face was detected. ``how``: in words. ``decoding``: how logits
    were read; older reports do not have it. ``intervals``: how they were drawn. ``slices``:
    {slicing: {slice: estimates}}. ``gates``: learned, by name. ``decade_digit``: for models that
    estimate an age in two parts.
    """

    weights: str
    weights_sha256: str
    set: str
    split: str
    n: int
    no_face: int
    how: str
    decoding: dict[str, Any] | None = None
    intervals: str = ""
    metrics: dict[str, Estimate]
    slices: dict[str, dict[str, dict[str, Estimate]]]
    decade_digit: DecadeDigit | None = None
    gates: dict[str, float] | None = None

    @property
    def answered(self) -> int:
        """Images with a face, which the metrics are of."""
        return self.n - self.no_face


@dataclass(frozen=True)
class MaskActivity:
    """How alive the masks of one block are.

    ``saturated``: share of values nearer than ``report_store.EDGE`` to 0 or 1. ``over_face``: how
    much a channel varies over a face, and ``between_faces``, how much one place of a channel varies
    from face to face: standard deviations, means over all channels.
    """

    saturated: float
    over_face: float
    between_faces: float


@dataclass(frozen=True)
class ChangeEffect:
    """What changing the masks of ``block``, or of all at once, does to the answers.

    ``moved``: mean absolute change of the age in years. ``mae``: rise of the mean absolute error in
    years, ``gender_accuracy``: rise of the share of right genders, both paired; None where the
    dataset has no such labels.
    """

    block: str
    change: str
    moved: float
    mae: Estimate | None
    gender_accuracy: Estimate | None


@dataclass(frozen=True)
class MapCurve:
    """A map's deletion or insertion curve, the mean over faces.

    ``area``: under it. ``curve``: (steps + 1,). ``difference``: of the areas, paired, from a random
    map of the same resolution, and ``verdict``, what follows; None for the random maps themselves.
    ``against``: of the areas, paired, from the control maps that know less: «centre», and «trunk»
    of the same block for a block's effect; empty for the controls themselves and in reports made
    before there were any.
    """

    area: Estimate
    curve: tuple[float, ...]
    difference: Estimate | None = None
    verdict: str | None = None
    against: dict[str, Estimate] = field(default_factory=dict)


MapCurves = dict[str, MapCurve]
"""Of one map, by kind: «deletion» and «insertion»."""


@dataclass(frozen=True, kw_only=True)
class AttentionReport:
    """``attention/<set>.json``: the masks and maps of one model over a test split.

    ``n``: faces that masks are averaged over. ``curves_n``: those with curves of ``steps`` steps.
    ``sides``: cells of each map along one side. ``groups``: {slicing: {group: faces}}.
    ``activity``: by block. ``changes``: over ``changes_n`` faces; empty for a network without
    masks. ``targets``: {target: {map: curves}}. ``decoding``: how logits were read; older reports
    do not have it.
    """

    weights: str
    weights_sha256: str
    set: str
    split: str
    n: int
    curves_n: int
    steps: int
    how: str
    sides: dict[str, int]
    groups: dict[str, dict[str, int]]
    activity: dict[str, MaskActivity] = field(default_factory=dict)
    changes_n: int = 0
    changes: tuple[ChangeEffect, ...] = ()
    targets: dict[str, dict[str, MapCurves]]
    decoding: dict[str, Any] | None = None

    @property
    def flat_masks(self) -> ChangeEffect | None:
        """What it does to replace every channel's mask, in all blocks, by its mean; None where that
        was not measured.
        """
        matching = (row for row in self.changes if (row.block, row.change) == (ALL_BLOCKS, "mean"))
        return next(matching, None)


@dataclass(frozen=True)
class LeftOut:
    """An image that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ProtocolReport:
    """``protocols/<protocol>_<set>.json``: a published protocol with light models on frozen
    features.

    ``metrics``: of the refitted models; ``own_readout``: of the network as it is. ``pictures``: how
    the images were cropped, in words. ``features``: how many. ``resampled``: what intervals draw.
    ``fitted_on_seen``: training images that the network was trained on too. ``strengths``: {task:
    {strength: folds that chose it}}. ``by_fold``: name, sizes and metrics of every fold.
    """

    weights: str
    weights_sha256: str
    protocol: str
    set: str
    n: int
    folds: int
    method: str
    pictures: str
    features: int
    resampled: str
    fitted_on_seen: int
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    metrics: dict[str, FoldedEstimate]
    own_readout: dict[str, FoldedEstimate]
    strengths: dict[str, dict[str, int]]
    by_fold: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class LeakageRun:
    """A recipe trained and measured on one division of a dataset. Estimates are None where no
    image counts for them; older runs have no ``gender_accuracy``.
    """

    recipe: str
    split: str
    minutes: float
    pictures: int
    pictures_seen: int
    mae: Estimate | None
    mae_with_twin: Estimate | None
    mae_without_twin: Estimate | None
    gender_accuracy: Estimate | None = None


@dataclass(frozen=True)
class LeakageReport:
    """``leakage.json``."""

    set: str
    runs: tuple[LeakageRun, ...]


@dataclass(frozen=True, kw_only=True)
class AblationRun:
    """One variant of a recipe, trained with one seed and measured on the test split.

    ``saturated``: by block, share of mask values nearer than ``report_store.EDGE`` to 0 or 1, and
    ``flat_masks``: paired rise of the error in years with every channel's mask replaced by its
    mean; nothing for a network without masks that vary. ``bands``: the error in years by band of
    the true age.
    """

    variant: str
    seed: int
    commit: str
    minutes: float
    pictures: int
    pictures_seen: int
    mae: Estimate | None
    gender_accuracy: Estimate | None
    saturated: dict[str, float] = field(default_factory=dict)
    flat_masks: Estimate | None = None
    bands: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AblationReport:
    """``ablations/<name>.json``: variants of one recipe, equally long, over the same seeds.

    ``settings``: the recipe's, changed for all. ``baseline``: the variant that others are compared
    with. ``variants``: title by key. ``digests``: by the same key, of the whole recipe.
    """

    name: str
    title: str
    recipe: str
    set: str
    split: str
    settings: dict[str, Any]
    baseline: str
    variants: dict[str, str]
    digests: dict[str, str] = field(default_factory=dict)
    runs: tuple[AblationRun, ...] = ()


@dataclass(frozen=True)
class CorruptionCost:
    """What one kind of damage does to a network's answers, image by image: rise of the absolute
    error in years, ``older``: mean change of the answer in years, and of the share of right
    genders.
    """

    mae: Estimate
    older: float
    gender: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class CorruptionsRow:
    """One network: its error and genders for images as they are, and ``costs`` by kind of damage.
    ``decoding``: how its logits were read, as the manifest had it.
    """

    weights: str
    weights_sha256: str
    mae: Estimate | None
    gender_accuracy: Estimate | None
    costs: dict[str, CorruptionCost]
    decoding: dict[str, Any] | None = None


@dataclass(frozen=True)
class CorruptionsReport:
    """``corruptions.json``: what worse photos cost on ``n`` images of a split."""

    set: str
    split: str
    n: int
    rows: tuple[CorruptionsRow, ...] = ()


@dataclass(frozen=True)
class RivalRow:
    """One method of a paper's table. What was not run is None, and so is what is not claimed."""

    name: str
    parameters: int | None
    input: str | None
    median_ms: float | None
    p90_ms: float | None
    ratio_to_ours: float | None
    claimed_parameters: float
    claimed_desktop_s: float | None
    claimed_mobile_s: float | None
    note: str


@dataclass(frozen=True)
class RivalsReport:
    """``rivals.json``: ``repeats`` runs of each network, in turn."""

    machine: str
    threads: int
    torch: str
    repeats: int
    rows: tuple[RivalRow, ...]


@dataclass(frozen=True)
class Timing:
    """How long ``what`` takes: median and 90th percentile in milliseconds."""

    what: str
    median_ms: float
    p90_ms: float


@dataclass(frozen=True)
class ModelTiming:
    """A ``Timing`` of one model."""

    weights: str
    what: str
    median_ms: float
    p90_ms: float


@dataclass(frozen=True)
class ErrorBench:
    """Times of the error galleries on ``pictures`` drawn images, from a process of their own."""

    pictures: int
    rows: tuple[Timing, ...]
    peak_memory_mb: int


@dataclass(frozen=True)
class LiveRow:
    """A drawn video with ``faces``. ``fps`` as watched, ``fps_possible`` without waiting for the
    camera. ``age_jump_…``: mean change of the age in years from one estimate to the next, as shown
    and of single estimates; ``largest_…``: the largest.
    """

    faces: int
    fps: float
    fps_possible: float
    slowest_frame_ms: int
    median_frame_ms: float
    detected_share: float
    identities: int
    age_jump_shown: float
    age_jump_single_looks: float
    largest_jump_shown: float
    largest_jump_single_looks: float


@dataclass(frozen=True)
class LiveBench:
    """Drawn videos of ``film_fps`` frames a second."""

    rows: tuple[LiveRow, ...]
    weights: str
    film_fps: int
    machine: str = ""


@dataclass(frozen=True)
class BatchRow:
    """The whole command ``batch`` on a drawn folder, its start included.

    ``picture``: what each image is, in words. ``started_pictures_a_second`` and
    ``processor_seconds_per_1000`` images leave the start and the end out: they count from the part
    with which a quarter of the images were written to the last part.
    """

    engine: str
    pictures: int
    workers: int
    seconds: float
    pictures_a_second: float
    picture: str = ""
    weights: str = ""
    started_pictures_a_second: float | None = None
    processor_seconds_per_1000: float | None = None


@dataclass(frozen=True)
class BatchStepRow:
    """Processor time in ms, the median, that a worker takes for one ``step`` of an image of the
    kind ``picture``.
    """

    step: str
    picture: str
    processor_ms: float


@dataclass(frozen=True)
class BatchBench:
    """``picture``: what each image is, in words. ``steps``: what a worker does with an image."""

    rows: tuple[BatchRow, ...]
    picture: str
    machine: str = ""
    steps: tuple[BatchStepRow, ...] = ()


@dataclass(frozen=True)
class BatchMemoryRow:
    """Megabytes that all ``processes`` of a command hold together once about so many images are in
    parts.
    """

    engine: str
    images: int
    memory_mb: int
    processes: int


@dataclass(frozen=True)
class BatchMemoryBench:
    """One command an engine over one folder of ``images``, in ``workers`` processes."""

    rows: tuple[BatchMemoryRow, ...]
    images: int
    workers: int
    machine: str = ""


@dataclass(frozen=True)
class StartRow:
    """Seconds from nothing to ``what``, medians of ``n`` starts: by the clock and of processor
    time.
    """

    what: str
    wall_s: float
    cpu_s: float
    n: int


@dataclass(frozen=True)
class MemoryRow:
    """Megabytes a server holds after so many photos, and the most it held until then."""

    photos: int
    memory_mb: int
    peak_mb: int


@dataclass(frozen=True)
class StartBench:
    """Starts of everything, and one server's memory as it answers."""

    rows: tuple[StartRow, ...]
    memory: tuple[MemoryRow, ...]
    machine: str = ""


@dataclass(frozen=True, kw_only=True)
class TurnedRow:
    """Processor time of one thread for an image, by the search now and the one before; ratios: to
    that for an ordinary photograph.
    """

    scene: str
    before_ms: float
    now_ms: float
    before_ratio: float
    now_ratio: float


@dataclass(frozen=True)
class TurnedBench:
    """Images in which no sure upright face is, after an ordinary one."""

    rows: tuple[TurnedRow, ...]
    machine: str = ""


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """``bench.json``: each part is there once it was measured."""

    rows: tuple[ModelTiming, ...] = ()
    threads: int | None = None
    machine: str = ""
    peak_memory_mb: int | None = None
    errors: ErrorBench | None = None
    live: LiveBench | None = None
    batch: BatchBench | None = None
    batch_memory: BatchMemoryBench | None = None
    turned: TurnedBench | None = None
    start: StartBench | None = None


@dataclass(frozen=True)
class LivePathRow:
    """A video through its whole path in a browser. ``width``: in pixels, of the frames that came
    back. Frames a second: of the camera, shown when they came back, those of them that were new,
    and that the analyser took. Latencies: from camera to box, over ``read`` frames.
    ``server_cores``: processor seconds of the server a second.
    """

    what: str
    width: int
    camera_fps: float
    returned_fps: float
    new_fps: float
    analyser_fps: int
    latency_median_ms: int
    latency_p90_ms: int
    read: int
    server_cores: float


@dataclass(frozen=True)
class LivePathReport:
    """``live.json``: browser and server on one ``machine``."""

    rows: tuple[LivePathRow, ...]
    machine: str


@dataclass(frozen=True)
class PageTiming:
    """From a key or a click to what it shows, ``n`` times. ``server_ms`` and ``browser_ms``: the
    processor time of both until they rested, None where it was not counted.
    """

    what: str
    n: int
    median_ms: int
    most_ms: int
    server_ms: int | None = None
    browser_ms: int | None = None


@dataclass(frozen=True)
class ApiLoad:
    """``clients`` of the API together, ``pictures`` images in all. ``memory_mb_…``: of the server
    at the first answer, from a fifth on, halfway, at the last, and at most. ``mixed_up``: answers
    that were somebody else's.
    """

    clients: int
    pictures: int
    answered: int
    refused_and_asked_again: int
    mixed_up: tuple[Any, ...]
    errors: tuple[Any, ...]
    pictures_a_second: float
    median_s: float
    longest_s: float
    memory_mb_first: int
    memory_mb_settled: int
    memory_mb_halfway: int
    memory_mb_last: int
    memory_mb_most: int


@dataclass(frozen=True)
class BrowserLoad:
    """Browser ``sessions`` of the Streamlit app together; ``right``: saw their own answer."""

    sessions: int
    right: int
    seconds: float
    memory_mb_last: int


@dataclass(frozen=True)
class LoadReport:
    """``load.json``: the server under load."""

    machine: str
    api: ApiLoad
    browsers: BrowserLoad | None = None
    beside_a_hostile_client: dict[str, Any] | None = None


@dataclass(frozen=True)
class PagesReport:
    """``pages.json``: the pages in a browser."""

    rows: tuple[PageTiming, ...]
    machine: str

"""What is known about one frame of a video. Frozen, like everything that travels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from PIL import Image

from agegender_core.output.gender import too_close
from agegender_core.types import AgeEstimate, Analysis, Categorical, Face, Prediction, Timing


@dataclass(frozen=True, eq=False)
class Answer:
    """Many observations of one face in one answer.

    ``age``: ``interval`` is that of all observations together, wider where they are few or
    disagree; its ``coverage`` is None, because intervals over several observations were never
    calibrated. ``years`` and ``low``, ``high``: whole years to show; they do not change until the
    answer has moved by most of a year. ``undecided``: neither gender is probable enough to be
    named. ``observations``: how often the network ran.
    """

    age: AgeEstimate
    gender: Categorical | None
    race: Categorical | None
    years: int
    low: int | None
    high: int | None
    undecided: bool
    observations: int

    def settled(self) -> Answer:
        """The same with the whole years that ``age`` rounds to, and a gender named by the rule for
        a single image: for a frame that is shown for long.
        """
        low, high = (
            (None, None) if self.age.interval is None else (round(end) for end in self.age.interval)
        )
        undecided = self.gender is not None and too_close(self.gender.confidence)
        return replace(self, years=round(self.age.years), low=low, high=high, undecided=undecided)


@dataclass(frozen=True, eq=False)
class LiveTrack:
    """One face as it is in this frame.

    ``id``: never used twice by an analyser. ``number``: the lowest that is free, from 1, for people
    to read; the face keeps it while it is there. ``face``: box and landmarks in pixels of the
    frame, not mirrored. ``measured``: the detector found it in this very frame; otherwise it was
    followed. ``answer``: None until there was enough evidence. ``crop``: the last one the network
    saw. ``seconds``: how long it has been there.
    """

    id: int
    number: int
    face: Face
    measured: bool
    answer: Answer | None
    crop: Image.Image | None = field(repr=False)
    seconds: float = 0.0

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels of the frame."""
        return self.face.box_xyxy

    @property
    def age(self) -> AgeEstimate | None:
        """The smoothed age, or None while there is not enough evidence."""
        return None if self.answer is None else self.answer.age

    @property
    def gender(self) -> Categorical | None:
        """The smoothed gender, or None while there is not enough evidence or where the network
        knows none.
        """
        return None if self.answer is None else self.answer.gender

    def prediction(self, weights: str) -> Prediction | None:
        """The smoothed answer as an image's would be shown; None while there is none."""
        if self.answer is None or self.crop is None:
            return None
        return Prediction(
            self.face, self.answer.age, self.answer.gender, weights, self.crop, self.answer.race
        )


@dataclass(frozen=True)
class LiveTiming:
    """Wall-clock milliseconds of one frame; a step that was left out took none."""

    follow_ms: float
    detect_ms: float
    network_ms: float

    @property
    def total_ms(self) -> float:
        """Sum of the steps."""
        return self.follow_ms + self.detect_ms + self.network_ms


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame's answer: the RGB ``image`` all boxes refer to, its faces by number, and what it
    took.

    ``detected``: whether the detector ran on it. ``fps``: frames a second over the last two
    seconds; 0 for a first frame.
    ``detected_share``: share of the last two seconds' frames the detector ran on. An empty
    ``tracks`` is a normal answer.
    """

    image: Image.Image = field(repr=False)
    tracks: tuple[LiveTrack, ...]
    weights: str
    seconds: float
    timing: LiveTiming
    detected: bool
    fps: float = 0.0
    detected_share: float = 0.0

    def answered(self) -> list[LiveTrack]:
        """Faces with an answer, by number."""
        return [track for track in self.tracks if track.answer is not None]

    def settled(self) -> LiveFrame:
        """The same frame with the whole years that its faces' ages round to."""
        tracks = (
            replace(track, answer=None if track.answer is None else track.answer.settled())
            for track in self.tracks
        )
        return replace(self, tracks=tuple(tracks))

    def analysis(self) -> Analysis:
        """The faces with an answer, as an image's ``Analysis``, in the order of ``answered``."""
        predictions = [
            prediction
            for track in self.tracks
            if (prediction := track.prediction(self.weights)) is not None
        ]
        return Analysis(
            self.image,
            tuple(predictions),
            self.weights,
            Timing(self.timing.detect_ms, 0.0, self.timing.network_ms),
        )

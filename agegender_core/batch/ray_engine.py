"""The same job on Ray Data: on all cores of this machine, or of a cluster that ``RAY_ADDRESS``
names.

Each worker finds faces and asks the network itself, so only places of images and rows of answers
travel. On a cluster the package, the weights and the images must lie at the same paths on every
machine; parts are written by the process that was started.

A worker opens images in a process of its own, as the local engine does: an image that takes it down
twice becomes a failure with its name. Ray replaces a worker that dies for other reasons and has its
images done again, ``RETRIES`` times; keys see to it that none is written twice.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from agegender_core.batch.image_refs import Item
from agegender_core.batch.local_engine import Tick
from agegender_core.batch.part_writer import Job, Parts, tally_of
from agegender_core.batch.pipeline import Answerer, FinderRecipe
from agegender_core.batch.sources import Sources
from agegender_core.batch.worker_pool import Pool, in_order, usable_cores
from agegender_core.errors import AgeGenderError, ConfigError, DetectorError
from agegender_core.settings import PACKAGE, read_settings

BATCH = 8
"""Images a worker takes at once: with 16, two workers often ended far apart where images are large,
and small ones were answered no sooner.
"""
SLICE = 20_000
"""Images listed at once: Ray keeps the places of a whole dataset in memory."""
RETRIES = 3
"""Times that images are sent to another worker after theirs died."""
PINNED = "2.60.0"


def require_ray() -> None:
    """Raises ``ConfigError`` where Ray is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--engine ray needs Ray, which is not installed: pip install 'ray[data]=={PINNED}'"
        ) from error


class Worker:
    """Lives in a process of Ray: places of images in, rows as JSON out."""

    def __init__(self, recipe: FinderRecipe, job: Job) -> None:
        from agegender_core.inference.predictor import load_predictor

        self.pool = Pool(recipe, 1)
        self.answer = Answerer(load_predictor(job.weights, race=job.race, min_face=job.min_face))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """``batch``: a column ``item`` of items; gives the columns ``key`` and ``rows``."""
        items: list[Item] = list(batch["item"])
        answers = self.answer(list(in_order(items, self.pool)))
        return {
            "key": [key for key, _ in answers],
            "rows": [json.dumps(rows) for _, rows in answers],
        }


def run_ray(
    sources: Sources, parts: Parts, workers: int | None, tick: Tick, stop: Callable[[], bool]
) -> None:
    """Answer what is not yet in ``parts``, until it ends or ``stop`` returns true; what is finished
    by then is written.

    ``workers``: processes; all cores of the cluster by default. Raises ``DetectorError`` where
    Ray cannot go on.
    """
    import ray
    from ray.exceptions import RayError

    from agegender_core.inference.predictor import load_predictor

    spec = load_predictor(parts.job.weights, min_face=parts.job.min_face).info.input
    settings = read_settings()
    worker_arguments = (
        FinderRecipe(spec, parts.job.min_face, settings.image_limits, settings.max_faces),
        parts.job,
    )
    _start(workers)
    try:
        count = workers or int(ray.cluster_resources().get("CPU", 1))
        items = (item for item in sources.items() if item.key not in parts.done)
        while slice_ := list(itertools.islice(items, SLICE)):
            for key, rows in _answers(slice_, worker_arguments, count):
                parts.add(key, rows)
                tick(tally_of(rows))
                parts.write_if_full()
                if stop():
                    return
            if stop():
                return
    except RayError as error:
        raise DetectorError(_reason(error)) from error
    finally:
        parts.write()
        ray.shutdown()


def _reason(error: BaseException) -> str:
    """Our own error inside one of Ray's, else that workers died."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, AgeGenderError):
        inner = getattr(inner, "cause", None) or inner.__cause__
    if inner is not None:
        return str(inner)
    return (
        f"workers died {RETRIES + 1} times at the same images ({type(error).__name__}): try fewer,"
        " --workers 1, or --engine local"
    )


def _answers(
    items: list[Item], worker_arguments: tuple[FinderRecipe, Job], count: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Key and rows of each item, each once, in whatever order they are finished."""
    import ray.data

    blocks = max(count, -(-len(items) // BATCH))
    answered = ray.data.from_items(
        [{"item": item} for item in items], override_num_blocks=min(blocks, len(items))
    ).map_batches(
        Worker,
        fn_constructor_args=worker_arguments,
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=min(count, len(items))),
        num_cpus=1,
        max_task_retries=RETRIES,
    )
    seen: set[str] = set()
    for row in answered.iter_rows():
        if row["key"] not in seen:
            seen.add(row["key"])
            yield row["key"], json.loads(row["rows"])


def _start(workers: int | None) -> None:
    """Join the cluster of ``RAY_ADDRESS`` or start one here: no dashboard, nothing reported to
    anybody.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray's own choice is 15: beside any other work of the machine a job would stand almost still.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import logging

    import ray
    from ray.data import DataContext

    root = str(PACKAGE.parent)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}},
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if not os.environ.get("RAY_ADDRESS"):
        options |= {"num_cpus": workers or usable_cores(), "include_dashboard": False}
    ray.init(**options)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)

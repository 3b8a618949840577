"""The same job on Ray Data: on all cores of this machine, or of a cluster that ``RAY_ADDRESS`` names.

Each worker finds faces and asks the network itself, so only places of pictures and rows of answers travel. On a cluster the package, the
weights and the pictures must lie at the same paths on every machine; parts are written by the process that was started. Ray replaces a
worker that dies and has its pictures done again, however often; keys see to it that none is written twice.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agegender_core.batch.answering import Answerer, FinderRecipe
from agegender_core.batch.engine import Tick
from agegender_core.batch.loading import Item
from agegender_core.batch.parts import Job, Parts, tally_of
from agegender_core.batch.pool import usable_cores
from agegender_core.batch.sources import Sources
from agegender_core.errors import ConfigError, DetectorError
from agegender_core.settings import read_settings

BATCH = 16
"""Pictures a worker takes at once."""
SLICE = 20_000
"""Pictures listed at once: Ray keeps the places of a whole data set in memory."""
PINNED = "2.60.0"


def require_ray() -> None:
    """Raises ``ConfigError`` where Ray is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"--engine ray needs Ray, which is not installed: pip install 'ray[data]=={PINNED}'") from error


class Worker:
    """Lives in a process of Ray: places of pictures in, rows as JSON out."""

    def __init__(self, recipe: FinderRecipe, job: Job) -> None:
        from agegender_core.predictor import load_predictor

        self.find = recipe()
        self.answer = Answerer(load_predictor(job.weights, race=job.race, min_face=job.min_face))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """``batch``: a column ``item`` of items; gives the columns ``key`` and ``rows``."""
        items: list[Item] = list(batch["item"])
        answers = self.answer([(item, self.find(item)) for item in items])
        return {"key": [key for key, _ in answers], "rows": [json.dumps(rows) for _, rows in answers]}


def run_ray(sources: Sources, parts: Parts, workers: int | None, tick: Tick, stop: Callable[[], bool]) -> None:
    """Answer what is not yet in ``parts``, until it ends or ``stop`` says so; what is finished by then is written.

    ``workers``: processes; all cores of the cluster unless given. Raises ``DetectorError`` where Ray cannot go on.
    """
    import ray
    from ray.exceptions import RayError

    from agegender_core.predictor import load_predictor

    spec = load_predictor(parts.job.weights, min_face=parts.job.min_face).card.input
    worker_arguments = (FinderRecipe(spec, parts.job.min_face, read_settings().image_limits), parts.job)
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
        raise DetectorError(
            f"workers keep dying at the same pictures ({type(error).__name__}): try --engine local, it names them"
        ) from error
    finally:
        parts.write()
        ray.shutdown()


def _answers(items: list[Item], worker_arguments: tuple[FinderRecipe, Job], count: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Key and rows of each item, each once, in whatever order they are finished."""
    import ray.data

    blocks = max(count, -(-len(items) // BATCH))
    told = ray.data.from_items([{"item": item} for item in items], override_num_blocks=min(blocks, len(items))).map_batches(
        Worker,
        fn_constructor_args=worker_arguments,
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=min(count, len(items))),
        num_cpus=1,
    )
    seen: set[str] = set()
    for row in told.iter_rows():
        if row["key"] not in seen:
            seen.add(row["key"])
            yield row["key"], json.loads(row["rows"])


def _start(workers: int | None) -> None:
    """Join the cluster of ``RAY_ADDRESS`` or start one here: no dashboard, nothing reported to anybody."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import logging

    import ray
    from ray.data import DataContext

    root = str(Path(__file__).resolve().parents[2])
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

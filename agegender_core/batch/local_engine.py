"""The job on one machine: workers find faces, this process runs the network and writes the parts.

The network takes faces in the order of the images and stops at the end of each part, so its
batches, and with them the last digits of the answers, depend on neither the number of workers nor
on where a killed job was gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from agegender_core.batch.image_refs import Item
from agegender_core.batch.part_writer import Parts, Tally, tally_of
from agegender_core.batch.pipeline import Answerer, Outcome, batch_is_full
from agegender_core.batch.worker_pool import Pool, in_order

Tick = Callable[[Tally], None]
"""Called after each finished image."""


def run_local(
    items: Iterable[Item],
    parts: Parts,
    answerer: Answerer,
    pool: Pool,
    tick: Tick,
    stop: Callable[[], bool],
) -> None:
    """Answer ``items`` and write their rows, until they end or ``stop`` returns true; what is
    finished by then is written.

    Raises ``DetectorError`` where workers cannot start, ``ConfigError`` where parts cannot be
    written.
    """
    with ThreadPoolExecutor(1, "network") as executor:
        network = _Network(answerer, parts, tick, executor)
        for item, outcome in in_order(items, pool, stop):
            network.add(item, outcome)
        network.finish()
    parts.write()


@dataclass
class _Network:
    """Runs the network in a thread, one batch at a time, while the next one comes together."""

    answerer: Answerer
    parts: Parts
    tick: Tick
    executor: ThreadPoolExecutor
    gathered: list[tuple[Item, Outcome]] = field(default_factory=list)
    pending: Future | None = None

    def add(self, item: Item, outcome: Outcome) -> None:
        self.gathered.append((item, outcome))
        if self.pending is not None and self.pending.done():
            self._collect()
        if batch_is_full(self.gathered):
            self._ask()

    def finish(self) -> None:
        if self.gathered:
            self._ask()
        self._collect()

    def _ask(self) -> None:
        self._collect()
        batch, self.gathered = self.gathered, []
        self.pending = self.executor.submit(self.answerer, batch)

    def _collect(self) -> None:
        """Wait for the pending batch and put its rows away."""
        if self.pending is None:
            return
        for key, rows in self.pending.result():
            self.parts.add(key, rows)
            self.tick(tally_of(rows))
        self.pending = None
        self.parts.write_if_full()

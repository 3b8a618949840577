"""What a forked process must not inherit from a parent that has already estimated something.

Torch computes with OpenMP. Its worker threads are not there in a forked child, which waits for them
for ever as soon as it computes with more than one: ``analyze`` in the parent, then
``multiprocessing.Pool`` (which forks on Linux up to Python 3.13), and the pool never answers. So a
child computes with one thread, which is right for a pool of workers anyway. Locks that another
thread held while the process was forked would never be released in the child either: owners of such
a lock register here and make a new one.

Processes started by ``spawn`` or ``forkserver`` inherit nothing and may use as many threads as they
like.
"""

from __future__ import annotations

import os
import weakref
from functools import cache
from typing import Any, Protocol


class Renews(Protocol):
    """Something with state that a forked child makes again."""

    def renew_after_fork(self) -> None:
        """Forget locks and unfinished work of threads that are not there any more."""


_owners: weakref.WeakSet[Any] = weakref.WeakSet()
_parents_torch: list[bool] = []
"""True once this process is a child of one that had torch loaded by this package."""


@cache
def mind_forks() -> None:
    """From now on, children of this process compute with one thread and make their locks again.
    Called where torch is first used."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(after_in_child=_in_child)


def renewed_after_fork(owner: Renews) -> None:
    """Have a child call ``owner.renew_after_fork()`` before anything else; ``owner`` may still be
    collected."""
    _owners.add(owner)
    mind_forks()


def set_threads(count: int) -> None:
    """Torch's threads from now on, at least 1; in a forked child it stays at one."""
    import torch

    if not _parents_torch:
        torch.set_num_threads(count)


def _in_child() -> None:
    import sys

    for owner in list(_owners):
        owner.renew_after_fork()
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)
        _parents_torch.append(True)

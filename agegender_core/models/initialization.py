"""Weights before training, shared by the architectures: random ones and files of others."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from agegender_core.errors import WeightsCorruptError, WeightsMismatchError, WeightsMissingError


def glorot(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for one layer (Glorot and Bengio 2010); for
    ``nn.Module.apply``.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def read_pretrained(path: Path, remedy: str) -> dict[str, Tensor]:
    """Tensors of a .safetensors or .pth file by name. ``remedy``: what to do about a wrong file,
    for the error's message.

    Raises ``WeightsMissingError``, ``WeightsCorruptError`` or, where the file contains anything but
    tensors by name, ``WeightsMismatchError``.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise WeightsMissingError(f"ImageNet weights {path} are missing: {remedy}")
    try:
        tensors = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise WeightsCorruptError(
            f"{path} cannot be read as weights ({error}): {remedy}"
        ) from error
    if not isinstance(tensors, Mapping) or not all(
        isinstance(value, Tensor) for value in tensors.values()
    ):
        raise WeightsMismatchError(f"{path} contains no plain table of tensors: {remedy}")
    return dict(tensors)


def load_trunk(
    trunk: nn.Module, tensors: Mapping[str, Tensor], source: str, network: str, remedy: str
) -> None:
    """Put ``tensors`` into ``trunk``. ``source``, ``network`` and ``remedy`` are for the message of
    the ``WeightsMismatchError`` that is raised where they do not fit, before anything is copied.

    Old files have no batch counters; these stay what they are.
    """
    own = trunk.state_dict()
    missing = {name for name in set(own) - set(tensors) if not name.endswith("num_batches_tracked")}
    reshaped = {name for name in set(own) & set(tensors) if own[name].shape != tensors[name].shape}
    for problem, names in (
        ("lacks", sorted(missing)),
        ("has the surplus", sorted(set(tensors) - set(own))),
        ("has another shape of", sorted(reshaped)),
    ):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WeightsMismatchError(
                f"{source} does not fit {network}: it {problem} {names[0]}{others}; {remedy}"
            )
    trunk.load_state_dict({**own, **tensors})

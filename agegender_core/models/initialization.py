"""Weights before training, shared by the architectures."""

from __future__ import annotations

from torch import nn


def glorot(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for one layer (Glorot and Bengio 2010); for
    ``nn.Module.apply``.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""Architectures by name. A name stands for one class; registering it twice is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from agegender_core.errors import ConfigError


@dataclass(frozen=True)
class Architecture:
    """A registered network: its class, the paper it comes from and the parameter count that paper
    claims.
    """

    name: str
    build: Callable[..., nn.Module]
    paper: str
    paper_parameters: float


_ARCHITECTURES: dict[str, Architecture] = {}


def register(
    name: str, *, paper: str, paper_parameters: float
) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Class decorator that files an architecture under ``name``."""

    def decorate(cls: type[nn.Module]) -> type[nn.Module]:
        if name in _ARCHITECTURES:
            raise ValueError(f"architecture {name!r} is registered twice")
        _ARCHITECTURES[name] = Architecture(name, cls, paper, paper_parameters)
        return cls

    return decorate


def architectures() -> dict[str, Architecture]:
    """All registered architectures by name."""
    return dict(_ARCHITECTURES)


def create_model(name: str, heads: Mapping[str, int], **options: Any) -> nn.Module:
    """Build architecture ``name`` with untrained weights.

    ``heads``: output size by head. ``options``: the architecture's own arguments. Raises
    ``ConfigError`` for an unknown name or option.
    """
    if name not in _ARCHITECTURES:
        raise ConfigError(
            f"unknown architecture {name!r}; known: {', '.join(sorted(_ARCHITECTURES))}"
        )
    try:
        return _ARCHITECTURES[name].build(heads=dict(heads), **options)
    except TypeError as error:
        raise ConfigError(
            f"architecture {name!r} does not take these options {sorted(options)}: {error}"
        ) from error


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

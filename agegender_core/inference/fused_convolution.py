"""Convolutions that run with their activation in one call, on weights laid out beforehand.

torch's CPU convolutions are oneDNN's. Called as ``conv2d`` they lay out their weights again at each
call and leave the activation to a second pass over the values. The operator that torch's own
compiler uses takes weights that are laid out already and applies the activation to the values while
they are at hand: the same sums, in 0.6 of the time for one face (docs/network-speed.md). It has no
gradient and knows CPUs only. So the layers here stay what they were, with the same parameters, and
take the short way where no gradient is wanted; else they compute as any other layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agegender_core.models.same_convolution import SameConv2d, pad_same

MOST_BYTES = 64_000_000
"""Weights of a network that may be in memory twice: as parameters, and laid out for the CPU."""

ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
}
"""The operator's name and values of each. All are the same applied twice as applied once."""


def available() -> bool:
    """Whether this torch has the operator."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name)
        for name in ("_convolution_pointwise", "_reorder_convolution_weight")
    )


def short_way(x: Tensor) -> bool:
    """Whether ``x`` is on a CPU, in single precision, and no gradient is wanted."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()


class FusedConv2d(nn.Conv2d):
    """``convolution``, whose parameters it shares, followed by ``activation`` where no gradient is
    wanted; otherwise the convolution alone. A ``FusedActivation`` comes after it.
    """

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module | None) -> None:
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]  # torch annotates pairs as tuples
            convolution.stride,  # type: ignore[arg-type]
            convolution.padding,  # type: ignore[arg-type]
            convolution.dilation,  # type: ignore[arg-type]
            convolution.groups,
            convolution.bias is not None,
            device="meta",
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.train(convolution.training)
        self.pads_input = isinstance(convolution, SameConv2d) and convolution.pads_input
        self.kind, self.values = (
            ("none", []) if activation is None else ACTIVATIONS[type(activation)]
        )
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, H', W')."""
        if self.pads_input:
            x = pad_same(x, self)
        if not short_way(x):
            return self._conv_forward(x, self.weight, self.bias)
        packed = self._packed
        if packed is None:
            # Several threads may do this at once: each gets the same.
            packed = self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight.detach(), self.padding, self.stride, self.dilation, self.groups, None
            )
        return torch.ops.mkldnn._convolution_pointwise(
            x,
            packed,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            self.kind,
            self.values,
            "",
        )

    def _apply(self, *args: Any, **options: Any) -> FusedConv2d:
        self._packed = None  # the parameters are about to change their device or type
        super()._apply(*args, **options)
        return self

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        self._packed = None
        super()._load_from_state_dict(*args, **options)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and other processes get: laid out weights can neither be copied nor sent."""
        return self.__dict__ | {"_packed": None}


class FusedActivation(nn.Module):
    """``activation`` where a ``FusedConv2d`` before it has not applied it."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x if short_way(x) else self.activation(x)


def can_fuse(convolution: nn.Conv2d) -> bool:
    """Whether ``FusedConv2d`` computes what this layer does."""
    return type(convolution) in (nn.Conv2d, SameConv2d) and convolution.padding_mode == "zeros"

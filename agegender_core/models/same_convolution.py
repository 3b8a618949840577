"""TensorFlow's padding «same», which networks trained there need."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SameConv2d(nn.Conv2d):
    """A square convolution without bias whose output has ceil(side / stride) pixels; of an odd
    number of padded pixels the odd one lies at the right and the bottom.

    ``pads_input``: whether it pads by the size of its input; else it is a plain convolution.
    """

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(cin, cout, kernel, stride, padding, groups=groups, bias=False)
        self.pads_input = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H / stride, W / stride), rounded up."""
        return super().forward(pad_same(x, self) if self.pads_input else x)


def pad_same(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """(N, C, H, W) with the margins that ``convolution``, square and without padding of its own,
    takes for an output of ceil(side / stride) pixels.
    """
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    down, right = (
        max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]
    )
    return functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))

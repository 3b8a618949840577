"""MTCNN's networks as the cascade runs them: channels last, with pixels of 0 to 255, on numpy
arrays.

Weights are facenet-pytorch's. Subtracting 127.5 and dividing by 128 is folded into the first
convolutions, the softmax of two logits is the sigmoid of their difference, and P-Net's first PReLU
comes after the maximum of 2x2 values, on a quarter of them: with a slope from 0 on it is monotonic,
so that is the same; for a negative slope s it is max(x, s x), so one more channel contains s x, and
the larger of both maxima is the maximum of the PReLUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

if TYPE_CHECKING:
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet


def _channels_last(weight: Tensor) -> Tensor:
    return weight.detach().contiguous(memory_format=torch.channels_last)


def _normalised(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a first convolution for pixels of 0 to 255 instead of (pixel - 127.5) /
    128.
    """
    weight = conv.weight.detach().double() / 128
    assert conv.bias is not None
    bias = conv.bias.detach().double() - 127.5 * weight.sum(dim=(1, 2, 3))
    return _channels_last(weight.float()), bias.float()


class FirstNet:
    """P-Net over whole images."""

    def __init__(self, net: PNet) -> None:
        slopes = net.prelu1.weight.detach()
        # Channels with negative slopes first.
        order = torch.argsort((slopes >= 0).int(), stable=True)
        weight, bias = _normalised(net.conv1)
        weight, bias, self.slopes1 = weight[order], bias[order], slopes[order].contiguous()
        self.negative = int((slopes < 0).sum())
        down = self.slopes1[: self.negative]
        self.weight1 = _channels_last(
            torch.cat([weight, weight[: self.negative] * down[:, None, None, None]])
        )
        self.bias1 = torch.cat([bias, bias[: self.negative] * down])
        self.weight2, self.bias2 = (
            _channels_last(net.conv2.weight[:, order]),
            net.conv2.bias.detach(),
        )
        self.slopes2 = net.prelu2.weight.detach()
        self.weight3, self.bias3 = _channels_last(net.conv3.weight), net.conv3.bias.detach()
        self.slopes3 = net.prelu3.weight.detach()
        both = torch.cat([net.conv4_1.weight, net.conv4_2.weight]).detach()[:, :, 0, 0].double()
        biases = torch.cat([net.conv4_1.bias, net.conv4_2.bias]).detach().double()
        self.weight4 = torch.cat([(both[1] - both[0])[None], both[2:]]).float()
        self.bias4 = torch.cat([(biases[1] - biases[0])[None], biases[2:]]).float()

    def __call__(self, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """(N, H, W, 3) float32 pixels of 0 to 255 to each image's (h, w) scores and (h, w, 4)
        shifts.
        """
        hidden = conv2d(torch.from_numpy(images).permute(0, 3, 1, 2), self.weight1, self.bias1)
        hidden = _max2(hidden)
        count = len(self.slopes1)
        first = torch.prelu(hidden[:, :count], self.slopes1)
        first[:, : self.negative] = torch.maximum(first[:, : self.negative], hidden[:, count:])
        hidden = torch.prelu(conv2d(first, self.weight2, self.bias2), self.slopes2)
        hidden = torch.prelu(conv2d(hidden, self.weight3, self.bias3), self.slopes3)
        out = linear(hidden.permute(0, 2, 3, 1), self.weight4, self.bias4)
        scores = torch.sigmoid(out[..., 0])
        return list(zip(scores.numpy(), out[..., 1:].numpy(), strict=True))


def _max2(values: Tensor) -> Tensor:
    """Maxima of 2x2 squares, (N, C, H, W) channels last; what is left over at the end of an odd
    side counts by itself.
    """
    values = values.permute(0, 2, 3, 1)
    for axis in (1, 2):
        first, second = (
            values[:, start::2] if axis == 1 else values[:, :, start::2] for start in (0, 1)
        )
        length = second.shape[axis]
        out = torch.empty_like(first, memory_format=torch.contiguous_format)
        torch.maximum(first.narrow(axis, 0, length), second, out=out.narrow(axis, 0, length))
        if first.shape[axis] > length:
            out.select(axis, length).copy_(first.select(axis, length))
        values = out
    return values.permute(0, 3, 1, 2)


def _max3(values: Tensor) -> Tensor:
    """Maxima of 3x3 squares, two pixels apart, (N, C, H, W) channels last; squares at the end may
    be incomplete.
    """
    values = values.permute(0, 2, 3, 1)
    for axis in (1, 2):
        first, second, third = (
            values[:, start::2] if axis == 1 else values[:, :, start::2] for start in (0, 1, 2)
        )
        length = second.shape[axis]
        both = torch.maximum(first.narrow(axis, 0, length), second)
        rest = both.narrow(axis, 0, third.shape[axis])
        torch.maximum(rest, third, out=rest)
        values = both
    return values.permute(0, 3, 1, 2)


class LaterNet:
    """R-Net or O-Net over candidates of one size."""

    def __init__(self, net: RNet | ONet) -> None:
        self.first = (*_normalised(net.conv1), net.prelu1.weight.detach())
        convs = [
            (getattr(net, f"conv{n}"), getattr(net, f"prelu{n}"))
            for n in (2, 3, 4)
            if hasattr(net, f"conv{n}")
        ]
        self.convs = [
            (_channels_last(conv.weight), conv.bias.detach(), prelu.weight.detach())
            for conv, prelu in convs
        ]
        self.last = len(convs)
        number = len(convs) + 2
        dense, prelu = getattr(net, f"dense{number}"), getattr(net, f"prelu{number}")
        side = 3
        # Columns, rows, channels.
        weight = dense.weight.detach().view(len(dense.weight), side, side, -1)
        self.dense = (
            weight.transpose(1, 2).flatten(1).contiguous(),
            dense.bias.detach(),
            prelu.weight.detach(),
        )
        heads = [
            getattr(net, f"dense{number + 1}_{n}")
            for n in (1, 2, 3)
            if hasattr(net, f"dense{number + 1}_{n}")
        ]
        weight, bias = (
            torch.cat([head.weight.detach() for head in heads]),
            torch.cat([head.bias.detach() for head in heads]),
        )
        self.heads = (
            torch.cat([weight[1:2] - weight[:1], weight[2:]]),
            torch.cat([bias[1:2] - bias[:1], bias[2:]]),
        )

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """(N, S, S, 3) float32 pixels of 0 to 255 to (N, 5) scores and shifts, and of O-Net (N,
        15): ten places of landmarks, too.
        """
        weight, bias, slopes = self.first
        hidden = _max3(
            torch.prelu(conv2d(torch.from_numpy(crops).permute(0, 3, 1, 2), weight, bias), slopes)
        )
        for number, (weight, bias, slopes) in enumerate(self.convs):
            hidden = torch.prelu(conv2d(hidden, weight, bias), slopes)
            if number == 0:
                hidden = _max3(hidden)
            elif number == 1 and self.last == 3:
                hidden = _max2(hidden)
        weight, bias, slopes = self.dense
        out = linear(
            torch.prelu(linear(hidden.permute(0, 2, 3, 1).flatten(1), weight, bias), slopes),
            *self.heads,
        )
        out[:, 0].sigmoid_()
        return out.numpy()

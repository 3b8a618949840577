"""MTCNN's networks as the cascade runs them: channels last, with pixels of 0 to 255, on numpy
arrays.

Weights are facenet-pytorch's, read from its files: importing the package would import
torchvision, which takes longer than everything else a first answer needs. Subtracting 127.5 and
dividing by 128 is folded into the first convolutions, the softmax of two logits is the sigmoid of
their difference, and P-Net's first PReLU comes after the maximum of 2x2 values, on a quarter of
them: with a slope from 0 on it is monotonic, so that is the same; for a negative slope s it is
max(x, s x), so one more channel contains s x, and the larger of both maxima is the maximum of the
PReLUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear

from agegender_core.errors import DetectorError

Weights = Mapping[str, Tensor]
"""A network's tensors by facenet-pytorch's names."""


def load_weights() -> tuple[Weights, Weights, Weights]:
    """Tensors of P-Net, R-Net and O-Net from the files of the package facenet-pytorch. Raises
    ``DetectorError`` where they are not there or cannot be read.
    """
    package = find_spec("facenet_pytorch")
    if package is None or package.origin is None:
        raise DetectorError(
            "the face detector's weights are missing, they are in the package facenet-pytorch:"
            " pip install -r requirements.txt"
        )
    folder = Path(package.origin).parent / "data"
    try:
        first, second, third = (
            torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)
            for name in ("pnet", "rnet", "onet")
        )
    except Exception as error:  # torch raises half a dozen types
        raise DetectorError(
            f"the face detector's weights in {folder} cannot be read ({type(error).__name__}):"
            " pip install --force-reinstall --no-deps facenet-pytorch"
        ) from error
    return first, second, third


def _channels_last(weight: Tensor) -> Tensor:
    return weight.detach().contiguous(memory_format=torch.channels_last)


def _normalised(weights: Weights) -> tuple[Tensor, Tensor]:
    """Weight and bias of a first convolution for pixels of 0 to 255 instead of (pixel - 127.5) /
    128.
    """
    weight = weights["conv1.weight"].double() / 128
    bias = weights["conv1.bias"].double() - 127.5 * weight.sum(dim=(1, 2, 3))
    return _channels_last(weight.float()), bias.float()


class FirstNet:
    """P-Net over whole images."""

    def __init__(self, weights: Weights) -> None:
        slopes = weights["prelu1.weight"]
        # Channels with negative slopes first.
        order = torch.argsort((slopes >= 0).int(), stable=True)
        weight, bias = _normalised(weights)
        weight, bias, self.slopes1 = weight[order], bias[order], slopes[order].contiguous()
        self.negative = int((slopes < 0).sum())
        down = self.slopes1[: self.negative]
        self.weight1 = _channels_last(
            torch.cat([weight, weight[: self.negative] * down[:, None, None, None]])
        )
        self.bias1 = torch.cat([bias, bias[: self.negative] * down])
        self.weight2 = _channels_last(weights["conv2.weight"][:, order])
        self.bias2, self.slopes2 = weights["conv2.bias"], weights["prelu2.weight"]
        self.weight3 = _channels_last(weights["conv3.weight"])
        self.bias3, self.slopes3 = weights["conv3.bias"], weights["prelu3.weight"]
        heads = ("conv4_1", "conv4_2")
        both = torch.cat([weights[f"{head}.weight"] for head in heads])[:, :, 0, 0].double()
        biases = torch.cat([weights[f"{head}.bias"] for head in heads]).double()
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

    def __init__(self, weights: Weights) -> None:
        self.first = (*_normalised(weights), weights["prelu1.weight"])
        numbers = [n for n in (2, 3, 4) if f"conv{n}.weight" in weights]
        self.convs = [
            (
                _channels_last(weights[f"conv{n}.weight"]),
                weights[f"conv{n}.bias"],
                weights[f"prelu{n}.weight"],
            )
            for n in numbers
        ]
        self.last = len(numbers)
        number = len(numbers) + 2
        weight = weights[f"dense{number}.weight"]
        weight = weight.view(len(weight), 3, 3, -1)  # columns, rows, channels
        self.dense = (
            weight.transpose(1, 2).flatten(1).contiguous(),
            weights[f"dense{number}.bias"],
            weights[f"prelu{number}.weight"],
        )
        heads = [f"dense{number + 1}_{n}" for n in (1, 2, 3)]
        heads = [head for head in heads if f"{head}.weight" in weights]
        weight = torch.cat([weights[f"{head}.weight"] for head in heads])
        bias = torch.cat([weights[f"{head}.bias"] for head in heads])
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

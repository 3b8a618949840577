"""Random changes to a batch of wide crops, on whatever device they live on."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from agegender_core.training.config import BEST_QUALITY, AugmentConfig


def augment(
    wide: Tensor, size: int, view: float, config: AugmentConfig, generator: torch.Generator
) -> Tensor:
    """(N, 3, W, W) uint8 crops with border to (N, 3, ``size``, ``size``) float crops in [0, 255].

    ``view``: share of the wide crop's side that an unchanged crop shows, in (0, 1].
    """
    images = _geometry(wide.float(), size, view, config, generator)
    images = _colour(images, config, generator)
    if config.lowres_p:
        images = _lower_resolution(images, config.lowres_p, generator)
    if config.noise_p:
        images = _noise(images, config, generator)
    if config.jpeg_p:
        images = _compress(images.clamp_(0, 255), config, generator)
    if config.erase_p:
        images = _erase(images, config.erase_p, generator)
    return images.clamp_(0, 255)


def centre(wide: Tensor, size: int, view: float) -> Tensor:
    """The unchanged view of wide crops: (N, 3, W, W) uint8 to (N, 3, ``size``, ``size``) float in
    [0, 255].
    """
    inner = round(wide.shape[-1] * view)
    start = (wide.shape[-1] - inner) // 2
    images = wide[..., start : start + inner, start : start + inner].float()
    if inner == size:
        return images
    return functional.interpolate(
        images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )


def _uniform(count: int, spread: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator, device=like.device) * 2 - 1) * spread


def _chosen(count: int, p: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=like.device) < p


def _geometry(
    images: Tensor, size: int, view: float, config: AugmentConfig, generator: torch.Generator
) -> Tensor:
    count = len(images)
    moved = _chosen(count, config.affine_p, images, generator).float()
    angle = _uniform(count, math.radians(config.rotate), images, generator) * moved
    zoom = torch.exp(_uniform(count, math.log1p(config.scale), images, generator) * moved)
    mirror = torch.where(_chosen(count, config.flip_p, images, generator), -1.0, 1.0)
    shift = torch.stack(
        [_uniform(count, 2 * config.shift, images, generator) * moved for _ in range(2)], dim=1
    )  # (N, 2)
    shear = torch.tan(_uniform(count, math.radians(config.shear), images, generator)) * moved
    cos, sin = view * zoom * angle.cos(), view * zoom * angle.sin()
    rows = [
        torch.stack([cos * mirror, cos * shear - sin], dim=1),
        torch.stack([sin * mirror, sin * shear + cos], dim=1),
    ]
    theta = torch.cat([torch.stack(rows, dim=1), (view * shift)[:, :, None]], dim=2)  # (N, 2, 3)
    grid = functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bicubic", padding_mode="border", align_corners=False
    )


def _colour(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    count = len(images)
    grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(
        1, keepdim=True
    )  # (N, 1, H, W)
    saturation = 1 + _uniform(count, config.colour, images, generator)
    saturation = torch.where(
        _chosen(count, config.grey_p, images, generator), 0.0, saturation
    ).view(-1, 1, 1, 1)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    contrast = (1 + _uniform(count, config.contrast, images, generator)).view(-1, 1, 1, 1)
    brightness = (
        config.brightness_middle + _uniform(count, config.brightness, images, generator)
    ).view(-1, 1, 1, 1)
    images = torch.lerp(grey.expand_as(images), images, saturation)
    return ((images - mean) * contrast + mean) * brightness


def _lower_resolution(images: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Some faces shrunk and blown up again, as a small face in a big photo is."""
    chosen = _chosen(len(images), p, images, generator).nonzero().flatten()
    if len(chosen):
        side = int(torch.randint(18, 48, (1,), generator=generator, device=images.device))
        small = functional.interpolate(
            images[chosen], size=(side, side), mode="bilinear", antialias=True
        )
        images[chosen] = functional.interpolate(small, size=images.shape[-2:], mode="bicubic")
    return images


def _noise(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Some faces with the noise of a dark room or the grain of a film: grey or coloured, as fine as
    the pixels or twice as coarse.
    """
    chosen = _chosen(len(images), config.noise_p, images, generator).nonzero().flatten()
    if not len(chosen):
        return images
    _, channels, height, width = images.shape
    shape = (len(chosen), channels, height, width)
    fine = torch.randn(shape, generator=generator, device=images.device)
    coarse = functional.interpolate(
        fine[..., : (height + 1) // 2, : (width + 1) // 2], size=(height, width), mode="nearest"
    )
    coins = torch.rand(2, len(chosen), 1, 1, 1, generator=generator, device=images.device) < 0.5
    noise = torch.where(coins[0], fine, coarse)
    noise = torch.where(coins[1], noise, noise[:, :1].expand_as(noise))
    deviation = torch.rand(len(chosen), generator=generator, device=images.device) * config.noise
    images[chosen] += deviation.view(-1, 1, 1, 1) * noise
    return images


def _compress(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Some faces as JPEG leaves them, of a quality from ``jpeg_quality`` to ``BEST_QUALITY``.
    (N, 3, H, W) in [0, 255].
    """
    chosen = _chosen(len(images), config.jpeg_p, images, generator).nonzero().flatten()
    span = torch.rand(len(chosen), generator=generator, device=images.device)
    qualities = config.jpeg_quality + (BEST_QUALITY - config.jpeg_quality) * span
    for index, quality in zip(chosen.tolist(), qualities.tolist(), strict=True):
        pixels = images[index].round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=round(quality))
        seen = torch.from_numpy(np.array(Image.open(buffer)))
        images[index] = seen.permute(2, 0, 1).to(images)
    return images


def _erase(images: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """A grey square over part of some faces, as a hand or a hat is."""
    count, _, height, width = images.shape
    side = (0.15 + 0.2 * torch.rand(count, generator=generator, device=images.device)) * width
    side = side * _chosen(count, p, images, generator)
    x, y = (torch.rand(2, count, generator=generator, device=images.device) * width)[
        ..., None, None
    ]
    columns = torch.arange(width, device=images.device).view(1, 1, width)
    rows = torch.arange(height, device=images.device).view(1, height, 1)
    half = side.view(-1, 1, 1) / 2
    covered = ((columns - x).abs() < half) & ((rows - y).abs() < half)  # (N, H, W)
    return torch.where(covered[:, None], 127.0, images)

"""Grids of sample images through training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from anokit.data.feed import Feed
from anokit.data.pixels import to_float, to_uint8
from anokit.store.files import replacing
from anokit.training.backbone import GuardedBackbone
from anokit.training.device import generator

COUNT = 16


def sample_images(backbone: GuardedBackbone, feed: Feed, count: int = COUNT) -> Tensor | None:
    """Return images that show how far the backbone has come: ``[count, C, H, W]`` in [-1, 1].

    Generated ones where it generates, always from the same latents; else reconstructions of the
    same training images; None where it does neither. The state of training is not touched.
    """
    with backbone.evaluating():
        images = backbone.samples(count, generator(feed.device, "samples"))
        if images is not None or not backbone.fills("image_hat"):
            return images
        rows = np.arange(min(count, len(feed)))
        inputs = to_float(feed.images.read(rows).to(feed.device))
        return backbone.round_trip(inputs, frozenset({"image_hat"})).image_hat


def sample_variety(backbone: GuardedBackbone, feed: Feed, count: int = 64) -> float | None:
    """Return how much sample images vary, as a share of how much training images do.

    The measure is the standard deviation over images, averaged over pixels. None where there are no
    samples, or the training images do not vary.
    """
    images = sample_images(backbone, feed, count)
    if images is None or len(images) < 2:
        return None
    rows = feed.indices(0, min(count, len(feed)))
    real = to_float(feed.images.read(rows)).std(dim=0).mean()
    return float(images.std(dim=0).mean().cpu() / real) if real > 0 else None


def save_grid(images: Tensor, path: Path) -> None:
    """Write images ``[N, C, H, W]`` in [-1, 1] as one PNG grid, small images enlarged."""
    pixels = to_uint8(images).cpu().numpy()
    count, channels, height, width = pixels.shape
    if channels not in (1, 3):
        pixels = pixels[:, :1] if channels == 2 else pixels[:, :3]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    scale = max(1, 64 // max(height, width))
    canvas = np.full(
        (rows * (height + 1) - 1, columns * (width + 1) - 1, pixels.shape[1]), 255, np.uint8
    )
    for place, picture in enumerate(pixels):
        top, left = (place // columns) * (height + 1), (place % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = picture.transpose(1, 2, 0)
    image = Image.fromarray(canvas[..., 0] if canvas.shape[-1] == 1 else canvas)
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    with replacing(path) as new:
        image.save(new, format="PNG")

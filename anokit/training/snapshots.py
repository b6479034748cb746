"""Grids of sample images through training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from anokit.data.feed import Feed
from anokit.data.pixels import to_float, to_uint8
from anokit.store.files import make_folder, replacing
from anokit.training.backbone import GuardedBackbone
from anokit.training.device import generator
from anokit.training.job import Job
from anokit.types import Phase

COUNT = 16

LITTLE_VARIETY = 1 / 3
"""Spread of generated images, relative to that of training images, below which a run is warned."""


class Snapshots:
    """The grids of sample images that a run's directory gets while it trains.

    ``total``: images that the whole training shows.
    """

    def __init__(self, job: Job, feed: Feed, total: int) -> None:
        self.job = job
        self.feed = feed
        self.wanted = job.recipe.training.snapshots
        self.every = max(total / self.wanted, 1) if self.wanted else math.inf

    def take(self, phase: Phase, shown: int, *, last: bool) -> None:
        """Save a grid after ``shown`` images where one is due, or it is the ``last`` of a phase."""
        due = int(shown / self.every) > int((shown - phase.batch_size) / self.every)
        if not self.wanted or not (due or last):
            return
        images = sample_images(self.job.backbone, self.feed)
        if images is not None:
            name = f"{shown:09d}_{phase.name.replace(' ', '-')}.png"
            save_grid(images, self.job.directory.samples / name)


def little_variety(backbone: GuardedBackbone, feed: Feed) -> str:
    """Return a warning where finished samples vary much less than training images, or nothing."""
    variety = sample_variety(backbone, feed)
    if variety is None or variety >= LITTLE_VARIETY:
        return ""
    return (
        f"generated images vary only {100 * variety:.2g} % as much as training images: the "
        "generator has learnt little more than their mean, or has collapsed. Look at the "
        "samples; a longer schedule, smaller batches or another seed may help"
    )


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
    make_folder(path.parent)
    with replacing(path) as new:
        image.save(new, format="PNG")

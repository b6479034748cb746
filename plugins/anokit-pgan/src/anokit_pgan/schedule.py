"""Growth plan of a progressive GAN: which resolution is trained on how many images. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FIRST_RESOLUTION", "GROWTH_SHARE", "Stage", "batch_size_at", "growth_plan"]

FIRST_RESOLUTION = 4
"""Height and width at which training begins, in pixels."""

GROWTH_SHARE = 0.912
"""Share of all images that the phases before the last may take together.

The published runs spend 3.6 of 3.95 million images (0.91197) on growing to 32 pixels, and 4.8 of
5.27 million (0.91121) on growing to 64.
"""


@dataclass(frozen=True)
class Stage:
    """One phase of growth."""

    name: str
    """``"8"``, or ``"fade 8"`` while the block for 8×8 pixels is being blended in"""
    resolution: int
    """height and width of the images, in pixels"""
    fading: bool
    images: int
    """training images to show"""
    batch_size: int
    done: int
    """optimiser steps in the stages before this one"""


def growth_plan(
    size: int,
    images: int,
    phase_images: int,
    batch_sizes: Mapping[int, int],
) -> tuple[Stage, ...]:
    """Return the stages that grow the networks from 4×4 to ``size × size`` pixels.

    Every resolution above the first is faded in and then trained as it is. Each stage before the
    last shows ``min(phase_images, ⌊0.912·images / (number of stages − 1)⌋)`` images, at least one,
    and the last shows the rest, at least one.

    Parameters
    ----------
    size
        Final height and width in pixels: a power of two, at least 8.
    images
        Images to show in all.
    phase_images
        Most images of a stage before the last.
    batch_sizes
        Images per step by resolution; read by `batch_size_at`.
    """
    steps: list[tuple[int, bool]] = [(FIRST_RESOLUTION, False)]
    while (resolution := 2 * steps[-1][0]) <= size:
        steps += [(resolution, True), (resolution, False)]
    growing = len(steps) - 1
    each = max(1, min(phase_images, int(GROWTH_SHARE * images / growing)))
    last = max(1, images - growing * each)
    plan: list[Stage] = []
    done = 0
    for place, (resolution, fading) in enumerate(steps):
        stage = Stage(
            name=f"fade {resolution}" if fading else str(resolution),
            resolution=resolution,
            fading=fading,
            images=each if place < growing else last,
            batch_size=batch_size_at(resolution, batch_sizes),
            done=done,
        )
        plan.append(stage)
        done += math.ceil(stage.images / stage.batch_size)
    return tuple(plan)


def batch_size_at(resolution: int, batch_sizes: Mapping[int, int]) -> int:
    """Return the entry for ``resolution``, or that of the nearest smaller resolution listed.

    A resolution below all that are listed takes the smallest's.
    """
    listed = [known for known in batch_sizes if known <= resolution]
    return batch_sizes[max(listed) if listed else min(batch_sizes)]

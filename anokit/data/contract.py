"""What a dataset owes: looked at on a few samples of each split whenever its data are read.

The conformance kit checks the same, by the same functions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from anokit.registry.blame import PluginFault, place_of, who
from anokit.registry.entries import Entry
from anokit.types import DatasetSource, ImageSpec, ImageSplit, Sample

LOOKED_AT = 8
"""Samples of each split that are looked at when a run reads it."""

BLOCK = 1024
"""Images that are looked at together."""

Items = list[tuple[int, Sample]]
"""Samples with their places in a split."""


def hold_to_contract(entry: Entry, source: DatasetSource) -> None:
    """Raise `PluginFault` where samples of a dataset are not what a dataset promises."""
    for name in ("train", "contaminants", "test"):
        split: ImageSplit | None = getattr(source, name)
        if split is None or not len(split):
            continue
        items = items_of(split, LOOKED_AT)
        for fault in (
            *image_faults(source.spec, name, items, split),
            *label_faults(name, items),
            *repeat_faults(name, split, items),
        ):
            where = place_of(split.__getitem__)
            raise PluginFault(
                f"{who(entry)} breaks its contract: {fault}{f' ({where})' if where else ''}"
            )


def items_of(split: ImageSplit, most: int) -> Items:
    """Return at most so many samples of a split, spread over it."""
    count = len(split)
    places = sorted({int(i) for i in np.linspace(0, count - 1, min(count, most))})
    return [(place, split[place]) for place in places]


def image_faults(spec: ImageSpec, name: str, items: Items, split: ImageSplit) -> Iterator[str]:
    """Yield what is wrong with images: uint8 ``[C, H, W]`` of the spec, 0 to 255.

    Where all samples that are looked at are black, so must be all images of the split: most of a
    sky is black too. What is scored is taken as it comes, were it a camera with its lid on.
    """
    brightest = 0
    for index, sample in items:
        image, what = sample.image, f"{name}[{index}].image ({sample.id})"
        if not isinstance(image, Tensor):
            yield f"{what} is a {type(image).__name__}, not a tensor"
            return
        if image.dtype != torch.uint8:
            yield f"{what} is {image.dtype}, expected uint8 from 0 to 255"
            return
        if tuple(image.shape) != (spec.channels, spec.height, spec.width):
            yield f"{what} is {list(image.shape)}, the spec says {spec}"
            return
        brightest = max(brightest, int(image.max()))
    bulk = getattr(split, "images", None)
    if bulk is not None and brightest <= 1:
        blocks = (bulk[start : start + BLOCK] for start in range(0, len(bulk), BLOCK))
        brightest = max((int(block.max()) for block in blocks), default=0)
    if items and brightest <= 1 and name != "test":
        yield f"{name}: no pixel is above 1; scaled to [0, 1]?"


def label_faults(name: str, items: Items) -> Iterator[str]:
    """Yield what is wrong with labels and masks, which are in the test set alone."""
    for index, sample in items:
        if name != "test":
            if sample.label is not None or sample.mask is not None:
                yield f"{name}[{index}] has a label or a mask; training is unlabelled"
            continue
        if sample.label not in (0, 1, None):
            yield f"test[{index}].label is {sample.label!r}, expected 0, 1 or None"
        if sample.mask is not None:
            size = tuple(sample.image.shape[1:])
            if sample.mask.dtype != torch.bool or tuple(sample.mask.shape) != size:
                yield f"test[{index}].mask: expected bool {list(size)}"


def repeat_faults(name: str, split: ImageSplit, items: Items) -> Iterator[str]:
    """Yield where an index gives another sample when it is asked for again, or in bulk."""
    bulk = getattr(split, "images", None)
    for index, sample in items:
        again = split[index]
        if not torch.equal(sample.image, again.image) or sample.id != again.id:
            yield (
                f"{name}[{index}] is another sample when it is asked for again; nothing may be "
                "drawn at random where samples are read"
            )
        if bulk is not None and not torch.equal(
            torch.as_tensor(np.array(bulk[index])), sample.image
        ):
            yield f"{name}.images[{index}] is another image than {name}[{index}]"

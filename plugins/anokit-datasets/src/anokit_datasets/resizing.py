"""Resizing of uint8 images: stretch, crop and pad, and the masks that go with them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

Resize = Literal["stretch", "crop", "pad"]
UInt8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def bilinear(images: UInt8, height: int, width: int) -> UInt8:
    """Resize ``[N, C, h, w] -> [N, C, height, width]``, bilinear, antialiased when shrinking."""
    if images.shape[-2:] == (height, width):
        return images
    result = np.empty((*images.shape[:2], height, width), np.uint8)
    # In pieces, since the work is done in float32: four times the size.
    for start in range(0, len(images), 1024):
        piece = torch.from_numpy(np.ascontiguousarray(images[start : start + 1024])).float()
        piece = functional.interpolate(
            piece, size=(height, width), mode="bilinear", align_corners=False, antialias=True
        )
        result[start : start + 1024] = piece.round_().clamp_(0, 255).byte().numpy()
    return result


def box(images: UInt8, size: int) -> UInt8:
    """Shrink ``[N, C, h, h] -> [N, C, size, size]`` to means of whole blocks; size divides h."""
    count, channels, side, _ = images.shape
    block = side // size
    blocks = images.reshape(count, channels, size, block, size, block)
    return np.rint(blocks.mean(axis=(3, 5), dtype=np.float32)).astype(np.uint8)


def fit(image: UInt8, size: int, mode: Resize) -> UInt8:
    """Bring one image ``[C, h, w]`` to ``[C, size, size]``.

    ``stretch`` ignores the aspect ratio; ``crop`` scales the shorter side to ``size`` and keeps the
    centre; ``pad`` scales the longer side to ``size`` and repeats the edges, which puts no border
    into the picture that a model could take for an anomaly.
    """
    height, width = scaled(image.shape[-2], image.shape[-1], size, mode)
    return place(bilinear(image[None], height, width)[0], size, fill="edge")


def fit_mask(mask: Mask, size: int, mode: Resize) -> Mask:
    """Bring a mask ``[h, w]`` to ``[size, size]`` as `fit` does; nearest, padded by False."""
    height, width = scaled(mask.shape[0], mask.shape[1], size, mode)
    rows = nearest_index(mask.shape[0], height)
    columns = nearest_index(mask.shape[1], width)
    return place(mask[np.ix_(rows, columns)][None], size, fill="constant")[0]


def scaled(height: int, width: int, size: int, mode: Resize) -> tuple[int, int]:
    """Return height and width after scaling, before cropping or padding to ``size``."""
    if mode == "stretch":
        return size, size
    side = min(height, width) if mode == "crop" else max(height, width)
    return max(round(height * size / side), 1), max(round(width * size / side), 1)


def nearest_index(old: int, new: int) -> npt.NDArray[np.int64]:
    """Return for each of ``new`` pixels the index of the one of ``old`` that holds its centre."""
    return np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)


def place(image: npt.NDArray, size: int, fill: Literal["edge", "constant"]) -> npt.NDArray:
    """Crop or pad ``[C, h, w]`` about its centre to ``[C, size, size]``."""
    for axis in (1, 2):
        surplus = image.shape[axis] - size
        if surplus > 0:
            image = image.take(range(surplus // 2, surplus // 2 + size), axis=axis)
        elif surplus < 0:
            widths = [(0, 0)] * 3
            widths[axis] = (-surplus // 2, -surplus - (-surplus // 2))
            image = np.pad(image, widths, mode=fill)
    return image

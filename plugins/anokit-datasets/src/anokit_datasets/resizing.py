"""Resizing of uint8 images: stretch, crop and pad, and the masks that go with them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

Resize = Literal["stretch", "crop", "pad"]
UInt8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels"""


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


def to_planes(image: UInt8) -> list[Image.Image]:
    """Return ``[C, h, w]`` as Pillow's images: one of colour, or one for each channel."""
    if len(image) == 3:
        return [Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))]
    # One by one, since Pillow would multiply the colours by alpha.
    return [Image.fromarray(np.ascontiguousarray(channel)) for channel in image]


def resize(planes: list[Image.Image], height: int, width: int, box: Box | None = None) -> UInt8:
    """Resize what lies in ``box`` (None: all) to ``[C, height, width]``.

    Bilinear, antialiased when shrinking: the same as `bilinear` up to one grey level, by which the
    rounding between rows and columns may differ, and several times faster.
    """
    if box is not None:
        left, top, right, bottom = box
        # Rounding may take a box beyond the image by a hair, which Pillow refuses.
        box = (left, top, min(right, planes[0].width), min(bottom, planes[0].height))
    done = [np.asarray(p.resize((width, height), Image.Resampling.BILINEAR, box)) for p in planes]
    return done[0].transpose(2, 0, 1) if done[0].ndim == 3 else np.stack(done)


def fit(
    image: UInt8,
    size: int,
    mode: Resize,
    of: tuple[int, int] | None = None,
    window: Box | None = None,
) -> UInt8:
    """Bring one image ``[C, h, w]`` to ``[C, size, size]``.

    ``stretch`` ignores the aspect ratio; ``crop`` scales the shorter side to ``size`` and keeps the
    centre; ``pad`` scales the longer side to ``size`` and repeats the edges, which puts no border
    into the picture that a model could take for an anomaly. Where ``image`` is smaller than its
    file, ``of`` is height and width there and ``window`` what of ``image`` is picture.
    """
    rows, columns = of or (image.shape[1], image.shape[2])
    height, width = scaled(rows, columns, size, mode)
    return place(resize(to_planes(image), height, width, window), size, fill="edge")


def view(height: int, width: int, size: int, mode: Resize) -> Box:
    """Return the box of a file of ``height`` and ``width`` that `fit` shows, in its pixels.

    With ``pad`` it reaches beyond the file.
    """
    sides = []
    for length, new in zip((width, height), scaled(height, width, size, mode)[::-1], strict=True):
        start = (new - size) // 2 if new > size else -((size - new) // 2)
        sides.append((start * length / new, (start + size) * length / new))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


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

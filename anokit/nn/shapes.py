"""Shape checks with one wording each, for the boundaries between components."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from anokit.errors import DataError
from anokit.types import ImageSpec

__all__ = ["assert_shape", "check_images", "check_square"]


def assert_shape(tensor: Tensor, expected: Sequence[int | None], name: str = "tensor") -> None:
    """Raise ``ValueError`` unless ``tensor`` has the expected shape.

    Parameters
    ----------
    tensor
        What was handed over.
    expected
        One entry per dimension; None stands for any size: ``(None, 3, 32, 32)``.
    name
        What the message calls the tensor.

    Raises
    ------
    ValueError
        Saying what was expected and what was got.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import assert_shape
    >>> assert_shape(torch.zeros(2, 3, 32, 32), (None, 3, 64, 64), "images")
    Traceback (most recent call last):
        ...
    ValueError: images: expected shape [any, 3, 64, 64], got [2, 3, 32, 32]
    """
    got = tuple(tensor.shape)
    fits = len(got) == len(expected) and all(
        want in (None, size) for want, size in zip(expected, got, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in expected)
        raise ValueError(f"{name}: expected shape [{wanted}], got {list(got)}")


def check_square(spec: ImageSpec, backbone: str, least: int) -> int:
    """Return the side of a dataset's images, which a network halves down to a few pixels.

    Parameters
    ----------
    spec
        Shape of the images.
    backbone
        What the message calls the backbone.
    least
        Smallest side in pixels, a power of two.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least ``least``; the
        text says which size to set.

    Examples
    --------
    >>> from anokit import ImageSpec
    >>> from anokit.nn import check_square
    >>> check_square(ImageSpec(3, 64, 64), "mine", least=32)
    64
    >>> check_square(ImageSpec(3, 60, 80), "mine", least=32)
    Traceback (most recent call last):
        ...
    anokit.errors.DataError: backbone 'mine' takes square images ... set [dataset] size = 64
    """
    side = spec.height
    if spec.width == side and side >= least and side & (side - 1) == 0:
        return side
    size = max(least, 2 ** round(math.log2(max(spec.height, spec.width))))
    raise DataError(
        f"backbone '{backbone}' takes square images whose side is a power of two of at least "
        f"{least}: got {spec} (channels×height×width); set [dataset] size = {size}"
    )


def check_images(images: Tensor, spec: ImageSpec, backbone: str) -> None:
    """Check that a batch ``[B, C, H, W]`` is of the images that a backbone was built for.

    Raises
    ------
    DataError
        Where it is not.

    Examples
    --------
    >>> import torch
    >>> from anokit import ImageSpec
    >>> from anokit.nn import check_images
    >>> check_images(torch.zeros(2, 3, 64, 64), ImageSpec(3, 64, 64), "mine")
    """
    if tuple(images.shape[1:]) != (spec.channels, spec.height, spec.width):
        raise DataError(
            f"backbone '{backbone}' was built for images {spec}, got a batch "
            f"{list(images.shape)}: score images of the size of the training images"
        )

"""Round trips of which only the fields asked for are computed, each at most once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from anokit.errors import DataError
from anokit.types import RoundTrip

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.types import ImageSpec

Source = tuple["Callable[[Tensor], Tensor]", str]
"""How a field is computed, and from which other one."""


def fill(known: dict[str, Tensor], sources: dict[str, Source], needs: frozenset[str]) -> RoundTrip:
    """Return a trip with the fields in ``needs``, computed from ``known`` by their sources."""

    def value(name: str) -> Tensor:
        if name not in known:
            compute, source = sources[name]
            known[name] = compute(value(source))
        return known[name]

    # float32 whatever the arithmetic: losses and scores compare these fields.
    return RoundTrip(**{name: value(name).float() for name in sorted(needs)}, extra={})


def opinions(
    features: Callable[[Tensor], Tensor], judge: Callable[[Tensor], Tensor]
) -> dict[str, Source]:
    """Return the sources of a discriminator's fields; features and critic share a pass.

    ``features`` maps ``[B, C, H, W] -> [B, F]``, ``judge`` those on to ``[B]``.
    """
    return {
        "features": (features, "image"),
        "features_hat": (features, "image_hat"),
        "critic": (judge, "features"),
        "critic_hat": (judge, "features_hat"),
    }


def check_size(spec: ImageSpec, backbone: str) -> int:
    """Return the side of the images, a power of two of at least 32.

    Raises
    ------
    DataError
        Where images are of another shape; the text says which size to set.
    """
    side = spec.height
    if spec.width == side and side >= 32 and side & (side - 1) == 0:
        return side
    longer = max(spec.height, spec.width)
    size = max(32, 2 ** (longer.bit_length() - 1))
    raise DataError(
        f"backbone '{backbone}' takes square images whose side is a power of two of at least 32: "
        f"got {spec} (channels×height×width); set [dataset] size = {size}"
    )


def check_images(images: Tensor, spec: ImageSpec, backbone: str) -> None:
    """Check that images are those that a backbone was built for.

    Raises
    ------
    DataError
        Where they are not.
    """
    if tuple(images.shape[1:]) != (spec.channels, spec.height, spec.width):
        raise DataError(
            f"backbone '{backbone}' was built for images {spec}, got a batch "
            f"{list(images.shape)}: score images of the size of the training images"
        )

"""The trivial rival of every norm: how little contrast the image itself has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anokit.nn import image_contrast, image_gradient
from anokit_scores.tensors import norms, read

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_scores.plugin import PixelContrastOptions


class PixelContrast:
    """Minus a statistic of the image x ``[C, H, W]`` in [-1, 1], which no network enters.

    - ``gradient``: √(mean dx² + mean dy²), differences of neighbouring pixels;
    - ``std``: the standard deviation over all values;
    - ``range``: largest minus smallest value;
    - ``norm``: √(Σ x²).

    An encoder without biases is homogeneous, E(kx) = k·E(x), so ``lo`` may be no more than this.
    """

    def __init__(self, options: PixelContrastOptions) -> None:
        self.statistic = options.statistic

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return minus the statistic: ``[B, C, H, W] -> [B]``, ≤ 0."""
        (image,) = read(trip, "pixel-contrast", "image")
        if self.statistic == "gradient":
            return -image_gradient(image).float()
        if self.statistic == "std":
            return -image_contrast(image).float()
        if self.statistic == "range":
            return image.flatten(1).amin(dim=1) - image.flatten(1).amax(dim=1)
        return -norms(image)

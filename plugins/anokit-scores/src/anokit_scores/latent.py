"""Lo: the length of an encoding as a sign of anomaly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from anokit_scores.tensors import norms, read

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip


class LatentNorm:
    """Lo = −‖ẑ‖₂ / √Nz: anomalies are expected to have short encodings.

    Never positive. That normal encodings are the longer ones is a property of the data, not a law:
    ``norm-typicality`` reads the same cue in both directions.

    Source: Berg et al., equation 4.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return Lo: ``[B, Z] -> [B]``, ≤ 0."""
        (latent,) = read(trip, "lo", "latent")
        return -norms(latent) / math.sqrt(latent.shape[1])

"""What passes between the core and components: images, round trips, phases and the four protocols.

Images are ``uint8`` ``[C, H, W]`` at rest and ``float32`` ``[B, C, H, W]`` in [-1, 1] in networks.
These modules import torch for the type checker alone.
"""

from anokit.types.images import DatasetSource, ImageSpec, ImageSplit, Pieces, Sample
from anokit.types.models import (
    Batch,
    EpochEnd,
    ImageBatches,
    Phase,
    RoundTrip,
    WeightedLoss,
    layout_of,
)
from anokit.types.protocols import Backbone, EncoderLoss, FittedScore, MappedScore, Score

__all__ = [
    "Backbone",
    "Batch",
    "DatasetSource",
    "EncoderLoss",
    "EpochEnd",
    "FittedScore",
    "ImageBatches",
    "ImageSpec",
    "ImageSplit",
    "MappedScore",
    "Phase",
    "Pieces",
    "RoundTrip",
    "Sample",
    "Score",
    "WeightedLoss",
    "layout_of",
]

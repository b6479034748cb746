"""Image sets for authors of datasets."""

from anokit.data.arrays import ArraySplit, seeded_order

__all__ = ["ArraySplit", "seeded_order"]

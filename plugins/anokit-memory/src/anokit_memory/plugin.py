"""The scores that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from anokit.plugin import Component, FittedOptions, Options, hookimpl
from anokit_memory.fields import map_needs, needs
from anokit_memory.neighbour_components import METRIC, Metric, Neighbours, neighbour_components


class KNNOptions(FittedOptions):
    """Options of ``knn``."""

    k: Neighbours = Field(
        default=5,
        description="Nearest training vectors whose distances are averaged: a number ≥ 1, or a "
        "share of all, in (0, 1), of which at least 5 are taken; all where there are fewer.",
    )
    metric: Metric = Field(default="cosine", description=f"Distance: {METRIC}")


class PixelKNNOptions(KNNOptions):
    """Options of ``pixel-knn``: those of ``knn`` on raw images."""

    on: Literal["image"] = Field(default="image", description="Field that is read: raw images.")
    metric: Metric = Field(
        default="euclidean",
        description="Distance: 'euclidean' = ‖a − b‖₂; 'cosine' = 1 − cos of the angle, in [0, 2].",
    )


class MahalanobisOptions(FittedOptions):
    """Options of ``mahalanobis``."""

    shrinkage: Literal["ledoit-wolf"] | Annotated[float, Field(ge=0, le=1)] = Field(
        default="ledoit-wolf",
        description=(
            "Share of the covariance that is replaced by a multiple of the identity of equal "
            "trace, in [0, 1]; 'ledoit-wolf' = estimated from the training set."
        ),
    )
    trim: float = Field(
        default=1.0,
        ge=0.5,
        le=1,
        description="Share of the training vectors, those nearest to the fit, that it is made "
        "again on, three times, in [0.5, 1]; 1 = all, once. Lower only where over a fifth of the "
        "training set may be anomalous: rare kinds of normal images go first.",
    )


class PadimOptions(Options):
    """Options of ``padim``."""

    channels: int = Field(
        default=100,
        ge=1,
        description="Channels of the feature map that are read, ≥ 1, a seeded draw; all where "
        "there are fewer. Memory grows with the square.",
    )
    max_fit_images: int = Field(
        default=10_000,
        ge=1,
        description="Most training images that are fitted on, ≥ 1; a larger set is cut to a "
        "seeded subset.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the draw of channels, ≥ 0.")


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer nearest neighbours, on any field and on pixels, Mahalanobis distance and PaDiM."""
    yield Component(
        name="knn",
        summary="Mean distance to the k nearest training vectors, cosine or Euclidean",
        factory="anokit_memory.knn:knn",
        options=KNNOptions,
        example={"on": "image", "k": 2},
        needs=needs,
        map_needs=map_needs,
        reference="Ramaswamy et al., Efficient Algorithms for Mining Outliers (2000); on patches: "
        "Roth et al., PatchCore (2022), without its re-weighting",
    )
    yield Component(
        name="mahalanobis",
        summary="Mahalanobis distance to the training vectors, covariance shrunk",
        factory="anokit_memory.mahalanobis:mahalanobis",
        options=MahalanobisOptions,
        example={"on": "image"},
        needs=needs,
        map_needs=map_needs,
        reference="Rippel et al., Modeling the Distribution of Normal Data in Pre-Trained Deep "
        "Features (2020); Ledoit and Wolf (2004)",
    )
    yield Component(
        name="padim",
        summary="Largest distance to a Gaussian of each position; needs objects that are aligned "
        "from image to image",
        factory="anokit_memory.padim:padim",
        options=PadimOptions,
        example={"channels": 8},
        needs=frozenset({"patches"}),
        map_needs=frozenset({"patches", "image"}),
        reference="Defard et al., PaDiM (2020), covariances shrunk by 0.1",
    )
    yield Component(
        name="pixel-knn",
        summary="Baseline: mean distance to the k nearest training images in pixel space",
        factory="anokit_memory.knn:pixel_knn",
        options=PixelKNNOptions,
        example={"k": 2},
        needs=needs,
    )
    yield from neighbour_components()

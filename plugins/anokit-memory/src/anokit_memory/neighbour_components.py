"""Nearest neighbours that bear anomalies among the training images, described without torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from anokit.plugin import Component, FittedOptions
from anokit_memory.fields import map_needs, needs

Neighbours = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]
"""A number of training vectors, or a share of them."""

Metric = Literal["cosine", "euclidean"]
METRIC = "'cosine' = 1 − cos of the angle, in [0, 2]; 'euclidean' = ‖a − b‖₂."


class SparseKNNOptions(FittedOptions):
    """Options of ``sparse-knn``."""

    share: float = Field(
        default=0.1,
        ge=0.001,
        le=1,
        description="Share of the training vectors in each of the memories that are averaged, in "
        "[0.001, 1]; smaller = more neighbours count (66 at 0.1), which bears more contamination "
        "and takes rarer normal modes for anomalies; 1 = the nearest alone.",
    )
    metric: Metric = Field(default="cosine", description=f"Distance: {METRIC}")


class TrimmedKNNOptions(FittedOptions):
    """Options of ``trimmed-knn``."""

    k: int = Field(
        default=5, ge=1, description="Nearest kept vectors whose distances are averaged, ≥ 1."
    )
    share: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Share of the training vectors that are kept, in (0, 1]: at most the share "
        "that is surely normal.",
    )
    clump: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto",
        description="Neighbours that judge which vectors stay, ≥ 1: more than the largest group "
        "of anomalies that are alike, fewer than the smallest normal mode has; 'auto' = 2.5 % of "
        "the training vectors, at least 50.",
    )
    metric: Metric = Field(default="cosine", description=f"Distance: {METRIC}")


class ReachKNNOptions(FittedOptions):
    """Options of ``reach-knn``."""

    k: Neighbours = Field(
        default=0.025,
        description="Nearest training vectors whose reachability is averaged: a number ≥ 1, or a "
        "share of all, in (0, 1), of which at least 5 are taken; all where there are fewer.",
    )
    reach: Neighbours = Field(
        default=0.05,
        description="No training vector is nearer than it is to its own n-th nearest other; n as "
        "k: a number ≥ 1 or a share in (0, 1). More than the largest group of anomalies that are "
        "alike, fewer than the smallest normal mode has.",
    )
    metric: Metric = Field(default="cosine", description=f"Distance: {METRIC}")


class PatchOptions(FittedOptions):
    """Options of scores that only read patches."""

    on: Literal["patches"] = Field(
        default="patches", description="Field that is read: the feature map."
    )
    patch_score: Literal["max", "mean"] = Field(
        default="max", description="How the positions of an image become its score."
    )


class PatchKNNOptions(PatchOptions):
    """Options of ``patch-knn``."""

    k: int = Field(
        default=1, ge=1, description="Nearest patches whose distances are averaged, ≥ 1."
    )
    metric: Metric = Field(default="cosine", description=f"Distance of the image score: {METRIC}")
    map_metric: Metric = Field(default="euclidean", description=f"Distance of the map: {METRIC}")
    memory: Literal["random", "k-centre"] = Field(
        default="random",
        description="How the remembered patches are chosen: 'random' = a seeded subset; "
        "'k-centre' = greedily those that cover the rest best, by metric, which keeps anomalous "
        "patches too (weighting drops them first).",
    )
    memory_size: int = Field(default=10_000, ge=1, description="Most patches remembered, ≥ 1.")
    max_patches: int = Field(
        default=20_000,
        ge=1,
        description="Patches among which 'k-centre' chooses, and which 'aligned = false' compares, "
        "≥ 1: a seeded subset.",
    )
    weighting: Literal["off", "lof", "nearest", "gaussian"] = Field(
        default="off",
        description="How odd a training patch is among those at its position: 'lof' = local "
        "outlier factor, 'nearest' = 1 + distance to the nearest other, 'gaussian' = 1 + "
        "Mahalanobis distance; 'off' = not asked. It takes time quadratic in the images.",
    )
    weighting_k: int = Field(
        default=5, ge=1, description="Neighbours of weighting = 'lof', ≥ 1 and below the images."
    )
    drop: float = Field(
        default=0.15,
        ge=0,
        lt=1,
        description="Share of the patches, the oddest, that are never remembered, in [0, 1); "
        "with weighting.",
    )
    soft: bool = Field(
        default=True,
        description="Multiply a distance by the weight of the nearest remembered patch; with "
        "weighting.",
    )
    aligned: bool = Field(
        default=True,
        description="Weigh each position by itself, which supposes aligned objects; false = all "
        "positions together, in a subset of max_patches. With weighting.",
    )


class MutualOptions(PatchOptions):
    """Options of ``mutual``."""

    references: int = Field(
        default=200,
        ge=1,
        description="Training images that an image is compared with, ≥ 1: a seeded subset.",
    )
    max_patches: int = Field(
        default=50_000,
        ge=1,
        description="Most patches of all reference images together, ≥ 1; where they have more, "
        "there are fewer references.",
    )
    share: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Share of the references, those most alike, whose distances are averaged, in "
        "(0, 1]; below the share of normal images.",
    )
    metric: Metric = Field(default="euclidean", description=f"Distance of patches: {METRIC}")


def neighbour_components() -> Iterator[Component]:
    """Yield the components of this file."""
    yield Component(
        name="sparse-knn",
        summary="knn that bears contamination: far neighbours count too, so rare normal modes "
        "look anomalous",
        factory="anokit_memory.sparse:sparse_knn",
        options=SparseKNNOptions,
        example={"on": "image"},
        needs=needs,
        map_needs=map_needs,
        reference="Memories as in MeDS, arXiv 2605.26676, step 1; the expected minimum in closed "
        "form",
    )
    yield Component(
        name="reach-knn",
        summary="knn by reachability: the isolated is near to nothing, rare normal modes too "
        "(screws 0.83 to 0.56)",
        factory="anokit_memory.reach:reach_knn",
        options=ReachKNNOptions,
        example={"on": "image", "k": 2, "reach": 3},
        needs=needs,
        map_needs=map_needs,
        reference="Reachability distance of Breunig et al., LOF: Identifying Density-Based Local "
        "Outliers (2000)",
    )
    yield Component(
        name="trimmed-knn",
        summary="knn without the most isolated training vectors; drops rare normal modes "
        "(screws: AUROC 0.84 to 0.66)",
        factory="anokit_memory.trimmed:trimmed_knn",
        options=TrimmedKNNOptions,
        example={"on": "image", "k": 2, "clump": 3},
        needs=needs,
        map_needs=map_needs,
        reference="Concentration steps as in Rousseeuw and Van Driessen, A Fast Algorithm for the "
        "Minimum Covariance Determinant Estimator (1999)",
    )
    yield Component(
        name="patch-knn",
        summary="Distance of patches to the nearest of a memory of training patches, with a map",
        factory="anokit_memory.patch_knn:patch_knn",
        options=PatchKNNOptions,
        example={"memory_size": 200},
        needs=needs,
        map_needs=map_needs,
        reference="Roth et al., PatchCore (2022), without its re-weighting; weighting: Jiang et "
        "al., SoftPatch (2022)",
    )
    yield Component(
        name="mutual",
        summary="Distance of patches to those of the training images that are most alike, with a "
        "map",
        factory="anokit_memory.mutual:mutual",
        options=MutualOptions,
        example={"references": 20},
        needs=needs,
        map_needs=map_needs,
        reference="Li et al., MuSc (2024), mutual scoring, against training images instead of the "
        "test set",
    )

"""The components that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from anokit.plugin import Component, Options, hookimpl

REFERENCE = "Golan, El-Yaniv, Deep anomaly detection using geometric transformations (NeurIPS 2018)"


class GeomOptions(Options):
    """Options of ``geom``; defaults are the published ones."""

    depth: int = Field(
        default=10,
        ge=10,
        le=1000,
        description="Layers of the wide residual network: 6n + 4 for n blocks a group, 10 to 1000.",
    )
    widen: int = Field(
        default=4,
        ge=1,
        description="Its widening factor k, ≥ 1: groups of 16k, 32k and 64k channels.",
    )
    share: float = Field(
        default=1.0,
        ge=1 / 36,
        le=1,
        description=(
            "Share of the 72 transformations that are used, 1/36 to 1. What is left out first: "
            "shifts along both axes, then those along one, then flips: 1/3 keeps 24, without "
            "diagonal shifts; 1/9 the 8 without shifts; 1/18 the 4 rotations. Scoring costs as "
            "many passes per image as there are transformations."
        ),
    )
    shift: float = Field(
        default=0.25,
        gt=0,
        le=0.5,
        description="How far images are shifted, as a share of their side, 0 to 0.5: 8 pixels of "
        "32 as published.",
    )
    epochs: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Passes over all transformed images (training images × transformations), > 0; unset: "
            "⌈200 / transformations⌉ as published, 3 for all 72."
        ),
    )
    images: int | None = Field(
        default=None,
        ge=1,
        description="Transformed images to show in all, ≥ 1; unset: as many as epochs says.",
    )
    batch_size: int = Field(
        default=128, ge=1, description="Transformed images per training step, ≥ 1."
    )
    learning_rate: float = Field(
        default=1e-3, gt=0, description="Step size of Adam (β = 0.9, 0.999), > 0."
    )
    weight_decay: float = Field(
        default=5e-4,
        ge=0,
        description="Factor of every weight, bias and batch-norm parameter in its gradient, ≥ 0.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description=(
            "Arithmetic of training: 'bf16' = bfloat16 autocast, the loss in float32; 'auto' = "
            "bf16 on CUDA, else fp32. On a processor with AVX512-BF16 bf16 is twice as fast. "
            "Scores are always computed in fp32."
        ),
    )

    @field_validator("depth")
    @classmethod
    def _depth_makes_whole_blocks(cls, depth: int) -> int:
        if (depth - 4) % 6:
            raise ValueError("expected a depth of 6n + 4: 10, 16, 22 …")
        return depth


class DirichletOptions(Options):
    """Options of ``geom-dirichlet``."""

    max_fit_images: int = Field(
        default=10_000,
        ge=2,
        description="Most training images that are fitted on, ≥ 2; a larger set is cut to a "
        "seeded subset. Each costs as many passes as there are transformations.",
    )


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer GEOM."""
    yield Component(
        name="geom",
        summary="GEOM: a classifier that tells which of 72 flips, shifts and turns an image had",
        factory="anokit_geom.geom:Geom",
        options=GeomOptions,
        example={"widen": 1, "share": 1 / 18, "batch_size": 8, "images": 16},
        provides=frozenset({"image", "features", "transformations"}),
        weighs_images=True,
        reference=REFERENCE,
    )


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer the two scores of GEOM."""
    yield Component(
        name="geom-softmax",
        summary="−1 × mean probability of the transformation that was applied, over all of them",
        factory="anokit_geom.softmax:TransformationSoftmax",
        needs=frozenset({"transformations"}),
        reference=f"{REFERENCE}, section 4.2",
    )
    yield Component(
        name="geom-dirichlet",
        summary="Unlikelihood of the classifier's answers, by one Dirichlet per transformation",
        factory="anokit_geom.dirichlet:TransformationDirichlet",
        options=DirichletOptions,
        needs=frozenset({"transformations"}),
        reference=f"{REFERENCE}, section 4.3",
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")

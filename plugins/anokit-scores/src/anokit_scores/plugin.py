"""The scores that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator

from anokit.plugin import Component, Options, hookimpl

PAPER = (
    "Berg, Ahlberg, Felsberg, Unsupervised Adversarial Learning of Anomaly Detection in the Wild"
)
STFPM = (
    "Wang, Han, Ding, Huang, Student-Teacher Feature Pyramid Matching for Anomaly Detection (2021)"
)
IMAGES = frozenset({"image", "image_hat"})


class LnOptions(Options):
    """Options of ``ln``."""

    mode: Literal["l2-over-n", "rms", "mae", "mse"] = Field(
        default="l2-over-n",
        description=(
            "Reading of the scale of Ln, for N values per image and w = min-max scaling of one "
            "image to [0, 1]: 'l2-over-n' = ‖w(Q) − w(R)‖₂ / N, as printed, in [0, 1/√N]; "
            "'rms' = ‖w(Q) − w(R)‖₂ / √N, in [0, 1]; 'mse' = its square, in [0, 1]; 'mae' = mean "
            "of |Q − R| without w, the released code, in [0, 2] for images in [-1, 1]. The first "
            "three rank images alike; they differ once Ln is a term of a sum."
        ),
    )


class AOptions(Options):
    """Options of ``a``."""

    kappa: float = Field(
        default=1.0, ge=0, description="Weight κ of the discrimination term, ≥ 0; published: 1."
    )
    mode: Literal["features", "critic"] = Field(
        default="features",
        description=(
            "Discrimination term: 'features' = mean (f(x) − f(x̂))² over the discriminator's "
            "features, the released code of f-AnoGAN; 'critic' = (D(x) − D̄)² with D̄ the mean of "
            "the discriminator's output over the training images, which is how Berg et al. "
            "describe the score in words, not what the code does. 'critic' is fitted."
        ),
    )


class ResidualOptions(Options):
    """Options of ``residual`` and ``feature-residual``."""

    norm: Literal["l1", "l2"] = Field(
        default="l2",
        description="Value of one element of the difference d: 'l1' = |d|, 'l2' = d² (no root).",
    )
    reduction: Literal["mean", "sum"] = Field(
        default="mean", description="How the elements of one image become one number."
    )


class PixelContrastOptions(Options):
    """Options of ``pixel-contrast``."""

    statistic: Literal["gradient", "std", "range", "norm"] = Field(
        default="gradient",
        description=(
            "Statistic of the image in [-1, 1] whose negative is the score: 'gradient' = root mean "
            "square of the differences of neighbouring pixels along x and y; 'std' = standard "
            "deviation of all values; 'range' = largest minus smallest; 'norm' = Euclidean norm. "
            "The default was fixed before any run was compared with it, and is not chosen by data "
            "set."
        ),
    )


class MapMeanOptions(Options):
    """Options of ``map-mean``."""

    top: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the map's values that is averaged, the largest ones, in (0, 1]; at "
        "least one value; 1: all of them.",
    )


class PatchResidualOptions(Options):
    """Options of ``patch-residual``."""

    distance: Literal["cosine", "squared"] = Field(
        default="cosine",
        description="Distance of two vectors at one position: 'cosine' = 1 − cos = ½‖u − v‖² of "
        "the vectors scaled to unit length, in [0, 2]; 'squared' = mean over channels of the "
        "squared differences of the vectors as they are.",
    )
    scales: tuple[str, ...] = Field(
        default=(),
        description="Scales whose maps `patches.NAME` and `patches_hat.NAME` are compared, such as "
        "['stage1', 'stage2']; empty: the one pair `patches` and `patches_hat`.",
    )
    combine: Literal["product", "mean"] = Field(
        default="product",
        description="How the distances of several scales become one map, each enlarged "
        "bilinearly to the finest grid: 'product' as in STFPM, which wants all scales to agree; "
        "'mean'.",
    )
    patch_score: Literal["max", "mean"] = Field(
        default="max", description="How the positions of an image become its score."
    )

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, scales: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(scales)) < len(scales):
            raise ValueError(f"scales names a scale twice: {list(scales)}")
        return scales


def _needs_of_patch_residual(options: PatchResidualOptions) -> frozenset[str]:
    """Return the pair of fields of every scale that is compared."""
    ends = [f".{scale}" for scale in options.scales] or [""]
    return frozenset(f"{field}{end}" for field in ("patches", "patches_hat") for end in ends)


def _map_needs_of_patch_residual(options: PatchResidualOptions) -> frozenset[str]:
    """Return the same and the image, whose size the map has."""
    return _needs_of_patch_residual(options) | {"image"}


def _needs_of_a(options: AOptions) -> frozenset[str]:
    """Return the fields that ``a`` reads in the chosen mode."""
    if options.mode == "critic":
        return IMAGES | {"critic"}
    return IMAGES | {"features", "features_hat"}


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer the scores of the two papers and plain residuals."""
    yield Component(
        name="ln",
        summary="Ln: residual of query and reconstruction, each scaled to its own range",
        factory="anokit_scores.ln:NormalisedResidual",
        options=LnOptions,
        example={"mode": "rms"},
        needs=IMAGES,
        map_needs=IMAGES,
        reference=f"{PAPER}, equations 2 and 3",
    )
    yield Component(
        name="lo",
        summary="Lo: minus the RMS of the encoding, since anomalies encode short",
        factory="anokit_scores.latent:LatentNorm",
        needs=frozenset({"latent"}),
        reference=f"{PAPER}, equation 4",
    )
    yield Component(
        name="lr",
        summary="Lr: Euclidean distance of query and reconstruction",
        factory="anokit_scores.residual:EuclideanResidual",
        needs=IMAGES,
        map_needs=IMAGES,
        reference=f"{PAPER}, equation 8",
    )
    yield Component(
        name="a",
        summary="A of f-AnoGAN: mean squared residual plus κ times a discrimination term",
        factory="anokit_scores.fanogan:build_a",
        options=AOptions,
        example={"kappa": 1.0},
        needs=_needs_of_a,
        map_needs=IMAGES,
        reference="Schlegl et al., f-AnoGAN (2019); as a row of Table 2 in " + PAPER,
    )
    yield Component(
        name="residual",
        summary="Absolute or squared residual of image and reconstruction, mean or sum",
        factory="anokit_scores.residual:Residual",
        options=ResidualOptions,
        example={"norm": "l1"},
        needs=IMAGES,
        map_needs=IMAGES,
        reference="Akcay et al., Skip-GANomaly (2019): weight 0.9, norm l2, reduction mean",
    )
    yield Component(
        name="feature-residual",
        summary="Absolute or squared residual of discriminator features, mean or sum",
        factory="anokit_scores.residual:FeatureResidual",
        options=ResidualOptions,
        example={"norm": "l2"},
        needs=frozenset({"features", "features_hat"}),
        reference="Akcay et al., Skip-GANomaly (2019): weight 0.1, norm l2, reduction mean",
    )
    yield Component(
        name="latent-residual",
        summary="Mean squared difference of an encoding and that of the reconstruction",
        factory="anokit_scores.latent:LatentResidual",
        needs=frozenset({"latent", "latent_hat"}),
        map_needs=IMAGES,
        reference="Akcay et al., GANomaly (2018), equation 5",
    )
    yield Component(
        name="norm-typicality",
        summary="How far the norm of the encoding lies from the training norms, on either side",
        factory="anokit_scores.typicality:NormTypicality",
        needs=frozenset({"latent"}),
        reference="median and MAD: Rousseeuw and Croux (1993)",
    )
    yield Component(
        name="norm-residual",
        summary="Lo beyond contrast: the log norm, contrast, gradient and brightness regressed out",
        factory="anokit_scores.norm_residual:NormResidual",
        needs=frozenset({"image", "latent"}),
        reference="an honest form of Lo; leave-one-out: Cook and Weisberg (1982), section 2.2.1",
    )
    yield Component(
        name="pixel-contrast",
        summary="Minus the contrast of the image itself: the trivial rival of every norm",
        factory="anokit_scores.contrast:PixelContrast",
        options=PixelContrastOptions,
        example={"statistic": "std"},
        needs=frozenset({"image"}),
    )
    yield Component(
        name="map-max",
        summary="Largest value of the backbone's own anomaly map",
        factory="anokit_scores.maps:MapMax",
        needs=frozenset({"anomaly_map"}),
        map_needs=frozenset({"anomaly_map", "image"}),
        reference=f"{STFPM}, section 3.3",
    )
    yield Component(
        name="map-mean",
        summary="Mean of the backbone's own anomaly map, over all of it or its highest share",
        factory="anokit_scores.maps:MapMean",
        options=MapMeanOptions,
        example={"top": 0.1},
        needs=frozenset({"anomaly_map"}),
        map_needs=frozenset({"anomaly_map", "image"}),
    )
    yield Component(
        name="patch-residual",
        summary="Distance of feature maps and what a student or decoder predicts for them",
        factory="anokit_scores.maps:PatchResidual",
        options=PatchResidualOptions,
        example={"distance": "cosine", "patch_score": "max"},
        needs=_needs_of_patch_residual,
        map_needs=_map_needs_of_patch_residual,
        reference=f"{STFPM}, equations 1 and 4",
    )

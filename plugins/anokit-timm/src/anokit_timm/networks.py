"""Networks of timm by name: their weights, how they are built, and what they see of an image.

Public: other packages may use it, see the README. timm is imported on use.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional

from anokit.errors import CheckpointError, DataError, RecipeError
from anokit.nn import assert_shape
from anokit_timm.hub import pretrained_file
from anokit_timm.options import LEAST_SIDE
from anokit_timm.weights import load_strictly, read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from anokit.types import ImageSpec
    from anokit_timm.options import NetworkOptions

__all__ = ["Expectation", "TimmImages", "build_network", "describe", "network_size"]

PART = 200_000
"""Pixels that a CPU computes at once: best for lite0 at 112 to 224 px, on one core and on two."""


class Expectation(NamedTuple):
    """What a model was made for."""

    size: int
    """height and width of its images, in pixels"""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """of red, green and blue in [0, 1]"""
    fixed: bool
    """whether the size is built into the network, as in vision transformers"""


def describe(name: str) -> Expectation:
    """Return what the model ``name`` expects.

    Raises
    ------
    RecipeError
        Where timm has no such model, or it is not one for colour images.
    """
    config = _config(name)
    channels, size, _ = config.input_size
    if channels != 3:
        raise RecipeError(f"model {name!r} takes images of {channels} channels, expected 3")
    return Expectation(size, tuple(config.mean), tuple(config.std), bool(config.fixed_input_size))


def network_size(spec: ImageSpec, asked: int | None, own: Expectation) -> tuple[int, int]:
    """Return height and width in pixels of what the network sees.

    That is a square of ``asked`` pixels where a recipe says so, else the size that is built into a
    network, else that of the images, enlarged in proportion where a side is below `LEAST_SIDE`.
    """
    if asked or own.fixed:
        side = asked or own.size
        return side, side
    scale = max(1.0, LEAST_SIDE / min(spec.height, spec.width))
    return round(spec.height * scale), round(spec.width * scale)


def build_network(name: str, weights: str, size: tuple[int, int], pool: str = "model") -> nn.Module:
    """Return a model with its weights, without its classifier.

    Parameters
    ----------
    name
        Of the model in timm.
    weights
        As `NetworkOptions` describes them. ``"random"`` ones are drawn from torch's default
        generator; only ``"pretrained"`` may go online, where the local cache has no such file.
    size
        Height and width in pixels of what it will see.
    pool
        ``"model"`` or one of timm's ways to pool the last feature map.

    Raises
    ------
    RecipeError
        Where the model has no such pooling or cannot be built for the size.
    CheckpointError
        Where the weights cannot be had, or do not fit.
    """
    import timm

    # Where the size is part of the network, timm resamples pretrained position embeddings for it.
    given: dict[str, Any] = {"img_size": size} if describe(name).fixed else {}
    if weights == "pretrained":
        given |= {"pretrained": True, "pretrained_cfg_overlay": {"file": _pretrained(name)}}
    try:
        network: Any = timm.create_model(name, **given)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise RecipeError(
            f"model {name!r} cannot be built for images of "
            f"{size[0]}×{size[1]} pixels: {type(error).__name__}: {error}"
        ) from error
    if weights not in ("pretrained", "random"):
        load_strictly(network, read_weights(weights), f"weights = {weights!r}")
    try:
        if pool == "model":
            network.reset_classifier(0)
        else:
            network.reset_classifier(0, pool)
    except (RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(
            f"model {name!r} has no pool = {pool!r} "
            f"({type(error).__name__}: {error}); set pool = 'model'"
        ) from error
    return cast("nn.Module", network)


class TimmImages(nn.Module):
    """Base of backbones on networks of timm: what these see of images in [-1, 1].

    Images ``[B, C, H, W]`` are resized to what `network_size` says, grey ones repeated to three
    channels, and normalised as the model expects. A subclass builds its networks with
    `build_network` for ``self.size``.

    Parameters
    ----------
    options
        The recipe's.
    spec
        Shape of the images.
    backbone
        What messages call the backbone.

    Raises
    ------
    DataError
        Where images have neither one nor three channels.
    RecipeError
        Where timm has no such model, or it is not one for colour images.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, options: NetworkOptions, spec: ImageSpec, backbone: str) -> None:
        super().__init__()
        if spec.channels not in (1, 3):
            raise DataError(
                f"backbone '{backbone}' takes images of 1 or 3 channels, got {spec} "
                "(channels×height×width)"
            )
        own = describe(options.model)
        self.spec = spec
        self.backbone = backbone
        self.size = network_size(spec, options.input_size, own)
        mean, std = (
            torch.tensor(value, dtype=torch.float64).reshape(1, 3, 1, 1)
            for value in (options.mean or own.mean, options.std or own.std)
        )
        # ((x + 1)/2 − mean)/std for x in [-1, 1]
        self.register_buffer("scale", (0.5 / std).float())
        self.register_buffer("shift", ((0.5 - mean) / std).float())

    def check(self, images: Tensor) -> None:
        """Raise ``ValueError`` unless a batch is of the images that the backbone was built for."""
        spec = self.spec
        expected = (None, spec.channels, spec.height, spec.width)
        assert_shape(images, expected, f"images of {self.backbone}")

    def prepare(self, images: Tensor) -> Tensor:
        """Return what a network sees: ``[B, C, H, W]`` in [-1, 1] -> ``[B, 3, *size]``."""
        height, width = self.size
        if images.shape[-2:] != self.size:
            # Enlarging is the same with and without antialias, and faster without.
            smaller = height < images.shape[-2] or width < images.shape[-1]
            images = functional.interpolate(images, self.size, mode="bilinear", antialias=smaller)
        # Broadcasting repeats a grey channel.
        images = torch.addcmul(self.shift, images, self.scale)
        return images.contiguous(memory_format=torch.channels_last)

    def parts(self, images: Tensor) -> Sequence[Tensor]:
        """Divide a batch on a CPU into parts whose feature maps stay in its cache.

        Against a batch of 32 at once, lite0 takes half the time at 224 px and two thirds at 160.
        """
        if images.device.type != "cpu":
            return (images,)
        return torch.split(images, max(1, PART // (self.size[0] * self.size[1])))


def _pretrained(name: str) -> str:
    config = _config(name)
    if not config.hf_hub_id:
        raise CheckpointError(
            f"weights = 'pretrained': timm has none of {name!r} on the Hugging Face hub; name a "
            "file of weights, or another model"
        )
    return str(pretrained_file(config.hf_hub_id, config.hf_hub_filename))


def _config(name: str) -> Any:
    """Return timm's description of a model and its pretrained weights."""
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3, 0.5)
        raise RecipeError(
            f"timm has no model {name!r}"
            + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")
        )
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # the model exists, the tag after the dot does not
        known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise RecipeError(f"{error}; pretrained are: {known or 'none'}") from error
    if config is None or not config.input_size:
        raise RecipeError(f"timm does not describe the model {name!r}")
    return config

"""Networks of timm by name: their weights, how they are built, and what they see of an image.

Public: other packages may use it, see the README. timm is imported on use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional

from anokit.errors import DataError, RecipeError
from anokit.nn import assert_shape
from anokit_timm.catalogue import Expectation, describe, pretrained_weights
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


def network_size(spec: ImageSpec, asked: int | None, own: Expectation) -> tuple[int, int]:
    """Return height and width in pixels of what the network sees.

    That is a square of ``asked`` pixels where a recipe says so, else the size that is built into a
    network, else that of the images, enlarged in proportion where a side is below `LEAST_SIDE`.

    Parameters
    ----------
    spec
        Shape of the images.
    asked
        Pixels, as the option ``input_size``; None where a recipe does not say.
    own
        What the model was made for.

    Examples
    --------
    >>> from anokit import ImageSpec
    >>> from anokit_timm.networks import describe, network_size
    >>> own = describe("test_efficientnet")
    >>> network_size(ImageSpec(3, 80, 120), None, own)
    (160, 240)
    >>> network_size(ImageSpec(3, 80, 120), 224, own)
    (224, 224)
    """
    if asked or own.fixed:
        side = asked or own.size
        return side, side
    scale = max(1.0, LEAST_SIDE / min(spec.height, spec.width))
    return round(spec.height * scale), round(spec.width * scale)


def build_network(name: str, weights: str, size: tuple[int, int], pool: str = "model") -> nn.Module:
    """Return a model with its weights, without its classifier, in training mode.

    Called with images ``[B, 3, *size]``, normalised as `TimmImages` does, it gives the vectors
    ``[B, D]`` that its classifier would see; ``forward_intermediates`` gives feature maps.

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
        ``"model"`` for the model's own, or one of timm's ways to pool the last feature map, such as
        ``"avg"``, ``"max"``, ``"avgmax"``.

    Raises
    ------
    RecipeError
        Where timm has no such model, as `describe` says, or the model has no such pooling or cannot
        be built for the size.
    CheckpointError
        Where the weights cannot be had, or do not fit.

    Examples
    --------
    >>> import torch
    >>> from anokit_timm.networks import build_network
    >>> network = build_network("test_efficientnet", "random", (32, 32)).eval()
    >>> images = torch.zeros(2, 3, 32, 32)
    >>> network(images).shape
    torch.Size([2, 256])
    >>> maps = network.forward_intermediates(images, indices=[1, 2], intermediates_only=True)
    >>> [tuple(each.shape) for each in maps]
    [(2, 24, 8, 8), (2, 32, 4, 4)]
    >>> build_network("test_efficientnet", "lost.safetensors", (32, 32))
    Traceback (most recent call last):
    anokit.errors.CheckpointError: weights = 'lost.safetensors': no such file
    """
    import timm

    # Where the size is part of the network, timm resamples pretrained position embeddings for it.
    given: dict[str, Any] = {"img_size": size} if describe(name).fixed else {}
    if weights == "pretrained":
        given |= {"pretrained": True, "pretrained_cfg_overlay": {"file": pretrained_weights(name)}}
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

    Examples
    --------
    A backbone fills the fields of a trip that it is asked for; this one has ``features``.

    >>> import torch
    >>> from anokit import ImageSpec, RoundTrip
    >>> from anokit_timm.networks import TimmImages, build_network
    >>> from anokit_timm.options import NetworkOptions
    >>> class Vectors(TimmImages):
    ...     def __init__(self, options, spec, encoder_losses=()):
    ...         super().__init__(options, spec, "vectors")
    ...         self.network = build_network(options.model, options.weights, self.size)
    ...
    ...     def round_trip(self, images, needs):
    ...         self.check(images)
    ...         parts = [self.network(self.prepare(part)) for part in self.parts(images)]
    ...         return RoundTrip(image=images, features=torch.cat(parts))
    >>> options = NetworkOptions(model="test_efficientnet", weights="random", input_size=32)
    >>> backbone = Vectors(options, ImageSpec(1, 20, 20)).eval()
    >>> grey = torch.full((2, 1, 20, 20), 0.5)  # [B, C, H, W] in [-1, 1]
    >>> backbone.round_trip(grey, frozenset({"features"})).features.shape
    torch.Size([2, 256])
    >>> backbone.size, tuple(backbone.prepare(grey).shape)
    ((32, 32), (2, 3, 32, 32))
    >>> backbone.check(grey[:, :, 1:])
    Traceback (most recent call last):
    ValueError: images of vectors: ...
    """

    spec: ImageSpec
    """shape of the images"""
    backbone: str
    """what messages call the backbone"""
    size: tuple[int, int]
    """height and width in pixels of what the network sees, as `network_size` says"""
    scale: Tensor
    """a buffer ``[1, 3, 1, 1]``: what images in [-1, 1] are multiplied with"""
    shift: Tensor
    """a buffer ``[1, 3, 1, 1]``: what is added then"""

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
        """Raise unless a batch is of the images that the backbone was built for.

        Raises
        ------
        ValueError
            Where ``images`` are not ``[B, C, H, W]`` of ``self.spec``, with both shapes.
        """
        spec = self.spec
        expected = (None, spec.channels, spec.height, spec.width)
        assert_shape(images, expected, f"images of {self.backbone}")

    def prepare(self, images: Tensor) -> Tensor:
        """Return what a network sees: ``[B, C, H, W]`` in [-1, 1] -> ``[B, 3, *size]``.

        Resized bilinearly, with antialias where that is smaller; normalised; channels last in
        memory. Each image by itself, whatever the batch.
        """
        height, width = self.size
        if images.shape[-2:] != self.size:
            # Enlarging is the same with and without antialias, and faster without.
            smaller = height < images.shape[-2] or width < images.shape[-1]
            images = functional.interpolate(images, self.size, mode="bilinear", antialias=smaller)
        # Broadcasting repeats a grey channel.
        images = torch.addcmul(self.shift, images, self.scale)
        return images.contiguous(memory_format=torch.channels_last)

    def parts(self, images: Tensor) -> Sequence[Tensor]:
        """Divide a batch ``[B, C, H, W]`` on a CPU into parts whose feature maps stay in its cache.

        The parts ``[b, C, H, W]`` are in the batch's order; on another device it is one part.

        Against a batch of 32 at once, lite0 takes half the time at 224 px and two thirds at 160.
        """
        if images.device.type != "cpu":
            return (images,)
        return torch.split(images, max(1, PART // (self.size[0] * self.size[1])))

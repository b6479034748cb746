"""The backbone ``timm-features``: a frozen model that describes images and reconstructs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from anokit.errors import DataError, RecipeError
from anokit.nn import assert_shape
from anokit.types import RoundTrip
from anokit_timm.models import build_network, describe
from anokit_timm.plugin import LEAST_SIDE
from anokit_timm.pooling import Block, join_maps, join_vectors, pool_map, read_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from anokit.types import ImageSpec, Phase, WeightedLoss
    from anokit_timm.models import Expectation
    from anokit_timm.plugin import TimmFeaturesOptions

PART = 200_000
"""Pixels that a CPU computes at once: best for lite0 at 112 to 224 px, on one core and on two."""


class TimmFeatures(nn.Module):
    """An image model of timm, its classifier removed, its weights never changed.

    Images ``[B, C, H, W]`` in [-1, 1] are resized to what `network_size` says, grey ones repeated
    to three channels, and normalised as the model expects. The network runs in float32 and
    channels-last, and no deeper than the fields that are asked for need. Only
    ``weights = "pretrained"`` ever goes online, and only where the local cache has no such file.

    Raises
    ------
    DataError
        Where images have neither one nor three channels.
    RecipeError
        Where timm has no such model, or the model cannot take what the options ask for.
    CheckpointError
        Where the weights cannot be had or do not fit.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        options: TimmFeaturesOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        if spec.channels not in (1, 3):
            raise DataError(
                f"backbone 'timm-features' takes images of 1 or 3 channels, got {spec} "
                "(channels×height×width)"
            )
        own = describe(options.model)
        self.spec = spec
        self.blocks = [read_block(name) for name in options.pooled]
        self.stages = sorted(options.patch_stages)
        self.stride = options.patch_stride
        self.neighbourhood = options.neighbourhood
        self.size = network_size(spec, options.input_size, own)
        self.network = build_network(options.model, options.weights, self.size, options.pool)
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        mean, std = (
            torch.tensor(value, dtype=torch.float64).reshape(1, 3, 1, 1)
            for value in (options.mean or own.mean, options.std or own.std)
        )
        # ((x + 1)/2 − mean)/std for x in [-1, 1]
        self.register_buffer("scale", (0.5 / std).float())
        self.register_buffer("shift", ((0.5 - mean) / std).float())
        self._try_out(options)

    def phases(self) -> Sequence[Phase]:
        """Return nothing: the backbone is never trained."""
        return ()

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Describe ``[B, C, H, W]``; fill just ``needs``, with one pass through the network."""
        spec = self.spec
        assert_shape(
            images, (None, spec.channels, spec.height, spec.width), "images of timm-features"
        )
        fields = {"image": images} if "image" in needs else {}
        if asked := needs & {"features", "patches"}:
            parts = [self._describe(self.prepare(part), asked) for part in self._parts(images)]
            fields |= {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return RoundTrip(**fields, extra={})

    def prepare(self, images: Tensor) -> Tensor:
        """Return what the network sees: ``[B, C, H, W]`` in [-1, 1] -> ``[B, 3, *size]``."""
        height, width = self.size
        if images.shape[-2:] != self.size:
            # Enlarging is the same with and without antialias, and faster without.
            smaller = height < images.shape[-2] or width < images.shape[-1]
            images = functional.interpolate(images, self.size, mode="bilinear", antialias=smaller)
        # Broadcasting repeats a grey channel.
        images = torch.addcmul(self.shift, images, self.scale)
        return images.contiguous(memory_format=torch.channels_last)

    def _parts(self, images: Tensor) -> Sequence[Tensor]:
        """Divide a batch on a CPU into parts whose feature maps stay in its cache.

        Against a batch of 32 at once, lite0 takes half the time at 224 px and two thirds at 160.
        """
        if images.device.type != "cpu":
            return (images,)
        return torch.split(images, max(1, PART // (self.size[0] * self.size[1])))

    def _describe(self, images: Tensor, asked: frozenset[str]) -> dict[str, Tensor]:
        """Return the fields of ``asked`` for prepared images, from one pass that stops early."""
        blocks = self.blocks if "features" in asked else []
        patches = self.stages if "patches" in asked else []
        pooled = [block.stage for block in blocks if block.stage is not None]
        head, maps = self._run(images, sorted({*pooled, *patches}), Block(None) in blocks)
        fields = {}
        if blocks:
            vectors = [head if b.stage is None else pool_map(maps[b.stage], b.how) for b in blocks]
            fields["features"] = join_vectors(vectors)
        if patches:
            height, width = images.shape[-2:]
            stride = self.stride
            grid = (-(-height // stride), -(-width // stride)) if stride else None
            chosen = [maps[stage] for stage in patches]
            fields["patches"] = join_maps(chosen, grid, self.neighbourhood).contiguous()
        return fields

    def _run(
        self, images: Tensor, stages: list[int], head: bool
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Return what a classifier would see (empty unless ``head``) and maps by stage."""
        network: Any = self.network  # its methods are timm's, not those of every module
        if not stages:
            return network(images).flatten(1), {}
        if not head:
            maps = network.forward_intermediates(
                images,
                indices=stages,
                output_fmt="NCHW",
                intermediates_only=True,
                stop_early=True,
            )
            return images.new_empty(len(images), 0), dict(zip(stages, maps, strict=True))
        last, maps = network.forward_intermediates(images, indices=stages, output_fmt="NCHW")
        return network.forward_head(last).flatten(1), dict(zip(stages, maps, strict=True))

    def _try_out(self, options: TimmFeaturesOptions) -> None:
        """Make one trip, so that a model that cannot do what the recipe asks says so at once."""
        spec = self.spec
        needs = frozenset({"features"} | ({"patches"} if self.stages else set()))
        try:
            with torch.no_grad():
                self.round_trip(torch.zeros(1, spec.channels, spec.height, spec.width), needs)
        except Exception as error:
            wishes = {}
            if any(block.stage is not None for block in self.blocks):
                wishes["pooled"] = str(list(options.pooled))
            if self.stages:
                wishes["patch_stages"] = str(self.stages)
            asked = " and ".join(f"{name} = {value}" for name, value in wishes.items())
            raise RecipeError(
                f"backbone 'timm-features': model {options.model!r} cannot take images of "
                f"{self.size[0]}×{self.size[1]} pixels{' with ' if asked else ''}{asked}: "
                f"{type(error).__name__}: {error}. Set another input_size"
                + "".join(f" or other {name}" for name in wishes)
            ) from error


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

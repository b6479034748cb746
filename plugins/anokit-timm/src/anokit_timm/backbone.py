"""The backbone ``timm-features``: a frozen model that describes images and reconstructs nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from anokit.errors import RecipeError
from anokit.types import RoundTrip
from anokit_timm.folding import Folding
from anokit_timm.networks import TimmImages, build_network
from anokit_timm.pooling import Block, join_maps, join_vectors, pool_map, read_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from anokit.types import ImageSpec, Phase, WeightedLoss
    from anokit_timm.plugin import TimmFeaturesOptions


class TimmFeatures(TimmImages):
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

    def __init__(
        self,
        options: TimmFeaturesOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__(options, spec, "timm-features")
        self.blocks = [read_block(name) for name in options.pooled]
        self.stages = sorted(options.patch_stages)
        self.stride = options.patch_stride
        self.neighbourhood = options.neighbourhood
        self.network = build_network(options.model, options.weights, self.size, options.pool)
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        pooled = {block.stage for block in self.blocks if block.stage is not None}
        used, head = sorted(pooled.union(self.stages)), Block(None) in self.blocks
        self.folding = Folding(self.network, partial(_outputs, stages=used, head=head), self.size)
        self._try_out(options)

    def phases(self) -> Sequence[Phase]:
        """Return nothing: the backbone is never trained."""
        return ()

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Describe ``[B, C, H, W]``; fill just ``needs``, with one pass through the network."""
        self.check(images)
        fields = {"image": images} if "image" in needs else {}
        if asked := needs & {"features", "patches"}:
            network, parts = self.folding.network(), self.parts(images)
            found = [self._describe(network, self.prepare(part), asked) for part in parts]
            fields |= {name: torch.cat([part[name] for part in found]) for name in found[0]}
        return RoundTrip(**fields, extra={})

    def _describe(
        self, network: nn.Module, images: Tensor, asked: frozenset[str]
    ) -> dict[str, Tensor]:
        """Return the fields of ``asked`` for prepared images, from one pass that stops early."""
        blocks = self.blocks if "features" in asked else []
        patches = self.stages if "patches" in asked else []
        pooled = [block.stage for block in blocks if block.stage is not None]
        stages = sorted({*pooled, *patches})
        head, *found = _outputs(network, images, stages, Block(None) in blocks)
        maps = dict(zip(stages, found, strict=True))
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


def _outputs(network: Any, images: Tensor, stages: list[int], head: bool) -> list[Tensor]:
    """Return what a classifier would see (empty unless ``head``), and the maps of stages."""
    if not stages:
        return [network(images).flatten(1)]
    if not head:
        maps = network.forward_intermediates(
            images, indices=stages, output_fmt="NCHW", intermediates_only=True, stop_early=True
        )
        return [images.new_empty(len(images), 0), *maps]
    last, maps = network.forward_intermediates(images, indices=stages, output_fmt="NCHW")
    return [network.forward_head(last).flatten(1), *maps]

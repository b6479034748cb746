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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from anokit.types import ImageSpec, Phase, WeightedLoss
    from anokit_timm.plugin import TimmFeaturesOptions


class TimmFeatures(nn.Module):
    """An image model of timm, its classifier removed, its weights never changed.

    Images ``[B, C, H, W]`` in [-1, 1] are resized to a square of ``input_size`` pixels, grey ones
    repeated to three channels, and normalised as the model expects. The network runs in float32 and
    channels-last. Only ``weights = "pretrained"`` ever goes online, and only where the local
    cache has no such file.

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
        self.stages = sorted(options.patch_stages)
        self.size = options.input_size or own.size
        self.network = build_network(options.model, options.weights, self.size, options.pool)
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        mean, std = (
            torch.tensor(value, dtype=torch.float64).reshape(1, 3, 1, 1)
            for value in (options.mean or own.mean, options.std or own.std)
        )
        # ((x + 1)/2 − mean)/std for x in [-1, 1]
        self.register_buffer("scale", (0.5 / std).float())
        self.register_buffer("shift", ((0.5 - mean) / std).float())
        self._try_out(options.model)

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
        if "patches" in needs:
            fields |= self._describe(self.prepare(images), "features" in needs)
        elif "features" in needs:
            fields["features"] = self.network(self.prepare(images)).flatten(1)
        return RoundTrip(**fields, extra={})

    def prepare(self, images: Tensor) -> Tensor:
        """Return what the network sees: ``[B, C, H, W]`` in [-1, 1] -> ``[B, 3, size, size]``."""
        if images.shape[-2:] != (self.size, self.size):
            # Enlarging is the same with and without antialias, and faster without.
            smaller = self.size < max(images.shape[-2:])
            images = functional.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=smaller
            )
        # Broadcasting repeats a grey channel.
        images = torch.addcmul(self.shift, images, self.scale)
        return images.contiguous(memory_format=torch.channels_last)

    def _describe(self, images: Tensor, pooled: bool) -> dict[str, Tensor]:
        """Return patches and, where asked for, the pooled features of the same pass."""
        network: Any = self.network  # its methods are timm's, not those of every module
        if not pooled:
            maps = network.forward_intermediates(
                images,
                indices=self.stages,
                output_fmt="NCHW",
                intermediates_only=True,
                stop_early=True,
            )
            return {"patches": _joined(maps)}
        last, maps = network.forward_intermediates(images, indices=self.stages, output_fmt="NCHW")
        return {
            "patches": _joined(maps),
            "features": network.forward_head(last).flatten(1),
        }

    def _try_out(self, model: str) -> None:
        """Make one trip, so that a model that cannot do what the recipe asks says so at once."""
        spec = self.spec
        needs = frozenset({"features"} | ({"patches"} if self.stages else set()))
        try:
            with torch.no_grad():
                self.round_trip(torch.zeros(1, spec.channels, spec.height, spec.width), needs)
        except Exception as error:
            asked = f" with patch_stages = {self.stages}" if self.stages else ""
            raise RecipeError(
                f"backbone 'timm-features': model {model!r} cannot take images of "
                f"{self.size}×{self.size} pixels{asked}: {type(error).__name__}: {error}. Set "
                "another input_size" + (" or other patch_stages" if self.stages else "")
            ) from error


def _joined(maps: Sequence[Tensor]) -> Tensor:
    """Resize feature maps to the grid of the first, bilinearly, and concatenate their channels."""
    grid = maps[0].shape[-2:]
    resized = [
        each
        if each.shape[-2:] == grid
        else functional.interpolate(each, grid, mode="bilinear", align_corners=False)
        for each in maps
    ]
    return torch.cat(resized, dim=1).contiguous()

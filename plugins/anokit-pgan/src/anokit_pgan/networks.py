"""Generator, discriminator and encoder (Berg et al., appendix A; Karras et al., appendix A).

All three grow: called for a resolution below their last, they use the blocks up to there. While a
block is being faded in, ``fade`` blends it with the network as it was without it.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from anokit.nn import (
    EqualizedConv2d,
    EqualizedLinear,
    MinibatchStddev,
    box_downscale,
    lerp,
    pixel_norm,
    upscale_nearest,
)
from anokit_pgan.schedule import FIRST_RESOLUTION

__all__ = ["Discriminator", "Encoder", "Generator", "Trunk", "channels_at"]

MemoryFormat = Literal["nchw", "channels_last"]
LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def channels_at(resolution: int, base: int, most: int) -> int:
    """Return nf(s) = min(base/2^s, most), the width of the block at ``resolution`` = 2^(s+1)."""
    return max(1, min(2 * base // resolution, most))


def activate(x: Tensor) -> Tensor:
    """Apply the leaky rectifier of slope 0.2, in place, to what a layer has just put out."""
    return functional.leaky_relu(x, 0.2, inplace=True)


def resolutions_up_to(size: int) -> list[int]:
    """Return 4, 8, … ``size``."""
    return [FIRST_RESOLUTION * 2**k for k in range(int(math.log2(size // FIRST_RESOLUTION)) + 1)]


class Generator(nn.Module):
    """G: latent to image, ``[B, Z] -> [B, C, r, r]`` with a linear output.

    Parameters
    ----------
    channels
        C of the images.
    size
        Last height and width in pixels, a power of two.
    latent_size
        Z.
    base_channels, max_channels
        Width, see `channels_at`.
    memory_format
        Layout of the activations.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        latent_size: int,
        base_channels: int,
        max_channels: int,
        memory_format: MemoryFormat = "channels_last",
    ) -> None:
        super().__init__()
        self.size = size
        self.layout = LAYOUTS[memory_format]
        widths = {r: channels_at(r, base_channels, max_channels) for r in resolutions_up_to(size)}
        first = widths[FIRST_RESOLUTION]
        # The gain √2/4 and a bias per channel, not per output, make this the dense layer that the
        # published networks have in place of a 4×4 transposed convolution.
        self.dense = EqualizedLinear(
            latent_size, first * FIRST_RESOLUTION**2, gain=math.sqrt(2) / 4, bias=False
        )
        self.dense_bias = nn.Parameter(torch.zeros(first))
        self.first = EqualizedConv2d(first, first, 3)
        self.blocks = nn.ModuleDict()
        self.to_rgb = nn.ModuleDict()
        for resolution, width in widths.items():
            if resolution > FIRST_RESOLUTION:
                self.blocks[str(resolution)] = nn.Sequential(
                    EqualizedConv2d(widths[resolution // 2], width, 3, resample="up"),
                    EqualizedConv2d(width, width, 3),
                )
            self.to_rgb[str(resolution)] = EqualizedConv2d(width, channels, 1, gain=1)

    def forward(self, z: Tensor, resolution: int | None = None, fade: float = 1.0) -> Tensor:
        """Make images ``[B, C, r, r]`` from latents ``[B, Z]``, of which only the direction counts.

        ``resolution`` is r, by default the last. ``fade`` in [0, 1] is the share of the block at
        ``resolution``; at 0 the image is the next smaller one, upscaled.
        """
        resolution = resolution or self.size
        x = self.dense(pixel_norm(z)).view(len(z), -1, FIRST_RESOLUTION, FIRST_RESOLUTION)
        x = x.contiguous(memory_format=self.layout) + self.dense_bias.view(-1, 1, 1)
        x = pixel_norm(activate(x))
        x = pixel_norm(activate(self.first(x)))
        before = x
        for name in map(str, resolutions_up_to(resolution)[1:]):
            before = x
            for convolution in self.blocks.get_submodule(name).children():
                x = pixel_norm(activate(convolution(x)))
        image: Tensor = self.to_rgb[str(resolution)](x)
        if fade < 1:
            image = lerp(upscale_nearest(self.to_rgb[str(resolution // 2)](before)), image, fade)
        return image


class Trunk(nn.Module):
    """What discriminator and encoder share: image to a feature vector.

    Parameters
    ----------
    channels, size, base_channels, max_channels, memory_format
        As in `Generator`.
    outputs
        Length of the feature vector.
    stddev_over_batch
        Take minibatch standard deviation over the batch in evaluation mode too.
    bias
        Whether its layers add biases.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        base_channels: int,
        max_channels: int,
        outputs: int,
        memory_format: MemoryFormat = "channels_last",
        *,
        stddev_over_batch: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.size = size
        self.layout = LAYOUTS[memory_format]
        widths = {r: channels_at(r, base_channels, max_channels) for r in resolutions_up_to(size)}
        first = widths[FIRST_RESOLUTION]
        self.from_rgb = nn.ModuleDict()
        self.blocks = nn.ModuleDict()
        for resolution, width in widths.items():
            self.from_rgb[str(resolution)] = EqualizedConv2d(channels, width, 1, bias=bias)
            if resolution > FIRST_RESOLUTION:
                self.blocks[str(resolution)] = nn.Sequential(
                    EqualizedConv2d(width, width, 3, bias=bias),
                    EqualizedConv2d(width, widths[resolution // 2], 3, resample="down", bias=bias),
                )
        self.stddev = MinibatchStddev(group=4, over_batch=stddev_over_batch)
        self.last = EqualizedConv2d(first + 1, first, 3, bias=bias)
        self.dense = EqualizedLinear(first * FIRST_RESOLUTION**2, outputs, bias=bias)

    def features(self, images: Tensor, resolution: int | None = None, fade: float = 1.0) -> Tensor:
        """Return the activations ``[B, F, 4, 4]`` before minibatch standard deviation.

        ``images`` are ``[B, C, r, r]`` with r = ``resolution``; ``fade`` as in `Generator`. No
        image's activations depend on another image.
        """
        resolution = resolution or self.size
        images = images.contiguous(memory_format=self.layout)
        x = activate(self.from_rgb[str(resolution)](images))
        for name in map(str, reversed(resolutions_up_to(resolution)[1:])):
            for convolution in self.blocks.get_submodule(name).children():
                x = activate(convolution(x))
            if name == str(resolution) and fade < 1:
                smaller = self.from_rgb[str(resolution // 2)](box_downscale(images))
                x = lerp(activate(smaller), x, fade)
        return x

    def head(self, features: Tensor) -> Tensor:
        """Return the rectified feature vector, ``[B, F, 4, 4] -> [B, outputs]``."""
        x = activate(self.last(self.stddev(features)))
        return activate(self.dense(x.flatten(1)))


class Encoder(Trunk):
    """E: image to latent, ``[B, C, r, r] -> [B, Z]``: the discriminator without its last layer.

    Its output is not normalised: the length of ẑ is a cue that scores use.
    """

    def forward(self, images: Tensor, resolution: int | None = None, fade: float = 1.0) -> Tensor:
        """Return latents ``[B, Z]`` of images ``[B, C, r, r]``."""
        return self.head(self.features(images, resolution, fade))


class Discriminator(Trunk):
    """D: image to the critic's opinion, ``[B, C, r, r] -> [B]``, linear; higher = more real."""

    def __init__(
        self,
        channels: int,
        size: int,
        base_channels: int,
        max_channels: int,
        memory_format: MemoryFormat = "channels_last",
        *,
        stddev_over_batch: bool = False,
    ) -> None:
        # The width rule once more, for a "resolution" of 2.
        outputs = channels_at(2, base_channels, max_channels)
        super().__init__(
            channels,
            size,
            base_channels,
            max_channels,
            outputs,
            memory_format,
            stddev_over_batch=stddev_over_batch,
        )
        self.opinion = EqualizedLinear(outputs, 1, gain=1)

    def forward(self, images: Tensor, resolution: int | None = None, fade: float = 1.0) -> Tensor:
        """Return the critic's value ``[B]`` of images ``[B, C, r, r]``."""
        return self.judge(self.features(images, resolution, fade))

    def judge(self, features: Tensor) -> Tensor:
        """Return the critic's value ``[B]`` of activations ``[B, F, 4, 4]``."""
        return self.opinion(self.head(features)).squeeze(1)

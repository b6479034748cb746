"""Generator, critic and encoder of f-AnoGAN: pre-activation residual networks.

Source: Gulrajani et al., Improved training of Wasserstein GANs (2017), in the form that f-AnoGAN's
released code gives them at 64×64 pixels. Another resolution has more or fewer of the widest blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from anokit.nn import upscale_nearest

__all__ = ["Critic", "EncoderOutput", "ResidualEncoder", "ResidualGenerator", "widths"]

FIRST = 4
"""Height and width of the smallest feature maps, in pixels."""

EncoderOutput = Literal["tanh", "linear", "tanh-3", "tanh-half", "clip"]

BOUNDS: dict[EncoderOutput, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "linear": lambda x: x,
    "tanh-3": lambda x: 3 * torch.tanh(x),
    "tanh-half": lambda x: 0.5 * torch.tanh(x),
    "clip": lambda x: x.clamp(-1, 1),
}


def widths(size: int, width: int) -> list[int]:
    """Return the channels at ``size``, size/2, … 4 pixels: doubled each time, up to 8·width."""
    halvings = (size // FIRST).bit_length() - 1
    return [width * min(2**level, 8) for level in range(halvings + 1)]


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch norm with TensorFlow's constants: ε = 1e-3, running means keep 0.99."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def layer_norm(channels: int) -> nn.GroupNorm:
    """Return a norm over C, H and W of each image with scale and offset per channel, ε = 1e-5.

    A critic with a gradient penalty must not have batch norm: the penalty is one of each image.
    """
    return nn.GroupNorm(1, channels, eps=1e-5)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, each after a norm and a rectifier, beside a 1×1 convolution.

    ``up`` doubles the resolution (nearest neighbour) before the first convolution, ``down`` halves
    it (mean of 2×2) after the second; the shortcut alike. The first has no bias, as published.

    Parameters
    ----------
    inside, outside
        Channels. ``up`` changes their number in the first convolution, ``down`` in the second.
    norm
        Makes a norm for a number of channels.
    resample
        Which way.
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        norm: Callable[[int], nn.Module],
        resample: Literal["up", "down"],
    ) -> None:
        super().__init__()
        between = outside if resample == "up" else inside
        self.norm1 = norm(inside)
        self.conv1 = nn.Conv2d(inside, between, 3, padding=1, bias=False)
        self.norm2 = norm(between)
        self.conv2 = nn.Conv2d(between, outside, 3, padding=1)
        self.shortcut = nn.Conv2d(inside, outside, 1)
        self.up = resample == "up"

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, inside, s, s]`` to ``[B, outside, 2s, 2s]`` or ``[B, outside, s/2, s/2]``."""
        h = relu(self.norm1(x))
        if self.up:
            h = self.conv2(relu(self.norm2(self.conv1(upscale_nearest(h)))))
            # A 1×1 convolution and upscaling commute; this way round it has a quarter of the work.
            return upscale_nearest(self.shortcut(x)) + h
        h = self.conv2(relu(self.norm2(self.conv1(h))))
        return self.shortcut(avg_pool2d(x, 2)) + avg_pool2d(h, 2)


class ResidualGenerator(nn.Module):
    """G: ``[B, Z] -> [B, C, size, size]`` in [-1, 1]."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        rising = widths(size, width)[::-1]
        self.dense = nn.Linear(latent_size, rising[0] * FIRST**2)
        self.blocks = nn.Sequential(
            *(ResidualBlock(a, b, batch_norm, "up") for a, b in pairwise(rising))
        )
        self.norm = batch_norm(rising[-1])
        self.to_image = nn.Conv2d(rising[-1], channels, 3, padding=1)
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Make images from latents."""
        x = self.dense(z).unflatten(1, (-1, FIRST, FIRST))
        return torch.tanh(self.to_image(relu(self.norm(self.blocks(x)))))


class ResidualTrunk(nn.Module):
    """What critic and encoder share: ``[B, C, size, size] -> [B, F]``, F = 16·8·width."""

    def __init__(
        self, channels: int, size: int, width: int, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        falling = widths(size, width)
        self.from_image = nn.Conv2d(channels, falling[0], 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(a, b, norm, "down") for a, b in pairwise(falling))
        )
        self.outputs = falling[-1] * FIRST**2

    def features(self, images: Tensor) -> Tensor:
        """Return f(x), the flattened activations at 4×4 pixels, ``[B, F]``."""
        return self.blocks(self.from_image(images)).flatten(1)


class Critic(ResidualTrunk):
    """D: ``[B, C, size, size] -> [B]``, linear; higher = more real. Its norms are layer norms."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__(channels, size, width, layer_norm)
        self.opinion = nn.Linear(self.outputs, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the critic's values."""
        return self.judge(self.features(images))

    def judge(self, features: Tensor) -> Tensor:
        """Return the critic's values of f(x), ``[B, F] -> [B]``."""
        return self.opinion(features).squeeze(1)


class ResidualEncoder(ResidualTrunk):
    """E: ``[B, C, size, size] -> [B, Z]``: the critic's trunk with batch norm, and a bound."""

    def __init__(
        self, channels: int, size: int, latent_size: int, width: int, output: EncoderOutput
    ) -> None:
        super().__init__(channels, size, width, batch_norm)
        self.to_latent = nn.Linear(self.outputs, latent_size)
        self.bound = BOUNDS[output]
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return encodings."""
        return self.bound(self.to_latent(self.features(images)))


def initialise(network: nn.Module) -> None:
    """Draw weights from U(−√3·σ, √3·σ), from torch's default generator; biases are 0.

    σ² = 4/(n_in + n_out) for the 3×3 convolutions that a rectifier stands before, half of it for
    the others (n counts a kernel's inputs and outputs), 2/(in + out) for dense layers (Glorot).
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            fans = (layer.in_channels + layer.out_channels) * math.prod(layer.kernel_size)
            gain = 2.0 if name.endswith(("shortcut", "from_image")) else 4.0
        elif isinstance(layer, nn.Linear):
            fans, gain = layer.in_features + layer.out_features, 2.0
        else:
            continue
        limit = math.sqrt(3 * gain / fans)
        nn.init.uniform_(layer.weight, -limit, limit)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

"""What the networks of this package share: judgements, dropout, initial weights, spectral norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

if TYPE_CHECKING:
    from torch import Generator

WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
"""Layers whose weights are drawn, and normalised where that is asked for."""


class Judgement(NamedTuple):
    """What a discriminator says of a batch of pairs."""

    logits: Tensor
    """``[B]``: of the probability that a pair is a real one"""
    features: Tensor
    """``[B, F]``: activations of the last layer but one"""


class Encoder(nn.Module):
    """E: ``[B, C, size, size] -> [B, Z]``; calling it is free of chance, as scoring wants it."""

    def sample(self, images: Tensor, random: Generator) -> Tensor:
        """Return the latents that training uses; a stochastic encoder draws them from ``random``.

        This one is deterministic.
        """
        latents: Tensor = self(images)
        return latents


def dropout(values: Tensor, rate: float, random: Generator | None) -> Tensor:
    """Return ``values`` with a share ``rate`` set to 0 and the rest scaled by 1/(1 − rate).

    The mask is drawn from ``random``, which a checkpoint holds, while ``nn.Dropout`` draws from the
    process's generator. Without ``random`` nothing is dropped: so at scoring. Srivastava et al.
    (2014).
    """
    if random is None:
        return values
    keep = torch.rand(values.shape, generator=random, device=values.device) >= rate
    return values * keep / (1 - rate)


def single(values: Tensor) -> Tensor:
    """Return what autocast left in half precision as float32; leave float32 and float64 alone."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def initialise(network: nn.Module, deviation: float) -> None:
    """Draw weights from N(0, deviation²), from torch's default generator; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, WEIGHTED):
            nn.init.normal_(layer.weight, std=deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def normalise(network: nn.Module) -> None:
    """Divide the weight of every layer by its largest singular value, from here on.

    One power iteration is made in every pass in training mode, none in evaluation mode; its vectors
    are buffers. Call it after `initialise`. Miyato et al., Spectral Normalization (2018).
    """
    for layer in list(network.modules()):
        if isinstance(layer, WEIGHTED):
            spectral_norm(layer)

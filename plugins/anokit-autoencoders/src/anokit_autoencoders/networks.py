"""Encoder and decoder of a backbone, by the name that its options give the pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from anokit_autoencoders.lenet import SIDE, lenet_decoder, lenet_head, lenet_trunk
from anokit_autoencoders.strided import strided_decoder, strided_head, strided_trunk

if TYPE_CHECKING:
    from anokit.types import ImageSpec
    from anokit_autoencoders.plugin import AutoencoderOptions

SMALLEST = 16
"""Least side of an image in pixels."""

MOST_DOUBLINGS = 3
"""Channels double where the side halves, up to 8 times those of the first convolution."""


class Pair(NamedTuple):
    """An encoder and the decoder that undoes it."""

    encoder: nn.Sequential
    """``[B, C, size, size] -> [B, M]``"""
    decoder: nn.Sequential
    """``[B, Z] -> [B, C, size, size]``"""


def widths_of(size: int, width: int) -> list[int]:
    """Return the channels of the convolutions that bring ``size`` pixels, a power of two, to 4."""
    halvings = size.bit_length() - SIDE.bit_length()
    return [width * 2 ** min(level, MOST_DOUBLINGS) for level in range(halvings)]


def published_pair(options: AutoencoderOptions, spec: ImageSpec) -> Pair:
    """Return a pair as published: the encoder ends as its authors had it, M = Z."""
    head = strided_head if options.networks == "strided" else lenet_head
    return _pair(options, spec, head(_features(options, spec), options.latent_size))


def linear_pair(options: AutoencoderOptions, spec: ImageSpec, outputs: int) -> Pair:
    """Return a pair whose encoder ends with a linear layer to M = ``outputs`` values."""
    return _pair(options, spec, nn.Linear(_features(options, spec), outputs))


def _features(options: AutoencoderOptions, spec: ImageSpec) -> int:
    return widths_of(spec.height, options.width)[-1] * SIDE**2


def _pair(options: AutoencoderOptions, spec: ImageSpec, head: nn.Module) -> Pair:
    widths = widths_of(spec.height, options.width)
    trunk, decoder = (
        (strided_trunk, strided_decoder)
        if options.networks == "strided"
        else (lenet_trunk, lenet_decoder)
    )
    encoder = nn.Sequential(trunk(spec.channels, widths), head)
    return Pair(encoder, decoder(spec.channels, widths, options.latent_size))

"""The networks that BiGAN and EGBAD choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from anokit.errors import DataError
from anokit.nn import check_square
from anokit_bigan.ali_networks import SIZE, ALIDiscriminator, ALIEncoder, ALIGenerator
from anokit_bigan.dcgan import DCDiscriminator, DCEncoder, DCGenerator
from anokit_bigan.egbad_networks import EGBADDiscriminator, EGBADEncoder, EGBADGenerator

if TYPE_CHECKING:
    from torch import nn

    from anokit.types import ImageSpec
    from anokit_bigan.layers import Encoder
    from anokit_bigan.plugin import BiGANOptions

WIDTHS = {"dcgan": 128, "egbad": 32, "ali": 32}
"""Channels after the encoder's first convolution, as published."""


class Networks(NamedTuple):
    """What learns together."""

    encoder: Encoder
    """``[B, C, H, W] -> [B, Z]``"""
    generator: nn.Module
    """``[B, Z] -> [B, C, H, W]``"""
    discriminator: nn.Module
    """``[B, C, H, W], [B, Z] -> Judgement``"""


def build_networks(options: BiGANOptions, spec: ImageSpec, backbone: str) -> Networks:
    """Build the networks that ``options.networks`` names.

    Raises
    ------
    DataError
        Where they cannot take images of this shape; the text says which they can.
    """
    channels, latent_size = spec.channels, options.latent_size
    width = options.width or WIDTHS[options.networks]
    if options.networks == "ali":
        if (spec.height, spec.width) != (SIZE, SIZE):
            raise _other_size(spec, backbone, "ali", f"{SIZE}x{SIZE} pixels", SIZE)
        ali = (channels, latent_size, width)
        return Networks(ALIEncoder(*ali), ALIGenerator(*ali), ALIDiscriminator(*ali))
    if options.networks == "egbad":
        if spec.height != spec.width or spec.height % 4:
            nearest = max(4, 4 * round(max(spec.height, spec.width) / 4))
            wanted = "square images whose side is a multiple of 4"
            raise _other_size(spec, backbone, "egbad", wanted, nearest)
        egbad = (channels, spec.height, latent_size, width)
        return Networks(EGBADEncoder(*egbad), EGBADGenerator(*egbad), EGBADDiscriminator(*egbad))
    dcgan = (channels, check_square(spec, backbone, 32), latent_size, width)
    return Networks(DCEncoder(*dcgan), DCGenerator(*dcgan), DCDiscriminator(*dcgan))


def _other_size(spec: ImageSpec, backbone: str, networks: str, wanted: str, size: int) -> DataError:
    return DataError(
        f"backbone '{backbone}' with networks = \"{networks}\" takes {wanted}: got {spec} "
        f"(channels×height×width); set [dataset] size = {size}"
    )

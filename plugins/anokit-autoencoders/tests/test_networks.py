"""Encoders and decoders: size, shape, range."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_autoencoders.aae import latent_discriminator
from anokit_autoencoders.autoencoder import Autoencoder
from anokit_autoencoders.networks import linear_pair, published_pair, widths_of
from anokit_autoencoders.plugin import AaeOptions, AeOptions, VaeOptions

CIFAR = ImageSpec(3, 32, 32)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_the_published_strided_autoencoder():
    with torch.device("meta"):
        encoder, decoder = published_pair(AeOptions(), CIFAR)
    # 3×3 convolutions 3→64→128→256 without bias: 9 · (192 + 8,192 + 32,768) = 370,368
    # batch norm, 2 per channel: 2 · (64 + 128 + 256)                        =     896
    # dense 256·4·4 → 256 with bias: 4,096 · 256 + 256                       = 1,048,832
    assert count(encoder) == 370_368 + 896 + 1_048_832 == 1_420_096
    # dense 256 → 4,096 without bias: 1,048,576; its batch norm: 2 · 4,096 = 8,192
    # 3×3 transposed 256→128→64→3: 9 · (32,768 + 8,192 + 192) = 370,368; the last one's bias: 3
    # batch norm: 2 · (128 + 64) = 384
    assert count(decoder) == 1_048_576 + 8_192 + 370_368 + 3 + 384 == 1_427_523


def test_parameters_of_the_published_deep_svdd_autoencoder():
    with torch.device("meta"):
        encoder, decoder = published_pair(AeOptions(networks="lenet"), CIFAR)
    # no bias, no affine batch norm. 5×5 3→32→64→128: 25 · (96 + 2,048 + 8,192) = 258,400
    # dense 128·4·4 → 128: 2,048 · 128 = 262,144
    assert count(encoder) == 258_400 + 262_144 == 520_544
    # 5×5 8→128→64→32→3: 25 · (1,024 + 8,192 + 2,048 + 96) = 284,000
    assert count(decoder) == 284_000


def test_parameters_of_the_heads_and_of_the_discriminator():
    with torch.device("meta"):
        vae = linear_pair(VaeOptions(), CIFAR, 2 * 128)
        aae = linear_pair(AaeOptions(), CIFAR, 64)
        discriminator = latent_discriminator(64, 1000)
    # The trunk has 371,264; dense 4,096 → 256 = μ and log σ² of 128, or 4,096 → 64, with bias.
    assert count(vae.encoder) == 371_264 + 4_096 * 256 + 256
    assert count(aae.encoder) == 371_264 + 4_096 * 64 + 64
    # dense 64→1000→1000→1 with bias: 65,000 + 1,001,000 + 1,001
    assert count(discriminator) == 65_000 + 1_001_000 + 1_001 == 1_067_001


def test_channels_double_as_the_side_halves_down_to_four_pixels_up_to_eightfold():
    assert widths_of(16, 64) == [64, 128]
    assert widths_of(32, 64) == [64, 128, 256]
    assert widths_of(256, 1) == [1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize("networks", ["strided", "lenet"])
@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 32), (4, 64), (1, 128)])
def test_shapes_and_ranges(draw, networks, channels, size):
    options = AeOptions(networks=networks, width=2, latent_size=16)
    encoder, decoder = published_pair(options, ImageSpec(channels, size, size))
    images = draw(2, channels=channels, size=size)
    latent = encoder(images)
    assert latent.shape == (2, 16)
    if networks == "strided":
        assert latent.abs().max() <= 1
    decoded = decoder(50 * latent)
    assert decoded.shape == images.shape
    assert decoded.min() < 0 < decoded.max()
    assert decoded.abs().max() <= 1


@pytest.mark.parametrize("networks", ["strided", "lenet"])
def test_networks_are_those_written_out_by_hand(draw, networks, by_hand):
    torch.manual_seed(0)
    options = AeOptions(networks=networks, width=3, latent_size=16)
    encoder, decoder = published_pair(options, ImageSpec(3, 16, 16))
    encoder.double(), decoder.double()
    encode, decode = {
        "strided": (by_hand.encode_strided, by_hand.decode_strided),
        "lenet": (by_hand.encode_lenet, by_hand.decode_lenet),
    }[networks]
    images = draw(5).double()
    latent = encode(by_hand.of(encoder), images)
    if networks == "strided":
        latent = torch.tanh(latent)
    torch.testing.assert_close(encoder(images), latent)
    torch.testing.assert_close(decoder(latent), decode(by_hand.of(decoder), latent))


@pytest.mark.parametrize(("height", "width", "advice"), [(8, 8, 16), (28, 28, 32), (16, 32, 32)])
def test_images_that_cannot_be_halved_down_to_four_pixels_are_refused(height, width, advice):
    with pytest.raises(DataError, match=f"size = {advice}$"):
        Autoencoder(AeOptions(), ImageSpec(3, height, width))

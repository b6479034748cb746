"""Sizes of the published networks, counted by hand; shapes; initial weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_bigan.alad_networks import ImagePairDiscriminator, LatentPairDiscriminator
from anokit_bigan.ali_networks import ALIDiscriminator, ALIEncoder, ALIGenerator
from anokit_bigan.dcgan import DCDiscriminator, DCEncoder, DCGenerator
from anokit_bigan.egbad_networks import EGBADDiscriminator, EGBADEncoder, EGBADGenerator
from anokit_bigan.networks import build_networks
from anokit_bigan.plugin import BiGANOptions


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_cifar_networks():
    # 4×4 kernels: 16 weights per pair of channels; norms 2 per channel.
    with torch.device("meta"):
        encoder = DCEncoder(3, 32, 100, 128)
        generator = DCGenerator(3, 32, 100, 128)
        discriminator = DCDiscriminator(3, 32, 100, 128)
    # E 3→128→256→512→100: 16·(384 + 32,768 + 131,072 + 51,200) = 3,446,784, bias 100,
    #   norms 2·(128 + 256 + 512) = 1,792
    assert count(encoder) == 3_446_784 + 100 + 1_792 == 3_448_676
    # G 100→512→256→128→3: the same pairs, bias 3, the same norms
    assert count(generator) == 3_446_784 + 3 + 1_792 == 3_448_579
    # D image 3→128→256→512: 16·(384 + 32,768 + 131,072) = 2,627,584, bias 128, norms
    #   2·(256 + 512) = 1,536; latent 100→512→512: 51,200 + 512 + 262,144 + 512 = 314,368;
    #   joint (512·4·4 + 512 = 8,704)→1,024: 8,912,896 + 1,024 = 8,913,920; 1,024→1: 1,025
    assert count(discriminator) == 2_627_584 + 128 + 1_536 + 314_368 + 8_913_920 + 1_025
    assert count(discriminator) == 11_858_561


def test_spectral_norm_adds_no_parameter():
    plain, spectral = (DCEncoder(3, 32, 8, 4, spectral=on) for on in (False, True))
    assert count(plain) == count(spectral)


def test_discriminators_of_alad():
    with torch.device("meta"):
        channels = ImagePairDiscriminator(3, 32, 128, "channels", spectral=False)
        height = ImagePairDiscriminator(3, 32, 128, "height", spectral=False)
        latents = LatentPairDiscriminator(100, spectral=False)
    # D_xx, 5×5 kernels: 25·64·128 + 128 = 204,928 in any case;
    #   as channels: 25·6·64 + 64 = 9,664; 128·8·8→1: 8,193
    assert count(channels) == 9_664 + 204_928 + 8_193 == 222_785
    #   one above the other: 25·3·64 + 64 = 4,864; 128·16·8→1: 16,385
    assert count(height) == 4_864 + 204_928 + 16_385 == 226_177
    # D_zz 200→64→32→1: 12,800 + 64 + 2,048 + 32 + 32 + 1
    assert count(latents) == 14_977


def test_mnist_networks_of_egbad():
    with torch.device("meta"):
        networks = (EGBADEncoder, EGBADGenerator, EGBADDiscriminator)
        encoder, generator, discriminator = (network(1, 28, 200, 32) for network in networks)
    # E 1→32: 288 + 32; 32→64: 18,432, norm 128; 64→128: 73,728, norm 256;
    #   dense 128·7·7 = 6,272→200: 1,254,400 + 200
    assert count(encoder) == 320 + 18_432 + 128 + 73_728 + 256 + 1_254_600 == 1_347_464
    # G 200→1,024: 204,800, norm 2,048; 1,024→6,272: 6,422,528, norm 12,544;
    #   16·128·64 = 131,072, norm 128; 16·64·1 + 1 = 1,025
    assert count(generator) == 206_848 + 6_422_528 + 12_544 + 131_072 + 128 + 1_025 == 6_774_145
    # D 1→64: 1,024 + 64; 64→64: 65,536, norm 128; 200→512: 102,400 + 512;
    #   (64·7·7 + 512 = 3,648)→1,024: 3,735,552 + 1,024; 1,024→1: 1,025
    assert count(discriminator) == 1_088 + 65_536 + 128 + 102_912 + 3_736_576 + 1_025 == 3_907_265


def test_cifar_networks_of_ali():
    with torch.device("meta"):
        networks = (ALIEncoder, ALIGenerator, ALIDiscriminator)
        encoder, generator, discriminator = (network(3, 64, 32) for network in networks)
    # E 5×5 3→32: 2,400; 4×4 32→64→128→256→512: 16·(2,048 + 8,192 + 32,768 + 131,072) = 2,785,280;
    #   1×1 512→512: 262,144; norms 2·(32 + 64 + 128 + 256 + 512 + 512) = 3,008;
    #   512→2·64: 65,536 + 128
    assert count(encoder) == 2_400 + 2_785_280 + 262_144 + 3_008 + 65_664 == 3_118_496
    # G 4×4 64→256→128→64→32: 16·(16,384 + 32,768 + 8,192 + 2,048) = 950,272; 5×5 32→32: 25,600;
    #   1×1 32→32: 1,024; norms 2·(256 + 128 + 64 + 32 + 32 + 32) = 1,088; 32→3: 96 + 3
    assert count(generator) == 950_272 + 25_600 + 1_024 + 1_088 + 99 == 978_083
    # D, twice the outputs each: 5×5 3→64: 4,800 + 64; 4×4 32→128, 64→256, 128→512, 256→1,024:
    #   16·(4,096 + 16,384 + 65,536 + 262,144) = 5,570,560, biases 1,920;
    #   latent 64→1,024: 65,536 + 1,024; 512→1,024: 524,288 + 1,024;
    #   joint 1,024→2,048 twice: 2·(2,097,152 + 2,048) = 4,198,400; 1,024→1: 1,025
    image = 4_864 + 5_570_560 + 1_920
    assert count(discriminator) == image + 66_560 + 525_312 + 4_198_400 + 1_025 == 10_368_641


@pytest.mark.parametrize(
    ("networks", "size", "channels"),
    [("dcgan", 32, 3), ("dcgan", 64, 1), ("egbad", 28, 1), ("egbad", 32, 3), ("ali", 32, 1)],
)
def test_shapes_and_ranges(draw, networks, size, channels):
    options = BiGANOptions(networks=networks, latent_size=5, width=2)
    encoder, generator, discriminator = build_networks(
        options, ImageSpec(channels, size, size), "bigan"
    )
    images = draw(3, channels=channels, size=size)
    latents = encoder(images)
    assert latents.shape == (3, 5)
    made = generator(torch.randn(3, 5) * 100)
    assert made.shape == images.shape
    assert made.abs().max() <= 1
    assert made.min() < 0, "images are in [-1, 1], not in [0, 1]"
    logits, features = discriminator(images, latents)
    assert logits.shape == (3,)
    assert features.shape == (3, 16 if networks == "dcgan" else 64)


@pytest.mark.parametrize(("join", "values"), [("channels", 64 * 4), ("height", 128 * 4)])
def test_pairs_of_images_lie_side_by_side_as_told(draw, join, values):
    judge = ImagePairDiscriminator(3, 32, 4, join, spectral=True).eval()
    seen = []
    judge.first.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    one, other = draw(2), draw(2, seed=1)
    logits, features = judge(one, other)
    assert logits.shape == (2,)
    assert features.shape == (2, values)
    (pair,) = seen
    first, second = pair.chunk(2, dim=1 if join == "channels" else 2)
    assert torch.equal(first, one)
    assert torch.equal(second, other)


@pytest.mark.parametrize(
    ("networks", "deviation"), [("dcgan", 0.01), ("egbad", 0.02), ("ali", 0.01)]
)
def test_weights_are_drawn_as_published(networks, deviation):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = BiGANOptions(networks=networks, width=8)
        for network in build_networks(options, ImageSpec(3, 32, 32), "bigan"):
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                    if layer.weight.numel() > 5000:
                        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
                    assert layer.bias is None or not layer.bias.any()


def test_every_layer_of_spectral_networks_is_normalised():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = [
            DCEncoder(3, 32, 8, 4, spectral=True),
            DCDiscriminator(3, 32, 8, 4, spectral=True),
            ImagePairDiscriminator(3, 32, 4, "channels", spectral=True),
            LatentPairDiscriminator(8, spectral=True),
        ]
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                for _ in range(50):
                    weight = layer.weight.flatten(1)
                assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize(
    ("networks", "shape", "wanted"),
    [
        ("dcgan", (28, 28), r"power of two of at least 32.*size = 32"),
        ("egbad", (30, 30), r"multiple of 4.*size = 32"),
        ("egbad", (28, 32), r"multiple of 4"),
        ("ali", (64, 64), r"32x32 pixels.*size = 32"),
    ],
)
def test_images_of_other_sizes_are_refused(networks, shape, wanted):
    options = BiGANOptions(networks=networks, width=2)
    with pytest.raises(DataError, match=wanted):
        build_networks(options, ImageSpec(1, *shape), "bigan")

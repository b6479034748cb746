"""The networks: size, shape, first weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_critic.alocc import ALOCC
from anokit_critic.alocc_networks import Discriminator, Refiner
from anokit_critic.fence_gan import FenceGAN
from anokit_critic.fence_networks import FenceDiscriminator, FenceGenerator, widths
from anokit_critic.plugin import ALOCCOptions, FenceGANOptions


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# 5×5 kernels: 25 weights for each pair of channels; batch norm: 2 for each channel. The released
# codes have biases before batch norm as well, which change nothing: not counted here.


def test_parameters_of_the_published_refiner():
    # down 3→32→64→128: 25 · (96 + 2,048 + 8,192)                             = 258,400
    # up   128→32→16→3: 25 · (4,096 + 512 + 48)                               = 116,400
    # batch norm over 32 + 64 + 128 + 32 + 16 = 272, and the bias of 3        =     547
    assert count(Refiner(channels=3, width=16)) == 258_400 + 116_400 + 547 == 375_347


def test_parameters_of_aloccs_published_discriminator():
    # 3→16→32→64→128: 25 · (48 + 512 + 2,048 + 8,192)                         = 270,000
    # bias of the first 16, batch norm over 32 + 64 + 128 = 224: 16 + 448     =     464
    # linear 128·2·2→1 with bias                                              =     513
    network = Discriminator(channels=3, size=32, width=16)
    assert count(network) == 270_000 + 464 + 513 == 270_977


def test_parameters_of_the_published_fence_generator():
    # linear 256→256·2·2 with bias: 262,144 + 1,024                           =   263,168
    # 256→128→64→32→3: 25 · (32,768 + 8,192 + 2,048 + 96), and the bias of 3  = 1,077,603
    # batch norm over 256 + 128 + 64 + 32 = 480                               =       960
    network = FenceGenerator(channels=3, size=32, latent_size=256, width=32)
    assert count(network) == 263_168 + 1_077_603 + 960 == 1_341_731


def test_parameters_of_the_published_fence_discriminator():
    # 3→32→64→128→256: 25 · (96 + 2,048 + 8,192 + 32,768)                     = 1,077,600
    # batch norm over 32 + 64 + 128 = 224: 448, bias of the last 256          =       704
    # linear 256·2·2→1 with bias                                              =     1,025
    network = FenceDiscriminator(channels=3, size=32, width=32, dropout=0.2)
    assert count(network) == 1_077_600 + 704 + 1_025 == 1_079_329


def test_backbones_have_these_by_default():
    spec = ImageSpec(3, 32, 32)
    with torch.device("meta"):
        alocc, fence = ALOCC(ALOCCOptions(), spec), FenceGAN(FenceGANOptions(), spec)
    assert count(alocc) == 375_347 + 270_977
    assert count(fence) == 1_341_731 + 1_079_329


def test_larger_images_get_levels_of_the_widest_kind():
    assert widths(16, 32) == [32, 64, 128]
    assert widths(32, 32) == [32, 64, 128, 256]
    assert widths(128, 32) == [32, 64, 128, 256, 256, 256]


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 32), (4, 64), (1, 128)])
def test_shapes(draw, channels, size):
    images = draw(2, channels=channels, size=size)
    refined = Refiner(channels, 2)(images)
    made = FenceGenerator(channels, size, 5, 2)(torch.randn(2, 5))
    assert refined.shape == made.shape == images.shape
    assert max(refined.abs().max(), made.abs().max()) <= 1
    fence = FenceDiscriminator(channels, size, 2, 0.2)
    for network in (Discriminator(channels, size, 2), fence):
        assert network(images).shape == (2,)
    assert fence.features(images).shape == (2, 4 * widths(size, 2)[-1])


def test_alocc_begins_with_a_standard_deviation_of_two_hundredths():
    for network in (Refiner(3, 16), Discriminator(3, 32, 16)):
        kernels = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        for layer in kernels:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert layer.bias is None or not layer.bias.any()


def test_fence_gan_begins_with_glorots_weights():
    # √(2 / (fan in + fan out)); a kernel's fans are its channels times 25.
    first, *rest = FenceGenerator(3, 32, 256, 32).convolutions
    assert first.weight.std().item() == pytest.approx(math.sqrt(2 / (25 * 384)), rel=0.02)
    assert rest[0].weight.std().item() == pytest.approx(math.sqrt(2 / (25 * 192)), rel=0.02)
    opinion = FenceDiscriminator(3, 32, 32, 0.2).opinion
    assert opinion.weight.std().item() == pytest.approx(math.sqrt(2 / 1025), rel=0.1)
    assert not opinion.bias.any()


def test_dropout_is_drawn_from_the_generator_alone_and_keeps_the_mean(draw):
    network, images = FenceDiscriminator(3, 16, 8, 0.5).eval(), draw(4)
    nn.init.ones_(network.opinion.weight)
    network.features = lambda images: torch.ones(len(images), 128)
    state = torch.get_rng_state()
    dropped = network(images, torch.Generator().manual_seed(0))
    again = network(images, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(dropped, again)
    # Of 128 features that are 1, about half count double, so that the sum stays near 128.
    assert torch.equal(dropped % 2, torch.zeros(4))
    assert len(dropped.unique()) > 1
    assert dropped.mean().item() == pytest.approx(128, rel=0.1)
    assert torch.equal(network(images), torch.full((4,), 128.0)), "none without a generator"


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [(ALOCC, ALOCCOptions, "alocc"), (FenceGAN, FenceGANOptions, "fence-gan")],
)
def test_other_shapes_are_refused(draw, kind, options, name):
    with pytest.raises(DataError, match=rf"'{name}' takes square images .* at least 16"):
        kind(options(), ImageSpec(1, 28, 28))
    backbone = kind(options(width=2), ImageSpec(1, 16, 16))
    with pytest.raises(DataError, match=f"'{name}' was built for images 1×16×16"):
        backbone.round_trip(draw(1), frozenset({"critic"}))

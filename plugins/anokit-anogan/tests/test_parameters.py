"""Sizes of the published networks, counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anokit_anogan.adgan_networks import ADGANCritic, ADGANGenerator
from anokit_anogan.dcgan import DCDiscriminator, DCGenerator
from anokit_anogan.residual_networks import Critic, ResidualEncoder, ResidualGenerator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# A residual block a→b: 3×3 convolutions have 9 weights per pair of channels, norms 2 per channel.
# up:   norm 2a, 9ab, norm 2b, 9bb + b, shortcut ab + b  = 10ab + 9bb + 2a + 4b
# down: norm 2a, 9aa, norm 2a, 9ab + b, shortcut ab + b  = 9aa + 10ab + 4a + 2b
#
# up:   512→512: 2,621,440 + 2,359,296 + 1,024 + 2,048 = 4,983,808
#       512→256: 1,310,720 +   589,824 + 1,024 + 1,024 = 1,902,592
#       256→128:   327,680 +   147,456 +   512 +   512 =   476,160
#       128→64:     81,920 +    36,864 +   256 +   256 =   119,296
# down: 64→128:     36,864 +    81,920 +   256 +   256 =   119,296
#       128→256:   147,456 +   327,680 +   512 +   512 =   476,160
#       256→512:   589,824 + 1,310,720 + 1,024 + 1,024 = 1,902,592
#       512→512: 2,359,296 + 2,621,440 + 2,048 + 1,024 = 4,983,808
BLOCKS_64 = 4_983_808 + 1_902_592 + 476_160 + 119_296  # = 7,481,856
BLOCKS_32 = BLOCKS_64 - 4_983_808  # = 2,498,048: one 512→512 less


@pytest.mark.parametrize(("size", "channels", "blocks"), [(64, 1, BLOCKS_64), (32, 3, BLOCKS_32)])
def test_fanogan(size, channels, blocks):
    # G: dense 128→8,192: 1,048,576 + 8,192 = 1,056,768; last norm 128; 3×3 64→C: 576C + C
    generator = ResidualGenerator(channels, size, 128, 64)
    assert count(generator) == 1_056_768 + blocks + 128 + 577 * channels
    # D: 3×3 C→64: 576C + 64; dense 8,192→1: 8,193. At 64×64×1: 7,490,689
    assert count(Critic(channels, size, 64)) == 576 * channels + 64 + blocks + 8_193
    # E: the same with dense 8,192→128: 1,048,576 + 128 = 1,048,704
    encoder = ResidualEncoder(channels, size, 128, 64, "tanh")
    assert count(encoder) == 576 * channels + 64 + blocks + 1_048_704


def test_fanogan_at_64_pixels_in_all():
    assert count(ResidualGenerator(1, 64, 128, 64)) == 8_539_329
    assert count(Critic(1, 64, 64)) == 7_490_689
    assert count(ResidualEncoder(1, 64, 128, 64, "tanh")) == 8_531_200


def test_anogan():
    # 4×4 kernels: 16 weights per pair of channels; norms 2 per channel.
    # G: 100→512→256→128→3: 16·(51,200 + 131,072 + 32,768 + 384) = 3,446,784, bias 3,
    #    norms 2·(512 + 256 + 128) = 1,792
    assert count(DCGenerator(3, 32, 100, 128)) == 3_446_784 + 3 + 1_792 == 3_448_579
    # D: 3→128→256→512: 16·(384 + 32,768 + 131,072) = 2,627,584, bias 128, norms 2·(256 + 512) =
    #    1,536, dense 8,192 + 1
    assert count(DCDiscriminator(3, 32, 128)) == 2_627_584 + 128 + 1_536 + 8_193 == 2_637_441


def test_adgan():
    # G: dense 256→4,096: 1,048,576 + 4,096 = 1,052,672; 3×3 256→128→64→3 with biases:
    #    294,912 + 128 + 73,728 + 64 + 1,728 + 3 = 370,563; norms 2·(256 + 128 + 64) = 896
    assert count(ADGANGenerator(3, 32, 256, 64)) == 1_052_672 + 370_563 + 896 == 1_424_131
    # D: 3×3 3→64→128→256: 1,728 + 64 + 73,728 + 128 + 294,912 + 256 = 370,816; norms 896;
    #    dense 4,096 + 1
    assert count(ADGANCritic(3, 32, 64)) == 370_816 + 896 + 4_097 == 375_809


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 64), (4, 128)])
def test_any_power_of_two_from_32_and_any_channels(channels, size):
    z, images = torch.randn(2, 6), torch.rand(2, channels, size, size) * 2 - 1
    for generator in (ResidualGenerator, DCGenerator, ADGANGenerator):
        made = generator(channels, size, 6, 1)(z)
        assert made.shape == images.shape
        assert made.abs().max() <= 1
    for critic in (Critic, DCDiscriminator, ADGANCritic):
        assert critic(channels, size, 1)(images).shape == (2,)
    assert ResidualEncoder(channels, size, 6, 1, "tanh")(images).shape == (2, 6)


@pytest.mark.parametrize(
    ("output", "limit"), [("tanh", 1), ("tanh-3", 3), ("tanh-half", 0.5), ("clip", 1)]
)
def test_the_encoder_is_bounded_as_told(output, limit):
    encoder = ResidualEncoder(1, 32, 6, 1, output)
    nn.init.constant_(encoder.to_latent.bias, 100.0)
    assert encoder(torch.zeros(1, 1, 32, 32)).tolist() == [[pytest.approx(limit)] * 6]
    linear = ResidualEncoder(1, 32, 6, 1, "linear")
    nn.init.constant_(linear.to_latent.bias, 100.0)
    assert linear(torch.zeros(1, 1, 32, 32)).min() > 90


def test_the_critic_of_fanogan_judges_each_image_alone_even_in_training():
    # Layer norm: a gradient penalty is one of each image.
    critic, images = Critic(1, 32, 2).train(), torch.rand(5, 1, 32, 32)
    torch.testing.assert_close(critic(images)[:2], critic(images[:2]))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in critic.modules())


def test_weights_of_fanogan_are_drawn_as_published():
    torch.manual_seed(0)
    network = ResidualGenerator(3, 32, 128, 16)
    block = network.blocks[0]
    # σ² = 4/(9·(128 + 64)) in a 3×3 convolution, 2/(128 + 64) in a 1×1 shortcut, uniform.
    for weight, variance in (
        (block.conv1.weight, 4 / (9 * 192)),
        (block.shortcut.weight, 2 / 192),
        (network.dense.weight, 2 / (128 + 2048)),
    ):
        assert weight.var().item() == pytest.approx(variance, rel=0.05)
        assert weight.abs().max() <= (3 * variance) ** 0.5
    assert not block.conv2.bias.any()

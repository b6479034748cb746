"""The wide residual network: size, weights, shapes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_geom.geom import Geom
from anokit_geom.plugin import GeomOptions
from anokit_geom.wide_resnet import WideResNet


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_the_published_network():
    # Weights of the convolutions: kernel² · channels in · channels out, no biases.
    # stem      9 · 3 · 16                                                     =       432
    # group 1   9 · 16 · 64   +  9 · 64 · 64   + 16 · 64   =   9,216 +  36,864 +  1,024
    # group 2   9 · 64 · 128  +  9 · 128 · 128 + 64 · 128  =  73,728 + 147,456 +  8,192
    # group 3   9 · 128 · 256 +  9 · 256 · 256 + 128 · 256 = 294,912 + 589,824 + 32,768
    convolutions = 432 + 47_104 + 229_376 + 917_504
    # Batch norm, two a channel, before each 3×3 convolution of a block and before the mean:
    # 2 · (16 + 64  +  64 + 128  +  128 + 256  +  256) = 1,824
    # classifier 256 · 72 + 72 = 18,504
    with torch.device("meta"):
        network = WideResNet(channels=3, depth=10, widen=4, classes=72)
    assert count(network) == convolutions + 1_824 + 18_504 == 1_214_744


def test_six_layers_more_are_one_block_more_in_each_group():
    # 2 · 9 · (64² + 128² + 256²) weights, 2 · 2 · (64 + 128 + 256) of batch norm
    with torch.device("meta"):
        smaller, larger = (count(WideResNet(3, depth, 4, 72)) for depth in (10, 16))
    assert larger - smaller == 18 * (4_096 + 16_384 + 65_536) + 4 * 448 == 1_550_080


def test_initial_weights():
    torch.manual_seed(0)
    network = WideResNet(3, 10, 4, 72)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels * layer.kernel_size[0] ** 2
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.1)
            assert layer.bias is None
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.eps, layer.momentum) == (1e-5, 0.1)
    weight = network.classifier.weight
    assert 0.95 / 16 < weight.abs().max() < 1 / 16
    assert not network.classifier.bias.any()


@pytest.mark.parametrize(("channels", "side", "depth"), [(1, 8, 10), (3, 28, 16), (4, 33, 10)])
def test_shapes(draw, channels, side, depth):
    network = WideResNet(channels, depth, 1, 5).eval()
    images = draw(2, channels=channels, side=side)
    assert network.features(images).shape == (2, 64)
    assert network(images).shape == (2, 5)


def test_second_and_third_group_halve_the_resolution(draw):
    network, sides = WideResNet(3, 10, 1, 5), []
    for block in network.blocks:
        block.register_forward_hook(lambda _m, _i, out: sides.append(out.shape[-1]))
    network(draw(2, side=32))
    assert sides == [32, 16, 8]


@pytest.mark.parametrize(("height", "width", "advice"), [(32, 24, 32), (7, 7, 8), (5, 90, 90)])
def test_images_that_cannot_be_turned_are_refused(height, width, advice):
    with pytest.raises(DataError, match=rf"got 3×{height}×{width} .*size = {advice}$"):
        Geom(GeomOptions(), ImageSpec(3, height, width))

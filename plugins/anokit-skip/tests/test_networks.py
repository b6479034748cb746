"""Generator and discriminator: size, shape, weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu, relu

from anokit.errors import DataError
from anokit.nn import check_square
from anokit.types import ImageSpec
from anokit_skip.blocks import initialise, trunk
from anokit_skip.discriminator import BasicDiscriminator
from anokit_skip.ganomaly import Ganomaly
from anokit_skip.ganomaly_networks import LatentDecoder, LatentEncoder, TrunkDiscriminator
from anokit_skip.plugin import GanomalyOptions
from anokit_skip.unet import UNet


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_the_published_generator():
    # 4×4 kernels: 16 weights per pair of channels; batch norm: 2 per channel; one bias of 3.
    # down 3→64→128→256→512→512: 16 · (192 + 8,192 + 32,768 + 131,072 + 262,144) = 6,949,888
    #      batch norm over 128 + 256 + 512                                       =     1,792
    # up   512→512, 1024→256, 512→128, 256→64, 128→3:
    #      16 · (262,144 + 262,144 + 65,536 + 16,384 + 384)                      = 9,705,472
    #      batch norm over 512 + 256 + 128 + 64, and the bias                    =     1,923
    assert count(UNet(channels=3, size=32, width=64)) == 6_949_888 + 1_792 + 9_705_472 + 1_923
    assert 6_949_888 + 1_792 + 9_705_472 + 1_923 == 16_659_075


def test_parameters_of_the_published_discriminator():
    # trunk 3→64→128→256: 16 · (192 + 8,192 + 32,768) = 658,432; batch norm over 128 + 256 = 768
    # features, 4×4, 256→100: 409,600; classifier, 3×3, 100→1: 900
    network = BasicDiscriminator(channels=3, size=32, width=64, nz=100)
    assert count(network) == 658_432 + 768 + 409_600 + 900 == 1_069_700


def test_parameters_of_the_published_ganomaly():
    # trunk 3→64→128→256 as above: 658,432 + 768 = 659,200; to 1×1: 4×4, 256→100: 409,600
    encoder = LatentEncoder(channels=3, size=32, width=64, nz=100)
    assert count(encoder) == 659_200 + 409_600 == 1_068_800
    # 100→256→128→64→3: 16 · (25,600 + 32,768 + 8,192 + 192) = 1,068,032
    # batch norm over 256 + 128 + 64 = 896
    decoder = LatentDecoder(channels=3, size=32, width=64, nz=100)
    assert count(decoder) == 1_068_032 + 896 == 1_068_928
    # trunk, and 4×4 256→1: 4,096
    assert count(TrunkDiscriminator(channels=3, size=32, width=64)) == 659_200 + 4_096 == 663_296
    with torch.random.fork_rng():
        whole = Ganomaly(GanomalyOptions(), ImageSpec(3, 32, 32))
    assert count(whole) == 2 * 1_068_800 + 1_068_928 + 663_296 == 3_869_824


def test_each_doubling_of_the_size_adds_one_level_of_the_widest_channels():
    # One 512→512 convolution down, one 1024→512 up, batch norm of 512 on both sides.
    levels = 16 * (512 * 512 + 1024 * 512) + 2 * 2 * 512
    smaller, larger = (count(UNet(1, size, 64)) for size in (32, 64))
    assert larger - smaller == levels


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 32), (4, 64), (1, 128)])
def test_shapes(draw, channels, size):
    images = draw(2, channels=channels, size=size)
    image_hat = UNet(channels, size, 2)(images)
    assert image_hat.shape == images.shape
    assert image_hat.abs().max() <= 1
    latent = LatentEncoder(channels, size, 2, 5)(images)
    assert latent.shape == (2, 5)
    decoded = LatentDecoder(channels, size, 2, 5)(latent)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1
    judgement = TrunkDiscriminator(channels, size, 2)(images)
    assert judgement.logits.shape == (2,)
    assert judgement.features.shape == (2, 16 * 2 * size // 8)
    logits, features = BasicDiscriminator(channels, size, 2, 5)(images)
    assert logits.shape == (2,)
    assert features.shape == (2, 5)


def test_trunk_ends_at_four_pixels(draw):
    assert trunk(1, 64, 2)(draw(1, channels=1, size=64)).shape == (1, 16, 4, 4)


def test_every_skip_reaches_the_output(draw):
    network = UNet(3, 32, 2)
    images = draw(2)
    hidden: list[torch.Tensor] = []
    for layer in [network.first, *network.down, network.bottleneck]:
        layer.register_forward_hook(lambda _m, _i, out: (out.retain_grad(), hidden.append(out))[0])
    network(images).sum().backward()
    assert [h.shape[-1] for h in hidden] == [16, 8, 4, 2, 1]
    assert all(h.grad.abs().sum() > 0 for h in hidden)


def test_an_activated_skip_equals_one_taken_before_activation(draw):
    # Why the in-place activation of the published code changes nothing: the decoder's ReLU.
    hidden = draw(3)
    torch.testing.assert_close(relu(leaky_relu(hidden, 0.2)), relu(hidden), rtol=0, atol=0)


def test_weights_are_those_of_dcgan():
    network = BasicDiscriminator(3, 32, 64, 100)
    initialise(network, torch.Generator().manual_seed(0))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is None
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert abs(layer.weight.mean().item()) < 3 * 0.02 / layer.weight.numel() ** 0.5
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert 0.01 < layer.weight.std().item() < 0.03
            assert not layer.bias.any()


def test_initialising_draws_from_the_generator_alone():
    network = UNet(3, 32, 4)
    state = torch.get_rng_state()
    initialise(network, torch.Generator().manual_seed(3))
    first = [parameter.clone() for parameter in network.parameters()]
    initialise(network, torch.Generator().manual_seed(3))
    assert all(map(torch.equal, first, network.parameters()))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("height", "width", "advice"),
    [(28, 28, 32), (16, 16, 32), (32, 64, 64), (48, 48, 64), (720, 576, 512)],
)
def test_shapes_that_cannot_be_halved_down_to_one_pixel_are_refused(height, width, advice):
    with pytest.raises(DataError, match=rf"got 3×{height}×{width} .*size = {advice}$"):
        check_square(ImageSpec(3, height, width), "skip-ganomaly", 32)

"""Generator, discriminator and encoder."""

import pytest
import torch
from torch import nn

from anokit.nn import box_downscale, upscale_nearest
from anokit_pgan.networks import Discriminator, Encoder, Generator, channels_at

WIDTH = {"base_channels": 32, "max_channels": 4}


@pytest.fixture
def z() -> torch.Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(8, 2, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def generator(**options: object) -> Generator:
    torch.manual_seed(0)
    return Generator(2, 16, 6, **WIDTH, **options)


def discriminator(**options: object) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(2, 16, **WIDTH, **options)


def encoder(**options: object) -> Encoder:
    torch.manual_seed(0)
    return Encoder(2, 16, outputs=6, **WIDTH, **options)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("channels", "size", "expected"),
    [
        (1, 64, (22_485_765, 22_493_441, 22_492_928)),
        (3, 32, (20_719_628, 20_726_785, 20_726_272)),
    ],
)
def test_parameter_counts_are_the_published_ones(channels, size, expected):
    counts = (
        count(Generator(channels, size, 512, 8192, 512)),
        count(Discriminator(channels, size, 8192, 512)),
        count(Encoder(channels, size, 8192, 512, 512)),
    )
    assert counts == expected


@pytest.mark.parametrize(("resolution", "width"), [(2, 512), (32, 512), (64, 256), (128, 128)])
def test_published_width_rule(resolution, width):
    assert channels_at(resolution, 8192, 512) == width


def test_generator_sees_only_the_direction_of_its_latent(z):
    network = generator()
    torch.testing.assert_close(network(z), network(3 * z), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(network(z), network(-z))


def test_dense_layer_has_gain_and_a_bias_per_channel():
    network = generator()
    assert network.dense.scale == pytest.approx((2**0.5 / 4) / 6**0.5)
    assert network.dense.bias is None
    assert network.dense_bias.shape == (4,)


def test_generator_is_linear_in_its_last_layer(z):
    network = generator()
    with torch.no_grad():
        network.to_rgb["16"].bias += 5
    assert network(z).min() > 1


@pytest.mark.parametrize("resolution", [8, 16])
def test_fade_joins_resolutions_without_a_jump(resolution, z, images):
    make, read = generator(), discriminator()
    images = box_downscale(images, 16 // resolution)
    half = resolution // 2
    torch.testing.assert_close(make(z, resolution, 0.0), upscale_nearest(make(z, half)))
    torch.testing.assert_close(make(z, resolution, 1 - 1e-7), make(z, resolution))
    torch.testing.assert_close(read(images, resolution, 0.0), read(box_downscale(images), half))
    torch.testing.assert_close(read(images, resolution, 1 - 1e-7), read(images, resolution))


def test_fade_blends_images_linearly(z):
    network = generator()
    ends = torch.stack([network(z, 16, 0.0), network(z, 16)])
    torch.testing.assert_close(network(z, 16, 0.3), 0.7 * ends[0] + 0.3 * ends[1])


def test_encoder_is_the_discriminator_without_its_last_layer():
    own, other = discriminator().state_dict(), encoder().state_dict()
    assert set(own) - set(other) == {"opinion.weight", "opinion.bias"}
    assert not set(other) - set(own)


def test_encoding_is_rectified_not_normalised(images):
    network = encoder()
    latent = network(images)
    before = latent.norm(dim=1)
    with torch.no_grad():
        network.dense.weight *= 2
    torch.testing.assert_close(network(images).norm(dim=1), 2 * before)
    assert (latent < 0).any()


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_shapes_at_every_resolution(resolution, z, images):
    made = generator()(z, resolution)
    assert made.shape == (8, 2, resolution, resolution)
    assert discriminator()(made, resolution).shape == (8,)
    assert discriminator().features(made, resolution).shape == (8, 4, 4, 4)
    assert encoder()(made, resolution).shape == (8, 6)


def test_memory_format_changes_no_result(z, images):
    for build, argument in ((generator, z), (discriminator, images), (encoder, images)):
        results = [build(memory_format=name)(argument) for name in ("nchw", "channels_last")]
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_latents_of_zeros_give_finite_images_and_gradients():
    network = generator()
    network(torch.zeros(2, 6)).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)

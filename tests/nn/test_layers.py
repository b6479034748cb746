"""Helpers for authors of backbones."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from anokit import nn as helpers


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def noise(generator):
    return lambda *shape: torch.randn(*shape, generator=generator)


class TestEqualized:
    def test_linear_has_unit_variance_times_gain_squared(self, noise):
        layer = helpers.EqualizedLinear(256, 4096, gain=0.5)
        output = layer(noise(8, 256))
        assert output.std().item() == pytest.approx(0.5, rel=0.1)
        assert layer.weight.std().item() == pytest.approx(1, rel=0.05)

    def test_convolution_scales_by_gain_over_root_fan_in(self, noise):
        layer = helpers.EqualizedConv2d(3, 5, 3, gain=0.7)
        x = noise(2, 3, 6, 6)
        expected = functional.conv2d(x, layer.weight * 0.7 / math.sqrt(27), padding=1)
        torch.testing.assert_close(layer(x), expected)

    @pytest.mark.parametrize("resample", ["up", "down"])
    def test_fused_resampling_equals_two_operations(self, resample, noise):
        fused = helpers.EqualizedConv2d(3, 5, 3, resample=resample)
        plain = helpers.EqualizedConv2d(3, 5, 3)
        plain.load_state_dict(fused.state_dict())
        with torch.no_grad():
            fused.bias += 0.3
            plain.bias += 0.3
        x = noise(2, 3, 8, 8)
        if resample == "up":
            expected = plain(helpers.upscale_nearest(x))
        else:
            expected = helpers.box_downscale(plain(x))
        torch.testing.assert_close(fused(x), expected, rtol=1e-5, atol=1e-5)

    def test_state_holds_weight_and_bias_alone(self):
        state = helpers.EqualizedConv2d(3, 5, 3, resample="up").state_dict()
        assert {name: tuple(value.shape) for name, value in state.items()} == {
            "weight": (5, 3, 3, 3),
            "bias": (5,),
        }

    @pytest.mark.parametrize(("kernel", "resample"), [(2, "none"), (1, "up"), (5, "down")])
    def test_unfit_kernel_is_refused(self, kernel, resample):
        with pytest.raises(ValueError, match=f"got {kernel}"):
            helpers.EqualizedConv2d(3, 5, kernel, resample=resample)


class TestPixelNorm:
    @pytest.mark.parametrize("shape", [(2, 6), (2, 6, 3, 3)])
    def test_vectors_get_length_root_of_channels(self, shape, noise):
        x = 7 * noise(*shape)
        length = helpers.PixelNorm()(x).norm(dim=1)
        torch.testing.assert_close(length, torch.full_like(length, math.sqrt(6)))

    def test_dead_vectors_give_zeros_and_finite_gradients(self):
        x = torch.zeros(2, 4, requires_grad=True)
        y = helpers.pixel_norm(x)
        y.sum().backward()
        assert not y.any()
        assert x.grad.isfinite().all()

    def test_sum_is_taken_in_float32(self):
        x = torch.full((1, 4096), 3.0, dtype=torch.bfloat16)
        y = helpers.pixel_norm(x)
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.float(), torch.ones(1, 4096), rtol=1e-2, atol=0)


def naive_stddev(x: Tensor, group: int) -> Tensor:
    count = math.ceil(len(x) / group)
    result = torch.empty(len(x))
    for first in range(count):
        members = x[first::count]
        variance = members.var(dim=0, correction=0)
        result[first::count] = (variance + 1e-8).sqrt().mean()
    return result


class TestMinibatchStddev:
    @pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 6, 7, 8, 11, 12])
    def test_equals_a_naive_loop_over_strided_groups(self, batch, noise):
        x = noise(batch, 3, 2, 2)
        torch.testing.assert_close(helpers.minibatch_stddev(x), naive_stddev(x, 4))

    def test_groups_are_those_of_the_published_layout(self, noise):
        """In a batch of 8, images 0, 2, 4 and 6 share one group: [4, N/4] in C order."""
        x = noise(8, 3, 2, 2)
        before = helpers.minibatch_stddev(x)
        x[4] += 1
        changed = helpers.minibatch_stddev(x) != before
        assert changed.tolist() == [True, False] * 4

    def test_training_map_is_the_statistic(self, noise):
        x = noise(8, 3, 2, 2)
        y = helpers.MinibatchStddev()(x)
        torch.testing.assert_close(y[:, :3], x)
        torch.testing.assert_close(y[:, 3, 1, 0], helpers.minibatch_stddev(x))

    def test_evaluation_map_is_the_exact_mean_over_all_accumulated_images(self, noise):
        layer = helpers.MinibatchStddev().eval()
        layer.accumulate(noise(4, 3, 2, 2))
        layer.reset()
        batches = [noise(8, 3, 2, 2), 3 * noise(4, 3, 2, 2), noise(3, 3, 2, 2)]
        for batch in batches:
            layer.accumulate(batch)
        expected = torch.cat([helpers.minibatch_stddev(batch) for batch in batches]).mean()
        torch.testing.assert_close(layer(noise(1, 3, 2, 2))[0, 3, 0, 0], expected)
        assert layer.count == 15

    def test_over_batch_keeps_the_statistic_in_evaluation(self, noise):
        layer = helpers.MinibatchStddev(over_batch=True).eval()
        x = noise(4, 3, 2, 2)
        torch.testing.assert_close(layer(x)[:, 3, 0, 0], helpers.minibatch_stddev(x))


class TestGradientPenalty:
    @pytest.mark.parametrize("target", [1.0, 750.0])
    def test_of_a_linear_critic_is_known(self, target, noise, generator):
        slope = noise(12).requires_grad_()
        real, fake = noise(5, 3, 2, 2), noise(5, 3, 2, 2)
        penalty = helpers.gradient_penalty(
            lambda x: x.flatten(1) @ slope, real, fake, generator, target
        )
        norm = slope.norm()
        expected = ((norm - target) / target) ** 2
        torch.testing.assert_close(penalty, expected.expand(5))
        (got,) = torch.autograd.grad(penalty.mean(), slope)
        (wanted,) = torch.autograd.grad(expected, slope)
        torch.testing.assert_close(got, wanted)

    def test_points_lie_between_pairs_with_one_share_per_image(self, generator):
        seen = []

        def critic(x: Tensor) -> Tensor:
            seen.append(x)
            return x.square().flatten(1).sum(1)

        helpers.gradient_penalty(critic, torch.zeros(6, 1, 2, 2), torch.ones(6, 1, 2, 2), generator)
        (points,) = seen
        shares = points.flatten(1)
        assert (shares == shares[:, :1]).all()
        assert len(shares[:, 0].unique()) == 6
        assert ((shares >= 0) & (shares < 1)).all()

    def test_stays_in_float32_inside_autocast(self, noise, generator):
        layer = nn.Linear(4, 1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            penalty = helpers.gradient_penalty(
                lambda x: layer(x).squeeze(1), noise(3, 4), noise(3, 4), generator
            )
        expected = (layer.weight.norm() - 1).square()
        torch.testing.assert_close(penalty, expected.expand(3))

    def test_a_flat_critic_gives_a_finite_gradient(self, noise, generator):
        slope = torch.zeros(4, requires_grad=True)
        penalty = helpers.gradient_penalty(lambda x: x @ slope, noise(3, 4), noise(3, 4), generator)
        penalty.mean().backward()
        assert slope.grad.isfinite().all()

    def test_shapes_must_match(self, noise, generator):
        with pytest.raises(ValueError, match=r"fake images: expected shape \[3, 4\], got \[2, 4\]"):
            helpers.gradient_penalty(lambda x: x.sum(1), noise(3, 4), noise(2, 4), generator)


class TestExponentialMovingAverage:
    def test_follows_parameters_and_copies_buffers(self):
        source = nn.BatchNorm1d(2)
        average = helpers.ExponentialMovingAverage(source, decay=0.75)
        with torch.no_grad():
            source.weight += 4
        source.running_mean += 3
        average.update(source)
        torch.testing.assert_close(average.module.weight, torch.full((2,), 2.0))
        torch.testing.assert_close(average.module.running_mean, torch.full((2,), 3.0))
        average.update(source, decay=0)
        torch.testing.assert_close(average.module.weight, source.weight.detach())

    def test_is_saved_with_its_owner_and_takes_no_gradient(self, noise):
        source = nn.Linear(2, 2)
        average = helpers.ExponentialMovingAverage(source, decay=0.9)
        assert set(average.state_dict()) == {"module.weight", "module.bias"}
        assert not average(noise(1, 2)).requires_grad
        assert source(noise(1, 2)).requires_grad

    def test_decay_of_one_is_refused(self):
        with pytest.raises(ValueError, match="got 1"):
            helpers.ExponentialMovingAverage(nn.Linear(1, 1), decay=1)


class TestResampling:
    def test_downscaling_undoes_upscaling(self, noise):
        x = noise(2, 3, 4, 4)
        torch.testing.assert_close(helpers.box_downscale(helpers.upscale_nearest(x, 4), 4), x)

    def test_downscaling_is_the_mean_of_boxes(self):
        x = torch.arange(16.0).view(1, 1, 4, 4)
        expected = torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]])
        torch.testing.assert_close(helpers.box_downscale(x), expected)

    def test_odd_sizes_are_refused(self):
        with pytest.raises(ValueError, match=r"multiples of 2, got \[1, 1, 3, 4\]"):
            helpers.box_downscale(torch.zeros(1, 1, 3, 4))

    def test_lerp_meets_both_ends_exactly(self, noise):
        start, end = noise(4), noise(4)
        assert torch.equal(helpers.lerp(start, end, 0.0), start)
        assert torch.equal(helpers.lerp(start, end, 1.0), end)
        torch.testing.assert_close(helpers.lerp(start, end, 0.25), 0.75 * start + 0.25 * end)


def test_frozen_lets_gradients_through_but_gives_none_to_weights(noise):
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    x = noise(1, 2).requires_grad_()
    with helpers.frozen(layer):
        layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None
    assert layer.weight.requires_grad
    assert not layer.bias.requires_grad


def test_tf32_is_put_back():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with helpers.tf32(not before[0]):
        assert torch.backends.cuda.matmul.allow_tf32 is not before[0]
    assert before == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


@pytest.mark.parametrize("expected", [(2, 3), (None, 3, 4), (2, 3, 5), (2, 3, 4, None)])
def test_assert_shape(expected):
    tensor = torch.zeros(2, 3, 4)
    if expected == (None, 3, 4):
        helpers.assert_shape(tensor, expected)
    else:
        with pytest.raises(ValueError, match=r"latents: expected shape .*, got \[2, 3, 4\]"):
            helpers.assert_shape(tensor, expected, "latents")


def test_rmsprop_is_tensorflows():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    optimiser = helpers.tensorflow_rmsprop(layer, 0.1)
    weight, mean_square = 0.0, 1.0
    for slope in (3.0, -1.0, 2.0):
        layer.weight.grad = torch.full((1, 1), slope)
        optimiser.step()
        mean_square = 0.9 * mean_square + 0.1 * slope**2
        weight -= 0.1 * slope / (mean_square + 1e-10) ** 0.5
        assert layer.weight.item() == pytest.approx(weight, rel=1e-4)


class TestBatchStatistics:
    def test_uses_those_of_the_batch_and_keeps_its_own(self, noise):
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        images = 3 + noise(4, 1, 8, 8)
        with helpers.batch_statistics(network):
            normed = network(images)
        torch.testing.assert_close(normed.mean(dim=(0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-5)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert network(images).mean().abs() > 0.1, "outside, its own statistics count again"

    @pytest.mark.parametrize("training", [True, False])
    def test_modes_are_put_back_even_after_an_error(self, training):
        layer = nn.BatchNorm2d(1).train(training)
        with pytest.raises(ZeroDivisionError), helpers.batch_statistics(layer):
            raise ZeroDivisionError
        assert (layer.training, layer.track_running_stats) == (training, True)

"""Fence GAN: training steps, phases, round trips."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import linear

from anokit.types import Backbone, Batch
from anokit_critic.fence_gan import FenceGAN, mean_distance
from anokit_critic.plugin import anokit_backbones

_, COMPONENT = anokit_backbones()
EPS = 1e-3


def made(h, weights, z, *, running=False):
    """G at 16×16 pixels; ``running``: with the statistics that batch norm begins with."""

    def normed(x, name):
        given = {"mean": x.new_zeros(x.shape[1]), "variance": x.new_ones(x.shape[1])}
        return h.leaky(h.norm(x, weights, name, eps=EPS, **(given if running else {})))

    x = linear(z, weights["first.weight"], weights["first.bias"]).reshape(len(z), -1, 2, 2)
    x = normed(x, "norms.0")
    for place in (0, 1):
        x = normed(h.up(x, weights, f"convolutions.{place}"), f"norms.{place + 1}")
    return torch.tanh(h.up(x, weights, "to_image"))


def judged(h, weights, x, generator):
    for conv, bn in (("trunk.0", "trunk.1"), ("trunk.3", "trunk.4")):
        x = h.leaky(h.norm(h.down(x, weights, conv), weights, bn, eps=EPS))
    x = h.leaky(h.down(x, weights, "trunk.6")).flatten(1)
    x = x * torch.empty_like(x).bernoulli_(0.8, generator=generator) / 0.8
    return linear(x, weights["opinion.weight"], weights["opinion.bias"])[:, 0]


def latents(generator):
    return torch.randn(4, 5, generator=generator, dtype=torch.float64)


def test_two_phases_step_as_the_equations_say(build, draw, by_hand):
    h = by_hand
    options = {"target": 0.3, "dispersion": 7.0, "fake_weight": 0.6, "decay": 0.5}
    rates = {"learning_rate_d": 0.01, "learning_rate_g": 0.02}
    backbone = build(FenceGAN, **options, **rates).double()
    g, d = h.leaves(backbone.generator), h.leaves(backbone.discriminator)
    alone, both = backbone.phases()
    first, second = draw(4).double(), draw(4, seed=1).double()
    source = torch.Generator().manual_seed(3)
    assert set(alone.optimisers()) == {"discriminator"}
    alone.step(Batch(first, torch.arange(4), 0, 0.0, source))
    assert set(both.optimisers()) == {"discriminator", "generator"}
    metrics = both.step(Batch(second, torch.arange(4), 0, 0.0, source))

    source = torch.Generator().manual_seed(3)
    for images, updates in ((first, 0), (second, 2)):
        adam = h.Adam(d)  # each phase begins with a fresh one; its step size goes on falling
        loss_real = h.real_loss(judged(h, d, images, source)).mean()
        adam.step(loss_real, 0.01 / (1 + 0.5 * updates))
        fakes = made(h, g, latents(source), running=True).detach()
        loss_fake = 0.6 * h.fake_loss(judged(h, d, fakes, source)).mean()
        adam.step(loss_fake, 0.01 / (1 + 0.5 * (updates + 1)))
    images = made(h, g, latents(source))
    opinion = judged(h, d, images, source)
    encirclement = (0.3 * h.real_loss(opinion) + 0.7 * h.fake_loss(opinion)).mean()
    centre = images.mean(dim=0, keepdim=True)
    distance = (images - centre).square().sum(dim=(1, 2, 3)).sqrt().mean()
    h.Adam(g).step(encirclement + 7 / distance, 0.02)

    exact = {"rtol": 1e-8, "atol": 1e-10}
    for name, value in backbone.discriminator.named_parameters():
        torch.testing.assert_close(value, d[name], **exact)
    for name, value in backbone.generator.named_parameters():
        torch.testing.assert_close(value, g[name], **exact)
    expected = {
        "loss_real": loss_real,
        "loss_fake": loss_fake,
        "encirclement": encirclement,
        "distance": distance,
        "loss_g": encirclement + 7 / distance,
    }
    for name, value in expected.items():
        torch.testing.assert_close(metrics[name], value.detach(), **exact)


def test_g_stays_as_it_is_while_d_is_trained_alone(build, draw):
    backbone = build(FenceGAN)
    before = {name: value.clone() for name, value in backbone.generator.state_dict().items()}
    d = [value.detach().clone() for value in backbone.discriminator.parameters()]
    alone, _ = backbone.phases()
    alone.optimisers()
    alone.step(Batch(draw(4), torch.arange(4), 0, 0.0, torch.Generator().manual_seed(0)))
    after = backbone.generator.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(map(torch.equal, d, backbone.discriminator.parameters()))
    assert all(module.training for module in backbone.modules()), "modes are put back"


def test_running_statistics_of_d_know_images_and_generated_ones_alike(build, draw, by_hand):
    backbone = build(FenceGAN, pretrain_epochs=0, learning_rate_d=1e-12).double()
    g, d = by_hand.leaves(backbone.generator), by_hand.leaves(backbone.discriminator)
    (both,) = backbone.phases()
    both.optimisers()
    x, source = draw(4).double(), torch.Generator().manual_seed(3)
    both.step(Batch(x, torch.arange(4), 0, 0.0, source))
    source.manual_seed(3)
    judged(by_hand, d, x, source)  # draws its dropout
    fakes = made(by_hand, g, latents(source), running=True)
    seen = [by_hand.down(y, d, "trunk.0").mean(dim=(0, 2, 3)) for y in (x, fakes)]
    expected = 0.99 * 0.01 * seen[0] + 0.01 * seen[1]  # and nothing of G's own step
    found = backbone.discriminator.trunk[1].running_mean
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert backbone.generator.norms[0].num_batches_tracked == 1, "G's own step"


def test_the_step_size_knows_of_the_first_phase_when_resumed(build, draw):
    backbone = build(FenceGAN, decay=0.5, learning_rate_d=1.0)
    alone, _ = backbone.phases()
    alone.optimisers()
    for step in range(3):
        alone.step(Batch(draw(4), torch.arange(4), step, 0.0, torch.Generator().manual_seed(0)))
    other = build(FenceGAN, decay=0.5, learning_rate_d=1.0)
    other.load_state_dict(backbone.state_dict())
    _, both = other.phases()
    optimiser = both.optimisers()["discriminator"]
    both.step(Batch(draw(4), torch.arange(4), 5, 0.0, torch.Generator().manual_seed(0)))
    # Two updates in each of 3 + 5 steps, then a first one: the second one comes after 17.
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1 / (1 + 0.5 * 17))


def test_phases_and_what_they_show(build):
    alone, both = build(FenceGAN).phases()
    assert (alone.epochs, both.epochs, both.images) == (15, 150, None)
    (only,) = build(FenceGAN, pretrain_epochs=0, images=640).phases()
    assert (only.name, only.images, only.epochs) == ("gan", 640, None)


def test_mean_distance_is_euclidean():
    images = torch.zeros(2, 1, 2, 2)
    images[0] = 3.0  # ‖x − μ‖ = √(4 · 1.5²) = 3 for both
    assert mean_distance(images).item() == pytest.approx(3)


def test_dispersion_drives_generated_images_apart(build, train):
    options = {"pretrain_epochs": 0, "learning_rate_g": 5e-3}
    near = train(build(FenceGAN, dispersion=0.0, **options), 12)[-1]["distance"]
    apart = train(build(FenceGAN, dispersion=1000.0, **options), 12)[-1]["distance"]
    assert apart > 1.1 * near


def test_the_mean_of_images_is_taken_by_the_batch(build, train):
    asked = []

    def average(losses, opposite):
        asked.append((losses.detach(), opposite.detach()))
        return 5 + losses.mean()

    plain, _ = train(build(FenceGAN), 1)
    other, _ = train(build(FenceGAN), 1, average=average)
    assert other["loss_real"] == pytest.approx(plain["loss_real"] + 5, rel=1e-5)
    assert len(asked) == 2, "once in a step of each phase"
    losses, opposite = asked[0]
    torch.testing.assert_close((-losses).exp() + (-opposite).exp(), torch.ones(4))
    assert (-losses).exp().mean().item() == pytest.approx(plain["critic_real"], rel=1e-5)


def test_draws_come_from_the_batch_alone(build, train):
    runs, state = [], torch.get_rng_state()
    for seed in (0, 0, 1):
        backbone = build(FenceGAN)
        train(backbone, 2, seed=seed)
        runs.append(list(backbone.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, runs[0], runs[1]))
    assert not all(map(torch.equal, runs[0], runs[2]))


@torch.no_grad()
def test_round_trips_judge_without_dropout_and_one_by_one(build, train, draw):
    backbone, images = build(FenceGAN), draw(5)
    train(backbone, 2)
    assert isinstance(backbone, Backbone)
    for asked in [COMPONENT.provides, *(frozenset({name}) for name in COMPONENT.provides)]:
        assert backbone.round_trip(images, asked).filled() == asked
    whole = backbone.round_trip(images, COMPONENT.provides)
    torch.testing.assert_close(whole.critic, backbone.discriminator(images).sigmoid())
    order = torch.tensor([3, 0, 4, 1, 2])
    alone = [backbone.round_trip(images[i : i + 1], COMPONENT.provides) for i in order]
    for field in COMPONENT.provides:
        found = torch.cat([trip.get(field) for trip in alone])
        torch.testing.assert_close(found, whole.get(field)[order], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_samples_are_comparable_over_time(build, train):
    backbone = build(FenceGAN)
    train(backbone, 2)
    one, two = (backbone.samples(3, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (3, 3, 16, 16)
    assert len({image.sum().item() for image in one}) == 3


def test_bf16_trains_and_leaves_weights_float32(build, train):
    backbone = build(FenceGAN, precision="bf16")
    metrics = train(backbone, 2)
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())

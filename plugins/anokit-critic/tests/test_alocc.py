"""ALOCC: training step, stop criterion, round trips."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import linear

from anokit.types import Backbone, Batch
from anokit_critic.alocc import ALOCC
from anokit_critic.plugin import anokit_backbones
from anokit_critic.stopping import StopBelow

COMPONENT, _ = anokit_backbones()


def refined(h, weights, x):
    for conv, bn in (("0", "1"), ("3", "4"), ("6", "7")):
        x = h.leaky(h.norm(h.down(x, weights, conv), weights, bn, eps=1e-5))
    for conv, bn in (("9", "10"), ("12", "13")):
        x = h.norm(h.up(x, weights, conv), weights, bn, eps=1e-5).clamp(min=0)
    return torch.tanh(h.up(x, weights, "15"))


def judged(h, weights, x):
    x = h.leaky(h.down(x, weights, "trunk.0"))
    for conv, bn in (("trunk.2", "trunk.3"), ("trunk.5", "trunk.6"), ("trunk.8", "trunk.9")):
        x = h.leaky(h.norm(h.down(x, weights, conv), weights, bn, eps=1e-5))
    return linear(x.flatten(1), weights["opinion.weight"], weights["opinion.bias"])[:, 0]


@pytest.mark.parametrize(
    ("options", "weight"),
    [
        ({}, 0.4),
        ({"w_rec": 3.0}, 3.0),
        ({"reconstruction": "cross-entropy"}, 0.2),
        ({"refiner_steps": 1, "noise": 0.0}, 0.4),
    ],
)
def test_a_step_is_that_of_the_equations(build, draw, by_hand, options, weight):
    h = by_hand
    backbone = build(ALOCC, **options).double()
    r, d = h.leaves(backbone.refiner), h.leaves(backbone.discriminator)
    x = draw(4).double()
    (phase,) = backbone.phases()
    assert set(phase.optimisers()) == {"refiner", "discriminator"}
    metrics = phase.step(Batch(x, torch.arange(4), 0, 0.0, torch.Generator().manual_seed(7)))

    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(7), dtype=x.dtype)
    noisy = x + options.get("noise", 0.155) * noise
    optimiser_d, optimiser_r = h.RMSProp(d, 2e-3), h.RMSProp(r, 2e-3)
    seen = [
        h.down(h.leaky(h.down(y, d, "trunk.0")), d, "trunk.2") for y in (x, refined(h, r, noisy))
    ]
    means = [y.detach().mean(dim=(0, 2, 3)) for y in seen]
    loss_d = (
        h.real_loss(judged(h, d, x)).mean()
        + h.fake_loss(judged(h, d, refined(h, r, noisy).detach())).mean()
    )
    optimiser_d.step(loss_d)
    for _ in range(options.get("refiner_steps", 2)):
        x_hat = refined(h, r, noisy)
        rec = (x - x_hat).square().mean()
        if "reconstruction" in options:
            p = 1 / (1 + torch.exp(-x_hat))
            rec = -(noisy * p.log() + (1 - noisy) * (1 - p).log()).mean()
        error = (x - x_hat).square().mean()
        loss_r = h.real_loss(judged(h, d, x_hat)).mean() + weight * rec
        optimiser_r.step(loss_r)

    exact = {"rtol": 1e-9, "atol": 1e-11}
    for name, value in backbone.refiner.named_parameters():
        torch.testing.assert_close(value, r[name], **exact)
    for name, value in backbone.discriminator.named_parameters():
        torch.testing.assert_close(value, d[name], **exact)
    for name, value in {"loss_d": loss_d, "loss_r": loss_r, "error": error}.items():
        torch.testing.assert_close(metrics[name], value.detach(), **exact)
    # D's running statistics know images and reconstructions alike, and nothing of R's steps.
    running = backbone.discriminator.trunk[3].running_mean
    torch.testing.assert_close(running, 0.09 * means[0] + 0.1 * means[1], **exact)


def test_the_mean_of_images_is_taken_by_the_batch(build, train):
    asked = []

    def average(losses, opposite):
        asked.append((losses.detach(), opposite.detach()))
        return 5 + losses.mean()

    (plain,) = train(build(ALOCC), 1)
    (other,) = train(build(ALOCC), 1, average=average)
    assert other["loss_d"] == pytest.approx(plain["loss_d"] + 5, rel=1e-5)
    ((losses, opposite),) = asked
    assert losses.shape == (4,)
    torch.testing.assert_close((-losses).exp() + (-opposite).exp(), torch.ones(4))
    assert (-losses).exp().mean().item() == pytest.approx(plain["critic_real"], rel=1e-5)


def test_draws_come_from_the_batch_alone(build, train):
    runs, state = [], torch.get_rng_state()
    for seed in (0, 0, 1):
        backbone = build(ALOCC)
        train(backbone, 2, seed=seed)
        runs.append(list(backbone.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, runs[0], runs[1]))
    assert not all(map(torch.equal, runs[0], runs[2]))


def test_by_default_all_epochs_are_run(build):
    (phase,) = build(ALOCC).phases()
    assert (phase.epochs, phase.images, phase.finished) == (40, None, None)
    (phase,) = build(ALOCC, images=640).phases()
    assert (phase.epochs, phase.images) == (None, 640)


def errors_until_finished(backbone, draw, limit=40):
    (phase,) = backbone.phases()
    phase.optimisers()
    generator, errors = torch.Generator().manual_seed(0), []
    plain = draw(4)[:, :, :1, :1].expand(4, 3, 16, 16)
    while len(errors) < limit and not phase.finished():
        batch = Batch(plain, torch.arange(4), len(errors), 0.0, generator)
        errors.append(phase.step(batch)["error"].item())
    return errors


def test_training_ends_with_the_first_window_whose_mean_error_is_small(build, draw):
    # All windows of a training that never stops; then one that stops below their fourth mean.
    options = {"stop_window": 3, "w_rec": 50.0}
    errors = errors_until_finished(build(ALOCC, stop_below=1e-9, **options), draw)
    assert len(errors) == 40
    means = [sum(errors[i : i + 3]) / 3 for i in range(0, 39, 3)]
    limit = means[4] * 1.0001
    first = next(place for place, mean in enumerate(means) if mean < limit)
    assert first > 0, "not at once"
    found = errors_until_finished(build(ALOCC, stop_below=limit, **options), draw)
    assert found == errors[: 3 * (first + 1)]


def watched(rule, errors, first=0):
    """Let a rule see errors as training does; return after how many it says enough, or None."""
    for step, error in enumerate(errors, start=first):
        if step > first and rule.finished():
            return step
        rule.watch(torch.tensor(error), step)
    return first + len(errors) if rule.finished() else None


@pytest.mark.parametrize("cut", range(5))
def test_a_resumed_training_ends_at_the_same_step(cut):
    errors = [1.0, 0.1, 0.4, 0.4, 0.0, 0.0]  # the second pair is the first one below 0.5
    assert watched(StopBelow(0.5, 2), errors) == 4
    one, two = StopBelow(0.5, 2), StopBelow(0.5, 2)
    watched(one, errors[:cut])
    two.load_state_dict(one.state_dict())
    assert two.finished() is (cut == 4), "a resumed run asks before its first step"
    if cut < 4:
        assert watched(two, errors[cut:], first=cut) == 4


def test_the_stop_criterion_is_part_of_a_checkpoint(build):
    names = {"stop.total", "stop.reached"}
    assert names <= set(build(ALOCC, stop_below=0.1).state_dict())
    assert not names & set(build(ALOCC).state_dict())


@torch.no_grad()
def test_provides_what_it_declares_and_only_what_is_asked_for(build, train, draw):
    backbone, images = build(ALOCC), draw(3)
    train(backbone, 2)
    assert isinstance(backbone, Backbone)
    for asked in [COMPONENT.provides, *(frozenset({name}) for name in COMPONENT.provides)]:
        assert backbone.round_trip(images, asked).filled() == asked
    trip = backbone.round_trip(images, COMPONENT.provides)
    torch.testing.assert_close(trip.image_hat, backbone.refiner(images), msg="no noise is added")
    d = backbone.discriminator
    torch.testing.assert_close(trip.critic, d(images).sigmoid())
    torch.testing.assert_close(trip.critic_hat, d(trip.image_hat).sigmoid())
    torch.testing.assert_close(trip.features_hat, d.features(trip.image_hat))


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 3])
def test_no_field_depends_on_the_batch(build, train, draw, size):
    backbone, images = build(ALOCC), draw(6)
    train(backbone, 2)
    assert backbone.batch_dependence == ""
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    whole = backbone.round_trip(images, COMPONENT.provides)
    parts = [backbone.round_trip(images[i], COMPONENT.provides) for i in order.split(size)]
    for field in COMPONENT.provides:
        found = torch.cat([part.get(field) for part in parts])
        torch.testing.assert_close(found, whole.get(field)[order], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_published_batch_norm_depends_on_the_batch_and_keeps_its_own_statistics(build, train, draw):
    backbone, images = build(ALOCC, batch_norm="batch"), draw(8)
    train(backbone, 2)
    assert "as published" in backbone.batch_dependence
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    whole = backbone.round_trip(images, frozenset({"critic_hat", "image_hat"}))
    half = backbone.round_trip(images[:4], frozenset({"critic_hat", "image_hat"}))
    for field in ("critic_hat", "image_hat"):
        assert not torch.allclose(half.get(field), whole.get(field)[:4], rtol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_bf16_trains_and_leaves_weights_float32(build, train):
    backbone = build(ALOCC, precision="bf16")
    metrics = train(backbone, 2)
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())


def test_a_discriminator_that_won_is_warned_of(build):
    backbone = build(ALOCC)
    assert backbone.warnings({"critic_real": 0.9, "critic_fake": 0.2}) == []
    assert backbone.warnings({}) == []
    (sentence,) = backbone.warnings({"critic_real": 0.999, "critic_fake": 0.001})
    assert "no longer learns" in sentence

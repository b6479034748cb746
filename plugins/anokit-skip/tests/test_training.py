"""The training step of Skip-GANomaly."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy, mse_loss

from anokit.nn import uses_bf16
from anokit.types import Batch, Phase
from anokit_skip import saturation


def weights(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def test_one_phase_by_epochs_or_by_images(build):
    (phase,) = build(epochs=3).phases()
    assert (phase.epochs, phase.images, phase.batch_size) == (3, None, 4)
    assert phase.resolution is None
    (phase,) = build(images=640).phases()
    assert (phase.epochs, phase.images) == (None, 640)


def test_losses_are_finite_and_every_parameter_moves(build, train):
    backbone = build()
    before = weights(backbone)
    metrics = train(backbone, 4)
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    moved = [not torch.equal(a, b) for a, b in zip(before, weights(backbone), strict=True)]
    assert all(moved)


def test_equal_seeds_give_equal_weights(build, train):
    runs = []
    for seed in (0, 0, 1):
        backbone = build(noise=0.1)
        train(backbone, 3, seed=seed)
        runs.append(weights(backbone))
    assert all(map(torch.equal, runs[0], runs[1]))
    assert not all(map(torch.equal, runs[0], runs[2])), "noise is drawn from the batch's generator"


def test_training_leaves_the_global_generator_alone(build, train, monkeypatch):
    monkeypatch.setattr(saturation, "LOOK_EVERY", 1)
    backbone = build(noise=0.1, reinit_below=1e9)
    state = torch.get_rng_state()
    train(backbone, 2)
    assert torch.equal(torch.get_rng_state(), state)


def first_step(backbone, images, monkeypatch):
    """Take one step whose optimisers change nothing; return its metrics, gradients stay."""
    (phase,) = backbone.phases()
    for optimiser in phase.optimisers().values():
        monkeypatch.setattr(optimiser, "step", lambda: None)
    batch = Batch(images, torch.arange(len(images)), 0, 0.0, torch.Generator())
    return phase.step(batch)


def test_gradients_are_those_of_the_equations_with_detached_reconstructions(
    build, draw, monkeypatch
):
    options = {"w_adv": 0.7, "w_con": 3.0, "w_lat": 0.4}
    one, other, images = build(**options), build(**options), draw(4)
    metrics = first_step(one, images, monkeypatch)
    generator, discriminator = other.generator, other.discriminator

    image_hat = generator(images)
    real, fake = discriminator(images), discriminator(image_hat)
    adversarial = binary_cross_entropy(fake.logits.sigmoid(), torch.ones(4))
    feature = mse_loss(fake.features, real.features.detach())
    loss_g = 0.7 * adversarial + 3 * (images - image_hat).abs().mean() + 0.4 * feature
    loss_g.backward()
    expected = [parameter.grad for parameter in generator.parameters()]
    found = [parameter.grad for parameter in one.generator.parameters()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(metrics["loss_g"], loss_g.detach())

    discriminator.zero_grad()
    real, fake = discriminator(images), discriminator(image_hat.detach())
    loss_d = (
        binary_cross_entropy(real.logits.sigmoid(), torch.ones(4))
        + binary_cross_entropy(fake.logits.sigmoid(), torch.zeros(4))
        + mse_loss(fake.features, real.features)
    )
    loss_d.backward()
    expected = [parameter.grad for parameter in discriminator.parameters()]
    found = [parameter.grad for parameter in one.discriminator.parameters()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(metrics["loss_d"], loss_d.detach())


def test_each_network_runs_once_on_each_side_of_a_batch(build, train):
    backbone = build()
    calls = {"generator": 0, "discriminator": 0}
    for name in calls:
        module = getattr(backbone, name)
        module.register_forward_hook(lambda *_, name=name: calls.__setitem__(name, calls[name] + 1))
    train(backbone, 1)
    assert calls == {"generator": 1, "discriminator": 2}


def test_generator_learns_to_reconstruct(build, draw):
    backbone = build(learning_rate=5e-3)
    (phase,) = backbone.phases()
    phase.optimisers()
    plain, generator = draw(4)[:, :, :1, :1].expand(4, 3, 32, 32), torch.Generator()
    losses = [
        phase.step(Batch(plain, torch.arange(4), step, 0.0, generator))["reconstruction"].item()
        for step in range(20)
    ]
    assert losses[-1] < 0.6 * losses[0]


def test_entering_the_phase_resets_the_optimisers(build, train):
    backbone = build()
    train(backbone, 2)
    fresh = backbone.phases()[0].optimisers()
    assert set(fresh) == {"generator", "discriminator"}
    assert not any(optimiser.state for optimiser in fresh.values())


def test_discriminator_is_drawn_anew_once_its_loss_vanished(build, train, monkeypatch):
    monkeypatch.setattr(saturation, "LOOK_EVERY", 3)
    backbone = build(reinit_below=1e9, learning_rate=1e-12)
    before = [w for w in weights(backbone.discriminator) if w.ndim == 4]
    generator = weights(backbone.generator)
    assert [step["reinit"] for step in train(backbone, 2)] == [0, 0]
    assert bool(backbone.guard.seen), "seen, and kept for the checkpoint until the next look"
    assert "guard.seen" in backbone.state_dict()
    assert [step["reinit"] for step in train(backbone, 3)] == [0, 0, 1]
    assert not bool(backbone.guard.seen)
    after = [w for w in weights(backbone.discriminator) if w.ndim == 4]
    assert all((old - new).abs().max() > 0.01 for old, new in zip(before, after, strict=True))
    torch.testing.assert_close(weights(backbone.generator), generator, rtol=0, atol=1e-6)


@pytest.mark.parametrize("below", [0.0, 1e-5])
def test_discriminator_is_left_alone_while_its_loss_is_sound(build, train, monkeypatch, below):
    monkeypatch.setattr(saturation, "LOOK_EVERY", 1)
    assert not any(step["reinit"] for step in train(build(reinit_below=below), 2))


def test_warnings_are_sentences_about_a_discriminator_that_won(build):
    backbone = build()
    assert backbone.warnings({"critic_real": 0.6, "critic_fake": 0.4, "reinit": 0.0}) == []
    assert backbone.warnings({}) == []
    (won,) = backbone.warnings({"critic_real": 0.999, "critic_fake": 0.001})
    assert "no longer guides" in won
    (drawn,) = backbone.warnings({"reinit": 0.1})
    assert "1e-05" in drawn


def test_bf16_is_off_on_a_cpu_unless_asked_for(build, train):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert not uses_bf16(cpu, "auto")
    assert uses_bf16(cuda, "auto")
    assert not uses_bf16(cuda, "fp32")
    backbone = build(precision="bf16")
    metrics = train(backbone, 2)
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())


def test_a_phase_is_what_the_core_expects(build):
    assert all(isinstance(phase, Phase) for phase in build().phases())


@pytest.mark.parametrize("size", [1, 3])
def test_the_last_batch_of_an_epoch_may_be_small(build, draw, size):
    (phase,) = build().phases()
    phase.optimisers()
    metrics = phase.step(Batch(draw(size), torch.arange(size), 0, 0.0, torch.Generator()))
    assert metrics["loss_g"].isfinite()

"""Averaged weights and the batch norm that belongs to them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anokit.types import Batch


def batch_of(images, step=0, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Batch(images, torch.arange(len(images)), step, 0.0, random)


def pairs(backbone):
    return [
        (p, q)
        for average, network in backbone.averages()
        for p, q in zip(average.parameters(), network.parameters(), strict=True)
    ]


@pytest.mark.parametrize(("step", "decay"), [(0, 0.0), (1000, 0.98), (100_000, 0.999)])
def test_averages_follow_by_the_decay_that_is_due(build, draw, variant, step, decay):
    backbone = build(variant, ema=0.999, ema_rampup=0.05, learning_rate=0.01).train()
    before = [p.clone() for p, _ in pairs(backbone)]
    phase = backbone.phases()[0]
    phase.optimisers()
    phase.step(batch_of(draw(4), step))
    for old, (average, new) in zip(before, pairs(backbone), strict=True):
        expected = decay * old + (1 - decay) * new.detach()
        torch.testing.assert_close(average, expected, rtol=1e-4, atol=1e-7)
        assert not average.requires_grad


def test_averages_are_of_all_networks_that_scoring_uses(build):
    names = {
        name: {n for n, child in build(name).named_children() if n.endswith("_ema")}
        for name in ("egbad", "alad")
    }
    assert names["egbad"] == {"encoder_ema", "generator_ema", "discriminator_ema"}
    assert names["alad"] == {"encoder_ema", "generator_ema", "d_xx_ema"}


def calibrate(backbone, batches):
    backbone.train()
    phase = backbone.phases()[-1]
    assert phase.optimisers() == {}
    for step, images in enumerate(batches):
        assert phase.step(batch_of(images, step)) == {}
    backbone.eval()


def test_norms_of_the_averages_are_measured_on_the_averaged_weights(build, draw, train):
    backbone = build("bigan", ema=0.9, learning_rate=0.05)
    train(backbone, 5)
    batches = [draw(4, seed) for seed in (7, 8, 9)]
    raw = {n: b.clone() for n, b in backbone.named_buffers() if "_ema" not in n}
    calibrate(backbone, batches)
    average = backbone.encoder_ema.module.layers
    maps = [functional.conv2d(x, average[0].weight, None, 2, 1) for x in batches]
    norm = average[1]
    expected = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-6)
    expected = torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0)
    torch.testing.assert_close(norm.running_var, expected, rtol=1e-4, atol=1e-6)
    old = raw["encoder.layers.1.running_mean"]
    assert not torch.allclose(norm.running_mean, old, rtol=1e-2, atol=1e-4), "would prove nothing"
    assert all(torch.equal(b, raw[n]) for n, b in backbone.named_buffers() if n in raw)


def test_norms_of_the_discriminator_see_both_kinds_of_pairs_and_no_dropout(build, draw, train):
    backbone = build("egbad")
    train(backbone, 2)
    images = draw(4, 7)
    calibrate(backbone, [images])
    judge, random = backbone.discriminator_ema.module, torch.Generator().manual_seed(0)
    z = torch.randn(4, backbone.options.latent_size, generator=random)
    with torch.no_grad():
        # The generator as it was while it was calibrated: with the statistics of that batch.
        backbone.generator_ema.train()
        made = backbone.generator_ema(z)
        means = [
            judge.second(functional.leaky_relu(judge.first(x), 0.1)).mean((0, 2, 3))
            for x in (images, made)
        ]
    torch.testing.assert_close(judge.norm.running_mean, torch.stack(means).mean(0))


def test_calibration_leaves_weights_alone_and_settles_spectral_norms(build, draw, train):
    backbone = build("alad", learning_rate=0.05)
    train(backbone, 5)
    before = [p.clone() for p in backbone.parameters()]
    calibrate(backbone, [draw(4, seed) for seed in range(20)])
    assert all(map(torch.equal, before, backbone.parameters()))
    for network in (backbone.encoder_ema, backbone.d_xx_ema):
        layers = [m for m in network.modules() if hasattr(m, "parametrizations")]
        assert layers
        for layer in layers:
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
            assert norm.item() == pytest.approx(1, rel=0.02)


def test_without_calibration_statistics_are_those_of_the_trained_networks(build, train):
    backbone = build("bigan", calibrate_images=0, ema=0.9)
    train(backbone, 3)
    for average, network in backbone.averages():
        for one, other in zip(average.module.buffers(), network.buffers(), strict=True):
            assert torch.equal(one, other)

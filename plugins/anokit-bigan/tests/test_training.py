"""Training beside the equations: randomness, resuming, phases, warnings."""

from __future__ import annotations

import math

import torch

from anokit.types import Batch


def test_metrics_say_how_sure_the_discriminator_is(variant, build, train):
    for step in train(build(variant), 2)[:2]:
        assert all(math.isfinite(value) for value in step.values())
        assert 0 < step["critic_fake"] < 1
        assert 0 < step["critic_real"] < 1


def test_training_draws_from_the_generator_of_the_batch_alone(variant, build, train):
    state = torch.get_rng_state()
    runs = []
    for seed in (0, 0, 1):
        backbone = build(variant)
        train(backbone, 2, seed=seed)
        runs.append([p.detach().clone() for p in backbone.parameters()])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, runs[0], runs[1]))
    assert not all(map(torch.equal, runs[0], runs[2]))


def test_training_goes_on_bit_for_bit_from_what_a_checkpoint_holds(variant, build, draw):
    options = {"patience": 3, "stop_every": 8} if variant == "alad" else {}

    def start():
        backbone = build(variant, ema_rampup=1.0, **options).train()
        phase = backbone.phases()[0]
        return backbone, phase, phase.optimisers(), torch.Generator().manual_seed(0)

    def go(phase, random, steps):
        for step in steps:
            phase.step(Batch(draw(4, step), torch.arange(4), step, 0.0, random))

    whole, phase, _, random = start()
    go(phase, random, range(5))
    first, phase, optimisers, random = start()
    go(phase, random, range(3))
    kept = [{n: v.clone() for n, v in first.state_dict().items()}, random.get_state()]
    kept += [optimiser.state_dict() for optimiser in optimisers.values()]
    second, phase, optimisers, random = start()
    second.load_state_dict(kept[0])
    random.set_state(kept[1])
    for optimiser, state in zip(optimisers.values(), kept[2:], strict=True):
        optimiser.load_state_dict(state)
    go(phase, random, range(3, 5))
    expected = whole.state_dict()
    assert second.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in second.state_dict().items())


def test_entering_a_phase_makes_fresh_optimisers(variant, build, train):
    backbone = build(variant)
    train(backbone, 2)
    fresh = backbone.phases()[0].optimisers()
    assert set(fresh) == {"discriminator", "generator"}
    assert not any(optimiser.state for optimiser in fresh.values())
    held = [p for o in fresh.values() for group in o.param_groups for p in group["params"]]
    trained = [p for n, p in backbone.named_parameters() if "_ema" not in n]
    assert {id(p) for p in held} == {id(p) for p in trained}
    assert len(held) == len(trained)
    group = fresh["generator"].param_groups[0]
    assert (group["betas"], group["weight_decay"]) == ((0.5, 0.999), 0)


def test_phases_by_epochs_or_by_images(variant, build):
    training, calibration = build(variant, images=None, epochs=3).phases()
    assert (training.epochs, training.images, training.batch_size) == (3, None, 4)
    assert (calibration.name, calibration.images) == ("calibrate norms", 8)
    (training,) = build(variant, images=64, calibrate_images=0).phases()
    assert (training.epochs, training.images) == (None, 64)


def test_a_discriminator_that_won_is_told(variant, build):
    backbone = build(variant)
    assert backbone.warnings({"critic_real": 0.6, "critic_fake": 0.4}) == []
    assert backbone.warnings({}) == []
    (text,) = backbone.warnings({"critic_real": 0.999, "critic_fake": 0.001})
    assert "no longer guides" in text


def test_bf16_leaves_weights_and_metrics_in_float32(variant, build, train):
    backbone = build(variant, precision="bf16")
    for step in train(backbone, 2):
        assert all(math.isfinite(value) for value in step.values())
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())

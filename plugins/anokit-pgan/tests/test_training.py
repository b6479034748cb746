"""Phases, steps and what each loss moves."""

import copy

import pytest
import torch

from anokit.nn import box_downscale, gradient_penalty, upscale_nearest
from anokit.types import Batch
from anokit_pgan.steps import blend_with_coarser

GROWTH = ["4", "fade 8", "8", "fade 16", "16"]
METRICS = {"critic_real", "critic_fake", "penalty", "loss_d", "loss_g", "loss", "fade"}


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_phases_are_the_growth_plan_and_a_calibration(make):
    assert [phase.name for phase in make().phases()] == [*GROWTH, "calibrate stddev"]
    assert [phase.name for phase in make(minibatch_stddev="batch").phases()] == GROWTH


@pytest.mark.parametrize("update", ["joint", "encoder-only"])
@pytest.mark.parametrize("name", GROWTH)
def test_any_phase_can_be_entered_directly(name, update, make, phase, train):
    chosen = phase(make(encoder_update=update), name)
    chosen.optimisers()
    metrics = train(chosen, steps=2)
    assert set(metrics) == METRICS
    assert all(value.shape == () and value.isfinite() for value in metrics.values())
    assert metrics["fade"] == (0.5 if name.startswith("fade") else 1)


def test_entering_a_phase_makes_fresh_optimisers(make, phase, train):
    backbone = make()
    first = phase(backbone, "4")
    before = first.optimisers()
    train(first)
    after = phase(backbone, "fade 8").optimisers()
    assert set(after) == {"discriminator", "generator_encoder"}
    assert all(not optimiser.state for optimiser in after.values())
    assert all(before[name] is not after[name] for name in before)
    for optimiser in after.values():
        assert optimiser.defaults["betas"] == (0.0, 0.99)
        assert optimiser.defaults["eps"] == 1e-8


def test_same_seed_same_weights(make, phase, train):
    results = []
    for _ in range(2):
        backbone = make(seed=3)
        chosen = phase(backbone, "16")
        chosen.optimisers()
        train(chosen, steps=2)
        results.append(state(backbone))
    assert equal(*results)


@pytest.mark.parametrize("update", ["joint", "encoder-only"])
def test_gradients_reach_every_parameter_in_use(update, make, phase, train):
    backbone = make(encoder_update=update)
    chosen = phase(backbone, "16")
    chosen.optimisers()
    before = state(backbone)
    train(chosen)
    unused = {f"{head}.{r}" for head in ("to_rgb", "from_rgb") for r in (4, 8)}
    for name, parameter in backbone.named_parameters():
        if name.startswith("generator_ema"):
            continue
        used = not any(f".{head}." in f".{name}" for head in unused)
        assert (parameter.grad is not None) == used, name
        assert torch.equal(before[name], parameter) != used, name


@pytest.mark.parametrize(("update", "moved"), [("joint", True), ("encoder-only", False)])
def test_encoder_loss_moves_the_generator_only_when_joint(update, moved, make, phase, train):
    gradients = []
    for weight in (0.0, 1.0):
        backbone = make(encoder_update=update, weight=weight)
        chosen = phase(backbone, "16")
        chosen.optimisers()
        train(chosen)
        gradients.append([p.grad for p in backbone.generator.parameters() if p.grad is not None])
    same = all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert same is not moved


def test_joint_gradient_passes_through_both_occurrences_of_the_generator(make, phase, train):
    """A loss on G(E(G(z))) alone moves G, and so does one on G(z) alone."""
    gradients = []
    for loss in (lambda t: t.image_hat.square().mean(), lambda t: t.image.square().mean()):
        for weight in (0.0, 1.0):
            backbone = make(loss=loss, weight=weight)
            chosen = phase(backbone, "16")
            chosen.optimisers()
            train(chosen)
            gradients.append(backbone.generator.first.weight.grad)
    without_hat, with_hat, without, with_image = gradients
    assert not torch.equal(without_hat, with_hat)
    assert not torch.equal(without, with_image)


@pytest.mark.parametrize("update", ["joint", "encoder-only"])
@pytest.mark.parametrize("trip_from", ["image", "latent"])
def test_losses_see_trips_from_their_start(trip_from, update, make, phase, train):
    seen = []

    def loss(trip):
        seen.append(trip)
        return (trip.latent - trip.latent_hat).square().mean() + trip.features_hat.mean()

    needs = frozenset({"latent", "latent_hat", "features_hat"})
    backbone = make(loss=loss, needs=needs, trip_from=trip_from, encoder_update=update)
    chosen = phase(backbone, "16")
    chosen.optimisers()
    train(chosen)
    (trip,) = seen
    assert needs <= trip.filled() <= needs | {"critic"}
    assert trip.latent.requires_grad == (trip_from == "image")
    assert trip.features_hat.shape == (8, 4 * 4 * 4)


def test_average_follows_the_generator_closely_at_first_and_slowly_later(make, phase, train):
    backbone = make(ema=0.9, ema_rampup=0.5)
    chosen = phase(backbone, "4")
    chosen.optimisers()
    before = state(backbone.generator)
    train(chosen)
    # The first update comes before the generator's own step and copies it.
    assert equal(state(backbone.generator_ema.module), before)
    decays = [backbone._steps._decay(done) for done in (0, 4, 20, 10_000)]
    assert decays == pytest.approx([0, 0.5, 0.9, 0.9])


def test_published_decay_is_reached_before_the_last_published_phase(make):
    steps = make(ema=0.999, ema_rampup=0.05)._steps
    assert steps._decay(19_999) < 0.999 == steps._decay(20_001)


def test_bf16_training_is_finite_and_keeps_weights_in_float32(make, phase, train):
    backbone = make(precision="bf16")
    chosen = phase(backbone, "fade 16")
    chosen.optimisers()
    metrics = train(chosen, steps=2)
    assert all(value.isfinite() and value.dtype == torch.float32 for value in metrics.values())
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}


def test_real_images_are_faded_as_generated_ones_are():
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    coarse = upscale_nearest(box_downscale(images))
    assert torch.equal(blend_with_coarser(images, 1.0), images)
    torch.testing.assert_close(blend_with_coarser(images, 0.0), coarse)
    torch.testing.assert_close(blend_with_coarser(images, 0.25), 0.75 * coarse + 0.25 * images)


def test_critic_learns_to_separate(make, phase, train):
    """A few steps on fixed images raise the critic's margin, so the signs of its loss are right."""
    chosen = phase(make(learning_rate=0.01), "4")
    chosen.optimisers()
    first = train(chosen, steps=1)
    last = train(chosen, steps=12)
    margin = [m["critic_real"] - m["critic_fake"] for m in (first, last)]
    assert margin[1] > margin[0]
    assert margin[1] > 0


@pytest.mark.parametrize("target", [1.0, 750.0])
@pytest.mark.parametrize("name", GROWTH)
def test_penalty_is_that_of_upscaled_images_of_full_size(name, target, make, phase):
    """The authors' critic takes images of full size and downscales them itself."""
    backbone = make(wgan_target=target)
    chosen = phase(backbone, name)
    chosen.optimisers()
    random = torch.Generator().manual_seed(5)
    images = torch.rand((chosen.batch_size, 1, chosen.resolution, chosen.resolution)) * 2 - 1
    backbone._resolution, backbone._fade = chosen.resolution, 0.5 if "fade" in name else 1.0
    networks = copy.deepcopy(backbone._networks())
    drawn = torch.Generator().manual_seed(5)
    factor = backbone.spec.height // chosen.resolution
    latents = torch.randn((len(images), 6), generator=drawn)

    def at_full_size(full):
        return networks.criticise(box_downscale(full, factor) if factor > 1 else full)

    expected = gradient_penalty(
        at_full_size,
        upscale_nearest(blend_with_coarser(images, networks.fade), factor),
        upscale_nearest(networks.generate(latents).detach(), factor),
        drawn,
        target,
    ).mean()
    metrics = chosen.step(Batch(images, torch.arange(len(images)), 0, 0.5, random))
    assert metrics["penalty"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_critic_may_differ_as_much_while_growing_as_at_full_size(make):
    backbone = make(wgan_target=2.0)
    limit = 2 * 2.0 * 16  # t times the diameter of [-1, 1]^(16·16)
    for value, found in ((0.99 * limit, 0), (1.01 * limit, 1)):
        assert len(backbone.warnings({"critic_real": value, "critic_fake": 0.0})) == found

"""AnoGAN's and ADGAN's searches."""

from __future__ import annotations

import pytest
import torch

from anokit.nn import residual_objective
from anokit.types import Batch
from anokit_anogan.adaptive_search import adaptive_search
from anokit_anogan.adgan_networks import ADGANGenerator


@pytest.fixture
def lively(build):
    """Build an AnoGAN whose images vary, which initial weights of σ = 0.01 alone do not do."""

    def make(**options):
        backbone = build("anogan", **options).eval()
        with torch.no_grad():
            for network in (backbone.generator_ema, backbone.discriminator):
                for weight in network.parameters():
                    if weight.ndim > 1:
                        weight.mul_(30)
        return backbone

    return make


def test_anogan_ends_at_its_own_score(lively, draw):
    backbone, images = lively(search_steps=15, search_learning_rate=0.1), draw(3)
    fields = frozenset({"image", "image_hat", "features", "features_hat", "latent"})
    with torch.no_grad():
        found = backbone.round_trip(images, fields)
        residual = (found.image - found.image_hat).abs().flatten(1).sum(1)
        feature = (found.features - found.features_hat).abs().sum(1)
        objective = residual_objective(
            images, backbone.generator_ema, backbone.discriminator.features
        )
        torch.testing.assert_close(0.9 * residual + 0.1 * feature, objective(found.latent))
        for start in backbone.starts(images).unbind(dim=1):
            assert (objective(found.latent) < objective(start)).all()


def test_anogan_scores_with_the_averaged_generator(trained, draw):
    backbone, needs = trained("anogan"), frozenset({"image_hat"})
    with torch.no_grad():
        before = backbone.round_trip(draw(2), needs).image_hat
        for weight in backbone.generator.parameters():
            weight.zero_()
        assert torch.equal(backbone.round_trip(draw(2), needs).image_hat, before)


def test_the_average_of_a_short_run_does_not_lag_behind(build, train):
    backbone = build("anogan", ema_rampup=0.05)
    train(backbone, backbone.phases()[0], 10)
    pairs = zip(backbone.generator.parameters(), backbone.generator_ema.parameters(), strict=True)
    assert all(torch.equal(own, average) for own, average in pairs), "span of one step below 20"
    slow = build("anogan", ema_rampup=1.0)
    train(slow, slow.phases()[0], 10)
    pairs = zip(slow.generator.parameters(), slow.generator_ema.parameters(), strict=True)
    assert not any(torch.equal(own, average) for own, average in pairs)


def test_a_query_that_was_generated_is_reconstructed_better_than_noise(lively, draw):
    backbone = lively(width=8, search_steps=60, search_learning_rate=0.1)
    with torch.no_grad():
        made = backbone.samples(3, torch.Generator().manual_seed(0))
        needs = frozenset({"image_hat"})
        error = (made - backbone.round_trip(made, needs).image_hat).abs().mean()
        noise = (draw(3) - backbone.round_trip(draw(3), needs).image_hat).abs().mean()
    assert made.std() > 0.1
    assert error < noise / 4


@pytest.fixture
def generator():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ADGANGenerator(1, 32, 6, 2).eval()


@pytest.fixture
def queries(draw):
    return draw(3, channels=1)


@pytest.fixture
def starts():
    return torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(1))


def reference(generator, image, start, steps, latent_rate, generator_rate):
    """ADGAN's search for one image by plain PyTorch."""
    import copy

    own, z = copy.deepcopy(generator), start[None].clone().requires_grad_()
    adam_z = torch.optim.Adam([z], lr=latent_rate, betas=(0.5, 0.999))
    adam_g = torch.optim.Adam(own.parameters(), lr=generator_rate, betas=(0.5, 0.999))

    def descend(optimiser):
        own.zero_grad()
        z.grad = None
        (image - own(z)).square().mean().backward()
        optimiser.step()

    for _ in range(steps):
        descend(adam_z)
        descend(adam_g)
    with torch.no_grad():
        return z[0].detach(), (image - own(z)).square().mean()


def test_the_batched_search_equals_one_query_at_a_time(generator, queries, starts):
    rates = {"latent_learning_rate": 0.25, "generator_learning_rate": 1e-3}
    found = adaptive_search(generator, queries, starts, steps=3, **rates)
    for row, image in enumerate(queries):
        ends = [reference(generator, image[None], start, 3, 0.25, 1e-3) for start in starts[row]]
        losses = torch.stack([loss for _, loss in ends])
        torch.testing.assert_close(found.losses[row], losses, rtol=1e-4, atol=1e-6)
        latent = ends[int(losses.argmin())][0]
        torch.testing.assert_close(found.latent[row], latent, rtol=1e-3, atol=1e-4)


def test_adapting_the_generator_helps_and_leaves_it_as_it_is(generator, queries, starts):
    before = [p.clone() for p in generator.parameters()]
    frozen = adaptive_search(generator, queries, starts, generator_learning_rate=0.0)
    adapted = adaptive_search(generator, queries, starts, generator_learning_rate=1e-2)
    assert (adapted.losses < frozen.losses).all()
    assert all(map(torch.equal, before, generator.parameters()))
    assert all(p.grad is None for p in generator.parameters())


def test_the_reconstruction_is_that_of_the_best_start(generator, queries, starts):
    found = adaptive_search(generator, queries, starts)
    error = (queries - found.image_hat).square().flatten(1).mean(dim=1)
    torch.testing.assert_close(error, found.losses.min(dim=1).values)


@pytest.mark.parametrize("name", ["anogan", "adgan"])
def test_a_search_finds_the_same_to_the_bit_whatever_the_others_are(trained, draw, name):
    backbone, images, needs = trained(name), draw(5), frozenset({"latent"})
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        whole = backbone.round_trip(images, needs).latent
        parts = [backbone.round_trip(part, needs).latent for part in images[order].split([1, 4])]
    assert torch.equal(torch.cat(parts), whole[order])
    assert backbone.batch_dependence == ""


def test_adgan_searches_several_queries_at_once_where_that_is_declared(trained, draw):
    needs = frozenset({"search_loss"})
    one, all_at_once = (trained("adgan", search_batch=size) for size in (1, 64))
    with torch.no_grad():
        few, many = (b.round_trip(draw(5), needs).extra["search_loss"] for b in (one, all_at_once))
    assert few.shape == (5, 2)
    torch.testing.assert_close(few, many, rtol=1e-4, atol=1e-6)
    assert all_at_once.batch_dependence == "64 queries are searched for at once"


def test_a_saturated_discriminator_leaves_training_finite(build, draw):
    backbone = build("anogan", learning_rate=0.5)
    (phase,) = backbone.phases()
    phase.optimisers()
    random = torch.Generator().manual_seed(0)
    for step in range(15):
        metrics = phase.step(Batch(draw(4, step), torch.arange(4), step, 0.0, random))
        assert all(value.isfinite() for value in metrics.values())

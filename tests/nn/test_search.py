"""The latent search: what it finds, and that no query sees another."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from anokit.nn import latent_search, residual_objective, settle

QUERIES = 6
LATENT = 5


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def networks():
    """A generator and features with kinks and a convolution, as GANs have them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generate = nn.Sequential(
            nn.Linear(LATENT, 64),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (4, 4, 4)),
            nn.ConvTranspose2d(4, 2, 4, 2, 1),
            nn.Tanh(),
        )
        features = nn.Sequential(nn.Conv2d(2, 3, 3), nn.LeakyReLU(0.2), nn.Flatten())
    return generate, features


@pytest.fixture(scope="module")
def images(networks):
    with torch.no_grad():
        return networks[0](draw(QUERIES, LATENT, seed=1))


@pytest.fixture(scope="module")
def starts():
    return draw(2, LATENT, seed=2)


@pytest.fixture
def search(networks, starts):
    """Search with AnoGAN's objective."""
    generate, features = networks

    def run(images, starts=starts, **options):
        objective = partial(residual_objective, generate=generate, features=features)
        options = {"steps": 20, "learning_rate": 0.1} | options
        return latent_search(objective, images, shared(starts, images), **options)

    return run


def shared(starts, queries):
    """Let all queries begin at the same starts: ``[R, Z] -> [B, R, Z]``."""
    return starts.expand(len(queries), *starts.shape)


def square(target):
    """Objective (z − target)², summed over the latent."""
    return lambda z: (z - target).square().sum(dim=1)


def test_finds_the_minimum_of_a_parabola():
    targets = draw(7, LATENT)
    options = {"steps": 150, "learning_rate": 0.1, "batch_size": 7}
    found = latent_search(square, targets, torch.zeros(7, 1, LATENT), **options)
    torch.testing.assert_close(found.latent, targets, atol=0.02, rtol=0)
    torch.testing.assert_close(found.loss, square(targets)(found.latent))


def test_images_of_the_generator_are_found_again(search, images, networks):
    found = search(images, steps=150, batch_size=6)
    before = residual_objective(images, *networks)(draw(QUERIES, LATENT, seed=3)).detach()
    assert (found.loss < 0.35 * before).all()


@pytest.mark.parametrize("sizes", [[1] * QUERIES, [2, 4], [5, 1]])
def test_what_is_found_depends_neither_on_the_batch_nor_on_the_order(search, images, sizes):
    order = torch.randperm(QUERIES, generator=torch.Generator().manual_seed(4))
    whole = search(images)
    parts = [search(part) for part in images[order].split(sizes)]
    for name in ("latent", "loss", "losses"):
        found = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(found, getattr(whole, name)[order])


class OneUlp(torch.autograd.Function):
    """Hands on what it is given; every gradient comes back one unit in the last place off."""

    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, slope):
        return torch.nextafter(slope, torch.full_like(slope, torch.inf))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_search_amplifies_rounding_beyond_any_bound(networks, starts, images, dtype):
    """Why a search may not hang on rounding: one unit in the last place becomes anything.

    The same bits are promised instead, which the test above holds with noise that is the same for
    a query whatever the others are.
    """
    generate, features = (copy.deepcopy(network).to(dtype) for network in networks)

    def search(noise):
        def own(z):
            return generate(OneUlp.apply(z) if noise else z)

        objective = partial(residual_objective, generate=own, features=features)
        begin = shared(starts, images).to(dtype)
        options = {"steps": 300, "batch_size": QUERIES, **FAST}
        return latent_search(objective, images.to(dtype), begin, **options)

    plain, noisy = search(False), search(True)
    off = float((plain.losses - noisy.losses).abs().max())
    assert off > 1e3 * torch.finfo(dtype).eps * float(plain.losses.max())


FAST = {"learning_rate": 0.3, "schedule": lambda progress: 1.0}


@pytest.mark.parametrize("sizes", [[1] * QUERIES, [5, 1]])
def test_noise_in_every_gradient_does_not_make_a_query_depend_on_others(networks, images, sizes):
    generate, features = networks
    objective = partial(
        residual_objective, generate=lambda z: generate(OneUlp.apply(z)), features=features
    )
    own = draw(QUERIES, 2, LATENT, seed=2)
    whole = latent_search(objective, images, own, steps=100, **FAST)
    parts = [
        latent_search(objective, part, begin, steps=100, **FAST)
        for part, begin in zip(images.split(sizes), own.split(sizes), strict=True)
    ]
    assert torch.equal(torch.cat([part.latent for part in parts]), whole.latent)


def test_another_query_has_no_influence(search, images):
    other = images.clone()
    other[3] = 1e3
    kept = torch.arange(QUERIES) != 3
    assert torch.equal(search(images).latent[kept], search(other).latent[kept])


def test_losses_are_summed_not_averaged():
    # Adam forgets the scale of a gradient, but not its ε: a mean over many queries would shrink
    # gradients of 1e-7 to its size.
    def tiny(targets):
        return lambda z: 1e-8 * (z - targets).square().sum(dim=1)

    one = latent_search(tiny, torch.ones(1, 1), torch.zeros(1, 1, 1), steps=5, batch_size=1)
    many = latent_search(tiny, torch.ones(64, 1), torch.zeros(64, 1, 1), steps=5, batch_size=64)
    torch.testing.assert_close(many.latent, one.latent.expand(64, 1))


def test_every_query_begins_at_its_own_starts():
    begun, starts = [], draw(4, 2, LATENT)

    def objective(queries):
        return lambda z: begun.append(z.detach().clone()) or square(queries)(z)

    latent_search(objective, draw(4, LATENT), starts, steps=2, batch_size=4)
    latent_search(objective, draw(4, LATENT), starts, steps=2)
    assert torch.equal(begun[0], starts.flatten(0, 1))
    assert all(torch.equal(begun[3 + 3 * place], starts[place]) for place in range(4))


def test_each_query_keeps_its_best_start(search, images, starts):
    found = search(images)
    alone = [search(images, starts[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(found.losses, torch.cat([a.losses for a in alone], dim=1))
    assert torch.equal(found.loss, found.losses.min(dim=1).values)
    assert len(found.losses.argmin(dim=1).unique()) > 1
    best = found.losses.argmin(dim=1)
    latents = torch.stack([a.latent for a in alone], dim=1)
    torch.testing.assert_close(
        found.latent, latents[torch.arange(QUERIES), best], rtol=1e-3, atol=1e-3
    )


def test_a_start_that_diverged_is_not_the_best():
    def objective(queries):
        return lambda z: torch.where(z[:, 0] > 5, torch.nan, z[:, 0])

    found = latent_search(objective, draw(2, 1), torch.tensor([[[9.0], [1.0]]] * 2), steps=1)
    assert found.losses[:, 0].isnan().all()
    assert torch.equal(found.loss, found.losses[:, 1])
    hopeless = latent_search(objective, draw(2, 1), torch.tensor([[[9.0]]] * 2), steps=1)
    assert hopeless.loss.isnan().all(), "NaN is not hidden where there is nothing else"


def test_gradients_are_on_inside_and_nowhere_else(search, images, networks):
    with torch.no_grad():
        found = search(images, steps=3)
        assert not torch.is_grad_enabled()
    assert torch.equal(found.latent, search(images, steps=3).latent)
    assert not found.latent.requires_grad
    assert not found.loss.requires_grad
    assert all(p.grad is None for network in networks for p in network.parameters())


def test_starts_and_queries_stay_as_they_are(search, images, starts):
    before = images.clone(), starts.clone()
    search(images, steps=3)
    assert torch.equal(images, before[0])
    assert torch.equal(starts, before[1])


def test_progress_is_told_in_shares_that_sum_to_one(search, images):
    shares = []
    search(images, steps=10, progress=shares.append)
    assert len(shares) == 10 * QUERIES
    assert sum(shares) == pytest.approx(1)


def test_the_schedule_is_that_of_the_released_code():
    rates = [0.01 * settle(step / 500) for step in range(500)]
    assert rates[:200] == pytest.approx([0.01] * 200)
    assert rates[200:300] == pytest.approx([0.001] * 100)
    assert rates[300:] == pytest.approx([0.0005] * 200)


def test_a_constant_rate_ends_less_settled(search, images):
    settled = search(images, steps=80, batch_size=6)
    circling = search(images, steps=80, batch_size=6, schedule=lambda progress: 1.0)
    assert settled.loss.mean() < circling.loss.mean()


def test_the_objective_is_the_published_weighted_sum(networks, images):
    generate, features = networks
    z = draw(QUERIES, LATENT, seed=5)
    residual = (images - generate(z)).abs().sum(dim=(1, 2, 3))
    feature = (features(images) - features(generate(z))).abs().sum(dim=1)
    for weight in (0.0, 0.1, 1.0):
        found = residual_objective(images, generate, features, weight)(z)
        torch.testing.assert_close(found, (1 - weight) * residual + weight * feature)


def test_without_weight_features_are_never_computed(networks, images):
    objective = residual_objective(images, networks[0], pytest.fail, 0.0)
    assert objective(draw(QUERIES, LATENT)).shape == (QUERIES,)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="starts of a latent search"):
        latent_search(square, draw(2, 3), torch.zeros(1, 3))
    with pytest.raises(
        ValueError, match=r"starts .* expected shape \[2, any, any\], got \[1, 1, 3"
    ):
        latent_search(square, draw(2, 3), torch.zeros(1, 1, 3))
    with pytest.raises(ValueError, match="objective of a latent search"):
        latent_search(lambda q: lambda z: z.square(), draw(2, 3), torch.zeros(2, 1, 3))

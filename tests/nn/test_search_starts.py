"""Where searches begin: by the image itself, so that unrelated images are not made alike."""

from functools import partial

import pytest
import torch
from torch import nn

from anokit.data.pixels import to_float
from anokit.nn import SearchStarts, latent_search, residual_objective

COUNT, LATENT = 12, 64


@pytest.fixture(scope="module")
def images():
    """Unrelated images of noise."""
    drawn = torch.randint(256, (COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    return to_float(drawn.to(torch.uint8))


@pytest.fixture
def make():
    def build(seed=0, **options):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return SearchStarts(2, LATENT, **options)

    return build


def mean_cosine(latents):
    """Return the mean cosine of all pairs of rows."""
    unit = nn.functional.normalize(latents, dim=1)
    return float((unit @ unit.T)[~torch.eye(len(unit), dtype=torch.bool)].mean())


def test_latents_of_unrelated_queries_are_not_made_alike_by_their_starts(make, images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generate = nn.Sequential(nn.Linear(LATENT, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    objective = partial(
        residual_objective, generate=generate, features=torch.flatten, feature_weight=0
    )
    search = partial(latent_search, objective, images, steps=100)
    starts = make()(images)
    one_for_all = starts[:1].expand(COUNT, -1, -1)
    assert mean_cosine(search(one_for_all).latent) > 0.3, "else this test shows nothing"
    assert abs(mean_cosine(search(starts).latent)) < 0.1


def test_starts_depend_on_neither_batch_nor_order(make, images):
    starts, order = make(), torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    parts = [starts(part) for part in images[order].split([1, 4, 7])]
    assert torch.equal(torch.cat(parts), starts(images)[order])


def test_starts_follow_the_stored_grey_levels_and_not_rounding(make, images):
    starts = make()
    assert torch.equal(starts(torch.nextafter(images, torch.tensor(2.0))), starts(images))
    other = images.clone()
    other[:, 0, 3, 3] += torch.where(other[:, 0, 3, 3] > 0, -1, 1) / 127.5
    assert all(
        not torch.equal(*pair) for pair in zip(starts(other), starts(images), strict=True)
    ), "one level of one pixel"


def test_starts_are_seeded_and_the_seed_is_saved(make, images):
    one, other = make(seed=1), make(seed=2)
    assert not torch.equal(one(images), other(images))
    assert set(one.state_dict()) == {"seed"}
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(images), other(images))


@pytest.mark.parametrize(("name", "most", "spread"), [("normal", 9, 1), ("uniform", 1, 3**-0.5)])
def test_starts_are_drawn_from_the_distribution(make, images, name, most, spread):
    starts = make(distribution=name)(images)
    assert starts.shape == (COUNT, 2, LATENT)
    assert starts.abs().max() <= most
    assert float(starts.mean()) == pytest.approx(0, abs=0.1)
    assert float(starts.std()) == pytest.approx(spread, rel=0.1)


def test_no_image_has_no_starts(make, images):
    assert make()(images[:0]).shape == (0, 2, LATENT)

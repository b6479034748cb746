"""Scores made of a detector: what the wrapper does for it."""

from dataclasses import dataclass
from typing import Literal

import pytest
import torch

from anokit.errors import DataError, PluginError
from anokit.nn import Detector, FieldScore, PatchScore, field_score
from anokit.types import RoundTrip


@dataclass(frozen=True)
class Options:
    on: Literal["features", "latent", "patches", "image"] = "features"
    max_fit_images: int = 100
    patch_score: Literal["max", "mean"] = "max"
    max_patches: int = 1000
    seed: int = 0


class FromMean(Detector):
    """Distance from the mean training row; remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.empty(0))

    def fit(self, rows):
        self.given = rows
        self.mean = rows.mean(dim=0)

    def forward(self, rows):
        return torch.linalg.vector_norm(rows - self.mean, dim=1)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def make():
    return lambda **options: field_score(FromMean(), "toy", Options(**options))


def test_vectors_are_the_field_flattened(make):
    score = make(on="image")
    train = draw(6, 2, 3, 4)
    score.fit([RoundTrip(image=train[:4]), RoundTrip(image=train[4:])])
    assert torch.equal(score.detector.given, train.flatten(1))
    assert score(RoundTrip(image=train)).shape == (6,)
    assert type(score) is FieldScore
    assert not hasattr(score, "map")


def test_patches_are_one_row_per_position_in_reading_order(make):
    score = make(on="patches")
    maps = draw(2, 5, 3, 4)
    score.fit([RoundTrip(patches=maps)])
    assert isinstance(score, PatchScore)
    assert torch.equal(score.detector.given[3 * 4 + 6], maps[1, :, 1, 2])
    grid = torch.linalg.vector_norm(maps - score.detector.mean[:, None, None], dim=1)
    torch.testing.assert_close(score(RoundTrip(patches=maps)), grid.amax(dim=(1, 2)))
    same = score.map(RoundTrip(patches=maps, image=draw(2, 1, 3, 4)))
    torch.testing.assert_close(same, grid)
    assert score.map(RoundTrip(patches=maps, image=draw(2, 1, 9, 8))).shape == (2, 9, 8)


@pytest.mark.parametrize("size", [1, 4, 30])
def test_the_subset_of_patches_does_not_depend_on_the_batches(make, size):
    maps = draw(30, 2, 4, 4)
    whole, parts = (make(on="patches", max_patches=37, seed=5) for _ in range(2))
    whole.fit([RoundTrip(patches=maps)])
    parts.fit([RoundTrip(patches=part) for part in maps.split(size)])
    assert len(whole.detector.given) == 37
    assert torch.equal(parts.detector.given, whole.detector.given)


def test_the_subset_of_patches_is_drawn_evenly(make):
    """A stream of which early or late positions survived more often would give itself away."""
    places = torch.arange(4000.0).reshape(1000, 1, 2, 2)
    score = make(on="patches", max_patches=1000)
    score.fit([RoundTrip(patches=part) for part in places.split(50)])
    kept = score.detector.given.flatten()
    assert (kept.diff() > 0).all()
    assert kept.mean().item() == pytest.approx(2000, abs=4 * 4000 / (12 * 1000) ** 0.5)


def test_a_smaller_subset_lies_within_the_larger(make):
    maps = draw(30, 2, 4, 4)
    small, large = make(on="patches", max_patches=20), make(on="patches", max_patches=60)
    for score in (small, large):
        score.fit([RoundTrip(patches=maps)])
    inside = (small.detector.given[:, None] == large.detector.given).all(dim=2).any(dim=1)
    assert inside.all()


def test_faults_are_named(make):
    score, features = make(), draw(4, 3)
    with pytest.raises(PluginError, match="'toy' is not fitted"):
        score(RoundTrip(features=features))
    with pytest.raises(DataError, match="expected some, got none"):
        score.fit([])
    score.fit([RoundTrip(features=features)])
    with pytest.raises(PluginError, match=r"reads features \[B, F\], .* got latent"):
        score(RoundTrip(latent=features))
    with pytest.raises(PluginError, match=r"features expected \[B, F\], got \[4, 3, 1\]"):
        score(RoundTrip(features=features[..., None]))
    with pytest.raises(PluginError, match="fitted to features of 3 values, got 2"):
        score(RoundTrip(features=features[:, :2]))
    patches = make(on="patches")
    patches.fit([RoundTrip(patches=draw(2, 3, 4, 4))])
    with pytest.raises(PluginError, match="map of score 'toy' reads image"):
        patches.map(RoundTrip(patches=draw(2, 3, 4, 4)))

"""Round trips of training images: each is made once where several scores are fitted on them."""

import numpy as np
import pytest
import torch

from anokit import trips
from anokit.datasets import prepare
from anokit.models import build_model
from anokit.scoring import Scorer, all_rows
from anokit.trips import TripMemory

CPU = torch.device("cpu")
NEEDS = frozenset({"image", "latent"})
FIRST, SECOND = np.array([1, 2, 4, 5, 8, 9, 10]), all_rows(12)


@pytest.fixture
def walk(make, toys, monkeypatch):
    """Walk over trips of some rows; also the images that the network saw, in order."""
    recipe = make()
    data = prepare(recipe.dataset, recipe.seed)
    scorer = Scorer(recipe.scores, build_model(recipe, data.spec, CPU), CPU, 3, 0)
    seen = []
    make_trip = toys.Linear.round_trip

    def counted(self, images, needs):
        seen.append(len(images))
        return make_trip(self, images, needs)

    monkeypatch.setattr(toys.Linear, "round_trip", counted)

    def over(rows, memory=None, needs=NEEDS, advance=None):
        return list(scorer.trips(data.train.images, rows, needs, advance, memory))

    return over, seen


def whole(found, name):
    return torch.cat([trip.get(name) for trip in found])


def test_an_image_makes_its_trip_once_and_the_same_one(walk):
    over, seen = walk
    expected = [over(FIRST), over(SECOND)]
    seen.clear()
    memory = TripMemory(NEEDS, 12)
    found = [over(FIRST, memory), over(SECOND, memory), over(SECOND, memory)]
    assert sum(seen) == 12
    for got, want in zip([*found, found[1]], [*expected, expected[1], expected[1]], strict=True):
        assert [len(trip.image) for trip in got] == [len(trip.image) for trip in want]
        assert torch.equal(whole(got, "image"), whole(want, "image"))
        torch.testing.assert_close(whole(got, "latent"), whole(want, "latent"))


@pytest.mark.parametrize("reason", ["no room", "another field"])
def test_without_room_or_with_another_field_trips_are_made_anew(walk, monkeypatch, reason):
    over, seen = walk
    if reason == "no room":
        monkeypatch.setattr(trips, "MEMORY_BYTES", 12)
    memory = TripMemory(NEEDS, 12)
    needs = NEEDS if reason == "no room" else NEEDS | {"image_hat"}
    found = [over(SECOND, memory, needs), over(SECOND, memory, needs)]
    assert not memory.fields
    # That there is no room shows in the first batch of three.
    assert sum(seen) == (27 if reason == "no room" else 24)
    for got in found:
        assert torch.equal(whole(got, "latent"), whole(over(SECOND), "latent"))


def test_progress_counts_every_image_whether_remembered_or_not(walk):
    over, _ = walk
    memory, told = TripMemory(NEEDS, 12), []
    over(FIRST, memory)
    over(SECOND, memory, advance=told.append)
    assert sum(told) == 12


def test_a_memory_is_for_fitted_scores_that_read_what_a_network_makes(make):
    def memory(*settings):
        recipe = make(*settings)
        data = prepare(recipe.dataset, recipe.seed)
        model = build_model(recipe, data.spec, CPU)
        return Scorer(recipe.scores, model, CPU, 4, 0).memory(10)

    assert memory('scores=[{use="error"}]') is None, "nothing is fitted"
    assert memory('scores=[{use="far"}]') is None, "far reads raw images"

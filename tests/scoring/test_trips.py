"""Round trips of training images: each is made once where several scores are fitted on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anokit.data.preparing import prepare
from anokit.data.sets import ImageTable, all_rows
from anokit.results.assess import assess
from anokit.scoring.scorer import Scorer
from anokit.training.backbone import build_backbone
from anokit.training.memory import TripMemory

CPU = torch.device("cpu")
NEEDS = frozenset({"image", "latent"})
FIRST, SECOND = np.array([1, 2, 4, 5, 8, 9, 10]), all_rows(12)


@pytest.fixture
def walk(make, toys, monkeypatch):
    """Walk over trips of some rows; also the images that the network saw, in order."""
    recipe = make()
    data = prepare(recipe.dataset, recipe.seed)
    scorer = Scorer(recipe.scores, build_backbone(recipe, data.spec, CPU), CPU, 3, 0)
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
    memory = TripMemory(12)
    found = [over(FIRST, memory), over(SECOND, memory), over(SECOND, memory)]
    assert sum(seen) == 12
    for got, want in zip([*found, found[1]], [*expected, expected[1], expected[1]], strict=True):
        assert [len(trip.image) for trip in got] == [len(trip.image) for trip in want]
        assert torch.equal(whole(got, "image"), whole(want, "image"))
        torch.testing.assert_close(whole(got, "latent"), whole(want, "latent"))


def test_another_field_is_made_and_kept_on_its_own(walk):
    over, seen = walk
    memory = TripMemory(12)
    over(FIRST, memory)
    assert set(memory.fields) == {"latent"}
    more = NEEDS | {"image_hat"}
    found = [over(SECOND, memory, more), over(SECOND, memory, more), over(SECOND, memory)]
    assert sum(seen) == len(FIRST) + 12
    for got in found:
        torch.testing.assert_close(whole(got, "latent"), whole(over(SECOND), "latent"))
    assert torch.equal(whole(found[0], "image_hat"), whole(found[1], "image_hat"))


def test_without_room_trips_are_made_anew(walk, monkeypatch):
    over, seen = walk
    monkeypatch.setattr("anokit.training.memory.MEMORY_BYTES", 12)
    memory = TripMemory(12)
    found = [over(SECOND, memory), over(SECOND, memory)]
    assert not memory.fields
    assert sum(seen) == 24
    for got in found:
        assert torch.equal(whole(got, "latent"), whole(over(SECOND), "latent"))


def test_progress_counts_every_image_whether_remembered_or_not(walk):
    over, _ = walk
    memory, told = TripMemory(12), []
    over(FIRST, memory)
    over(SECOND, memory, advance=told.append)
    assert sum(told) == 12


def test_images_are_read_only_where_something_new_is_made_of_them(walk, monkeypatch):
    over, _ = walk
    memory, read = TripMemory(12), []
    take = ImageTable.read

    def counted(self, indices):
        read.append(len(indices))
        return take(self, indices)

    monkeypatch.setattr(ImageTable, "read", counted)
    over(FIRST, memory, frozenset({"latent"}))
    assert sum(read) == len(FIRST)
    over(SECOND, memory, frozenset({"latent"}))
    assert sum(read) == 12
    found = over(SECOND, memory, frozenset({"latent"}))
    assert sum(read) == 12
    assert all(trip.filled() == {"latent"} for trip in found)
    over(SECOND, memory)  # with the images
    assert sum(read) == 24


@pytest.mark.parametrize("dependence", ["", "batch norm over the batch"])
def test_no_memory_where_scores_depend_on_the_batch(make, toys, monkeypatch, dependence):
    monkeypatch.setattr(toys.Linear, "batch_dependence", dependence, raising=False)
    recipe = make()
    data = prepare(recipe.dataset, recipe.seed)
    model = build_backbone(recipe, data.spec, CPU)
    memory = Scorer(recipe.scores, model, CPU, 4, 0).memory(10)
    assert (memory is None) == bool(dependence)


def test_two_scores_fitted_several_times_walk_the_training_set_once(
    make, toys, monkeypatch, job_of
):
    job = job_of(
        make('scores=[{use="typical"}, {name="other", terms=[{use="typical", scale=2.0}]}]')
    )
    walked = []
    make_trip = toys.Linear.round_trip

    def counted(self, images, needs):
        walked.extend(images)
        return make_trip(self, images, needs)

    monkeypatch.setattr(toys.Linear, "round_trip", counted)
    fit = Scorer.fit
    fits = []

    def watched(self, *given, **options):
        before = len(walked)
        found = fit(self, *given, **options)
        fits.append(len(walked) - before)
        return found

    monkeypatch.setattr(Scorer, "fit", watched)
    monkeypatch.setattr(Scorer, "milliseconds", lambda *_: 0.0)
    monkeypatch.setattr("anokit.results.assess.probe", lambda *_: None)
    job = replace(job, data=replace(job.data, test=None))
    assess(job)
    assert len(fits) == 6, "five times without a fifth, once on all"
    assert len(walked) == len(job.data.train)


def test_what_will_be_asked_for_is_made_on_the_same_trip(walk):
    over, seen = walk
    memory = TripMemory(12)
    memory.want(frozenset({"latent", "image_hat"}))
    over(SECOND, memory)
    seen.clear()
    found = over(SECOND, memory, frozenset({"image_hat"}))
    assert not seen
    expected = over(SECOND, None, frozenset({"image_hat"}))
    torch.testing.assert_close(whole(found, "image_hat"), whole(expected, "image_hat"))


def test_what_is_wanted_and_has_no_room_costs_nothing_further(walk):
    over, seen = walk
    memory = TripMemory(12)
    memory.refused = {"image_hat"}
    memory.want(frozenset({"image_hat"}))
    over(SECOND, memory)
    assert memory.has_room(NEEDS)
    assert not memory.missing(SECOND, NEEDS).any()
    assert sum(seen) == 12


def test_a_second_walk_is_not_told_again(make):
    recipe = make()
    data = prepare(recipe.dataset, recipe.seed)
    scorer = Scorer(recipe.scores, None, CPU, 3, 0)
    told = []
    trips = scorer.trips(data.train.images, SECOND, frozenset({"image"}), told.append)
    next(iter(trips))  # as who looks at the first one alone
    assert sum(told) == 0
    for _ in range(2):
        assert len(list(trips)) == len(trips)
        assert sum(told) == len(SECOND)

"""Training images are scored by what did not learn from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anokit.data.preparing import prepare
from anokit.data.sets import Wholes, all_rows, places_in
from anokit.errors import DataError
from anokit.scoring.scorer import Scorer
from anokit.scoring.standards import robust_scale
from anokit.scoring.training_scores import folds_of, score_training
from anokit.training.backbone import build_backbone

CPU = torch.device("cpu")


@pytest.fixture
def built(make):
    def build(*settings):
        recipe = make(*settings)
        data = prepare(recipe.dataset, recipe.seed)
        model = build_backbone(recipe, data.spec, CPU)
        return Scorer(recipe.scores, model, CPU, 7, recipe.seed), data.train

    return build


def test_one_left_out_in_closed_form_is_as_fitted_without_it(built):
    scorer, train = built('scores=[{use="typical"}]')
    (key,) = scorer.components
    module = type(scorer.components[key].score)

    def leave_one_out(self, trip, places):
        self.asked = [*getattr(self, "asked", []), *places.tolist()]
        return self(trip) + 1000

    module.leave_one_out = leave_one_out
    try:
        found = score_training(scorer, train, np.array([3, 8, 40]), 5)
    finally:
        del module.leave_one_out
    assert scorer.components[key].score.asked == [3, 8, 40]
    assert (found.values[key] > 900).all()
    assert not found.crossed


def test_groups_are_left_out_whole(built, toys):
    scorer, train = built('scores=[{use="far"}]')
    groups = [f"g{i // 7}" for i in range(len(train))]
    toys.FITS.clear()
    found = score_training(scorer, replace(train, groups=groups), all_rows(60), 4)
    assert found.crossed == set(scorer.components)
    assert found.folds == 9, "a part each: without more than one of so few a score knows too little"
    own = [(x.float() / 127.5 - 1).numpy().tobytes() for x in train.images.read(all_rows(60))]
    fitted = [{own.index(image) for image in fit} for fit in toys.FITS]
    assert fitted[-1] == set(range(60))
    for part in fitted[:-1]:
        inside = {groups[row] for row in part}
        outside = {groups[row] for row in set(range(60)) - part}
        assert outside
        assert not inside & outside


@pytest.mark.parametrize(("count", "folds"), [(10, 5), (11, 5), (3, 5), (1, 5), (7, 1)])
def test_folds_are_equally_large_and_seeded(count, folds):
    found = folds_of(count, folds, 3)
    sizes = np.bincount(found, minlength=min(folds, count))
    assert sizes.sum() == count
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == min(folds, count)
    assert np.array_equal(found, folds_of(count, folds, 3))
    if count > 5:
        assert folds == 1 or not np.array_equal(found, folds_of(count, folds, 4))


def test_maps_for_the_scale_are_of_images_not_fitted_on(built, toys):
    scorer, train = built('scores=[{use="error"}]')
    (key,) = scorer.components
    found = score_training(scorer, train, all_rows(60), 5, mapped={key})
    held = np.flatnonzero(folds_of(60, 5, scorer.seed) == 0)
    expected = scorer.maps_of({key}, train.images, held)[key]
    np.testing.assert_array_equal(found.held_maps[key], expected)


def test_places_among_those_fitted_on():
    assert places_in(np.array([2, 5, 9]), np.array([5, 3, 9, 10, 2])).tolist() == [1, -1, 2, -1, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0, 100.0], (3.0, 1.4826)),
        ([0.0, 0.0, 0.0, 3.0], (0.0, np.std([0, 0, 0, 3]))),
        ([5.0, 5.0], (5.0, 1.0)),
    ],
)
def test_the_robust_scale(values, expected):
    assert robust_scale(np.array(values)) == pytest.approx(expected)


def test_the_score_of_a_whole_is_that_of_its_most_anomalous_tile():
    found = Wholes.of(["a0", "a1", "b0", "a2"], ["a", "a", "b", "a"])
    values = np.array([1.0, 3.0, 2.0, 3.0])
    assert found.ids == ["a", "b"]
    assert found.first.tolist() == [0, 2]
    assert found.of_tile.tolist() == [0, 0, 1, 0]
    assert found.tops(values).tolist() == [1, 2], "the first of equals"
    assert found.largest(values).tolist() == [3.0, 2.0]
    alone = Wholes.of(["x", "y"], None)
    assert alone.tops(np.array([4.0, 1.0])).tolist() == [0, 1]


def test_an_error_of_a_fit_on_a_part_says_of_how_many(built, monkeypatch):
    scorer, train = built('scores=[{use="far"}]')
    (key,) = scorer.components
    fit = type(scorer.components[key].score).fit

    def fit_many(self, trips):
        count = sum(len(trip.image) for trip in trips)
        if count < len(train):
            raise DataError(f"expected {len(train)}, got {count}: add images")
        fit(self, trips)

    monkeypatch.setattr(type(scorer.components[key].score), "fit", fit_many)
    with pytest.raises(DataError, match=r"got 48: add images.* on 48 of the 60 images") as caught:
        score_training(scorer, train, all_rows(60), 5)
    assert caught.value.score_key == key

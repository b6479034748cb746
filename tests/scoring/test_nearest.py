"""The nearest training images: exact, whole photographs, the same however they are cut up."""

import numpy as np
import pytest
import torch

from anokit import RoundTrip
from anokit.data.preparing import prepare
from anokit.scoring import nearest
from anokit.scoring.nearest import Likeness, nearest_training_images
from anokit.training.backbone import build_backbone

CPU = torch.device("cpu")
CHOSEN = np.array([7, 0, 19])


@pytest.fixture
def find(make):
    """Find what is nearest to `CHOSEN` in the data of a recipe; also these data."""

    def call(*settings, field="image", count=3, batch_size=8, chosen=CHOSEN):
        recipe = make("dataset.train=20", *settings)
        data = prepare(recipe.dataset, recipe.seed)
        found = nearest_training_images(
            build_backbone(recipe, data.spec, CPU),
            data.train,
            chosen,
            Likeness(field),
            count=count,
            batch_size=batch_size,
            device=CPU,
        )
        return found, data

    return call


def pixels(data):
    images = data.train.images.read(np.arange(len(data.train))).flatten(1).double().numpy()
    return images / 127.5 - 1


def far(vectors, at):
    """Return the distance of every vector from one of them, that one left out."""
    distances = np.linalg.norm(vectors - vectors[at], axis=1)
    distances[at] = np.inf
    return distances


def test_they_are_those_of_a_search_by_hand(find):
    found, data = find()
    for line, at in enumerate(CHOSEN):
        distances = far(pixels(data), at)
        assert found.places[line].tolist() == np.argsort(distances)[:3].tolist()
        assert found.distances[line] == pytest.approx(np.sort(distances)[:3], rel=1e-6)


@pytest.mark.parametrize("field", ["image", "latent"])
def test_they_do_not_depend_on_how_the_set_is_cut_up(find, field, monkeypatch):
    once, _ = find(field=field)
    monkeypatch.setattr(nearest, "WHOLES_AT_ONCE", 3)
    again, _ = find(field=field, batch_size=5)
    assert again.places.tolist() == once.places.tolist()
    assert again.distances == pytest.approx(once.distances, rel=1e-5)


def test_photographs_are_compared_by_the_means_of_their_tiles(find):
    found, data = find("dataset.tiles=2", chosen=np.array([4]))
    means = pixels(data).reshape(10, 2, -1).mean(axis=1)
    assert found.places[0].tolist() == np.argsort(far(means, 4))[:3].tolist()


def test_there_are_no_more_than_there_are_others(find):
    found, _ = find("dataset.train=3", chosen=np.array([0, 1]))
    assert found.places.shape == found.distances.shape == (2, 2)
    assert sorted(found.places[0]) == [1, 2]
    alone, _ = find("dataset.train=1", chosen=np.array([0]))
    assert alone.places.shape == (1, 0)


def test_of_equal_images_the_first_are_taken():
    theirs = torch.zeros(5, 2, dtype=torch.float64)
    distances = Likeness("latent").distances(theirs[:1], theirs)
    assert torch.sort(distances, stable=True).indices[0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("needs", "field"),
    [
        ({"patches", "features"}, "features"),
        ({"latent", "image_hat", "image"}, "latent"),
        ({"patches"}, "patches"),
        ({"image", "image_hat"}, "image"),
        ({"critic"}, "image"),
    ],
)
def test_images_are_compared_by_the_best_that_the_score_reads(needs, field):
    assert Likeness.of(needs).field == field


def test_features_are_compared_by_their_angle_and_patches_by_their_mean():
    vectors = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]]).double()
    found = Likeness("features").distances(vectors[:1], vectors)
    assert found[0].tolist() == pytest.approx([0, 0, 1])
    trip = RoundTrip(patches=torch.arange(8.0).view(1, 2, 2, 2))
    assert Likeness("patches").vectors(trip).tolist() == [[1.5, 5.5]]
    large = RoundTrip(image=torch.ones(2, 3, 200, 40))
    assert Likeness("image").vectors(large).shape == (2, 3 * 64 * 40)

"""Statistics of images are what they say; equalised copies really have equal ones."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from anokit.data.sets import ImageTable, Wholes, all_rows
from anokit.data.statistics import EQUALISED, describe, describe_wholes, equalise
from anokit.nn import image_brightness, image_contrast, image_gradient


@pytest.fixture(scope="module")
def images():
    """Smooth and rough images of very different contrast, some of them near black or white."""
    generator = np.random.default_rng(0)
    waves = np.sin(np.arange(12)[:, None] / generator.uniform(0.5, 4, (120, 1, 1, 1)))
    noise = generator.normal(0, 0.3, (120, 3, 12, 12))
    size = generator.uniform(3, 60, (120, 1, 1, 1))
    mean = generator.uniform(20, 235, (120, 1, 1, 1))
    return np.clip(mean + size * (waves + noise), 0, 255).astype(np.uint8)


def test_statistics_are_what_numpy_says(images):
    found = describe(ImageTable([images]), all_rows(len(images)))
    values = images.astype(np.float64)
    dx, dy = np.diff(values, axis=3), np.diff(values, axis=2)
    gradient = np.sqrt((dx**2).mean(axis=(1, 2, 3)) + (dy**2).mean(axis=(1, 2, 3)))
    assert found["contrast"] == pytest.approx(values.std(axis=(1, 2, 3)))
    assert found["gradient"] == pytest.approx(gradient)
    assert found["brightness"] == pytest.approx(values.mean(axis=(1, 2, 3)))


def test_statistics_of_a_ramp_are_known():
    ramp = torch.arange(8.0).expand(1, 1, 4, 8)
    assert image_gradient(2 * ramp).item() == pytest.approx(2)
    assert image_contrast(2 * ramp).item() == pytest.approx(2 * np.sqrt(63 / 12))
    assert image_brightness(ramp - 3.5).item() == 0
    assert image_gradient(ramp[:, :, :1, :1]).item() == 0


@pytest.mark.parametrize("statistic", EQUALISED)
def test_copies_have_equal_statistics(images, statistic):
    table = ImageTable([images])
    before = describe(table, all_rows(len(images)))
    target = float(np.median(before[statistic]))
    copies = equalise(table, statistic, target)
    after = describe(copies.images, all_rows(len(images)))
    assert np.array_equal(after[statistic], copies.reached)
    assert np.ptp(before[statistic]) > target, "they were not equal before"
    assert after[statistic] == pytest.approx(target, rel=0.01)
    unclipped = copies.clipped == 0
    assert 0 < unclipped.sum() < len(images), "both kinds are here"
    assert after["brightness"][unclipped] == pytest.approx(before["brightness"][unclipped], abs=0.5)


@pytest.mark.parametrize("statistic", EQUALISED)
def test_what_is_left_of_the_differences_is_rounding(images, statistic):
    """A score reads ranks: copies that are nearly equal must not stay in the old order."""
    table = ImageTable([np.concatenate([np.roll(images, shift, axis=3) for shift in range(4)])])
    before = describe(table, all_rows(len(table)))[statistic]
    reached = equalise(table, statistic, float(np.median(before))).reached
    assert abs(spearmanr(before, reached).statistic) < 0.15
    assert reached == pytest.approx(np.median(before), rel=0.02)


def test_a_copy_shows_what_the_image_shows(images):
    copies = equalise(ImageTable([images]), "contrast", 20.0)
    rows = np.flatnonzero(copies.clipped == 0)
    found = copies.images.read(rows).flatten(1).numpy()
    for row, copy in zip(rows, found, strict=True):
        own = images[row].ravel().astype(float)
        if own.std() > 10:
            assert np.corrcoef(own, copy)[0, 1] > 0.999


def test_a_copy_does_not_depend_on_the_others(images):
    table = ImageTable([images])
    both = equalise(table, "gradient", 30.0).images.read(all_rows(len(images)))
    alone = equalise(ImageTable([images[5:6]]), "gradient", 30.0).images.read(all_rows(1))
    assert torch.equal(both[5:6], alone)
    assert torch.equal(
        equalise(table, "gradient", 30.0).images.read(np.array([9, 5])), both[[9, 5]]
    )


def test_what_cannot_be_reached_is_told():
    flat = np.full((2, 1, 6, 6), 90, np.uint8)
    flat[1, 0, 0, 0] = 91
    copies = equalise(ImageTable([flat]), "contrast", 120.0)
    assert copies.reached[0] == 0
    assert torch.equal(copies.images.read(all_rows(1)), torch.from_numpy(flat[:1]))
    assert 0 < copies.reached[1] < 100


def test_the_statistic_of_a_photograph_is_the_mean_of_its_tiles(images):
    wholes = Wholes.of([str(row) for row in range(6)], ["a", "b", "a", "b", "a", "b"])
    found = describe_wholes(ImageTable([images[:6]]), wholes)["brightness"]
    own = images[:6].mean(axis=(1, 2, 3))
    assert found == pytest.approx([own[::2].mean(), own[1::2].mean()])

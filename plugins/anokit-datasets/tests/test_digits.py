from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from anokit_datasets.digits import digits
from anokit_datasets.options import DigitsOptions


def test_every_digit_is_somewhere_once() -> None:
    source = digits(DigitsOptions(normal=(3, 4)))
    parts = [source.train, source.contaminants, source.test]
    ids = [name for part in parts if part is not None for name in part.ids]
    assert len(ids) == len(set(ids)) == 1797


def test_sides_hold_what_they_should() -> None:
    source = digits(DigitsOptions(normal=(3,)))
    assert source.contaminants is not None
    assert source.test is not None
    assert set(source.train.kinds or []) == {"3"}
    assert "3" not in (source.contaminants.kinds or [])
    assert source.train.labels is source.contaminants.labels is None
    for kind, label in zip(source.test.kinds or [], source.test.labels or [], strict=True):
        assert label == (kind != "3")
    assert source.protocol == "one-class"


def test_grey_values_fill_the_range() -> None:
    source = digits(DigitsOptions())
    index = int(source.train.ids[0].rsplit("/", 1)[1])
    original = load_digits().images[index]
    assert np.abs(source.train.images[0, 0] / 255 * 16 - original).max() < 0.05
    assert source.train.images.max() == 255


@pytest.mark.parametrize("size", [4, 8, 11, 32])
def test_any_size(size: int) -> None:
    source = digits(DigitsOptions(size=size))
    assert source.train[0].image.shape == (1, size, size)
    assert source.spec.height == source.spec.width == size
    small = digits(DigitsOptions())
    assert source.train.images.mean() == pytest.approx(small.train.images.mean(), rel=0.06)


def test_seed_alone_decides() -> None:
    first, again, other = (digits(DigitsOptions(draw_seed=seed)) for seed in (1, 1, 2))
    assert first.train.ids == again.train.ids
    assert first.train.ids != other.train.ids


def test_share_is_held_out_of_both_sides() -> None:
    source = digits(DigitsOptions(test_share=0.25))
    assert source.test is not None
    assert source.contaminants is not None
    normal = source.test.labels.count(0) if source.test.labels else 0
    assert normal == round(0.25 * (normal + len(source.train)))
    anomalous = len(source.test) - normal
    assert anomalous == round(0.25 * (anomalous + len(source.contaminants)))

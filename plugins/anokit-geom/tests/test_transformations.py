"""The 72 transformations: what they do, in which order, and which are left out first."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from anokit_geom.transformations import ALL, apply, choose, pixel_maps


def by_numpy(image: np.ndarray, flip: bool, tx: int, ty: int, turns: int) -> np.ndarray:
    """Flip, shift (row i is row i + tx, mirrored with its edge), turn: [C, s, s]."""
    side, margin = image.shape[-1], 8
    if flip:
        image = image[..., ::-1]
    wide = np.pad(image, [(0, 0), (margin, margin), (margin, margin)], mode="symmetric")
    rows, columns = margin + tx, margin + ty
    image = wide[:, rows : rows + side, columns : columns + side]
    return np.rot90(image, turns, axes=(1, 2))


def test_every_transformation_equals_numpys_in_the_published_order(draw):
    (image,) = draw(1, side=32)
    published = [*product((False, True), (0, -8, 8), (0, -8, 8), range(4))]
    maps = pixel_maps(ALL, 32, 8)
    assert maps.shape == (72, 1024)
    found = apply(image.expand(72, -1, -1, -1), maps)
    for place, (flip, tx, ty, turns) in enumerate(published):
        expected = by_numpy(image.numpy(), flip, tx, ty, turns)
        assert np.array_equal(found[place].numpy(), expected), (place, flip, tx, ty, turns)


def test_what_a_shift_uncovers_is_mirrored_with_the_edge():
    image = torch.tensor([[[[1.0, 2, 3, 4]] * 4]])
    right = next(one for one in ALL if one == (False, 0, -1, 0))
    moved = apply(image, pixel_maps((right,), 4, 2))
    assert moved[0, 0, 0].tolist() == [2, 1, 1, 2], "not 3 2 1 2, as torch's reflect has it"


def test_each_image_of_a_batch_has_its_own_transformation(draw):
    images, maps = draw(3), pixel_maps(ALL, 8, 2)
    wanted = torch.tensor([5, 0, 71])
    found = apply(images, maps[wanted])
    for image, kind, one in zip(images, wanted, found, strict=True):
        torch.testing.assert_close(apply(image[None], maps[kind][None])[0], one, rtol=0, atol=0)
    torch.testing.assert_close(found[1], images[1], rtol=0, atol=0)


def test_all_72_are_different_images(draw):
    found = apply(draw(1).expand(72, -1, -1, -1), pixel_maps(ALL, 8, 2)).flatten(1)
    assert len(found.unique(dim=0)) == 72


def test_result_has_its_channels_last(draw):
    found = apply(draw(2), pixel_maps(ALL[:2], 8, 2))
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("share", "count", "flips", "shifted"),
    [(1, 72, 2, 2), (5 / 9, 40, 2, 1), (1 / 3, 24, 2, 1), (1 / 9, 8, 2, 0), (1 / 18, 4, 1, 0)],
)
def test_what_a_share_keeps(share, count, flips, shifted):
    kept = choose(share)
    assert len(kept) == count
    assert len({one.flip for one in kept}) == flips
    assert max(abs(one.down) + abs(one.right) for one in kept) == shifted
    assert {one.turns for one in kept} == {0, 1, 2, 3}


def test_shares_are_nested_in_published_order_and_hold_the_identity():
    larger = choose(1)
    assert larger == ALL
    for count in range(71, 1, -1):
        smaller = choose(count / 72)
        assert len(smaller) == count
        assert set(smaller) < set(larger)
        assert list(smaller) == sorted(smaller, key=ALL.index)
        assert smaller[0] == (False, 0, 0, 0)
        larger = smaller

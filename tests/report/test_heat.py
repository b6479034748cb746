"""Maps of tiles joined into one map of a photograph."""

from itertools import product

import numpy as np
import pytest

from anokit.report.heat import Heat, stitch

TILE, VALUES = 32.0, 8
"""Side of a tile in pixels of the photograph, and in values of its map."""


def grid(across, down, side=TILE):
    return [(x, y, x + side, y + side) for y, x in product(down, across)]


def sampled(function, boxes, values=VALUES):
    """Return a function of x and y at the centres of the values of every box, ``[T, h, w]``."""
    maps = []
    for left, top, right, bottom in boxes:
        steps = (np.arange(values) + 0.5) / values
        x, y = np.meshgrid(left + steps * (right - left), top + steps * (bottom - top))
        maps.append(function(x, y))
    return np.array(maps)


def centres(heat):
    left, top, right, bottom = heat.box
    rows, columns = heat.values.shape
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    return np.meshgrid(x, y)


LAYOUTS = {
    "overlapping": ((0.0, 20.0, 40.0), (0.0, 16.0)),
    "touching": ((0.0, 32.0, 64.0), (0.0, 32.0)),
    "the last moved inwards": ((0.0, 24.0, 29.0), (0.0, 3.0)),
    "three deep": ((0.0, 10.0, 20.0, 30.0), (0.0, 4.0)),
    "overlapping by one value": ((0.0, 28.0), (0.0,)),
    "beyond the file": ((-5.0, 20.0), (-3.0, 20.0)),
}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    across, down = LAYOUTS[request.param]
    size = (across[-1] + TILE - 3 * (across[0] < 0), down[-1] + TILE + 2 * min(down[0], 0))
    return grid(across, down), size


@pytest.mark.parametrize("shape", [None, (37, 53), (200, 11)])
def test_weights_sum_to_one(layout, shape):
    boxes, size = layout
    heat = stitch(np.full((len(boxes), VALUES, VALUES), 0.7), boxes, size, shape)
    assert shape is None or heat.values.shape == shape
    assert np.abs(heat.values - np.float32(0.7)).max() <= np.finfo(np.float32).eps


def test_a_plane_is_reproduced_but_for_half_a_value_at_the_border(layout):
    boxes, size = layout

    def plane(x, y):
        return 3 + 0.25 * x - 0.5 * y

    heat = stitch(sampled(plane, boxes), boxes, size)
    x, y = centres(heat)
    half = TILE / VALUES / 2
    lowest, highest = np.min(boxes, axis=0), np.max(boxes, axis=0)
    inner = (x >= lowest[0] + half) & (x <= highest[2] - half)
    inner &= (y >= lowest[1] + half) & (y <= highest[3] - half)
    assert inner.mean() > 0.7
    if boxes[1][0] == 28.0:
        # Where tiles overlap by one value, it is held for half a value: that is all they know.
        inner &= np.abs(x - 30) > 2 * half
    assert np.abs(heat.values - plane(x, y))[inner].max() < 1e-4


def test_a_smooth_function_is_reproduced(layout):
    boxes, size = layout

    def waves(x, y):
        return np.sin(x / 9) * np.cos(y / 11)

    values = 32
    heat = stitch(sampled(waves, boxes, values), boxes, size)
    x, y = centres(heat)
    step = TILE / values
    # Half a value is held at the border; inside, linear pieces are off by h²/8 times the curvature.
    assert np.abs(heat.values - waves(x, y)).max() < 0.5 * step * (1 / 9 + 1 / 11)


def test_tiles_that_disagree_leave_no_step(layout):
    boxes, size = layout
    maps = np.random.default_rng(0).integers(0, 2, len(boxes)).astype(float)
    maps = np.broadcast_to(maps[:, None, None], (len(boxes), VALUES, VALUES))
    fine = stitch(maps, boxes, size, (1500, 1500)).values
    # From 0 to 1 in no less than one value of a tile, which is 4 pixels of at most 96.
    slope = 1500 * max(np.abs(np.diff(fine, axis=a)).max() for a in (0, 1))
    assert slope <= 96 / (TILE / VALUES) * 1.01


def test_order_of_tiles_does_not_matter():
    boxes = grid((0.0, 20.0, 40.0), (0.0, 16.0))
    maps = np.random.default_rng(0).random((6, VALUES, VALUES))
    order = np.random.default_rng(1).permutation(6)
    one = stitch(maps, boxes, (72, 48))
    other = stitch(maps[order], [boxes[i] for i in order], (72, 48))
    assert (one.values == other.values).all()
    assert one.box == other.box == (0.0, 0.0, 72.0, 48.0)


def test_a_single_map_stays_as_it_is():
    values = np.random.default_rng(0).random((1, 5, 7)).astype(np.float32)
    heat = stitch(values, [(-4.0, 0.0, 10.0, 6.0)], (6.0, 6.0))
    assert (heat.values == values[0]).all()
    assert heat == Heat(heat.values, (-4.0, 0.0, 10.0, 6.0), (6.0, 6.0))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (grid((0.0, 40.0), (0.0,)), "gaps"),
        (grid((0.0, 20.0), (0.0, 20.0))[:3], "full grid"),
        (grid((0.0,), (0.0,)) * 2, "full grid"),
        ([(0.0, 0.0, 32.0, 32.0), (8.0, 0.0, 24.0, 32.0)], "within another"),
        ([(0.0, 0.0, 0.0, 32.0), (0.0, 0.0, 32.0, 32.0)], "empty"),
        (grid((100.0, 120.0), (0.0,)), "beyond"),
    ],
)
def test_boxes_that_are_no_grid_are_refused(boxes, message):
    with pytest.raises(ValueError, match=message):
        stitch(np.zeros((len(boxes), 4, 4)), boxes, (60, 60))


def test_every_map_needs_a_box():
    with pytest.raises(ValueError, match=r"2, 4, 4\] and 1 boxes"):
        stitch(np.zeros((2, 4, 4)), grid((0.0,), (0.0,)), (32, 32))

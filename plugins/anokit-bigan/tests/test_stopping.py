"""Early stopping of ALAD, without labels."""

from __future__ import annotations

import torch

from anokit.types import Batch
from anokit_bigan.stopping import EarlyStopping


def enough_after(stopping, batches):
    found = []
    for batch in batches:
        stopping.note(torch.tensor(batch))
        found.append(stopping.enough())
    return found


def test_it_is_enough_after_so_many_windows_without_a_new_lowest_mean():
    stopping = EarlyStopping(patience=2, every=1)
    means = [[5.0], [4.0], [6.0], [3.0], [3.0], [3.5]]
    assert enough_after(stopping, means) == [False] * 5 + [True]
    assert stopping.lowest == 3


def test_a_window_ends_with_the_batch_that_fills_it_and_counts_images_alike():
    stopping = EarlyStopping(patience=1, every=3)
    # Windows of 4, 3 and 4 images with means 2, 2 and 1: the second one is no new lowest.
    batches = [[1.0, 1.0], [4.0, 2.0], [2.0, 2.0, 2.0]]
    assert enough_after(stopping, batches) == [False, False, True]
    assert (int(stopping.windows), int(stopping.count), stopping.total.item()) == (2, 0, 0)
    assert enough_after(stopping, [[0.0, 0.0], [2.0, 2.0]]) == [True, False]


def test_all_that_the_answer_depends_on_is_in_buffers():
    one, two = EarlyStopping(2, 2), EarlyStopping(2, 2)
    enough_after(one, [[1.0, 2.0], [3.0, 3.0], [1.0]])
    two.load_state_dict(one.state_dict())
    rest = [[9.0], [0.5, 0.5], [1.0, 1.0], [1.0, 1.0]]
    assert enough_after(one, rest) == enough_after(two, rest) == [True, False, False, True]
    assert all(value.isfinite() for value in EarlyStopping(1, 1).state_dict().values())


def run(backbone, draw, steps):
    backbone.train()
    phase, random = backbone.phases()[0], torch.Generator().manual_seed(0)
    phase.optimisers()
    return phase, [
        phase.step(Batch(draw(4, step), torch.arange(4), step, 0.0, random))
        for step in range(steps)
    ]


def test_alad_notes_the_feature_score_of_a_batch_before_it_learns_from_it(build, draw):
    backbone = build("alad", patience=5, stop_every=100, ema=0.5)
    _, metrics = run(backbone, draw, 1)
    untouched = build("alad", patience=5, stop_every=100, ema=0.5).eval()
    with torch.no_grad():
        x = draw(4)
        x_hat = untouched.generator_ema(untouched.encoder_ema(x))
        score = untouched.d_xx_ema(x, x).features - untouched.d_xx_ema(x, x_hat).features
    expected = score.abs().sum(1)
    torch.testing.assert_close(metrics[0]["feature_score"], expected.mean())
    torch.testing.assert_close(backbone.stopping.total, expected.sum())


def test_alad_ends_its_training_and_watching_changes_nothing_else(build, draw):
    watched = build("alad", patience=2, stop_every=4)
    phase, _ = run(watched, draw, 3)
    watched.stopping.waited.fill_(2)
    assert phase.finished() is True
    watched.stopping.waited.zero_()
    assert phase.finished() is False
    plain = build("alad")
    phase, _ = run(plain, draw, 3)
    assert phase.finished is None
    assert plain.stopping is None
    state = watched.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    assert watched.training

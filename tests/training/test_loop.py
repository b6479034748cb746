"""Phases come in order, the place in the stream decides all, faults stop the training."""

import math

import numpy as np
import pytest
import torch

from anokit.data.feed import Feed
from anokit.data.pixels import downscale, to_float, to_uint8
from anokit.data.sets import ImageTable
from anokit.errors import DataError, TrainingError
from anokit.registry.blame import PluginFault
from anokit.training.meter import Meter
from anokit.training.schedule import steps_of
from anokit.types import Phase


def phase(**changes):
    return Phase(**{"name": "p", "step": None, "optimisers": dict, "batch_size": 8, **changes})


@pytest.mark.parametrize(
    ("changes", "max_steps", "steps"),
    [
        ({"images": 96}, None, 12),
        ({"images": 97}, None, 13),
        ({"images": 1}, None, 1),
        ({"epochs": 2}, None, 15),
        ({"epochs": 0.5}, None, 4),
        ({"images": 96}, 5, 5),
        ({"images": 96}, 500, 12),
    ],
)
def test_the_steps_of_a_phase(changes, max_steps, steps):
    assert steps_of(phase(**changes), 60, max_steps) == steps


@pytest.mark.parametrize("changes", [{}, {"images": 8, "epochs": 1}])
def test_a_phase_states_either_images_or_epochs(changes):
    with pytest.raises(TrainingError, match="phase 'p' must state either images or epochs"):
        steps_of(phase(**changes), 60, None)


def test_phases_come_in_order_each_with_fresh_optimisers(training, toys, monkeypatch):
    starts, batches = [], []
    start, step = toys.Linear.start, toys.Linear.step

    def watched_start(self):
        starts.append(len(batches))
        return start(self)

    def watched_step(self, batch, images):
        batches.append(batch)
        state = self.adam.state[self.encoder.weight]
        assert int(state.get("step", 0)) == batch.step
        return step(self, batch, images)

    monkeypatch.setattr(toys.Linear, "start", watched_start)
    monkeypatch.setattr(toys.Linear, "step", watched_step)
    seen, _ = training().go()
    assert seen.phases == [("half", 1, 2, 12, 0), ("whole", 2, 2, 12, 0)]
    assert seen.total == 2 * 96
    assert starts == [0, 12]
    assert [batch.step for batch in batches] == [*range(12), *range(12)]
    assert [batch.progress for batch in batches[:12]] == [n / 12 for n in range(12)]
    assert {tuple(batch.images.shape) for batch in batches[:12]} == {(8, 1, 4, 4)}
    assert {tuple(batch.images.shape) for batch in batches[12:]} == {(8, 1, 8, 8)}
    assert all(batch.images.abs().max() <= 1 for batch in batches)
    assert all(batch.generator is batches[0].generator for batch in batches)
    indices = torch.cat([batch.indices for batch in batches]).tolist()
    assert all(len(set(indices[at : at + 60])) == 60 for at in (0, 60, 120))


def test_training_follows_the_seed_and_nothing_else(training):
    torch.manual_seed(1)
    _, first = training(name="a").go()
    torch.manual_seed(2)
    _, again = training(name="b").go()
    _, other = training("seed=4", name="c").go()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.weight"], other["encoder.weight"])


def test_training_leaves_torchs_own_random_numbers_alone(training):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    training().go()
    assert torch.equal(torch.get_rng_state(), before)


def test_how_often_is_logged_or_shown_does_not_change_the_weights(training):
    _, plain = training("training={snapshots=0, log_every=1000}", name="a").go()
    _, busy = training("training={snapshots=20, log_every=1}", name="b").go()
    assert all(torch.equal(plain[name], busy[name]) for name in plain)


def test_training_learns(training):
    seen, _ = training("backbone.images=800").go()
    assert seen.lines[-1]["metrics"]["error"] < 0.5 * seen.lines[0]["metrics"]["error"]


def test_metrics_are_logged_as_means_over_the_steps_since_the_last_line(training):
    every, some = (
        training("training.log_every=1", name="a"),
        training("training.log_every=5", name="b"),
    )
    every.go()
    some.go()
    fine, coarse = every.metrics(), some.metrics()
    assert [line["images"] for line in fine] == list(range(8, 200, 8))
    assert [(line["phase"], line["step"]) for line in coarse] == [
        (name, step) for name in ("half", "whole") for step in (5, 10, 12)
    ]
    for line, steps in zip(coarse[:3], [(0, 5), (5, 10), (10, 12)], strict=True):
        for name in ("error", "loss"):
            mean = np.mean([fine[n]["metrics"][name] for n in range(*steps)])
            assert math.isclose(line["metrics"][name], mean, rel_tol=1e-5)
    assert [line["resolution"] for line in coarse] == [4, 4, 4, None, None, None]


def test_a_meter_takes_metrics_that_are_not_there_in_every_step():
    meter = Meter()
    assert meter.read() == {}
    meter.add({"a": torch.tensor(1.0)})
    meter.add({"a": torch.tensor(3.0), "b": torch.tensor(7.0, dtype=torch.float64)})
    assert meter.read() == {"a": 2.0, "b": 7.0}
    assert meter.read() == {}


def test_samples_are_drawn_through_the_phases(training):
    run = training("training.snapshots=4")
    run.go()
    names = sorted(path.name for path in run.directory.samples.iterdir())
    assert names[-1] == "000000192_whole.png"
    assert "000000096_half.png" in names
    assert 4 <= len(names) <= 6
    training("training.snapshots=0", name="none").go()


@pytest.mark.parametrize("log_every", [1, 1000])
def test_nan_stops_and_the_last_good_checkpoint_is_kept(training, log_every):
    run = training(
        "backbone.nan_at=5",
        f"training={{log_every={log_every}, checkpoint_minutes=0, snapshots=0}}",
    )
    with pytest.raises(TrainingError) as caught:
        run.go()
    assert "NaN" in str(caught.value) or "nan" in str(caught.value)
    assert "training stopped. The last good checkpoint, after 136 images, is kept" in str(
        caught.value
    )
    tensors, metadata = run.checkpoint()
    assert metadata["position"]["shown"] == 96 + 5 * 8
    assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())


def test_nan_before_any_checkpoint_says_that_there_is_none(training):
    run = training("backbone.nan_at=5", "training.log_every=1")
    with pytest.raises(TrainingError, match="There is no checkpoint yet"):
        run.go()
    assert not run.directory.checkpoint.exists()


def test_samples_that_hardly_differ_are_warned_about_once(training, toys, monkeypatch):
    def samples(self, count, generator):
        return torch.zeros(count, 1, 8, 8)

    monkeypatch.setattr(toys.Linear, "samples", samples, raising=False)
    seen, _ = training("training.snapshots=8").go()
    assert len(seen.warnings) == 1
    assert "vary only 0 % as much as training images" in seen.warnings[0]


def test_warnings_of_the_backbone_are_shown_once_and_survive_a_resume(training, toys, monkeypatch):
    def warnings(self, metrics):
        return [f"too much {name}" for name in sorted(metrics)]

    monkeypatch.setattr(toys.Linear, "warnings", warnings, raising=False)
    run = training()
    run.stopped(5)
    seen, _ = run.go()
    assert not [text for text in seen.warnings if text.startswith("too much")]
    assert run.checkpoint()[1]["warnings"][:2] == ["too much error", "too much loss"]


def test_a_warning_whose_figures_change_is_given_once(training, toys, monkeypatch):
    def warnings(self, metrics):
        return [f"the error is {metrics['error']:.6f}, too much"]

    monkeypatch.setattr(toys.Linear, "warnings", warnings, raising=False)
    seen, _ = training().go()
    assert len([text for text in seen.warnings if text.startswith("the error is")]) == 1


def test_a_backbone_that_raises_is_blamed_with_its_own_traceback(training):
    with pytest.raises(PluginFault) as caught:
        training("backbone.fail_at=2").go()
    assert "backbone 'linear' of toys sha256:" in str(caught.value)
    assert "failed while being trained: ZeroDivisionError" in str(caught.value)
    frames = []
    trace = caught.value.__cause__.__traceback__
    while trace:
        frames.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    assert frames[-1].endswith("toys.py")


def test_a_step_that_returns_something_else_than_tensors_is_blamed(training, toys, monkeypatch):
    monkeypatch.setattr(toys.Linear, "step", lambda self, batch, images: {"loss": 1.0})
    with pytest.raises(PluginFault, match=r"linear.* of toys .* AttributeError: .float"):
        training().go()


def test_a_fault_of_the_loop_is_not_laid_at_the_backbones_door(training, monkeypatch):
    def broken(self, *_):
        raise ZeroDivisionError("the feed's own fault")

    monkeypatch.setattr(Feed, "batch", broken)
    with pytest.raises(ZeroDivisionError, match="the feed's own fault"):
        training().go()


# The stream of training images


def feed(count=10, seed=0, **shape):
    images = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1).expand(count, 1, 4, 4)
    return Feed(ImageTable([images]), torch.device("cpu"), seed)


def test_a_place_in_the_stream_depends_on_the_place_alone():
    whole = feed().indices(0, 100)
    for start, count in [(0, 7), (7, 8), (15, 1), (9, 2), (33, 40), (95, 5)]:
        assert np.array_equal(feed().indices(start, count), whole[start : start + count])
        images, indices = feed().batch(start, count, None)
        assert np.array_equal(indices.numpy(), whole[start : start + count])
        assert torch.equal(to_uint8(images)[:, 0, 0, 0], indices.to(torch.uint8))
    used = feed()
    for start in (50, 3, 96, 0):
        assert np.array_equal(used.batch(start, 4, None)[1].numpy(), whole[start : start + 4])


def test_the_stream_is_one_permutation_after_another():
    stream = feed().indices(0, 50).reshape(5, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in stream)
    assert len({tuple(epoch) for epoch in stream}) == 5
    assert not np.array_equal(stream[0], feed(seed=1).indices(0, 10))


def test_a_batch_may_be_larger_than_the_training_set():
    assert np.bincount(feed(3).indices(1, 9), minlength=3).tolist() == [3, 3, 3]


def test_floats_and_bytes_are_inverse_and_span_the_range():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(pixels)), pixels)
    assert to_float(pixels)[[0, 255]].tolist() == [-1.0, 1.0]
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_downscaling_takes_the_mean_of_boxes():
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    small = downscale(images, 2)
    assert torch.allclose(small[1, 2, 0, 1], images[1, 2, :4, 4:].mean(), atol=1e-6)
    assert downscale(images, None) is images
    assert downscale(images, 8) is images


@pytest.mark.parametrize("resolution", [3, 16])
def test_downscaling_to_what_does_not_divide_is_an_error(resolution):
    with pytest.raises(DataError, match=f"8×8 cannot be box-downscaled to {resolution} pixels"):
        downscale(torch.zeros(1, 1, 8, 8), resolution)


@pytest.mark.parametrize(("setting", "expected"), [("training.threads=1", 1), (None, 3)])
def test_training_computes_with_as_many_threads_as_asked_for(
    training, toys, monkeypatch, setting, expected
):
    seen = []
    step = toys.Linear.step

    def watched(self, batch, images):
        seen.append(torch.get_num_threads())
        return step(self, batch, images)

    monkeypatch.setattr(toys.Linear, "step", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        training(*[setting] if setting else []).go()
        assert set(seen) == {expected}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)

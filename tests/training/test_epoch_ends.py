"""Images held out of training, phases that only measure, and what is asked at the end of an epoch.

All through a backbone that a stranger wrote (``tests/measuring.py``).
"""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import anokit
from anokit.data.pixels import to_float
from anokit.errors import DataError, RecipeError, TrainingError
from anokit.recipe.reading import resolve
from anokit.registry.blame import PluginFault
from anokit.registry.lookup import Registry
from anokit.results.thresholds import Calibration
from anokit.store.score_table import read_ranking
from anokit.store.training_digest import training_digest
from anokit.testing import CheckFailed, collect_checks

MEASURING = Path(__file__).parents[1] / "measuring.py"


@pytest.fixture
def measuring(tmp_path, toys_file, monkeypatch, training_of):
    """Prepare the training of the stranger's backbone on toy images, a fifth of them held out."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")

    def prepare(name="run", validation=0.2, training=None, **options):
        tables = {
            "seed": 3,
            "dataset": {"use": "blobs", "contamination": 0.1},
            "backbone": {"use": "measuring", **options},
            "scores": [{"use": "largest"}],
            "training": {"validation": validation, "log_every": 1, **(training or {})},
        }
        registry = Registry.load([toys_file, MEASURING])
        return training_of(resolve(tables, registry, Path("measuring.toml")), name)

    return prepare


def held_out(run):
    recipe = run.recipe
    return run.data.train.held_out(recipe.training.validation, recipe.seed)


def watched(run, monkeypatch):
    """Train; return the places that steps were shown and what each end of an epoch was shown."""
    module, places, ends = type(run_backbone(run)), [], []
    descend, look = module.descend, module.look

    def step(self, batch):
        places.append(batch.indices.tolist())
        return descend(self, batch)

    def seen(self, end):
        assert not self.training
        assert not torch.is_grad_enabled()
        ends.append((list(end.train), list(end.validation), end.last))
        assert len(end.train) == sum(len(images) for images in end.train)
        return look(self, end)

    monkeypatch.setattr(module, "descend", step)
    monkeypatch.setattr(module, "look", seen)
    run.go()
    return places, ends


def run_backbone(run):
    from anokit.training.backbone import build_backbone

    return build_backbone(run.recipe, run.data.spec, torch.device("cpu")).module


def test_no_step_is_shown_what_is_held_out_and_the_hook_is_shown_all_of_it(measuring, monkeypatch):
    run = measuring()
    held, train = held_out(run), run.data.train
    assert len(held) == int(0.2 * len(train)) == 13
    places, ends = watched(run, monkeypatch)
    shown = {place for batch in places for place in batch}
    assert shown == set(range(len(train))) - set(held.tolist())
    expected = to_float(train.images.read(held))
    rest = to_float(train.images.read(np.array(sorted(shown))))
    for seen, validation, _ in ends:
        assert torch.equal(torch.cat(validation), expected)
        assert torch.equal(torch.cat(seen), rest)
    # 53 images in batches of 6, 3 epochs: steps 9, 18 and 27, the last of which ends the phase.
    assert [last for *_, last in ends] == [False, False, True]
    assert len(places) == 27


def test_without_a_share_nothing_is_held_out_and_training_is_what_it_was(measuring, monkeypatch):
    run = measuring(validation=0.0)
    assert not len(held_out(run))
    places, ends = watched(run, monkeypatch)
    assert {place for batch in places for place in batch} == set(range(len(run.data.train)))
    assert all(not validation for _, validation, _ in ends)
    plain = run.recipe.as_dict()
    old = {**plain, "training": {k: v for k, v in plain["training"].items() if k != "validation"}}
    assert training_digest(plain) == training_digest(old)
    assert training_digest(measuring(name="other").recipe.as_dict()) != training_digest(plain)


def test_a_phase_without_optimisers_measures_the_images_that_are_shown(measuring):
    run = measuring(training={"max_steps": None})
    _, weights = run.go()
    train = run.data.train
    rest = np.setdiff1d(np.arange(len(train)), held_out(run))
    values = to_float(train.images.read(rest)).flatten(1).double()
    # Steps are of six: the last one reaches one image into the next pass.
    assert weights["count"] == 54
    torch.testing.assert_close(weights["total"] / 54, values.mean(dim=0), atol=0.05, rtol=0)


def test_the_hook_sees_every_training_image_once_and_measures_exactly(measuring):
    run = measuring()
    run.go()
    module, train = run.backbone.module, run.data.train
    rest = np.setdiff1d(np.arange(len(train)), held_out(run))
    with torch.no_grad():
        errors = module.error(to_float(train.images.read(rest)))
    torch.testing.assert_close(module.usual, errors.mean(dim=0))


def test_the_weights_that_are_kept_are_those_with_the_least_error_held_out(measuring):
    run = measuring(learning_rate=0.4, epochs=6.0, uphill_after=0.85)
    run.go()
    logged = [line["metrics"] for line in run.metrics()]
    found = [metrics["validation"] for metrics in logged if "validation" in metrics]
    assert len(found) == 6
    assert found[-1] > min(found), "the last epoch is not the best one: nothing was chosen"
    with torch.no_grad():
        images = to_float(run.data.train.images.read(held_out(run)))
        value = run.backbone.module.error(images).mean()
    assert value.item() == pytest.approx(min(found), rel=1e-5)


@pytest.mark.parametrize("steps", [1, 5, 9, 10, 17, 18, 19, 27, 35])
def test_an_interrupted_run_ends_the_same(measuring, steps):
    whole = measuring("whole")
    _, expected = whole.go()
    run = measuring("interrupted")
    run.stopped(steps)
    _, weights = run.go()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert run.metrics() == whole.metrics()


def test_what_is_rejected_and_what_is_held_out_are_both_not_shown(measuring, monkeypatch):
    run = measuring(epochs=8.0, training={"refine": {"share": 0.2, "every": 2.0, "keep_last": 2.0}})
    places, _ = watched(run, monkeypatch)
    late = {place for batch in places[-9:] for place in batch}
    assert not late & set(held_out(run).tolist())
    assert len(late) < len(run.data.train) - len(held_out(run))


def test_the_hook_may_return_nothing_and_is_blamed_for_what_is_no_tensor(measuring):
    run = measuring("silent", returns="nothing")
    run.go()
    assert not any("validation" in line["metrics"] for line in run.metrics())
    with pytest.raises(PluginFault, match=r"measuring.* failed while looking at an epoch"):
        measuring("words", returns="words").go()


def test_a_validation_that_is_not_finite_ends_the_training(measuring):
    with pytest.raises(TrainingError, match=r"(validation|loss) became (nan|inf)"):
        measuring(learning_rate=1e20).go()


def test_units_are_held_out_whole(make, job_of):
    job = job_of(make("dataset.tiles=6", "training.validation=0.3"))
    held = job.held_out
    assert len(held) == 3 * 6
    parents = np.array(job.data.train.parents)
    assert not set(parents[held]) & set(np.delete(parents, held))


def test_some_are_held_out_and_some_are_left_whatever_the_share(make, job_of):
    assert len(job_of(make("training.validation=1e-6"), "few").held_out) == 1
    assert len(job_of(make("training.validation=0.999"), "many").held_out) == 59
    with pytest.raises(DataError, match="and there is but one image: remove it"):
        _ = job_of(make("training.validation=0.5", "dataset.train=1"), "one").held_out


def test_a_backbone_that_is_never_trained_holds_nothing_out(make):
    with pytest.raises(RecipeError, match=r"training.validation  backbone 'blank' is never"):
        make(
            "backbone={use='blank'}",
            "encoder-losses=[]",
            "scores=[{use='seen'}]",
            "training.validation=0.1",
        )


def of_the_kit(monkeypatch, returns):
    """Return what the conformance kit checks of the stranger's backbone, by name."""
    spec = importlib.util.spec_from_file_location("measuring_of_a_stranger", MEASURING)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec.loader.exec_module(module)
    (component,) = module.anokit_backbones()
    offered = replace(component, example={"returns": returns, "learning_rate": 1e-3})
    module.anokit_backbones = anokit.hookimpl(lambda: [offered])
    checks = collect_checks(module)
    return {check.name: check for check in checks if check.subject == "measuring"}


def test_the_kit_tells_a_backbone_of_the_end_of_an_epoch(monkeypatch):
    checks = of_the_kit(monkeypatch, "metrics")
    for name, check in checks.items():
        if name.startswith("check_backbone_"):
            check()
    wrong = of_the_kit(monkeypatch, "words")["check_backbone_phases"]
    with pytest.raises(CheckFailed, match="metric 'validation': expected a 0-d tensor"):
        wrong()


def test_thresholds_are_those_of_what_was_held_out(finish_plainly, tmp_path, toys_file):
    run = finish_plainly(tmp_path / "run", "training.validation=0.25", "threshold.false_alarms=0.1")
    held = json.loads((run / "split.json").read_text())["validation"]
    assert len(held) == 15
    ranking = read_ranking(run / "training_scores.csv")
    assert len(ranking.images) == 60
    results = json.loads((run / "results.json").read_text())
    assert (
        "15 unlabelled training images that were held out of training"
        in results["selection"]["threshold"]
    )
    finished = anokit.load(run, plugins=[toys_file])
    for name, column in ranking.columns.items():
        if name not in finished.thresholds:
            continue
        rows = [place for place, image in enumerate(ranking.images) if image in held]
        expected = Calibration.of(column[rows], finished.recipe.threshold)
        assert finished.thresholds[name] == expected.threshold
        again = finished.calibrations(0.1)[name]
        assert np.array_equal(again.scores, expected.scores)


def test_a_network_that_knows_its_images_keeps_its_promise_by_others_alone(
    finish_plainly, tmp_path
):
    """One that has learnt 60 images by heart promises 10 % false alarms, and all are flagged."""
    by_heart = (
        "backbone={use='linear', latent=40, images=4000, noise=0.0}",
        "dataset.test=200",
        "threshold.false_alarms=0.1",
        "training.snapshots=0",
    )

    def alarms(share):
        run = finish_plainly(tmp_path / share, f"training.validation={share}", *by_heart)
        (row, *_) = json.loads((run / "results.json").read_text())["rows"]
        return row["metrics"]["fpr"]["value"]

    assert alarms("0.0") > 0.5
    assert alarms("0.3") < 0.2

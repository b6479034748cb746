"""As published: weights chosen on test labels, batches of one class. Nothing else peeks."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anokit.data.preparing import prepare
from anokit.report import findings
from anokit.report.reading import read_run
from anokit.results.assess import assess, score_test
from anokit.results.best_on_test import ON_TEST, BestOnTest, batch_remark, in_order
from anokit.scoring.scorer import Scorer
from anokit.store.tensors import load_tensors
from anokit.training.backbone import build_backbone

# The toys: 60 training images are an epoch, and there are two phases of 96 images.
SELECT = "training.selection=best-on-test"
BY_LABEL = "evaluation.order=by-label"


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.fixture
def run(toykit, recipe_file, tmp_path):
    """Run the toy recipe with changes; return its directory and what was printed."""

    def go(*settings, name="run"):
        done = toykit("run", recipe_file(*settings, name=f"{name}.toml"), "--out", tmp_path / name)
        assert done.code == 0, done.err
        return SimpleNamespace(path=tmp_path / name, out=done.out)

    return go


def weights(folder):
    return load_tensors(folder / "model.safetensors")


def same_weights(one, other):
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_by_default_swapped_labels_change_no_weight_score_or_threshold(run):
    honest, swapped = run(), run("dataset.labels=swapped", name="swapped")
    assert same_weights(honest.path, swapped.path)
    one, other = results_of(honest.path)["rows"], results_of(swapped.path)["rows"]
    assert [row["threshold"] for row in one] == [row["threshold"] for row in other]
    columns = [
        [line.split(",")[3:] for line in (r.path / "scores.csv").read_text().splitlines()]
        for r in (honest, swapped)
    ]
    assert columns[0] == columns[1]
    assert {row["selection"] for row in one} == {"none"}
    assert "as published" not in honest.out


class Watched:
    """A test set that tells when its labels are read."""

    def __init__(self, test, read):
        self._test, self._read = test, read

    def __getattr__(self, name):
        return getattr(self._test, name)

    def __len__(self):
        return len(self._test)

    @property
    def labels(self):
        self._read()
        return self._test.labels


def test_by_default_no_label_is_read_before_all_images_are_scored(make, monkeypatch, job_of):
    job = job_of(make())
    scored, early = [], []

    def watch(*arguments):
        scored.append(score_test(*arguments))
        return scored[-1]

    monkeypatch.setattr("anokit.results.assess.score_test", watch)
    watched = Watched(job.data.test, lambda: scored or early.append(1))
    found = assess(replace(job, data=replace(job.data, test=watched)))
    assert found.rows[0].metrics
    assert not early
    assert found.threshold_rule.endswith("no label was read")


def test_best_on_test_keeps_the_best_epoch_and_says_so_everywhere(run):
    done = run(SELECT, "backbone.learning_rate=0.3", "backbone.images=240")
    found = results_of(done.path)
    lines = [json.loads(x) for x in (done.path / "metrics.jsonl").read_text().splitlines()]
    looks = {
        x["images"]: x["metrics"]["auroc_on_test_labels"]
        for x in lines
        if "auroc_on_test_labels" in x["metrics"]
    }
    assert len(looks) == 4, "one after each epoch of 60 images in the last phase"
    assert min(looks) > 240, "none in the first phase"
    best = max(looks.values())
    assert found["rows"][0]["metrics"]["auroc"]["value"] == pytest.approx(best)
    assert {r["selection"] for r in found["rows"] if r["name"] != "far"} == {ON_TEST}
    assert found["rows"][2]["selection"] == "none", "raw pixels know no epoch"
    assert found["selection"]["epoch"].startswith(ON_TEST)
    assert f"best, {best:.3f}" in found["selection"]["epoch"]
    assert done.out.count(ON_TEST) >= 4
    assert any(ON_TEST in banner.text for banner in findings.banners(read_run(done.path)))
    assert not (done.path / "checkpoint").exists()


def test_labels_decide_what_best_on_test_keeps(run):
    settings = (SELECT, "backbone.learning_rate=0.3", "backbone.images=240")
    one, other = run(*settings), run(*settings, "dataset.labels=swapped", name="swapped")
    assert not same_weights(one.path, other.path)


def test_looking_does_not_touch_training(run):
    # 96 images are two epochs, the last look at the end; the best weights are one of the two.
    plain, looked = run(name="plain"), run(SELECT, name="looked")
    losses = [
        [json.loads(line)["metrics"].get("loss") for line in path.read_text().splitlines()]
        for path in (plain.path / "metrics.jsonl", looked.path / "metrics.jsonl")
    ]
    assert [loss for loss in losses[1] if loss] == losses[0]


@pytest.mark.parametrize(
    "change", ["dataset.labels=none", "dataset.labels=normal", "dataset.test=0"]
)
def test_best_on_test_needs_labels_of_both_classes(toykit, recipe_file, tmp_path, change):
    done = toykit("run", recipe_file(SELECT, change), "--out", tmp_path / "run")
    assert done.code == 2
    assert "needs a test set with labelled normal and" in done.err


def test_an_epoch_ends_where_its_images_do():
    keeper = object.__new__(BestOnTest)
    keeper.job = SimpleNamespace(data=SimpleNamespace(train=range(60)))
    due = [shown for shown in range(8, 169, 8) if keeper.due(shown, 8, 168)]
    assert due == [64, 120, 168]
    keeper.job = SimpleNamespace(data=SimpleNamespace(train=range(1)))
    assert sum(keeper.due(shown, 8, 80_000) for shown in range(8, 80_001, 8)) == 100


def test_by_label_puts_normal_images_first_and_scores_go_back_to_their_places(make):
    recipe = make()
    data = prepare(recipe.dataset, 3)
    rows = in_order(data.test, "by-label")
    assert (np.diff(data.test.labels[rows]) >= 0).all()
    assert sorted(rows) == list(range(len(data.test)))
    assert (in_order(data.test, "stored") == np.arange(len(data.test))).all()
    model = build_backbone(recipe, data.spec, torch.device("cpu"))
    scorer = Scorer(recipe.scores[:1], model, torch.device("cpu"), 16, 3)
    plain = scorer.compute(data.test.images, np.arange(len(data.test)), latent=True)
    sorted_ = scorer.compute(data.test.images, rows, latent=True).restored(rows)
    for key, values in plain.values.items():
        np.testing.assert_allclose(sorted_.values[key], values, rtol=1e-5)
    np.testing.assert_allclose(sorted_.latent, plain.latent, rtol=1e-4, atol=1e-6)


def test_a_score_of_the_crowd_rises_when_batches_are_of_one_class(run):
    """The artefact itself: the same weights and the same scores, images in another order."""
    crowd = "scores.error={use='bad', how='declared', name='error'}"
    stored = results_of(run(crowd, name="stored").path)["rows"][0]["metrics"]["auroc"]["value"]
    sorted_ = results_of(run(crowd, BY_LABEL, name="sorted").path)["rows"][0]["metrics"]["auroc"]
    assert sorted_["value"] != stored


def test_what_depends_on_the_batch_says_how(make):
    model = SimpleNamespace(batch_dependence="batch norm of the batch, as published")
    assert batch_remark(make("evaluation.batch_size=8"), model) == (
        "as published: depends on the batch: batch norm of the batch; 8 images at a time"
    )
    assert batch_remark(make(BY_LABEL), model).endswith("at a time, normal images first")
    assert batch_remark(make(BY_LABEL), SimpleNamespace(batch_dependence="")) == ""


def test_a_resumed_run_keeps_the_best_weights_seen_before(run, toykit, recipe_file, tmp_path):
    settings = (SELECT, "backbone.learning_rate=0.3", "backbone.images=240")
    whole = run(*settings, name="whole")
    path = recipe_file(*settings, "backbone.stop_at=20", name="toys.toml")
    stopped = toykit("run", path, "--out", tmp_path / "stopped")
    assert stopped.code == 130
    assert (tmp_path / "stopped" / "checkpoint" / "best-on-test.safetensors").exists()
    done = toykit("run", path, "--resume", tmp_path / "stopped")
    assert done.code == 0, done.err
    assert same_weights(whole.path, tmp_path / "stopped")


def test_scoring_new_files_repeats_the_remark(run, toykit, tmp_path):
    from PIL import Image

    done = run(SELECT)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "x.png")
    scored = toykit("score", done.path, tmp_path / "x.png")
    assert scored.code == 0
    assert ON_TEST in scored.out

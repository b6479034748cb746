"""Images that look anomalous are left out of training, or count less, and resuming changes none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from anokit.data.feed import Feed
from anokit.data.sets import ImageTable, TrainingSet
from anokit.errors import RecipeError
from anokit.recipe.reading import resolve
from anokit.recipe.tables import RefineSettings
from anokit.store.score_table import csv_text
from anokit.store.training_digest import training_digest
from anokit.training.backbone import build_backbone
from anokit.training.exposure import Exposure
from anokit.training.refining import KEPT, rejected

REFINE = "training.refine={share=0.1, after=0.5, every=1, keep_last=0.5}"
AFRESH = "training.refine={share=0.1, after=0.5, every=1, afresh=true}"
FITTED = 'training.refine={share=0.1, every=1, keep_last=1, score="sum"}'
DIGITS = ("training.log_every=1",)


def images_of(count):
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)


def training_set(count, parents=None):
    ids = [str(n) for n in range(count)]
    tainted = np.zeros(count, dtype=bool)
    return TrainingSet(ImageTable([images_of(count)]), ids, tainted, parents=parents)


@pytest.fixture
def watched(toys, monkeypatch):
    """The places in the training set of every batch that the toy is shown."""
    batches, step = [], toys.Linear.step

    def note(self, batch, images):
        batches.append(batch.indices.numpy())
        return step(self, batch, images)

    monkeypatch.setattr(toys.Linear, "step", note)
    return batches


# What is shown


def test_a_restricted_feed_shows_what_is_kept_each_once_an_epoch():
    feed = Feed(ImageTable([images_of(20)]), torch.device("cpu"), seed=1)
    before = feed.indices(0, 40)
    rows = np.array([1, 4, 5, 11, 19])
    feed.restrict(rows, 40)
    shown = [feed.indices(40 + 5 * epoch, 5) for epoch in range(3)]
    assert all(sorted(epoch) == rows.tolist() for epoch in shown)
    assert len({tuple(epoch) for epoch in shown}) > 1
    assert feed.indices(43, 6).tolist() == [*shown[0][3:], *shown[1][:4]]
    raw, places = feed.batch(40, 5, None)
    assert places.tolist() == shown[0].tolist()
    assert raw.flatten().tolist() == pytest.approx((2 * places.numpy() / 255 - 1).tolist())
    again = Feed(ImageTable([images_of(20)]), torch.device("cpu"), seed=1)
    assert again.indices(0, 40).tolist() == before.tolist()
    again.restrict(rows, 45)
    assert again.indices(45, 5).tolist() != shown[0].tolist()  # each judgement has its own order


def test_the_most_anomalous_share_is_rejected_and_of_equals_the_later():
    scores = np.array([0.0, 3.0, 1.0, 3.0, 2.0, 0.5, 0.0, 0.0, 0.0, 3.0])
    assert rejected(scores, training_set(10), 0.2).tolist() == [3, 9]
    assert rejected(scores, training_set(10), 0.45).tolist() == [1, 3, 4, 9]
    assert rejected(scores, training_set(10), 0.05).tolist() == []


def test_of_tiles_whole_photographs_are_rejected_by_their_worst_tile():
    scores = np.array([0.0, 9.0, 1.0, 1.0, 8.0, 0.0])
    train = training_set(6, parents=["a", "a", "b", "b", "c", "c"])
    assert rejected(scores, train, 0.4).tolist() == [0, 1]


def test_judgements_come_when_they_are_due_and_their_word_holds(training, watched):
    run = training(REFINE)
    run.go()
    tensors, metadata = run.checkpoint()
    assert metadata["judged"] == [32, 96, 152]  # 0.5, 1.5, 2.5 epochs of 60; none in the last half
    kept = tensors[KEPT].numpy()
    assert kept.shape == (3, 60)
    assert (~kept).sum(axis=1).tolist() == [6, 6, 6]
    stages = [np.concatenate(watched[a:b]) for a, b in ((0, 4), (4, 12), (12, 19), (19, 24))]
    assert len(set(stages[0])) == 32
    for row, stage in zip(kept, stages[1:], strict=True):
        assert set(stage) <= set(np.flatnonzero(row))


def test_the_judge_says_who_goes_and_who_may_return(training, watched, monkeypatch):
    verdicts = iter([np.arange(60.0), -np.arange(60.0), np.arange(60.0)])
    monkeypatch.setattr("anokit.runs.run.TrainingJudge", lambda job, name: lambda: next(verdicts))
    run = training(REFINE)
    run.go()
    assert {*range(54, 60)} & set(np.concatenate(watched[4:12])) == set()
    assert {*range(54, 60)} & set(np.concatenate(watched[12:19]))  # they are back
    assert {*range(6)} & set(np.concatenate(watched[12:19])) == set()
    lines = [line for line in run.metrics() if "rejected" in line["metrics"]]
    assert [(line["images"], line["metrics"]["rejected"]) for line in lines] == [
        (32, 6), (96, 6), (152, 6),
    ]  # fmt: skip


def test_the_images_rejected_are_those_with_the_highest_scores(training, job_of, make):
    from anokit.scoring.judging import TrainingJudge

    job = job_of(make("training.refine={share=0.1}"))
    by_hand = []
    with torch.no_grad():
        for row in range(60):
            image = job.data.train.images.read(np.array([row])).float() / 127.5 - 1
            trip = job.backbone.module.round_trip(image, frozenset({"image_hat"}))
            by_hand.append(float((image - trip.image_hat).abs().mean()))
    found = TrainingJudge(job, None)()
    assert found == pytest.approx(by_hand, rel=1e-5)


def test_afresh_new_weights_are_trained_on_what_the_last_judgement_kept(training, watched, toys):
    run = training(AFRESH)
    first = {}
    start = toys.Linear.start

    def started(self):
        first[len(watched)] = {name: v.clone() for name, v in self.state_dict().items()}
        return start(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toys.Linear, "start", started)
        seen, _ = run.go()
    assert seen.total == 2 * 192
    assert seen.steps == 48
    assert sorted(first) == [0, 12, 24, 36]
    fresh = build_backbone(run.recipe, run.data.spec, run.device).module.state_dict()
    assert all(torch.equal(first[24][name], value) for name, value in fresh.items())
    tensors, metadata = run.checkpoint()
    assert metadata["judged"] == [32, 96, 152, 192]
    last = set(np.flatnonzero(tensors[KEPT][-1].numpy()))
    assert set(np.concatenate(watched[24:])) == last


@pytest.mark.parametrize("refine", [REFINE, AFRESH, FITTED], ids=["reject", "afresh", "fitted"])
def test_interrupted_after_every_step_a_refined_run_ends_the_same(training, refine):
    whole = training(refine, *DIGITS, name="whole")
    seen, weights = whole.go()
    run = training(refine, *DIGITS, name="parts")
    for _ in range(seen.steps):
        run.stopped(1)
    _, found = run.go()
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert run.metrics() == whole.metrics()
    (one, told), (other, also) = run.checkpoint(), whole.checkpoint()
    assert told["judged"] == also["judged"] != []
    assert torch.equal(one[KEPT], other[KEPT])


def test_a_crash_around_a_judgement_goes_back_to_the_checkpoint_before_it(training):
    whole = training(REFINE, *DIGITS, name="whole")
    _, weights = whole.go()
    run = training(REFINE, *DIGITS, name="parts")
    run.stopped(3)
    with pytest.raises(KeyboardInterrupt):
        run.go(crash=9)  # the judgement after step 4, and the one after step 12, are lost
    _, found = run.go()
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert run.metrics() == whole.metrics()


@pytest.mark.parametrize(
    ("refine", "what"),
    [
        ("{share=0.1, after=9}", "judgement"),
        ("{share=0.1, after=9, strategy='exposure-soft'}", "suspect"),
        ("{share=0.01, after=0, strategy='exposure-soft'}", "suspect"),
    ],
)
def test_a_refinement_that_never_begins_is_told(training, refine, what):
    seen, _ = training(f"training.refine={refine}").go()
    (text,) = [text for text in seen.warnings if "refine" in text]
    assert f"192 images in such batches has no first {what}" in text


# Latent outlier exposure


LOSSES = torch.tensor([1.0, 4.0, 2.0, 0.5])
OPPOSITE = torch.tensor([1.0, 0.25, 0.5, 2.0])


@pytest.mark.parametrize(
    ("share", "weight", "expected"),
    [
        (0.25, 1.0, (1 + 0.25 + 2 + 0.5) / 4),
        (0.25, 0.5, (1 + (4 + 0.25) / 2 + 2 + 0.5) / 4),
        (0.5, 1.0, (1 + 0.25 + 0.5 + 0.5) / 4),
        (0.1, 1.0, (1 + 4 + 2 + 0.5) / 4),
    ],
)
def test_exposure_is_the_mean_with_suspects_blamed(share, weight, expected):
    assert Exposure(share, weight)(LOSSES, OPPOSITE).item() == pytest.approx(expected)


def test_exposure_pushes_a_suspects_loss_up_and_the_others_down():
    losses = LOSSES.clone().requires_grad_()
    Exposure(0.25, 1.0)(losses, 1 / losses).backward()
    assert losses.grad.tolist() == pytest.approx([0.25, -1 / 4 / 16, 0.25, 0.25])


def test_exposure_begins_after_its_epochs_and_changes_the_weights(training, toys, monkeypatch):
    _, plain = training(name="plain").go()
    kinds, step = [], toys.Linear.step

    def note(self, batch, images):
        kinds.append(type(batch.average).__name__)
        return step(self, batch, images)

    monkeypatch.setattr(toys.Linear, "step", note)
    soft = "training.refine={share=0.25, after=1, strategy='exposure-soft'}"
    run = training(soft, name="soft")
    _, weights = run.go()
    assert kinds == ["function"] * 8 + ["Exposure"] * 16  # 60 images are 8 steps of 8
    assert any(not torch.equal(weights[name], value) for name, value in plain.items())
    parts = training(soft, name="parts")
    parts.stopped(7)
    _, resumed = parts.go()
    assert all(torch.equal(resumed[name], value) for name, value in weights.items())


# Recipes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.refine={}"], "training.refine.share"),
        (["training.refine={share=1.0}"], "less than 1"),
        (["training.refine={share=0.1, every=0}"], "greater than 0"),
        (["training.refine={share=0.1, shape=1}"], "unknown option"),
        (["training.refine={share=0.1, score='nope'}"], "no score 'nope'; [[scores]] has: error"),
        (["training.refine={share=0.1, afresh=true, keep_last=1}"], "remove keep_last"),
        (
            ["training.refine={share=0.1, strategy='exposure-hard', score='far'}"],
            "score belongs to strategy = 'reject'",
        ),
        (
            ["training.refine={share=0.1, strategy='exposure-hard'}", "backbone.use=unweighed"],
            "has no loss of each image",
        ),
        (
            ["training.refine={share=0.1, afresh=true}", "training.selection=best-on-test"],
            "trains twice",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(make, settings, message):
    with pytest.raises(RecipeError) as caught:
        make(*settings)
    assert message in str(caught.value)
    assert "training.refine" in str(caught.value)


def test_a_backbone_that_is_never_trained_has_nothing_to_refine(registry):
    tables = {
        "dataset": {"use": "blobs"},
        "backbone": {"use": "blank"},
        "scores": [{"use": "seen"}],
        "training": {"refine": {"share": 0.1}},
    }
    with pytest.raises(RecipeError, match="backbone 'blank' is never trained"):
        resolve(tables, registry, Path("toys.toml"))


def test_what_decides_the_weights_of_a_refined_run_is_in_its_digest(make):
    plain = training_digest(make().as_dict())
    assert training_digest(make("scores.far.most=9").as_dict()) == plain
    one = training_digest(make(FITTED).as_dict())
    assert one not in (plain, training_digest(make(REFINE).as_dict()))
    assert training_digest(make(FITTED, "scores.sum.terms.far.most=9").as_dict()) != one
    assert training_digest(make(FITTED, "scores.far.most=9").as_dict()) == one


def test_unset_keys_mean_as_many_epochs_as_every():
    settings = RefineSettings(share=0.1, every=3)
    assert (settings.pause, settings.rest, settings.rejects) == (3, 3, True)
    settings = RefineSettings(share=0.1, after=0, keep_last=0)
    assert (settings.pause, settings.rest) == (0, 0)


# A whole run


def test_a_run_says_which_images_were_rejected_and_how_many_contaminants(
    toykit, recipe_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "anokit.runs.run.TrainingJudge",
        lambda job, name: lambda: job.data.train.is_contaminant.astype(float),
    )
    out = tmp_path / "run"
    path = recipe_file(REFINE, "dataset.contamination=0.05")
    done = toykit("run", path, "--out", out)
    assert done.code == 0, done.err
    refined = json.loads((out / "results.json").read_text())["refined"]
    split = json.loads((out / "split.json").read_text())
    lines = [line.split(",") for line in (out / "rejected.csv").read_text().splitlines()]
    assert lines[0] == ["judgement", "images_shown", "image"]
    assert csv_text(lines[0], lines[1:]).splitlines() == [",".join(line) for line in lines]
    assert refined["share"] == 0.1
    assert refined["score"] == "error"
    assert len(split["contaminants"]) == 3
    assert [judgement["shown"] for judgement in refined["judgements"]] == [32, 96, 160]
    for number, judgement in enumerate(refined["judgements"], start=1):
        names = [line[2] for line in lines[1:] if line[0] == str(number)]
        assert judgement["rejected"] == len(names) == int(0.1 * split["train"])
        assert judgement["contaminants"] == len(set(names) & set(split["contaminants"]))
        assert judgement["contaminants"] == 3


def test_scores_can_be_added_to_a_refined_run_whatever_judged_it(toykit, recipe_file, tmp_path):
    out, more = tmp_path / "run", tmp_path / "more.toml"
    path = recipe_file(FITTED, "training.log_every=1")
    assert toykit("run", path, "--out", out).code == 0
    more.write_text('[[scores]]\nuse = "far"\nname = "other"\n')
    done = toykit("add-scores", out, "--scores", more)
    assert done.code == 0, done.err
    assert json.loads((out / "results.json").read_text())["refined"]["score"] == "sum"


def test_a_run_that_refines_nothing_says_nothing_of_it(finished):
    assert json.loads((finished / "results.json").read_text())["refined"] is None
    assert not (finished / "rejected.csv").exists()

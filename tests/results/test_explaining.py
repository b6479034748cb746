"""Planted truth: a score that is contrast loses everything, one that is not keeps what it has."""

from types import SimpleNamespace

import numpy as np
import pytest

from anokit.data import ArraySplit, sets
from anokit.data.sets import ImageTable, RunData, TrainingSet, all_rows
from anokit.data.statistics import describe_wholes
from anokit.errors import CheckpointError
from anokit.results import explaining
from anokit.results.explaining import Explainer, Values
from anokit.results.explanations import EqualCopies, Explanation, Followed, Without
from anokit.results.metrics import Estimate, measure
from anokit.types import ImageSpec

TRAIN, TEST = 300, 200


def drawn(generator, contrast):
    """Draw noise of given contrasts ``[N]`` about random means: uint8 ``[N, 1, 8, 8]``."""
    noise = generator.normal(0, 1, (len(contrast), 1, 8, 8))
    mean = generator.normal(128, 8, (len(contrast), 1, 1, 1))
    return np.clip(mean + contrast[:, None, None, None] * noise, 0, 255).astype(np.uint8)


def data_of(train, test, labels, parents=None):
    ids = [f"test/{row}" for row in range(len(test))]
    split = ArraySplit(test, ids, labels=labels)
    names = [f"train/{row}" for row in range(len(train))]
    return RunData(
        spec=ImageSpec(1, 8, 8),
        train=TrainingSet(ImageTable([train]), names, np.zeros(len(train), bool), None, parents),
        test=sets.TestSet(ImageTable([test]), ids, labels, None, split, all_rows(len(test))),
        protocol="planted",
        notices=(),
        simulated=False,
        fingerprint="",
    )


@pytest.fixture(scope="module")
def planted():
    """Images whose anomalies have less contrast, and what is known of them."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], TEST // 2)
    train = drawn(generator, generator.uniform(15, 35, TRAIN))
    test = drawn(generator, generator.uniform(15, 35, TEST) - 6 * labels)
    data = data_of(train, test, labels)
    tables = [describe_wholes(part.images, part.wholes) for part in (data.train, data.test)]
    return SimpleNamespace(
        data=data,
        labels=labels,
        train=tables[0],
        test=tables[1],
        draw=np.random.default_rng(1).normal,
    )


def explainer(planted, data=None, given=None):
    train = (data or planted.data).train
    names = [train.names[row] for row in train.wholes.first]
    return Explainer(data or planted.data, names, given, resamples=200, seed=0)


def explain(planted, training, test, rescore=None, given=None):
    (found,) = explainer(planted, given=given).explain({"mine": Values(training, test)}, rescore)
    return found


def contrast_of(copies):
    """Return the contrast of copies, negated: a score that is nothing else."""
    values = copies.read(all_rows(len(copies))).double().flatten(1)
    return {"mine": -values.std(dim=1, correction=0).numpy()}


def test_a_score_that_is_contrast_loses_everything(planted):
    found = explain(planted, -planted.train["contrast"], -planted.test["contrast"], contrast_of)
    assert found.auroc.low > 0.6
    assert found.explained == pytest.approx(1)
    assert vars(found.regressed.auroc) == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert found.regressed.change.value == pytest.approx(0.5 - found.auroc.value)
    equal = {copies.statistic: copies for copies in found.copies}
    assert set(equal) == {"contrast", "gradient"}
    assert abs(equal["contrast"].auroc.value - 0.5) < 0.1
    assert equal["contrast"].missed < 0.02
    assert found.leading.statistic == "contrast"
    assert found.leading.correlation.value == -1
    assert found.leading.auroc.value == pytest.approx(1 - found.auroc.value)
    assert found.sentence.startswith(
        "Most of the cue of mine is contrast, gradient and brightness, above all contrast, and "
        "nothing remains without them that is resolved"
    )


def test_a_score_that_is_independent_of_contrast_survives(planted):
    noise = np.random.default_rng(2).normal
    training, test = noise(0, 1, TRAIN), noise(0, 1, TEST) + 1.5 * planted.labels
    found = explain(planted, training, test, lambda copies: {"mine": test})
    assert found.auroc.low > 0.7
    assert found.explained < 0.05
    assert abs(found.regressed.change.value) < 0.03
    assert [vars(copies.auroc) for copies in found.copies] == [vars(found.auroc)] * 2
    assert found.sentence.startswith("The cue of mine ")
    assert "nothing" not in found.sentence
    assert "Most" not in found.sentence


def test_of_a_mixture_what_remains_is_told_apart(planted):
    noise = np.random.default_rng(3).normal
    training = noise(0, 1, TRAIN) - 0.5 * planted.train["contrast"]
    test = noise(0, 1, TEST) + planted.labels - 0.5 * planted.test["contrast"]
    found = explain(planted, training, test)
    assert 0.6 < found.regressed.auroc.low < found.auroc.value
    assert 0.7 < found.explained < 1
    assert found.leading.statistic == "contrast"


def test_a_score_can_be_a_covariate_as_well(planted):
    """What is no statistic of the core is offered as a score, and regressed out as one."""
    noise = np.random.default_rng(4).normal
    hidden = Values(noise(0, 1, TRAIN), noise(0, 1, TEST) + planted.labels)
    training, test = 2 * hidden.training + 1, 2 * hidden.test + 1
    before = explain(planted, training, test)
    assert before.regressed.auroc.low > 0.6
    after = explain(planted, training, test, given={"hidden": hidden})
    assert after.leading.statistic == "hidden"
    assert vars(after.regressed.auroc) == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert after.sentence.startswith(
        "Most of the cue of mine is contrast, gradient, brightness and hidden, above all hidden"
    )


def test_figures_are_resampled_as_the_results_are(planted):
    found = explain(planted, -planted.train["contrast"], -planted.test["contrast"])
    own = measure(planted.labels, -planted.test["contrast"], None, resamples=200, seed=0)
    assert found.auroc == own.auroc


def test_without_labels_correlations_alone_are_told(planted):
    data = data_of(planted.data.train.images.parts[0].images, np.zeros((2, 1, 8, 8), "u1"), None)
    values = {"mine": Values(-planted.train["contrast"], np.zeros(2))}
    (found,) = explainer(planted, data=data).explain(values, contrast_of)
    assert (found.auroc, found.regressed, found.copies) == (None, None, [])
    assert [one.auroc for one in found.statistics] == [None] * 3
    assert found.sentence == (
        "On training images mine strongly falls with contrast (rank correlation -1.000 [-1.000, "
        "-1.000]); what that says of anomalies only labels can tell."
    )


def test_a_score_that_is_the_same_for_all_is_said_to_be(planted):
    values = {"mine": Values(np.ones(TRAIN), None)}
    (found,) = explainer(planted).explain(values)
    assert [one.correlation for one in found.statistics] == [None] * 3
    assert found.explained is None
    assert "the same for all" in found.sentence


def test_tiles_count_as_what_they_are_of(planted):
    train = planted.data.train.images.parts[0].images
    parents = [f"photo/{row // 3}" for row in range(TRAIN)]
    data = data_of(train, train[:2], None, parents)
    found = explainer(planted, data=data).training["contrast"]
    means = train.reshape(TRAIN, -1).std(axis=1).reshape(-1, 3).mean(axis=1)
    assert found == pytest.approx(means)


def test_training_images_are_found_by_name(planted):
    names = [f"train/{row}" for row in (7, 3)]
    found = Explainer(planted.data, names, resamples=1, seed=0).training["contrast"]
    assert found == pytest.approx(planted.train["contrast"][[3, 7]]), "in the training set's order"
    with pytest.raises(CheckpointError, match="its images are not those of the training set"):
        Explainer(planted.data, ["elsewhere"], resamples=1, seed=0)


def test_of_many_training_images_the_seed_draws_some(planted, monkeypatch):
    monkeypatch.setattr(explaining, "MOST_TRAIN_IMAGES", 50)
    score = -planted.train["contrast"]
    first, again = (explain(planted, score, -planted.test["contrast"]) for _ in range(2))
    assert first == again
    assert (first.train_images, first.train_images_of) == (50, TRAIN)
    assert first.notes[0] == "From 50 training images of 300, drawn by the seed."
    assert first.leading.correlation.value == -1, "scores and statistics are of the same images"
    names = planted.data.train.names
    one, other = (Explainer(planted.data, names, resamples=1, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one.chosen, other.chosen)
    back = Explainer(planted.data, names[::-1], resamples=1, seed=0)
    assert np.array_equal(back.training["contrast"], one.training["contrast"])
    assert np.array_equal(back.chosen, TRAIN - 1 - one.chosen), "whatever the order of the names"


def test_too_few_training_images_allow_no_regression(planted):
    few = Explainer(planted.data, planted.data.train.names[:19], resamples=50, seed=0)
    values = Values(-planted.train["contrast"][:19], -planted.test["contrast"])
    (found,) = few.explain({"mine": values})
    assert found.regressed is None
    assert "No regression: the training images are too few" in " ".join(found.notes)
    assert found.sentence.startswith("On training images mine strongly falls with contrast")


def told(before, after, change, copies=()):
    """Return the sentence on a score with these figures, each with an interval of ± 0.02."""

    def about(value):
        return Estimate(value, value - 0.02, value + 0.02)

    return Explanation(
        score="lo",
        train_images=100,
        train_images_of=100,
        statistics=[Followed(statistic="contrast", correlation=about(-0.6))],
        auroc=about(before),
        regressed=Without(auroc=about(after), change=about(change)),
        copies=[
            EqualCopies(statistic=name, auroc=about(value), target=50, clipped=0, missed=0)
            for name, value in zip(("contrast", "gradient"), copies, strict=False)
        ],
    ).sentence


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ((0.7, 0.5, -0.2), "Most of the cue of lo is contrast, above all contrast, and nothing"),
        ((0.8, 0.7, -0.1), "Part of the cue of lo is contrast, above all contrast, and what"),
        ((0.7, 0.7, 0.0), "The cue of lo remains without contrast, and no loss is resolved"),
        ((0.7, 0.8, 0.1), "The cue of lo is larger without contrast"),
        ((0.53, 0.51, -0.01), "Whether the cue of lo is more than contrast is not resolved"),
        ((0.6, 0.4, -0.2), "lo points the right way, but the wrong way once contrast are"),
        ((0.4, 0.7, 0.3), "lo points the wrong way, but the right way once contrast are"),
        ((0.3, 0.5, 0.2), "Most of the cue of lo, which points the wrong way, is contrast"),
        ((0.3, 0.3, 0.0), "The cue of lo, which points the wrong way, remains without"),
        ((0.51, 0.5, 0.0), "The AUROC of lo, 0.510 [0.490, 0.530], is not resolved from 0.5, so"),
        ((0.51, 0.6, 0.1), "is not resolved from 0.5, but is once contrast are regressed out"),
        ((0.7, 0.7, 0.0, (0.7, 0.7)), "and 0.700 [0.680, 0.720] at equal gradient."),
        ((0.7, 0.7, 0.0, (0.5, 0.5)), "at equal gradient, where its cue does not remain."),
        ((0.7, 0.7, 0.0, (0.3, 0.3)), "at equal gradient, the other way round."),
        ((0.3, 0.3, 0.0, (0.5, 0.3)), "at equal gradient, so it remains at equal gradient alone."),
    ],
)
def test_the_sentence_claims_what_the_intervals_hold(figures, words):
    assert words in told(*figures)

"""Labels come last, thresholds are honest, fitted state survives, faults have names."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from anokit.data.preparing import prepare
from anokit.data.sets import all_rows
from anokit.errors import PluginError
from anokit.registry.blame import PluginFault
from anokit.results.assess import assess
from anokit.results.exhibits import exhibits, terms_of
from anokit.results.making import make_results
from anokit.results.rows import read_results, write_results
from anokit.scoring.scorer import Scorer
from anokit.scoring.standards import Standard, robust_scale
from anokit.store.fitted_files import FittedFiles
from anokit.training.backbone import build_backbone

CPU = torch.device("cpu")


@pytest.fixture
def assessed(make, job_of):
    """Assess an untrained toy recipe: the job and what was found."""

    def build(*settings):
        job = job_of(make(*settings))
        return job, assess(job)

    return build


@pytest.fixture
def scorer(make):
    """Build the scorer of a toy recipe and its data."""

    def build(*settings, batch=16):
        recipe = make(*settings)
        data = prepare(recipe.dataset, recipe.seed)
        model = build_backbone(recipe, data.spec, CPU)
        return Scorer(recipe.scores, model, CPU, batch, recipe.seed), data, recipe

    return build


@pytest.mark.parametrize("most", [None, 20])
def test_a_fitted_score_judges_no_image_that_it_was_fitted_on(assessed, toys, most, monkeypatch):
    toys.FITS.clear()
    scored = []
    compute = Scorer.compute

    def watched(self, images, rows, **options):
        only = options.get("only")
        if only and any(only(c) for c in self.components.values() if c.fitted):
            scored.append((len(toys.FITS), images.read(rows)))
        return compute(self, images, rows, **options)

    options = (
        [] if most is None else [f"scores.far.most={most}", f"scores.sum.terms.far.most={most}"]
    )
    monkeypatch.setattr(Scorer, "compute", watched)
    _, found = assessed(*options)
    assert len(toys.FITS) == 6, "five times without a fifth, once on all"
    assert [fits for fits, _ in scored] == [1, 2, 3, 4, 5]
    assert sum(len(images) for _, images in scored) == 60
    for fits, images in scored:
        as_bytes = {(image.float() / 127.5 - 1).numpy().tobytes() for image in images}
        assert len(toys.FITS[fits - 1]) == (most or 48)
        assert not as_bytes & set(toys.FITS[fits - 1])
    assert len(toys.FITS[-1]) == (most or 60)
    rows = {row.name: row for row in found.rows}
    assert rows["far"].fitted_on == (most or 60)
    assert rows["sum"].fitted_on == (most or 60)
    assert rows["error"].fitted_on is None
    assert "of 60 unlabelled training images" in found.threshold_rule
    assert "none by a score that was fitted on the image" in found.threshold_rule


def test_every_score_has_a_threshold_that_its_own_training_scores_give(assessed):
    _, found = assessed("threshold.false_alarms=0.1")
    for row in found.rows:
        values = np.sort(found.training.columns[row.name])
        assert row.threshold == values[60 - 6], "0.1 of 60 + 1 images are six"
        assert row.false_alarms == 0.1
    _, plain = assessed('scores=[{use="error"}]')
    assert "fitted" not in plain.threshold_rule
    assert "so few cannot promise the 1 % asked for" in plain.threshold_rule


def test_the_threshold_looks_at_no_more_training_images_than_allowed(assessed):
    job, found = assessed("evaluation.max_train_images=10", 'scores=[{use="error"}]')
    assert "of 10 unlabelled training images" in found.threshold_rule
    assert len(exhibits(job, found)["train_score"]) == 10


@pytest.mark.parametrize(("full_at", "share"), [(1, 1.0), (60, 1.0), (120, 0.25)])
def test_a_sum_of_standardised_terms(assessed, full_at, share):
    """A term has its full weight from so many of the 60 training images, fewer being in memory."""
    weighed = [f"scores.sum.terms.far.full_weight_at={full_at}", "evaluation.max_train_images=40"]
    job, found = assessed('scores.sum.combine="robust-z"', *weighed)
    assert len(job.data.train) == 60
    (row,) = [row for row in found.rows if row.name == "sum"]
    (terms,) = [score.terms for score in job.recipe.scores if score.name == "sum"]
    values = found.scored_training.values
    total = 0
    for term, (centre, spread), part in zip(terms, row.scales, (1, share), strict=True):
        column = values[term.key]
        deviation = 1.4826 * np.median(np.abs(column - centre))
        assert centre == np.median(column)
        assert spread == pytest.approx(deviation / part)
        total = total + part * term.weight * (column - centre) / deviation
    np.testing.assert_allclose(found.training.columns["sum"], total, rtol=1e-12)


def test_of_several_sums_the_largest_counts(assessed):
    options = ['scores.sum.combine="robust-z"', "scores.sum.terms.far.alternative=true"]
    job, found = assessed(*options)
    (row,) = [row for row in found.rows if row.name == "sum"]
    (score,) = [score for score in job.recipe.scores if score.name == "sum"]
    assert len(score.terms) == len(score.sums) == 2
    values = found.scored_training.values
    sums = [
        term.weight * (values[term.key] - centre) / spread
        for term, (centre, spread) in zip(score.terms, row.scales, strict=True)
    ]
    assert not np.array_equal(np.argmax(sums, axis=0), np.zeros(60)), "each is the largest of some"
    assert not np.array_equal(np.argmax(sums, axis=0), np.ones(60))
    np.testing.assert_allclose(found.training.columns["sum"], np.max(sums, axis=0), rtol=1e-12)
    shares = re.fullmatch(
        r"the largest of its sums: error for (\d+) %, far for (\d+) % of the images", row.note
    )
    assert shares
    assert sum(map(int, shares.groups())) == 100
    assert "sum" not in terms_of(job), "no term has a share of the largest"
    assert not any(name.startswith("term/sum") for name in exhibits(job, found))


def test_of_another_sum_as_much_counts_as_the_training_images_allow(assessed):
    """60 of the 120 images that give it its full weight: a quarter of what it is above the first.

    (If its values were made smaller instead, all images below the median would be nearly equal.)
    """
    options = ['scores.sum.combine="robust-z"', "scores.sum.terms.far.alternative=true"]
    job, found = assessed(*options, "scores.sum.terms.far.full_weight_at=120")
    (row,) = [row for row in found.rows if row.name == "sum"]
    (score,) = [score for score in job.recipe.scores if score.name == "sum"]
    values = found.scored_training.values
    first, other = (
        term.weight * (values[term.key] - centre) / spread
        for term, (centre, spread) in zip(score.terms, row.scales, strict=True)
    )
    assert [spread for _, spread in row.scales] == [
        robust_scale(values[term.key])[1] for term in score.terms
    ]
    assert row.shares == [0.25]
    wanted = first + 0.25 * np.maximum(other - first, 0)
    np.testing.assert_allclose(found.training.columns["sum"], wanted, rtol=1e-12)
    assert row.note.endswith("of the images; raised above the first 25 % by far")
    write_results(job.directory, make_results(job, found, []))
    read = read_results(job.directory).standards["sum"]
    assert read == found.scorer.standard(score), "whoever reads the run adds up alike"


def test_a_run_that_has_no_shares_takes_the_largest():
    """As runs of before have it."""
    sums = {0: np.array([1.0, 5.0]), 1: np.array([3.0, -2.0])}
    assert Standard([(0.0, 1.0)] * 2).together(sums).tolist() == [3.0, 5.0]
    assert Standard([(0.0, 1.0)] * 2, [0.25]).together(sums).tolist() == [1.5, 5.0]
    three = Standard([(0.0, 1.0)] * 3, [0.5, 0.25])
    assert three.together({1: np.array([2.0]), 2: np.array([6.0])}).tolist() == [3.0]


def test_maps_of_several_sums_are_the_largest_at_each_pixel(assessed):
    changes = ['scores.sum.combine="robust-z"', "scores.sum.terms.far.alternative=true"]
    job, found = assessed(*changes, "scores.sum.terms.error.alternative=false")
    (score,) = [score for score in job.recipe.scores if score.name == "sum"]
    error, far = (term.key for term in score.terms)
    maps = {error: np.array([[[1.0, 5.0]]]), far: np.array([[[4.0, 2.0]]])}
    (at, by), (other_at, other_by) = found.scorer.standard(score).scales
    wanted = np.maximum(
        score.terms[0].weight * (maps[error] - at) / by,
        score.terms[1].weight * (maps[far] - other_at) / other_by,
    )
    np.testing.assert_allclose(found.scorer.combine_maps(score, maps), wanted, rtol=1e-6)
    alone = found.scorer.combine_maps(score, {error: maps[error]})
    assert alone == pytest.approx(score.terms[0].weight * (maps[error] - at) / by)
    assert found.scorer.combine_maps(score, {}) is None


LABELLED = {
    "gallery_index",
    "gallery_image",
    "gallery_image_hat",
    "gallery_map",
}


def test_labels_change_metrics_and_the_gallery_and_nothing_else(assessed):
    job, plain = assessed()
    other_job, swapped = assessed("dataset.labels=swapped")
    for name, column in plain.columns.items():
        assert np.array_equal(column, swapped.columns[name])
    shown = exhibits(other_job, swapped)
    for name, tensor in exhibits(job, plain).items():
        if name not in LABELLED:
            assert torch.equal(tensor, shown[name]), name
    for one, other in zip(plain.rows, swapped.rows, strict=True):
        assert one.threshold == other.threshold
        assert one.metrics["auroc"].value + other.metrics["auroc"].value == pytest.approx(1)


def test_no_label_is_read_before_training_thresholds_and_fits_are_done(make, monkeypatch, job_of):
    class Hidden:
        """Labels that may not be looked at yet."""

        ready = False

        def __init__(self, values):
            self.values = values

        def __getattr__(self, name):
            assert Hidden.ready, "a label was read"
            return getattr(self.values, name)

    job = job_of(make())
    object.__setattr__(job.data.test, "labels", Hidden(job.data.test.labels))
    object.__setattr__(job.data.test, "kinds", None)

    class Done(Exception):
        """The test set is about to be scored."""

    def score_test(*_):
        raise Done

    monkeypatch.setattr("anokit.results.assess.score_test", score_test)
    with pytest.raises(Done):
        assess(job)
    with pytest.raises(AssertionError, match="a label was read"):
        job.data.test.labels.sum()


def test_a_weighted_sum_is_the_sum_of_its_weighted_terms(assessed):
    job, found = assessed()
    total = 0.5 * found.columns["error"] + found.columns["far"]
    assert np.allclose(found.columns["sum"], total, rtol=1e-6)
    assert terms_of(job) == {"sum": [("error", 0.5), ("far", 1.0)]}
    assert {"term/sum/0", "term/sum/1"} <= set(exhibits(job, found))
    notes = {row.name: row.note for row in found.rows}
    assert notes["sum"].startswith("spread of the terms: error ")
    assert notes["error"] is None


def test_a_sum_that_one_term_rules_says_so(assessed):
    _, found = assessed("scores.sum.terms.error.weight=1e-6")
    assert found.rows[1].note.endswith("; so this is nearly far alone")


def test_the_map_of_a_sum_is_that_of_its_terms_with_a_map(scorer):
    found, data, recipe = scorer()
    rows = np.arange(5)
    error = found.maps(recipe.scores[0], data.test.images, rows)
    assert error.shape == (5, 8, 8)
    assert np.allclose(found.maps(recipe.scores[1], data.test.images, rows), 0.5 * error)
    assert found.maps(recipe.scores[2], data.test.images, rows) is None


def test_equal_components_are_computed_once(scorer):
    found, _, _ = scorer()
    assert len(found.components) == 2  # weights apart, the sum's terms are the other two scores
    found, _, _ = scorer("scores.sum.terms.far.most=9")
    assert len(found.components) == 3


def test_fitted_state_round_trips_through_files(scorer, tmp_path):
    fitted, data, _recipe = scorer()
    fitted.fit(data.train.images, all_rows(60))
    fitted.save(FittedFiles(tmp_path))
    fresh, _, _ = scorer()
    fresh.load(fitted.files)
    rows = all_rows(len(data.test))
    expected = fitted.compute(data.test.images, rows).values
    found = fresh.compute(data.test.images, rows).values
    assert expected.keys() == found.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_trips_hold_what_was_asked_for_in_training_order(scorer):
    found, data, _ = scorer()
    rows = np.array([5, 3, 50, 7, 8])
    trips = found.trips(data.train.images, rows, frozenset({"image", "latent"}))
    trips.batch_size = 2
    assert len(trips) == 3
    for _ in range(2):
        got = list(trips)
        assert [len(trip.image) for trip in got] == [2, 2, 1]
        images = torch.cat([trip.image for trip in got])
        assert torch.equal(images, data.train.images.read(rows).float() / 127.5 - 1)
        assert not any(trip.latent.requires_grad for trip in got)


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        (
            "raise",
            PluginFault,
            r"score 'bad' of toys sha256:\w+ failed while scoring images: KeyErr",
        ),
        (
            "build",
            PluginFault,
            "score 'bad' of toys .* failed while being built: OSError: no weights",
        ),
        (
            "shape",
            PluginError,
            r"score 'bad' of toys .* returned \[16, 1\], expected a tensor \[16\]",
        ),
        (
            "nan",
            PluginError,
            r"score 'bad' of toys .* is not finite for 8 of 16 values of trips that are finite",
        ),
    ],
)
def test_a_score_that_goes_wrong_is_named(assessed, setting, error, message):
    with pytest.raises(error, match=message) as caught:
        assessed(f'scores=[{{use="bad", how="{setting}"}}]')
    if error is PluginFault:
        trace = caught.value.__cause__.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        assert trace.tb_frame.f_code.co_filename.endswith("toys.py")


def test_a_backbone_that_leaves_a_promised_field_unfilled_is_named(assessed):
    settings = ["encoder-losses=[]", "backbone={use='blank', lazy=true}", 'scores=[{use="seen"}]']
    with pytest.raises(
        PluginError, match=r"'blank' of toys .* was asked for features.* left features unfil"
    ):
        assessed(*settings)


def test_what_a_score_says_about_its_final_fit_is_a_warning(assessed, toys, monkeypatch):
    def warnings(self):
        return [f"fitted to {len(toys.FITS[-1])} images"]

    monkeypatch.setattr(toys.Far, "warnings", warnings, raising=False)
    job, found = assessed('scores=[{use="far"}]')
    said = f"fitted to {len(job.data.train)} images"
    assert found.warnings.count(said) == 1
    assert said in make_results(job, found, ["careful"]).warnings


def test_a_direction_below_chance_is_warned_about_and_not_flipped(assessed):
    _, plain = assessed()
    _, swapped = assessed("dataset.labels=swapped")
    value = plain.rows[0].metrics["auroc"].value
    assert swapped.rows[0].metrics["auroc"].value == pytest.approx(1 - value)
    warned, other = (plain, swapped) if value < 0.5 else (swapped, plain)
    (text,) = [text for text in warned.warnings if "below 0.5" in text]
    assert "never flipped" in text
    assert not [text for text in other.warnings if "below 0.5" in text]


@pytest.mark.parametrize("settings", [["dataset.labels=normal"], ["dataset.labels=none"]])
def test_a_test_set_of_one_class_or_without_labels_has_scores_and_no_metrics(assessed, settings):
    job, found = assessed(*settings, "dataset.masks=true")
    data = job.data
    assert set(found.columns) == {"error", "sum", "far"}
    assert all(len(column) == len(data.test) for column in found.columns.values())
    assert all(row.metrics is None for row in found.rows)
    (text,) = found.warnings  # 60 images cannot promise 1 %
    assert "can promise no fewer than 1.64 % false alarms" in text


def test_without_a_test_set_there_are_thresholds_alone(assessed):
    job, found = assessed("dataset.test=0")
    assert found.columns == {}
    assert all(np.isfinite(row.threshold) for row in found.rows)
    assert "train_top_image" in exhibits(job, found)


def test_a_single_training_image_is_enough(assessed):
    _, found = assessed("dataset.train=1")
    assert found.rows[0].metrics


def test_pixel_metrics_come_where_masks_and_maps_are(assessed):
    _, found = assessed("dataset.masks=true")
    rows = {row.name: row.pixel for row in found.rows}
    assert rows["far"] is None
    assert 0 <= rows["error"]["auroc"].value <= 1
    _, found = assessed()
    assert all(row.pixel is None for row in found.rows)


def test_baselines_are_scored_beside_and_marked(assessed):
    _, found = assessed('scores=[{use="error"}]', 'baselines=["far"]')
    assert [(row.name, row.kind) for row in found.rows] == [
        ("error", "score"),
        ("far", "baseline"),
    ]


def test_published_figures_stand_only_beside_whole_runs_on_real_data(assessed, make):
    published = 'published={source="A", error=0.5}'
    job, found = assessed(published)
    recipe, data = job.recipe, job.data

    def first(**changes):
        results = make_results(replace(job, **changes), found, [])
        return results.rows[0].published, results.published_source

    assert first() == (0.5, "A")
    assert first(recipe=replace(recipe, quick=True)) == (None, None)
    assert first(data=replace(data, simulated=True)) == (None, None)
    assert first(recipe=make(published, "training.max_steps=3")) == (None, None)


def test_results_name_rule_counts_and_simulation(assessed):
    job, found = assessed("dataset.contamination=0.1")
    data = job.data
    results = make_results(job, found, ["careful"])
    assert (results.train_images, results.contaminants) == (66, 6)
    assert (results.test_normal, results.test_anomalous) == (20, 20)
    assert results.warnings[0] == "careful"
    assert results.data == "real"
    assert all(row.selection == "none" for row in results.rows)
    simulated = make_results(replace(job, data=replace(data, simulated=True)), found, [])
    assert simulated.data == "simulated"
    assert simulated.notices[0].startswith("SIMULATED DATA")


def test_results_are_read_back_as_they_were_written(assessed):
    job, found = assessed("dataset.masks=true")
    results = make_results(job, found, ["careful"])
    write_results(job.directory, results)
    assert read_results(job.directory) == results
    assert results.rows[0].pixel


def test_the_score_of_raw_images_runs_no_network(scorer, toys, monkeypatch):
    def never(*_):
        raise AssertionError("the network ran")

    monkeypatch.setattr(toys.Linear, "round_trip", never)
    found, data, _ = scorer('scores=[{use="far"}]')
    found.fit(data.train.images, all_rows(10))
    assert len(next(iter(found.compute(data.test.images, all_rows(5)).values.values()))) == 5

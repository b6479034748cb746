"""`anokit explain`: what any score of a finished run follows, in JSON, words and the report."""

import json
import shutil

import pytest

from anokit.results.rows import Results

METER = '''
from anokit import Component, hookimpl


class Meter:
    """Minus the contrast of the image, or where in it the light is."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        print("a word of the score's")
        return -trip.image.double().flatten(1).std(dim=1, correction=0).float()


class Place(Meter):
    def __call__(self, trip):
        half = trip.image.shape[-1] // 2
        values = trip.image.double()
        return (values[..., :half, :half] - values[..., half:, half:]).mean(dim=(1, 2, 3)).float()


@hookimpl
def anokit_scores():
    for name, factory in (("meter", Meter), ("place", Place)):
        yield Component(
            name=name, summary="A planted score", factory=factory, needs=frozenset({"image"})
        )
'''

ADDED = '[[scores]]\nuse = "meter"\n\n[[scores]]\nuse = "place"\n'


@pytest.fixture(scope="module")
def labelled(finish):
    """A run with a score of every kind: a residual, a fitted sum on one scale, pixels alone."""
    scores = (
        'scores=[{use="error"}, {name="z", combine="robust-z", terms=[{use="error"}, '
        '{use="typical"}]}, {use="far"}]'
    )
    return finish("labelled", "dataset.train=150", "dataset.test=60", scores)


@pytest.fixture(scope="module")
def unlabelled(finish):
    return finish("unlabelled", "dataset.labels=none", "training.snapshots=0")


@pytest.fixture
def run(labelled, tmp_path):
    return shutil.copytree(labelled, tmp_path / "run")


def results(run):
    return json.loads((run / "results.json").read_text())


def explained(run):
    return {one["score"]: one for one in results(run)["explanations"]}


def bounds(estimate):
    return [estimate["value"], estimate["low"], estimate["high"]]


@pytest.fixture
def planted(toykit, run, tmp_path):
    """Explain scores that were added to a run, of a plugin of its own; return the JSON."""
    plugin, scores = tmp_path / "meter.py", tmp_path / "added.toml"
    plugin.write_text(METER)
    scores.write_text(ADDED)
    done = toykit("add-scores", run, "--scores", scores, "--plugin", plugin, "--device", "cpu")
    assert done.code == 0, done.err

    def call(*arguments):
        done = toykit("explain", run, "--plugin", plugin, "--json", *arguments)
        assert done.code == 0, done.err
        return {one["score"]: one for one in json.loads(done.out)["explanations"]}

    return call


def test_a_contrast_meter_is_exposed_and_what_is_none_survives(planted, run):
    found = planted("--score", "meter", "--score", "place")
    meter, place = found["meter"], found["place"]
    followed = {one["statistic"]: one["correlation"] for one in meter["statistics"]}
    assert bounds(followed["contrast"]) == pytest.approx([-1, -1, -1], abs=0.01)
    assert meter["explained"] == pytest.approx(1)
    assert abs(meter["auroc"]["value"] - 0.5) > 0.3, "contrast tells something here"
    assert bounds(meter["regressed"]["auroc"]) == [0.5, 0.5, 0.5]
    equal = {one["statistic"]: one for one in meter["copies"]}
    assert abs(equal["contrast"]["auroc"]["value"] - 0.5) < 0.15
    assert "nothing remains without them" in meter["sentence"]
    assert place["regressed"]["auroc"]["low"] > 0.9
    assert all(one["auroc"]["low"] > 0.9 for one in place["copies"])
    assert "nothing" not in place["sentence"]
    assert meter.pop("remarks")[0].startswith("added later")
    assert explained(run)["meter"] == meter


def test_a_score_as_a_covariate_takes_itself_off_others(planted, run):
    found = planted("--score", "place", "--given", "meter", "--given", "far")["place"]
    assert [one["statistic"] for one in found["statistics"]][3:] == ["meter", "far"]
    assert found["statistics"][4]["auroc"] == results(run)["rows"][2]["metrics"]["auroc"]
    assert "contrast, gradient, brightness, meter and far" in found["sentence"]


def test_a_run_explains_its_residuals_and_norms_as_the_command_does(toykit, run, labelled):
    first = explained(labelled)
    assert list(first) == ["error", "z"], "far reads pixels alone"
    for one in first.values():
        row = next(row for row in results(run)["rows"] if row["name"] == one["score"])
        assert one["auroc"] == row["metrics"]["auroc"], "resampled as the results are"
        assert one["train_images"] == one["train_images_of"] == 150
        assert [copies["statistic"] for copies in one["copies"]] == ["contrast", "gradient"]
        assert all(bounds(copies["auroc"]) for copies in one["copies"])
    done = toykit("explain", run, "--score", "z", "--score", "error", "--device", "cpu")
    assert done.code == 0, done.err
    assert explained(run) == first


def test_any_score_is_explained_and_nothing_else_changes(toykit, run, labelled):
    done = toykit("explain", run, "--score", "far", "--device", "cpu")
    assert done.code == 0, done.err
    assert list(explained(run)) == ["error", "z", "far"]
    for text in ("contrast alone", "copies of equal gradient", explained(run)["far"]["sentence"]):
        assert text in " ".join(done.out.split())
    assert {**results(run), "explanations": []} == {**results(labelled), "explanations": []}
    for path in labelled.rglob("*"):
        if path.is_file() and path.name not in ("results.json", "report.html", ".lock"):
            assert (run / path.relative_to(labelled)).read_bytes() == path.read_bytes()


def test_without_a_name_the_first_score_is_explained(toykit, run):
    done = toykit("explain", run, "--json", "--device", "cpu")
    assert [one["score"] for one in json.loads(done.out)["explanations"]] == ["error"]
    assert "reading blobs" in done.err, "what is for people goes elsewhere"


def test_without_labels_there_are_correlations_alone_in_words(toykit, unlabelled, tmp_path):
    run = shutil.copytree(unlabelled, tmp_path / "run")
    assert set(explained(run)) == {"error", "sum"}
    done = toykit("explain", run, "--device", "cpu")
    assert done.code == 0, done.err
    found = explained(run)["error"]
    assert (found["auroc"], found["regressed"], found["copies"]) == (None, None, [])
    assert all(one["correlation"] and one["auroc"] is None for one in found["statistics"])
    assert "what that says of anomalies only labels can tell." in " ".join(done.out.split())
    assert "AUROC" not in done.out


def test_the_report_says_it_with_labels_and_without(labelled, unlabelled):
    pages = [(run / "report.html").read_text() for run in (labelled, unlabelled)]
    for run, page in zip((labelled, unlabelled), pages, strict=True):
        assert "What the scores follow" in page
        for one in explained(run).values():
            assert one["sentence"].replace("'", "&#x27;") in page
    assert ["Regressed out" in page for page in pages] == [True, False]
    assert ["Equal contrast" in page for page in pages] == [True, False]


def test_a_run_without_norms_and_residuals_has_no_such_section(finish):
    run = finish("pixels", "dataset.test=4", 'scores=[{use="far"}]', "training.snapshots=0")
    assert results(run)["explanations"] == []
    assert "What the scores follow" not in (run / "report.html").read_text()


def test_copies_that_would_take_long_are_left_to_the_command(
    toykit, recipe_file, tmp_path, monkeypatch
):
    monkeypatch.setattr("anokit.results.cues.COPIES_VALUES", 0)
    run = tmp_path / "run"
    assert toykit("run", recipe_file(), "--out", run).code == 0
    found = explained(run)["error"]
    assert (found["copies"], found["regressed"] is None) == ([], False)
    assert "left to anokit explain" in found["no_copies"]
    assert toykit("explain", run, "--device", "cpu").code == 0
    found = explained(run)["error"]
    assert (len(found["copies"]), found["no_copies"]) == (2, "")


def test_whether_copies_are_scored_does_not_depend_on_the_machine(
    toykit, recipe_file, tmp_path, monkeypatch
):
    """Neither slow machines nor fast ones decide: what counts is how many values there are."""
    monkeypatch.setattr("anokit.scoring.scorer.Scorer.milliseconds", lambda *_: 1e9)
    assert toykit("run", recipe_file(), "--out", tmp_path / "slow").code == 0
    assert len(explained(tmp_path / "slow")["error"]["copies"]) == 2
    monkeypatch.setattr("anokit.scoring.scorer.Scorer.milliseconds", lambda *_: 0.0)
    monkeypatch.setattr("anokit.training.backbone.GuardedBackbone.searches", True)
    assert toykit("run", recipe_file(), "--out", tmp_path / "search").code == 0
    found = explained(tmp_path / "search")["error"]
    assert (found["copies"], "searches for each image" in found["no_copies"]) == ([], True)


def test_tiles_are_explained_as_the_photographs_that_they_are_of(toykit, recipe_file, tmp_path):
    run = tmp_path / "run"
    recipe = recipe_file("dataset.tiles=2", "dataset.train=120")
    assert toykit("run", recipe, "--out", run).code == 0
    first = explained(run)
    assert first["error"]["train_images"] == 60
    assert toykit("explain", run, "--score", "error", "--device", "cpu").code == 0
    assert explained(run) == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--score", "eror"], "--score eror: {run} has no such score; there are: error, z, far"),
        (["--given", "fra"], "--given fra: {run} has no such score; there are: error, z, far"),
        (["--given", "error"], "--given error: explains itself; expected another score"),
    ],
)
def test_wrong_names_are_refused(toykit, run, arguments, message):
    done = toykit("explain", run, *arguments)
    assert done.code == 2
    assert message.format(run=run) in done.err


def test_what_is_damaged_or_changed_is_said(toykit, run):
    table = (run / "training_scores.csv").read_text()
    (run / "training_scores.csv").write_text(table.replace("train/7,", "train/7777,"))
    done = toykit("explain", run, "--device", "cpu")
    assert (done.code, "images are not those of the training set" in done.err) == (1, True)
    scores = (run / "scores.csv").read_text()
    (run / "scores.csv").write_text(scores.replace("test/7,", "test/7777,"))
    done = toykit("explain", run, "--device", "cpu")
    assert (done.code, "ids are not those of the test set" in done.err) == (1, True)
    resolved = json.loads((run / "resolved.json").read_text())
    resolved["dataset"]["gray"] = 7
    (run / "resolved.json").write_text(json.dumps(resolved))
    done = toykit("explain", run, "--device", "cpu")
    assert (done.code, "the data changed" in done.err) == (1, True)


def test_results_of_before_explanations_can_be_read(run):
    old = results(run)
    del old["explanations"]
    assert Results.model_validate(old).explanations == []

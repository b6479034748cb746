"""`anokit add-scores`: further scores of a finished run, without training, beside its own."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anokit import load
from anokit.report.html import write_report
from anokit.scoring.built_score import BuiltScore
from anokit.store.run_directory import RunDirectory
from anokit.store.score_table import read_scores
from anokit.store.tensors import load_tensors

TOYS = Path(__file__).parents[1] / "toys.py"

EXTRA = """
[[scores]]
name = "near"
use = "far"
most = 30

[[scores]]
name = "both"
terms = [{ use = "error" }, { use = "far", weight = 0.5 }]
"""


@pytest.fixture
def run(finished, tmp_path):
    """A finished run of our own."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def add(toykit, run, tmp_path):
    """Add the scores of a text to the run."""

    def call(text=EXTRA, *options):
        path = tmp_path / "extra.toml"
        path.write_text(text)
        return toykit("add-scores", run, "--scores", path, "--device", "cpu", *options)

    return call


def columns(run):
    """Return scores.csv as columns."""
    lines = list(csv.reader((run / "scores.csv").read_text().splitlines()))
    return {name: list(column) for name, *column in zip(*lines, strict=True)}


def results(run):
    return json.loads((run / "results.json").read_text())


def test_scores_are_added_and_all_else_stays(add, run, finished):
    done = add()
    assert done.code == 0, done.err
    before, after = results(finished), results(run)
    assert after["rows"][: len(before["rows"])] == before["rows"]
    assert [row["name"] for row in after["rows"][len(before["rows"]) :]] == ["near", "both"]
    explained = before["explanations"]
    assert after["explanations"][: len(explained)] == explained
    assert [one["score"] for one in after["explanations"][len(explained) :]] == ["both"]
    changing = ("rows", "warnings", "explanations", "files")
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert before["files"].items() < after["files"].items()  # of what near was fitted to
    old, new = columns(finished), columns(run)
    assert {name: new[name] for name in old} == old
    assert list(new) == [*old, "near", "both"]
    for name in (
        "model.safetensors",
        "resolved.json",
        "split.json",
        "recipe.toml",
        "metrics.jsonl",
    ):
        assert (run / name).read_bytes() == (finished / name).read_bytes()
    for path in (finished / "scores").iterdir():
        assert (run / "scores" / path.name).read_bytes() == path.read_bytes()


def test_what_is_added_is_marked_everywhere(add, run):
    done = add()
    assert "added later" in done.out
    marks = {row["name"]: row.get("added") for row in results(run)["rows"]}
    assert all(marks[name].startswith("added later") for name in ("near", "both"))
    assert not any(marks[name] for name in marks if name not in ("near", "both"))
    record = json.loads((run / "added.json").read_text())["near"]
    assert record["plugins"]["toys"].startswith("sha256:")
    assert record["score"]["terms"][0]["most"] == 30
    assert len(list((run / "scores").glob("far-*.safetensors"))) == 2


def test_an_added_score_is_what_it_would_have_been_in_the_run(add, run):
    add('[[scores]]\nname = "again"\nuse = "far"\n')
    found = columns(run)
    assert found["again"] == found["far"]
    rows = {row["name"]: row for row in results(run)["rows"]}
    for key in ("threshold", "metrics", "by_kind", "fitted_on"):
        assert rows["again"][key] == rows["far"][key]


def test_terms_of_an_added_sum_reach_the_report(add, run, finished):
    add()
    assert "both" in json.loads((run / "terms.json").read_text())
    before = load_tensors(finished / "report.safetensors")
    after = load_tensors(run / "report.safetensors")
    assert set(after) - set(before) == {"term/both/0", "term/both/1", "gallery_map/both"}
    assert all(bool((after[name] == before[name]).all()) for name in before)


def test_scores_are_added_one_after_another(add, run):
    add()
    assert add('[[scores]]\nname = "third"\nuse = "error"\n').code == 0
    assert [row["name"] for row in results(run)["rows"]][-3:] == ["near", "both", "third"]
    assert set(json.loads((run / "added.json").read_text())) == {"near", "both", "third"}


def test_a_taken_name_is_refused(add, run):
    done = add('[[scores]]\nuse = "far"\n')
    assert done.code == 2
    assert "the run has scores called far of its own" in done.err
    assert "added.json" not in {path.name for path in run.iterdir()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[scores]]\nuse = "seen"\nname = "x"\n', "needs features; backbone 'linear' provides"),
        ('[[scores]]\nuse = "fra"\n', "did you mean 'far'"),
        ('seed = 4\n[[scores]]\nuse = "far"\n', "expected [[scores]] alone, got seed"),
        ("", "expected [[scores]] alone, got none"),
        ("[[scores]\n", "not valid TOML"),
    ],
)
def test_wrong_scores_are_refused_before_anything_is_loaded(add, run, text, message):
    before = results(run)
    done = add(text)
    assert done.code == 2
    assert message in done.err
    assert results(run) == before


def test_other_data_are_refused(add, run):
    resolved = json.loads((run / "resolved.json").read_text())
    resolved["dataset"]["gray"] = 7
    (run / "resolved.json").write_text(json.dumps(resolved))
    done = add()
    assert done.code == 1
    assert "the data changed since this run began" in done.err


def test_a_run_that_is_not_finished_is_refused(add, run):
    (run / "results.json").unlink()
    done = add()
    assert done.code == 1
    assert "not finished" in done.err


def test_a_folder_that_is_no_run_is_refused(toykit, tmp_path):
    (tmp_path / "extra.toml").write_text(EXTRA)
    done = toykit("add-scores", tmp_path, "--scores", tmp_path / "extra.toml")
    assert done.code == 1
    assert "has no resolved.json" in done.err


def test_a_damaged_table_is_refused_before_it_is_changed(add, run):
    lines = (run / "scores.csv").read_text().splitlines(keepends=True)
    (run / "scores.csv").write_text("".join(lines[:-1]))
    before = results(run)
    done = add()
    assert done.code == 1
    assert "its ids are not those of the test set" in done.err
    assert results(run) == before


PLUGIN = """
import torch
from anokit import Component, hookimpl


class Largest:
    def __init__(self, options):
        pass

    def __call__(self, trip):
        return {sign}trip.image.flatten(1).amax(dim=1)

    def map(self, trip):
        return trip.image.amax(dim=1)


@hookimpl
def anokit_scores():
    return [Component(name="largest", summary="Largest value", factory=Largest,
                      needs=frozenset({{"image"}}), map_needs=frozenset({{"image"}}))]
"""
LARGEST = '[[scores]]\nuse = "largest"\n'


@pytest.fixture
def plugin(tmp_path):
    """Write a one-file plugin of that name with a score ``largest``, or with its negative."""

    def write(name="mine.py", sign=""):
        path = tmp_path / name
        path.write_text(PLUGIN.format(sign=sign))
        return path

    return write


def test_an_added_score_is_the_runs_like_its_own(add, run, plugin, anokit, monkeypatch, tmp_path):
    assert add(LARGEST, "--plugin", plugin()).code == 0
    record = json.loads((run / "added.json").read_text())["largest"]
    assert set(record["plugin_files"]) == {"mine.py"}
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    finished = load(run, trust_plugins=True)
    images = np.full((2, 1, 8, 8), 20, np.uint8)
    images[1, 0, 3, 4] = 255
    assert finished.score(images)["largest"].tolist() == pytest.approx([20 / 127.5 - 1, 1.0])
    assert finished.maps(images, "largest")[1, 3, 4] == 1.0
    assert "largest" in finished.thresholds
    Image.fromarray(images[1, 0]).save(tmp_path / "bright.png")
    out = tmp_path / "scores.csv"
    done = anokit("score", run, tmp_path / "bright.png", "--out", out, "--trust-plugins")
    assert done.code == 0, done.err
    (row,) = csv.DictReader(out.read_text().splitlines())
    assert float(row["largest"]) == 1.0


def test_what_an_added_score_learnt_is_loaded(add, run, monkeypatch):
    assert add().code == 0
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    finished = load(run, trust_plugins=True)
    source = finished.recipe.dataset.entry.component.load()(finished.recipe.dataset.options)
    found = finished.score(source.test.images)
    table = read_scores(run / "scores.csv")
    for name in ("near", "both"):
        at = [table.ids.index(one) for one in source.test.ids]
        assert found[name] == pytest.approx(table.columns[name][at], rel=1e-6)


def test_an_added_score_is_replaced_only_when_asked_to(add, run, plugin):
    assert add(LARGEST, "--plugin", plugin()).code == 0
    before = columns(run)["largest"]
    refused = add(LARGEST, "--plugin", plugin(sign="-"))
    assert refused.code == 2
    assert "scores called largest were added before" in refused.err
    assert "--replace" in refused.err
    done = add(LARGEST, "--plugin", plugin(sign="-"), "--replace")
    assert done.code == 0, done.err
    assert [float(v) for v in columns(run)["largest"]] == [-float(v) for v in before]
    assert [row["name"] for row in results(run)["rows"]].count("largest") == 1
    assert (run / "mine.py").read_text() == PLUGIN.format(sign="-")


def test_a_score_of_the_runs_own_is_not_replaced(add, run):
    done = add('[[scores]]\nuse = "far"\n', "--replace")
    assert (done.code, "what a run measured stays" in done.err) == (2, True)


def test_another_plugin_of_the_same_name_is_refused(add, run, plugin):
    text = '[[scores]]\nname = "one"\nuse = "largest"\n'
    assert add(text, "--plugin", plugin()).code == 0
    done = add(text.replace("one", "two"), "--plugin", plugin(sign="-"))
    assert (done.code, "the run needs another mine.py" in done.err) == (2, True)
    assert (run / "mine.py").read_text() == PLUGIN.format(sign="")


def test_a_score_that_was_being_added_when_the_process_was_killed_is_no_score_yet(
    add, run, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anokit.runs.add_scores.write_results", killed)
        add()
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    assert set(load(run, trust_plugins=True).thresholds) == {"error", "sum", "far"}
    monkeypatch.delenv("ANOKIT_PLUGINS")
    assert add().code == 0
    assert list(columns(run))[-2:] == ["near", "both"]


LEARNING = """
import torch
from torch import nn
from anokit import Component, hookimpl

class Centre(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.register_buffer("centre", torch.zeros(()))

    def fit(self, trips):
        self.centre = {times} * torch.stack([trip.image.mean() for trip in trips]).mean()

    def forward(self, trip):
        return (trip.image.mean(dim=(1, 2, 3)) - self.centre).abs()


@hookimpl
def anokit_scores():
    return [Component(name="centre", summary="Distance from a mean", factory=Centre,
                      needs=frozenset({{"image"}}))]
"""
CENTRE = '[[scores]]\nname = "mine"\nuse = "centre"\n'


@pytest.fixture
def learning(tmp_path):
    """Write a one-file plugin with a score that learns a mean, times a number."""

    def write(times):
        path = tmp_path / "learning.py"
        path.write_text(LEARNING.format(times=times))
        return path

    return write


def scored(run):
    """Return what a run gives two images."""
    return load(run, trust_plugins=True).score(np.full((2, 1, 8, 8), 20, np.uint8))


def test_a_score_that_learns_otherwise_takes_the_place_of_another(add, run, learning):
    own = {path.name for path in (run / "scores").iterdir()}
    assert add(CENTRE, "--plugin", learning(1)).code == 0
    before = scored(run)
    done = add(CENTRE, "--plugin", learning(5), "--replace")
    assert done.code == 0, done.err
    after = scored(run)
    assert (after["mine"] != before["mine"]).all()
    assert after["far"] == pytest.approx(before["far"], rel=0, abs=0)
    (file,) = {path.name for path in (run / "scores").iterdir()} - own  # no other is left behind
    assert results(run)["rows"][-1]["fitted_files"] == [file]
    assert f"scores/{file}" in results(run)["files"]


def test_a_score_whose_replacement_was_killed_stays_what_it_was(add, run, learning, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    assert add(CENTRE, "--plugin", learning(1)).code == 0
    recorded = results(run)
    with monkeypatch.context() as patch:
        patch.setattr("anokit.runs.add_scores.write_results", killed)
        add(CENTRE, "--plugin", learning(5), "--replace")
    assert results(run) == recorded
    scored(run)  # nothing that was recorded is damaged
    assert add(CENTRE, "--plugin", learning(5), "--replace").code == 0
    assert len(list((run / "scores").glob("centre-*"))) == 1


def test_what_a_run_has_learnt_is_not_learnt_anew(add, run, monkeypatch):
    before, files = scored(run), results(run)["files"]
    fit = BuiltScore.fit

    def elsewhere(self, trips, **options):
        """Fit as another machine would: the last digits come out otherwise."""
        fit(self, trips, **options)
        for value in self.score.state_dict().values():
            if value.is_floating_point():
                value.mul_(1 + 1e-5)

    with monkeypatch.context() as patch:
        patch.setattr(BuiltScore, "fit", elsewhere)
        done = add('[[scores]]\nname = "both"\nterms = [{ use = "error" }, { use = "far" }]\n')
    assert done.code == 0, done.err
    assert results(run)["files"] == files
    after = scored(run)
    assert (after["far"] == before["far"]).all()
    assert after["both"] == pytest.approx(before["error"] + before["far"])


FAILING = """
[[scores]]
name = "near"
use = "far"

[[scores]]
name = "wrong"
use = "bad"
how = "raise"
"""


def test_one_failing_score_does_not_take_the_others(add, run, toykit, tmp_path):
    done = add(FAILING)
    assert done.code == 1
    assert "1 score failed, all else is scored" in done.err
    assert "wrong: score 'bad' of toys" in done.err
    assert "toys.py:" in done.err
    assert f"then: anokit add-scores {run} --scores {tmp_path / 'extra.toml'} --replace" in done.err
    assert "failed: score 'bad'" in done.out
    rows = {row["name"]: row for row in results(run)["rows"]}
    assert rows["near"]["metrics"]
    assert rows["wrong"]["metrics"] is None
    assert "KeyError" in rows["wrong"]["failed"]
    assert f"wrong failed: {rows['wrong']['failed']}" in results(run)["warnings"]
    assert rows["wrong"]["added"].startswith("added later")
    assert list(columns(run))[-1] == "near"
    assert set(json.loads((run / "added.json").read_text())) == {"near"}
    assert RunDirectory(run).tidy, "the run itself is finished, so nothing is to be resumed"
    assert "wrong" not in load(run, plugins=[TOYS]).thresholds


def test_what_failed_is_added_once_it_is_mended(add, run):
    assert add(FAILING).code == 1
    done = add('[[scores]]\nname = "wrong"\nuse = "far"\n')
    assert done.code == 0, done.err
    rows = {row["name"]: row for row in results(run)["rows"]}
    assert (rows["wrong"]["failed"], rows["wrong"]["metrics"] is None) == ("", False)
    assert not [text for text in results(run)["warnings"] if "failed" in text]
    assert add(FAILING.replace("near", "other"), "--replace").code == 1
    rows = {row["name"]: row for row in results(run)["rows"]}
    assert rows["wrong"]["metrics"], "what fails in its place leaves a score as it was"
    assert columns(run)["wrong"] == columns(run)["near"]


def test_where_all_fail_the_run_stays_as_it_was(add, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = add(FAILING[FAILING.index("[[scores]]", 2) :])
    assert (done.code, "KeyError" in done.err) == (1, True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_maps_of_an_added_score_are_painted_and_stand_in_the_report(
    add, run, plugin, toykit, tmp_path
):
    assert add(LARGEST, "--plugin", plugin()).code == 0
    for name, grey in (("dull", 20), ("bright", 250)):
        image = np.full((8, 8), 60, np.uint8)
        image[2, 2] = grey
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    files = (tmp_path / "dull.png", tmp_path / "bright.png")
    maps = tmp_path / "maps"
    command = ("score", run, *files, "--plugin", plugin())
    done = toykit(*command, "--maps", maps, "--score", "largest")
    assert done.code == 0, done.err
    page = (maps / "index.html").read_text()
    assert "by largest" in page
    assert page.index("bright.png") < page.index("dull.png")
    for name, message in (
        ("far", "--score far: has no map; scores with a map: error, sum, largest"),
        ("none", "has no such score; scores with a map: error, sum, largest"),
    ):
        refused = toykit(*command, "--maps", tmp_path / "others", "--score", name)
        assert (refused.code, message in refused.err) == (2, True), refused.err
        assert not (tmp_path / "others").exists()
    alone = toykit(*command, "--score", "largest")
    assert (alone.code, "--maps DIR where" in alone.err) == (2, True)
    report = write_report(run).read_text()
    assert "Maps are by error, sum; largest, those" in report


def test_maps_of_training_images_stand_in_the_report_where_nothing_is_tested(
    finish_plainly, toykit, plugin, tmp_path
):
    run = finish_plainly(tmp_path / "run", "dataset.test=0", "dataset.train=30")
    extra = tmp_path / "extra.toml"
    extra.write_text(LARGEST)
    given = ("--scores", extra, "--plugin", plugin(), "--device", "cpu")
    assert toykit("add-scores", run, *given).code == 0
    kept = load_tensors(run / "report.safetensors")
    found = kept["train_top_map/largest"]
    shown = kept["train_top_image"].float().amax(dim=1) / 127.5 - 1
    torch.testing.assert_close(found, shown)
    assert {"train_top_map/error", "train_top_map/sum"} <= set(kept)
    page = write_report(run).read_text()
    for names in ("error, sum", "largest"):
        assert f"by {names}<" in page


def test_what_an_added_score_changes_that_is_not_its_own_is_told(add, run):
    text = '[[scores]]\nname = "drawing"\nuse = "hostile/hostile"\nhow = "numpy"\n'
    done = add(text, "--plugin", TOYS.with_name("hostile.py"))
    assert done.code == 0, done.err
    told = "changed NumPy's random generator while scoring images"
    assert told in done.out
    assert any(told in warning for warning in results(run)["warnings"])


def test_interrupted_it_says_what_is_there_and_goes_on_with_the_command_that_it_names(
    add, toykit, run, finished, monkeypatch
):
    def pressed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anokit.runs.add_scores.write_report", pressed)
        stopped = add()
    assert stopped.code == 130
    said, command = stopped.err.strip().splitlines()[-1].split("; add the scores with: anokit ")
    assert said == f"interrupted: {run} keeps what it measured"
    assert results(run)["rows"] == results(finished)["rows"]
    assert toykit(*shlex.split(command)).code == 0
    assert [row["name"] for row in results(run)["rows"][-2:]] == ["near", "both"]


def test_a_plugin_that_is_mended_after_its_score_failed_is_sent_to_the_run(
    toykit, recipe_file, plugin, tmp_path, add
):
    out, file = tmp_path / "failed", plugin(sign="(None if len(trip.image) == 16 else 1) * ")
    recipe = recipe_file("scores=[{use='error'},{use='largest'}]")
    assert toykit("run", recipe, "--out", out, "--plugin", file, "--device", "cpu").code == 1
    plugin()
    (tmp_path / "more.toml").write_text('[[scores]]\nname = "more"\nuse = "largest"\n')
    refused = toykit("add-scores", out, "--scores", tmp_path / "more.toml", "--plugin", file)
    assert refused.code == 2
    command = refused.err.strip().partition("failed in the run, go on with: anokit ")[2]
    done = toykit(*shlex.split(command))
    assert done.code == 0, done.err
    assert [row.get("failed") for row in results(out)["rows"]] == ["", ""]

"""`anokit evaluate`: further scores of a finished run, without training, beside its own results."""

import csv
import json
import shutil

import pytest

from anokit.store.tensors import load_tensors

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
        return toykit("evaluate", run, "--scores", path, "--device", "cpu", *options)

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
    changing = ("rows", "warnings")
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
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
    assert record["scores"][0]["terms"][0]["most"] == 30
    assert len(list((run / "added").glob("far-*.safetensors"))) == 2


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
    assert set(after) - set(before) == {"term/both/0", "term/both/1"}
    assert all(bool((after[name] == before[name]).all()) for name in before)


def test_scores_are_added_one_after_another(add, run):
    add()
    assert add('[[scores]]\nname = "third"\nuse = "error"\n').code == 0
    assert [row["name"] for row in results(run)["rows"]][-3:] == ["near", "both", "third"]
    assert set(json.loads((run / "added.json").read_text())) == {"near", "both", "third"}


def test_a_taken_name_is_refused(add, run):
    done = add('[[scores]]\nuse = "far"\n')
    assert done.code == 2
    assert "the run has scores called far already" in done.err
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
    assert "the data are not those of the run" in done.err


def test_a_run_that_is_not_finished_is_refused(add, run):
    (run / "results.json").unlink()
    done = add()
    assert done.code == 1
    assert "not finished" in done.err


def test_a_folder_that_is_no_run_is_refused(toykit, tmp_path):
    (tmp_path / "extra.toml").write_text(EXTRA)
    done = toykit("evaluate", tmp_path, "--scores", tmp_path / "extra.toml")
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

"""Comparing finished runs: what is one system, what is refused, and what is said."""

import json

import numpy as np
import pytest

from anokit.errors import UsageError
from anokit.results.comparison import Compared
from anokit.results.metrics import Estimate
from anokit.results.rows import Results, Row
from anokit.runs.compare import compare
from anokit.store.score_table import ScoreTable


@pytest.fixture
def run(tmp_path):
    """Write what a comparison reads of a finished run."""

    def make(
        name,
        quality=1.0,
        seed=1,
        images=None,
        labels=None,
        option=0,
        size=32,
        pixels="a",
        **results,
    ):
        ids = [f"i{n}" for n in range(80)] if images is None else images
        truth = np.r_[np.zeros(40, int), np.ones(40, int)] if labels is None else labels
        generator = np.random.default_rng([seed, int(100 * quality)])
        columns = {
            "knn": quality * truth + generator.normal(size=80),
            "other": generator.normal(size=80),
        }
        folder = tmp_path / name
        folder.mkdir()
        given = {"recipe": "r", "seed": seed, "primary": "knn", "protocol": "one-class"}
        found = Results(**{**given, "rows": [Row(name="knn")], **results})
        (folder / "results.json").write_text(found.model_dump_json())
        (folder / "scores.csv").write_text(ScoreTable(ids, truth, [""] * 80, columns).text())
        shape = {"channels": 1, "height": size, "width": size}
        split = {"fingerprint": "f", "spec": shape, "test_fingerprint": pixels}
        resolved = {
            "seed": seed,
            "title": name,
            "dataset": {},
            "backbone": {"option": option},
            "encoder-losses": [],
            "scores": [{"name": "knn"}, {"name": "other"}],
            "training": {},
            "evaluation": {},
        }
        (folder / "resolved.json").write_text(json.dumps(resolved))
        (folder / "split.json").write_text(json.dumps(split))
        return str(folder)

    return make


def test_two_runs_are_two_systems_and_the_first_is_what_the_others_are_held_against(run):
    found = compare([run("a", 0.1), run("b", 3.0, option=1), run("c", 1.0, option=2)])
    assert [system.name for system in found.systems] == ["r:knn (a)", "r:knn (b)", "r:knn (c)"]
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("r:knn (a)", "r:knn (b)"),
        ("r:knn (a)", "r:knn (c)"),
    ]
    assert (found.normal, found.anomalous, found.protocol) == (40, 40, "one-class")
    best = found.pairs[0]
    assert best.verdict == "r:knn (b) is better"
    assert best.p_holm == pytest.approx(2 * best.p)
    gaps = [system.auroc[0] - found.systems[0].auroc[0] for system in found.systems[1:]]
    assert [pair.auroc.value for pair in found.pairs] == pytest.approx(gaps, abs=1e-5)


def test_how_epochs_were_chosen_is_told_beside_the_differences(run):
    first = run("a", 0.1, selection={"epoch": "the last one"})
    second = run("b", 3.0, option=1, selection={"epoch": "best-on-test"})
    assert compare([first, second]).note.endswith("Epoch: the last one / best-on-test.")


def test_all_pairs(run):
    found = compare([run(n, option=n) for n in "abc"], all_pairs=True, resamples=100)
    assert len(found.pairs) == 3


def test_runs_that_differ_in_their_seed_alone_are_one_system(run):
    given = [run(f"{o}{s}", 0.5 + o, seed=s, option=o) for o in (0, 1) for s in (2, 1, 3)]
    found = compare(given)
    assert [system.seeds for system in found.systems] == [[1, 2, 3], [1, 2, 3]]
    (pair,) = found.pairs
    assert pair.paired_seeds
    assert pair.test == "bootstrap over seeds and images"


def test_scores_of_one_run_can_be_compared(run):
    path = run("a", 2.0)
    found = compare([f"{path}:other", f"{path}:knn"])
    assert [system.name for system in found.systems] == ["r:other", "r:knn"]
    assert found.pairs[0].verdict == "r:knn is better"
    assert compare([run("b"), run("c", option=1)], score="other").systems[0].score == "other"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {}, "expected at least two systems, got 1"),
        ({}, {"seed": 1, "name": "twice"}, "several runs of this recipe"),
        ({}, {"option": 1, "protocol": "other"}, "their protocol differ: 'one-class' and 'other'"),
        ({}, {"option": 1, "data": "simulated"}, "their data differ: 'real' and 'simulated'"),
        (
            {},
            {"option": 1, "images": [f"i{n}" for n in range(1, 81)]},
            "2 images are in one of them alone (i0, i80)",
        ),
        (
            {},
            {"option": 1, "labels": np.r_[np.ones(1, int), np.zeros(39, int), np.ones(40, int)]},
            "1 images are labelled otherwise (i0)",
        ),
        (
            {"labels": np.zeros(80, int)},
            {"option": 1},
            "no labels of both classes",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(run, first, second, message):
    paths = [run("a", **first)]
    if second.get("name") == "twice":
        paths += [run("b"), run("c", option=1)]
    elif second:
        paths.append(run("b", **second))
    with pytest.raises(UsageError) as caught:
        compare(paths, resamples=100)
    assert message in str(caught.value)


def test_other_images_of_the_same_names_are_refused(run):
    first, other = run("a"), run("b", option=1, pixels="b")
    with pytest.raises(UsageError, match="same names and are not the same"):
        compare([first, other], resamples=100)
    small = run("c", option=2, pixels="c", size=16)  # the same images, made smaller
    assert compare([first, small], resamples=100).pairs


def test_what_is_not_there_is_named(run, tmp_path):
    with pytest.raises(UsageError, match="no score 'nope'; there are: knn, other"):
        compare([run("a"), run("b", option=1)], score="nope")
    with pytest.raises(UsageError, match="no such run directory"):
        compare([str(tmp_path / "missing"), run("c")])
    bare = run("d")
    (tmp_path / "d" / "scores.csv").unlink()
    with pytest.raises(UsageError, match=r"has no scores\.csv"):
        compare([bare, run("e", option=1)])


def pair(low, high, p=0.001):
    return Compared(
        first="a",
        second="b",
        auroc=Estimate((low + high) / 2, low, high),
        p=p,
        p_holm=p,
        test="DeLong",
        paired_seeds=False,
    )


def test_what_is_not_resolved_is_said_in_words():
    assert pair(-0.01, 0.02).verdict == "not resolved: the interval holds zero"
    assert pair(0.01, 0.02).verdict == "b is better"
    assert pair(-0.02, -0.01).verdict == "a is better"
    assert pair(0.01, 0.02, p=0.2).verdict.startswith("b is better, though not resolved among")


def test_the_command_shows_it_and_writes_json(run, anokit, tmp_path):
    target, page = tmp_path / "found.json", tmp_path / "found.html"
    paths = [run("a", 0.1), run("b", 3.0, option=1, quick=True)]
    done = anokit("compare", *paths, "--resamples", 200, "--json", target, "--html", page)
    assert done.code == 0, done.err
    assert "r:knn (b) is better" in done.out + done.err
    assert "quick run" in done.out + done.err
    assert "B − A" in done.out + done.err
    text = page.read_text()
    assert "B − A" in text
    assert "r:knn (b) is better" in text
    assert "the spread between seeds is not in its differences" in text
    assert text.count("<svg") == 1
    assert "http" not in text.replace("http://www.w3.org", "")
    stored = json.loads(target.read_text())
    assert stored["pairs"][0]["auroc"]["value"] > 0.2
    assert anokit("compare", paths[0]).code == 2

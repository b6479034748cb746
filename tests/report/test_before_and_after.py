"""The section that stands in the report of a run which leaves out suspects of another."""

import json

import numpy as np
import pytest

from anokit.report.about_refit import before_and_after
from anokit.report.reading import read_run
from anokit.results.before import TOP, Before, Side, moved
from anokit.results.metrics import Estimate
from anokit.results.rows import Results, Row
from anokit.store.score_table import Judged, Ranking


def ranking(*images):
    """Return a ranking of these images, the most anomalous first; the first is flagged."""
    scores = -np.arange(len(images), dtype=np.float64)
    flagged = scores == 0
    return Ranking(images, {"knn": scores}, {"knn": Judged(flagged, scores, -0.5)})


def side(images=100, flagged=3, threshold=1.5, auroc=None):
    estimate = None if auroc is None else Estimate(auroc, auroc - 0.1, auroc + 0.1)
    return Side(
        score="knn",
        train_images=images,
        ranked=images,
        flagged=flagged,
        threshold=threshold,
        auroc=estimate,
    )


@pytest.fixture
def section(tmp_path):
    """The section of a run with this comparison; None where it has none."""

    def make(before=None):
        (tmp_path / "results.json").write_text(json.dumps({"title": "T", "rows": []}))
        if before is not None:
            (tmp_path / "before.json").write_text(before.model_dump_json())
        return before_and_after(read_run(tmp_path))

    return make


def texts(table):
    return [[cell.text for cell in line.cells] for line in table.lines]


def test_a_run_that_follows_none_has_no_section(section):
    assert section() is None


def test_both_runs_stand_side_by_side(section):
    lines = moved(ranking("d/a", "d/b", "d/c"), ranking("d/c", "d/b"), {"d/a"})
    found = section(
        Before(run="r", left_out=1, before=side(), after=side(99, 1, 1.25), moved=lines)
    )
    figures, ranks = found.tables
    assert texts(figures) == [
        ["Training images", "100", "99"],
        ["Left out by the list", "–", "1"],
        ["Threshold", "1.5", "1.25"],
        ["Training images above it", "3 %", "1 %"],
    ]
    assert texts(ranks) == [["a", "1", "left out"], ["b", "2", "2"], ["c", "3", "1"]]
    assert "begin with d/" in ranks.caption
    assert "not that it became better" in " ".join(found.text)
    assert "differ" not in " ".join(found.text)


def test_with_labels_it_has_intervals_and_says_what_else_differs(section):
    found = section(
        Before(
            run="r",
            before=side(auroc=0.8),
            after=side(auroc=0.85),
            differences=["seed", "backbone"],
        )
    )
    [line] = [line for line in found.tables[0].lines if line.cells[0].text == "AUROC"]
    assert [(c.text, c.small) for c in line.cells[1:]] == [
        ("0.800", "0.700 – 0.900"),
        ("0.850", "0.750 – 0.950"),
    ]
    text = " ".join(found.text)
    assert "seed, backbone" in text
    assert "no labels" not in text


def test_a_former_run_that_is_gone_is_a_sentence(section):
    found = section(Before(run="/gone", missing="/gone: is no run."))
    assert "/gone" in found.skipped
    assert found.skipped.endswith("is no run.")


def test_ranks_are_of_the_first_of_either_run():
    names = [f"{at}" for at in range(3 * TOP)]
    found = moved(ranking(*names), ranking(*reversed(names)), set())
    assert [line.image for line in found] == [*names[:TOP], *names[-TOP:]]
    assert (found[0].before, found[0].after) == (1, 3 * TOP)
    assert moved(ranking("a"), ranking("b"), set())[0].after is None


def test_a_side_is_what_two_files_say():
    row = Row(name="knn", metrics={"auroc": Estimate(0.9, 0.8, 1.0)})
    found = Side.of(Results(primary="knn", train_images=7, rows=[row]), ranking("a", "b", "c"))
    assert (found.train_images, found.ranked, found.flagged, found.threshold) == (7, 3, 1, -0.5)
    assert found.words[-1] == "AUROC 0.900 [0.800, 1.000]"

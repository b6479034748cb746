"""scores.csv reads back as what was written, bit for bit."""

import csv

import numpy as np
import pytest

from anokit.errors import CheckpointError
from anokit.recipe.checks import RESERVED
from anokit.store.files import write_text
from anokit.store.score_table import (
    JUDGEMENT,
    OTHER_COLUMNS,
    Judged,
    Ranking,
    ScoreTable,
    read_ranking,
    read_scores,
)


def table(**changes):
    content = {
        "ids": ["a,b", 'c"d', "e\nf"],
        "labels": np.array([0, 1, -1]),
        "kinds": ["", "crack", "dent, deep"],
        "columns": {"lo": np.array([0.1 + 0.2, -1e-300, 1 / 3]), "x y": np.array([1.0, 2.0, 3.0])},
    }
    return ScoreTable(**content | changes)


def test_a_table_reads_back_equal(tmp_path):
    write_text(tmp_path / "scores.csv", table().text())
    found = read_scores(tmp_path / "scores.csv")
    assert (found.ids, found.kinds) == (table().ids, table().kinds)
    assert found.labels.tolist() == [0, 1, -1]
    assert {n: c.tolist() for n, c in found.columns.items()} == {
        n: c.tolist() for n, c in table().columns.items()
    }
    assert found.text() == table().text()


def test_a_column_is_added_or_replaced_and_the_others_stay():
    found = table().with_columns({"lo": np.zeros(3), "new": np.ones(3)})
    assert list(found.columns) == ["lo", "x y", "new"]
    assert found.columns["lo"].tolist() == [0, 0, 0]
    assert found.columns["x y"] is table().columns["x y"] or found.columns["x y"].tolist() == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "id,label,kind,lo\na,0,,high\n",
        "id,label,kind,lo\na,none,,1\n",
        "label,lo\n0,1\n",
        "\0" * 500,
    ],
)
def test_a_damaged_table_is_named(tmp_path, text):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"scores\.csv: damaged"):
        read_scores(path)


def ranking(**changes):
    content = {
        "images": ["a", "b"],
        "columns": {"lo": np.array([1 / 3, 2 / 3]), "x": np.array([2.0, 1.0])},
        "judged": {
            "lo": Judged(np.array([False, True]), np.array([1.0, 1 / 3]), 0.5),
            "x": Judged(np.array([True, False]), np.array([0.5, 1.0]), 1.5),
        },
    }
    return Ranking(**content | changes)


def test_a_ranking_is_in_order_and_in_full_precision():
    assert ranking().text().splitlines() == [
        "image,rank,flagged,p_value,threshold,lo,x,x:flagged,x:p_value,x:threshold",
        f"b,1,1,{1 / 3!r},0.5,{2 / 3!r},1.0,0,1.0,1.5",
        f"a,2,0,1.0,0.5,{1 / 3!r},2.0,1,0.5,1.5",
    ]


def test_a_ranking_reads_back(tmp_path):
    path = tmp_path / "training_scores.csv"
    write_text(path, ranking().text())
    found = read_ranking(path)
    assert found.images == ["b", "a"]
    assert list(found.columns) == ["lo", "x"]
    assert found.text() == ranking().text()


def test_scores_are_added_to_the_images_that_they_are_of():
    new = Ranking(["b", "a"], {"new": np.array([5.0, 6.0])}, {"new": ranking().judged["x"]})
    found = ranking().with_columns(new)
    assert found.columns["new"].tolist() == [6.0, 5.0]
    assert found.judged["new"].flagged.tolist() == [False, True]
    with pytest.raises(CheckpointError, match="its images are not those of the training set"):
        ranking().with_columns(Ranking(["a", "c"], {}, {}))


@pytest.mark.parametrize("text", ["image,rank\n", "image,lo\na,1\n", "image,flagged,p_value,lo\n"])
def test_a_damaged_ranking_is_named(tmp_path, text):
    path = tmp_path / "training_scores.csv"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"training_scores\.csv: damaged"):
        read_ranking(path)


def test_no_score_may_be_called_as_a_column_is():
    assert {*OTHER_COLUMNS, *JUDGEMENT, "image", "rank"} <= RESERVED


FORMULAS = ["=1+1", "+cmd", "-a", "@x", "\tb", "./=c", "././-d", "\r=e"]


def test_no_text_is_taken_for_a_formula_and_all_of_it_reads_back(tmp_path):
    ids = [*FORMULAS, "-5", "+1e3", "./plain", "plain"]
    labels = np.zeros(len(ids), np.int64)
    columns = {"lo": np.full(len(ids), -1.5)}
    found = ScoreTable(ids, labels, ids[::-1], columns)
    write_text(tmp_path / "scores.csv", found.text())
    again = read_scores(tmp_path / "scores.csv")
    assert (again.ids, again.kinds) == (ids, ids[::-1])
    judged = Judged(labels.astype(bool), np.full(len(ids), 0.5), 1.0)
    write_text(tmp_path / "ranking.csv", Ranking(ids, columns, {"lo": judged}).text())
    assert sorted(read_ranking(tmp_path / "ranking.csv").images) == sorted(ids)
    for name in ("scores.csv", "ranking.csv"):
        with (tmp_path / name).open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        begun = [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]
        assert set(begun) == {"-5", "+1e3", "-1.5"}, "numbers alone"

"""scores.csv reads back as what was written, bit for bit."""

import numpy as np
import pytest

from anokit.errors import CheckpointError
from anokit.store.files import write_text
from anokit.store.score_table import ScoreTable, ranking_text, read_scores


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
    ["", "id,label,kind,lo\na,0,,high\n", "id,label,kind,lo\na,none,,1\n", "label,lo\n0,1\n"],
)
def test_a_damaged_table_is_named(tmp_path, text):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    if not text:
        assert read_scores(path).ids == []
        return
    with pytest.raises(CheckpointError, match=r"scores\.csv: damaged"):
        read_scores(path)


def test_a_ranking_is_in_order_and_in_full_precision():
    text = ranking_text(["a", "b"], {"lo": np.array([1 / 3, 2 / 3])}, [1, 0])
    assert text == f"image,lo\r\nb,{2 / 3!r}\r\na,{1 / 3!r}\r\n"

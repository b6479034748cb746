"""The section on training images that were left out of training, and the terminal's line."""

import json

import pytest

from anokit.cli.tables import results_table
from anokit.report.about_refinement import refinement
from anokit.report.reading import read_run
from anokit.results.rows import Judgement, Refined, Results

JUDGED = [
    Judgement(shown=5000, rejected=250, contaminants=40),
    Judgement(shown=10000, rejected=250, contaminants=180),
]


def refined(**changes):
    given = {"strategy": "reject", "share": 0.05, "score": "residual", "judgements": JUDGED}
    return Refined(**{**given, **changes})


@pytest.fixture
def section(tmp_path):
    """The section of a run of 5,000 images, some of them contaminants."""

    def make(found, contaminants=500):
        results = Results(train_images=5000, contaminants=contaminants, refined=found)
        (tmp_path / "results.json").write_text(results.model_dump_json())
        return refinement(read_run(tmp_path))

    return make


def texts(table):
    return [[cell.text for cell in line.cells] for line in table.lines]


def test_a_run_that_shows_all_images_alike_has_no_section(section):
    assert section(None) is None


def test_what_was_left_out_stands_beside_what_chance_would_leave_out(section):
    found = section(refined())
    assert "the 5 % of the training images that the score residual found" in found.text[0]
    assert "New weights" not in found.text[0]
    (table,) = found.tables
    assert texts(table) == [["5,000", "250", "40", "25.0"], ["10,000", "250", "180", "25.0"]]
    assert "mixed in 500 contaminants" in table.caption


def test_without_known_contaminants_nothing_is_counted(section):
    (table,) = section(refined(), contaminants=0).tables
    assert texts(table) == [["5,000", "250"], ["10,000", "250"]]
    assert "contaminants" not in table.caption


def test_it_says_whether_new_weights_were_trained(section):
    assert "New weights were trained" in section(refined(afresh=True)).text[0]


def test_a_training_too_short_to_be_judged_is_said_to_be(section):
    assert "before its images were first judged" in section(refined(judgements=[])).skipped


@pytest.mark.parametrize(("strategy", "counted"), [("hard", "as"), ("soft", "half as")])
def test_exposure_has_a_sentence(section, strategy, counted):
    found = section(refined(strategy=f"exposure-{strategy}", score=None, judgements=[]))
    assert found.text == [
        f"In every batch the 5 % that looked most anomalous counted {counted} anomalies."
    ]
    assert not found.tables


def test_the_terminal_says_what_was_left_out_in_the_end():
    results = Results(contaminants=500, refined=refined())
    caption = str(results_table(results).caption)
    assert "by the score residual: 250 images, among them 180 of 500 contaminants." in caption
    assert "Left out" not in str(results_table(Results()).caption)


def test_results_without_it_are_read_as_before(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"title": "T", "rows": []}))
    assert read_run(tmp_path).results.refined is None

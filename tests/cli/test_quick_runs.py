"""A quick run says on every surface that it shows the path, not the quality."""

import numpy as np
import pytest
from PIL import Image

from anokit.results.rows import QUICK

SAID = "the path, not the quality"

QUICK_TABLE = "\n[quick]\nbackbone = { images = 16 }\n"


def flat(text):
    """Take the frame of a banner and its line breaks away."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def quick(toykit, recipe_file, tmp_path):
    """A finished quick run of the toys, and what the command printed."""
    run = tmp_path / "run"
    found = toykit("run", recipe_file(extra=QUICK_TABLE), "--quick", "--out", run)
    assert found.code == 0, found.err
    return run, flat(found.out)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.tile(np.linspace(80, 140, 8), (8, 1)).astype(np.uint8)).save(path)
    return path


def test_the_terminal_says_so_before_the_work_and_beside_the_results(quick):
    before, *_, beside = quick[1].split(QUICK)
    assert quick[1].count(QUICK) == 2
    assert "Data: " not in before
    assert beside.lstrip("╯╰─ ").startswith("score AUROC")


def test_whole_runs_do_not(toykit, recipe_file, tmp_path):
    found = toykit("run", recipe_file(extra=QUICK_TABLE), "--out", tmp_path / "run")
    assert found.code == 0, found.err
    assert SAID not in flat(found.out)


def test_scoring_with_a_quick_run_warns(toykit, quick, picture):
    found = toykit("score", quick[0], picture)
    assert found.code == 0, found.err
    assert "warning: this was a --quick run" in found.out
    assert SAID in flat(found.out)


def test_scoring_with_a_whole_run_does_not(toykit, finished, picture):
    found = toykit("score", finished, picture)
    assert found.code == 0, found.err
    assert SAID not in flat(found.out)


def test_the_page_of_overlays_says_so(toykit, quick, picture, tmp_path):
    maps = tmp_path / "maps"
    found = toykit("score", quick[0], picture, "--maps", maps)
    assert found.code == 0, found.err
    assert SAID in (maps / "index.html").read_text(encoding="utf-8")


def test_results_that_scores_were_added_to_say_so(toykit, quick, tmp_path):
    more = tmp_path / "more.toml"
    more.write_text('[[scores]]\nname = "again"\nuse = "far"\n')
    found = toykit("add-scores", quick[0], "--scores", more)
    assert found.code == 0, found.err
    assert QUICK in flat(found.out)


def test_showing_the_suspects_of_a_quick_run_warns(toykit, quick):
    found = toykit("suspects", quick[0])
    assert SAID in flat(found.out), found.err

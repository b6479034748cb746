"""`anokit try`: a score that is being written over a finished run, which stays as it is."""

import hashlib
import json
import re
import shutil
import stat
from pathlib import Path

import pytest

PLUGIN = """
import torch
from pydantic import Field
from torch import nn

from anokit import Component, Options, hookimpl


class MineOptions(Options):
    power: float = Field(1.0, description="exponent")


class Mine:
    def __init__(self, options):
        self.power = options.power

    def __call__(self, trip):
        print("a word of the score's")
        return self.map(trip).flatten(1).mean(dim=1)

    def map(self, trip):
        return (trip.image - trip.image_hat).abs().mean(dim=1) ** self.power


class Learnt(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.register_buffer("mean", torch.empty(0))

    def fit(self, trips):
        self.mean = torch.cat([trip.image for trip in trips]).mean(dim=0)

    def forward(self, trip):
        return (trip.image - self.mean).square().flatten(1).mean(dim=1)


class Faulty:
    def __init__(self, options):
        pass

    def __call__(self, trip):
        raise KeyError("not yet")  # LINE


@hookimpl
def anokit_scores():
    both = frozenset({"image", "image_hat"})
    yield Component(name="mine", summary="Mine", factory=Mine, options=MineOptions,
                    needs=both, map_needs=both)
    yield Component(name="learnt", summary="Mine", factory=Learnt, needs=frozenset({"image"}))
    yield Component(name="far", summary="Mine", factory=Learnt, needs=frozenset({"image"}))
    yield Component(name="faulty", summary="Mine", factory=Faulty, needs=frozenset({"image"}))
    yield Component(name="picky", summary="Mine", factory=Mine, needs=frozenset({"features"}))
"""


def state(folder):
    """Return every file below a folder with the hash of its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def attempt(toykit, mine, finished, tmp_path, monkeypatch):
    """Try scores over the finished toy run, and make sure that no byte of it changes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def call(*options, run=finished, file=mine):
        before = state(run)
        done = toykit("try", file, run, "--device", "cpu", *options)
        assert state(run) == before
        return done

    return call


def test_a_score_is_tried_and_the_run_stays_as_it_is(attempt, finished, tmp_path):
    page = tmp_path / "page.html"
    done = attempt("--name", "mine", "--out", page)
    assert done.code == 0, done.err
    for what in ("mine", "error", "AUROC", "▲", "threshold", "normal │", "tried, not added"):
        assert what in done.out
    text = page.read_text()
    assert "mine, tried over: Toys" in text
    assert "<title>" in text
    assert text.count("<svg") >= 5  # histograms and four groups of images with their maps
    assert "residual map" in text
    assert "training_scores.csv" not in text
    assert not list(tmp_path.glob("anokit-try-*"))


def test_what_is_found_is_what_add_scores_finds(attempt, toykit, mine, finished, tmp_path):
    done = attempt("--name", "learnt", "--json")
    content = json.loads(done.out)
    (row,) = content["tried"]
    copy = shutil.copytree(finished, tmp_path / "copy")
    extra = tmp_path / "extra.toml"
    extra.write_text('[[scores]]\nuse = "learnt"\n')
    added = toykit("add-scores", copy, "--scores", extra, "--plugin", mine, "--device", "cpu")
    assert added.code == 0, added.err
    rows = {one["name"]: one for one in json.loads((copy / "results.json").read_text())["rows"]}
    for key in ("metrics", "threshold", "by_kind", "fitted_on"):
        assert row[key] == rows["learnt"][key]
    assert [one["name"] for one in content["beside"]] == ["error", "sum", "far"]
    assert Path(content["page"]).exists()
    assert not re.search(r"[▁-█]", done.out)


def test_options_are_set_and_a_name_that_is_taken_gets_another(attempt):
    one = json.loads(attempt("--name", "mine", "--json").out)["tried"][0]
    two = json.loads(attempt("--name", "mine", "--set", "power=2", "--json").out)["tried"][0]
    assert one["threshold"] != two["threshold"]
    (row,) = json.loads(attempt("--name", "far", "--json").out)["tried"]
    assert row["name"] == "far-tried"


def test_without_labels_the_spread_stands_beside_the_threshold(attempt, finish_plainly, tmp_path):
    run = finish_plainly(tmp_path / "plain", "dataset.test=0")
    page = tmp_path / "page.html"
    done = attempt("--name", "mine", "--out", page, run=run)
    assert done.code == 0, done.err
    assert "flagged" in done.out
    assert "mine, training images" in done.out
    assert "all │" in done.out
    text = page.read_text()
    assert "Suspicious training images" in text
    assert 'id="train_maps' in text or "what each score that has a map finds" in text


def test_a_failing_score_does_not_take_the_others(attempt, mine):
    text = mine.read_text()
    mine.write_text(text[: text.index('    yield Component(name="picky"')])
    line = text[: text.index("# LINE")].count("\n") + 1
    done = attempt("--json")
    assert done.code == 1
    rows = {row["name"]: row for row in json.loads(done.out)["tried"]}
    assert list(rows) == ["far-tried", "faulty", "learnt", "mine"]
    assert rows["mine"]["metrics"]
    assert f"mine.py:{line})" in rows["faulty"]["failed"]
    alone = attempt("--name", "faulty")
    assert alone.code == 1
    first = alone.err.splitlines()[0]
    assert first.startswith("error: score 'faulty' of mine sha256:")
    assert first.endswith(f"KeyError: 'not yet' ({mine}:{line})")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "nine"], "it offers: far, faulty, learnt, mine, picky"),
        (["--set", "power=2"], "say which one is meant with --name"),
        (["--name", "mine", "--set", "powr=2"], "did you mean 'power'"),
        (["--name", "mine", "--set", "use=far"], "--set use: is no option of a score"),
        (["--name", "picky"], "needs features; backbone 'linear' provides"),
        (["--name", "mine", "--out", "{run}/page.html"], "lies in the run"),
        (["--name", "mine", "--out", "{tmp}/none/page.html"], "expected a folder"),
        (["--name", "mine", "--out", "{tmp}/mine.py"], "is there already and no page of anokit"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(
    attempt, finished, tmp_path, options, message
):
    done = attempt(*(text.format(run=finished, tmp=tmp_path) for text in options))
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("import nothing_of_that_name", 1, "mine.py:1 ModuleNotFoundError"),
        ("x = 1", 1, "such as anokit_scores()"),
        ("def f(:", 1, "SyntaxError"),
    ],
)
def test_a_file_that_offers_nothing_says_why(attempt, mine, text, code, message):
    mine.write_text(text)
    done = attempt()
    assert (done.code, message in done.err) == (code, True), done.err
    assert "Traceback" not in done.err


def test_a_file_that_offers_other_things_says_what(attempt, mine):
    text = PLUGIN[: PLUGIN.index("@hookimpl")] + (
        "@hookimpl\ndef anokit_encoder_losses():\n    yield Component(name='mine', "
        "summary='Mine', factory=Mine, trip_from='image', needs=frozenset({'image'}))\n"
    )
    mine.write_text(text)
    done = attempt()
    assert (done.code, "offers no score, but encoder-loss mine" in done.err) == (2, True), done.err


def test_a_file_in_whose_place_the_run_needs_another_is_refused(
    attempt, anokit, finished, tmp_path
):
    """Its data and its backbone came from a file of this name."""
    other = tmp_path / "toys.py"
    other.write_text(PLUGIN)
    done = anokit("try", other, finished, "--trust-plugins", "--name", "mine", "--device", "cpu")
    assert done.code == 2
    assert "the run's data or backbone need another toys.py (SHA-256" in done.err
    done = attempt("--name", "mine", file=other)  # beside the other one
    assert done.code == 2
    assert "has the name of --plugin" in done.err


def test_a_file_that_is_not_there_is_said_to_be_so(attempt, tmp_path):
    done = attempt(file=tmp_path / "none.py")
    assert (done.code, "no such file" in done.err) == (2, True)


def test_a_run_that_may_not_be_written_to_can_be_tried(attempt, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    for path in [run, *run.rglob("*")]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        assert attempt("--name", "mine", run=run).code == 0
    finally:
        for path in [run, *run.rglob("*")]:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)


def test_the_page_opens_in_a_browser_where_that_is_asked_for(attempt, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = tmp_path / "page.html"
    assert attempt("--name", "mine", "--out", page, "--open").code == 0
    assert opened == [page.as_uri()]
    assert attempt("--name", "mine", "--out", page).code == 0  # one of its own is replaced

"""What a run directory says of itself, after it was resumed by another recipe or other plugins."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from anokit.errors import CheckpointError, UsageError
from anokit.results.rows import read_results, write_results
from anokit.runs.finished import load
from anokit.runs.opened import open_run
from anokit.runs.verify import verify
from anokit.store.files import unwritable
from anokit.store.run_directory import RunDirectory

TOYS = Path(__file__).parents[1] / "toys.py"

MINE = """
import torch
from torch import nn

from anokit import Component, hookimpl


class Other:
    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.image.mean(dim=(1, 2, 3))


class Mine(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.register_buffer("mean", torch.empty(0))

    def fit(self, trips):
        self.mean = torch.cat([trip.image for trip in trips]).mean(dim=0)

    def forward(self, trip):
        {first}
        return (trip.image - self.mean).abs().mean(dim=(1, 2, 3))


@hookimpl
def anokit_scores():
    yield Component(name="other", summary="Other", factory=Other, needs=frozenset({{"image"}}))
    yield Component(name="mine", summary="Mine", factory=Mine, needs=frozenset({{"image"}}))
"""

EXTRA = '[[scores]]\nname = "near"\nuse = "far"\nmost = 30\n'


def stopped(*_):
    raise KeyboardInterrupt


@pytest.fixture
def mine(tmp_path):
    """Write mine.py, whose score does ``first`` first; return the options that name it."""

    def write(first="pass"):
        path = tmp_path / "mine.py"
        path.write_text(MINE.format(first=first))
        return ("--plugin", path)

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "run"


def agrees(out, *plugins):
    """Hold that a run's record makes its results again, and judges by their thresholds."""
    found = verify(out, device="cpu", plugins=plugins, trust_plugins=True)
    assert found.problems == ()
    run = load(out, device="cpu", plugins=plugins, trust_plugins=True)
    judged = {name: one.threshold for name, one in run.calibrations().items()}
    assert run.thresholds == pytest.approx(judged)
    assert set(judged) == {row.name for row in run.results.rows if row.kind == "score"}
    return run


def test_a_run_that_is_resumed_by_other_scores_records_these(toykit, recipe_file, out, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("anokit.runs.run.finish", stopped)
        assert toykit("run", recipe_file(), "--out", out).code == 130
    other = recipe_file('scores=[{use="error"}, {use="far", name="new", most=20}]')
    text = other.read_text() + "\n[threshold]\nfalse_alarms = 0.2\n"
    other.write_text(text)
    done = toykit("run", other, "--resume", out, "--set", "evaluation.resamples=30")
    assert done.code == 0, done.err
    assert (out / "recipe.toml").read_text() == text
    assert (
        "evaluation.resamples=30" in json.loads((out / "environment.json").read_text())["arguments"]
    )
    assert list(agrees(out, TOYS).thresholds) == ["error", "new"]


def test_a_run_that_is_mended_keeps_the_plugin_that_was_mended(
    toykit, recipe_file, out, tmp_path, mine
):
    """It had failed before training; what was kept of it is what failed."""
    recipe = recipe_file('scores=[{use="error"}, {use="mine"}]')
    failed = toykit("run", recipe, *mine("raise ValueError"), "--out", out)
    assert (failed.code, "once it is mended" in failed.err) == (1, True)
    assert toykit("run", recipe, *mine(), "--resume", out).code == 0
    assert (out / "mine.py").read_bytes() == (tmp_path / "mine.py").read_bytes()
    assert "several versions" not in str(read_results(RunDirectory(out)).warnings)
    agrees(out)


def test_weights_of_two_versions_of_a_plugin_are_told(anokit, toykit, recipe_file, out, tmp_path):
    recipe = recipe_file("backbone.stop_at=3", "training.checkpoint_minutes=0")
    assert toykit("run", recipe, "--out", out).code == 130
    changed = tmp_path / "toys.py"
    changed.write_text(TOYS.read_text() + "\n# another one\n")
    done = anokit("run", recipe, "--resume", out, "--plugin", changed)
    assert done.code == 0, done.err
    assert "the weights come from several versions of toys" in done.err + done.out
    (told,) = (t for t in read_results(RunDirectory(out)).warnings if "several versions" in t)
    environment = json.loads((out / "environment.json").read_text())
    (earlier,) = environment["earlier"]
    assert told.endswith(f"{earlier['plugins']['toys']}, then {environment['plugins']['toys']}")
    assert (out / "toys.py").read_bytes() == changed.read_bytes()
    agrees(out)


@pytest.fixture
def half(toykit, recipe_file, out, tmp_path, mine):
    """A run of whose scores one failed, and to which others were added; what goes on with it."""
    late = 'if len(trip.image) > 5: raise ValueError("late")'
    recipe = recipe_file('scores=[{use="error"}, {use="mine"}]')
    failed = toykit("run", recipe, *mine(late), "--out", out)
    assert (failed.code, "1 score failed" in failed.err) == (1, True)

    def add(text, *plugins):
        (tmp_path / "extra.toml").write_text(text)
        return toykit("add-scores", out, "--scores", tmp_path / "extra.toml", *plugins)

    def go_on(*scores, extra=""):
        recipe = recipe_file(f"scores=[{', '.join(scores)}]", extra=extra)
        return toykit("run", recipe, *mine(), "--resume", out)

    go_on.add, go_on.late = add, late
    return go_on


def test_a_name_that_the_recipe_takes_is_no_longer_that_of_what_was_added(half, out):
    assert half.add(EXTRA).code == 0
    assert half('{use="error"}', '{use="mine"}', '{use="error", name="near"}').code == 0
    rows = {row.name: row for row in agrees(out, TOYS).results.rows}
    assert rows["near"].metrics == rows["error"].metrics
    assert not rows["near"].added


@pytest.mark.parametrize("kept", [False, True])
def test_what_was_added_stays_as_long_as_thresholds_mean_the_same(half, out, kept):
    assert half.add(EXTRA).code == 0
    done = half('{use="error"}', extra="" if kept else "\n[threshold]\nfalse_alarms = 0.2\n")
    assert done.code == 0, done.err
    assert list(agrees(out, TOYS).thresholds) == (["error", "near"] if kept else ["error"])
    assert ("near, added before, could not be kept" in done.err + done.out) is not kept


def test_what_was_added_by_a_plugin_that_was_mended_is_to_be_added_again(half, out, mine):
    """The run keeps one file of that name."""
    extra = '[[scores]]\nuse = "other"\n'
    assert half.add(EXTRA + extra, *mine(half.late)).code == 0
    done = half('{use="error"}', '{use="mine"}')
    assert done.code == 0, done.err
    assert "other, added before, could not be kept: the run is scored with another mine.py" in (
        done.err + done.out
    )
    assert set(agrees(out, TOYS).thresholds) == {"error", "mine", "near"}
    assert half.add(extra, *mine()).code == 0
    agrees(out, TOYS)


@pytest.mark.parametrize("changed", ["nothing", "given", "resamples"])
def test_what_scores_followed_stays_as_long_as_they_come_out_the_same(half, out, toykit, changed):
    assert half.add(EXTRA).code == 0
    for words in (("error", "--given", "near"), ("near",)):
        assert toykit("explain", out, "--score", *words).code == 0
    before = read_results(RunDirectory(out)).explanations
    stored = json.loads((out / "resolved.json").read_text())
    stored["evaluation"]["resamples"] += changed == "resamples"
    (out / "resolved.json").write_text(json.dumps(stored))
    alarms = "\n[threshold]\nfalse_alarms = 0.2\n"  # by which `near` does not stay
    resumed = half('{use="error"}', '{use="mine"}', extra=alarms if changed == "given" else "")
    assert resumed.code == 0, resumed.err
    after = read_results(RunDirectory(out)).explanations
    if changed == "nothing":
        assert sorted(map(str, after)) == sorted(map(str, before))
    else:
        assert [(one.score, one.given) for one in after] == [("error", [])]
        assert "explain them again" in resumed.out + resumed.err


def test_a_run_whose_results_are_of_another_recipe_says_so(half, out, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("anokit.runs.scoring.write_results", stopped)
        assert half('{use="error"}', '{use="mine", name="mended"}').code == 130
    with pytest.raises(CheckpointError, match="no results of mended yet; go on with: anokit run"):
        load(out, device="cpu", plugins=[TOYS], trust_plugins=True)
    assert half('{use="error"}', '{use="mine", name="mended"}').code == 0
    agrees(out, TOYS)


@pytest.fixture
def add(toykit, finished, out, tmp_path):
    """Add the scores of a text to a finished run of our own."""
    shutil.copytree(finished, out)

    def call(text, *options):
        (tmp_path / "extra.toml").write_text(text)
        return toykit("add-scores", out, "--scores", tmp_path / "extra.toml", *options)

    return call


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("step", ["write_report", "write_results"])
def test_a_replacement_that_is_stopped_leaves_what_was(add, out, monkeypatch, step):
    assert add(EXTRA + EXTRA.replace("near", "other")).code == 0
    before = contents(out)
    new = EXTRA.replace("30", "20")
    with monkeypatch.context() as patch:
        patch.setattr(f"anokit.runs.add_scores.{step}", stopped)
        assert add(new, "--replace").code == 130
    assert {name: text for name, text in contents(out).items() if name in before} == before
    assert load(out, device="cpu", plugins=[TOYS]).thresholds.keys() >= {"near", "other"}
    done = add(new, "--replace")
    assert done.code == 0, done.err
    assert [row.name for row in read_results(RunDirectory(out)).rows][-2:] == ["near", "other"]
    agrees(out, TOYS)


def test_what_first_reads_a_run_undoes_a_change_that_was_killed(add, out, anokit, monkeypatch):
    before = contents(out)
    with monkeypatch.context() as patch:
        patch.setattr("anokit.runs.add_scores.write_results", stopped)
        patch.setattr("anokit.store.undo._put_back", lambda _: None)  # as where it was killed
        assert add(EXTRA).code == 130
    assert contents(out) != before
    assert anokit("table", out).code == 0
    left = contents(out)
    assert {name: text for name, text in left.items() if name in before} == before
    assert not (out / "added.json").exists()
    assert not (out / ".undo").exists()


def test_a_change_that_was_killed_and_cannot_be_undone_is_told(add, out, anokit, monkeypatch):
    def forbidden(_, path):
        raise unwritable(path, PermissionError(errno.EACCES, "Permission denied"))

    with monkeypatch.context() as patch:
        patch.setattr("anokit.runs.add_scores.write_results", stopped)
        patch.setattr("anokit.store.undo._put_back", lambda _: None)  # as where it was killed
        assert add(EXTRA).code == 130
    with monkeypatch.context() as patch:
        patch.setattr("anokit.store.undo.place_copy", forbidden)
        done = anokit("table", out)
    assert done.code == 1
    assert "was stopped halfway, and must be undone before they are read" in done.err
    assert "Permission denied; let this user write there" in done.err
    assert anokit("table", out).code == 0


def test_a_run_whose_results_another_process_changes_is_not_read(add, out, anokit, monkeypatch):
    told = []

    def meanwhile(*_):
        told.append(anokit("table", out))
        raise KeyboardInterrupt

    monkeypatch.setattr("anokit.runs.add_scores.write_results", meanwhile)
    monkeypatch.setattr("anokit.store.undo.PATIENCE", 0.2)
    assert add(EXTRA).code == 130
    assert "another anokit is changing its results; wait for it" in told[0].err
    assert anokit("table", out).code == 0


def test_what_a_score_follows_beside_one_that_is_replaced_goes_with_it(add, out, toykit):
    assert add(EXTRA).code == 0
    assert toykit("explain", out, "--score", "far", "--given", "near").code == 0
    assert read_results(RunDirectory(out)).explanation("far").given == ["near"]
    assert add(EXTRA.replace("30", "20"), "--replace").code == 0
    assert read_results(RunDirectory(out)).explanation("far") is None


def test_results_that_another_command_wrote_meanwhile_are_not_lost(add, out):
    opened = open_run(out, plugins=[TOYS])
    results = read_results(opened.directory)
    write_results(opened.directory, results.with_rows([], ["another one"]))
    with pytest.raises(UsageError, match="changed its results since"), opened.locked():
        pass
    assert not opened.directory.busy


def test_a_plugin_of_a_baseline_alone_is_there_where_it_is_trusted(toykit, recipe_file, out, mine):
    recipe = recipe_file('scores=[{use="error"}]', 'baselines=["mine"]')
    assert toykit("run", recipe, *mine(), "--out", out).code == 0
    assert verify(out, device="cpu", plugins=[TOYS], trust_plugins=True).problems == ()
    (told,) = verify(out, device="cpu", plugins=[TOYS]).problems
    assert "--trust-plugins" in told
    assert toykit("sweep", out, "--verify", "--device", "cpu").code == 1
    assert toykit("sweep", out, "--verify", "--device", "cpu", "--trust-plugins").code == 0
    refused = toykit("sweep", out, "--trust-plugins")
    assert (refused.code, "is for --verify" in refused.err) == (2, True)
    refused = toykit("explain", out, "--score", "mine")
    assert (refused.code, "--trust-plugins" in refused.err) == (2, True)
    assert toykit("explain", out, "--score", "mine", "--trust-plugins").code == 0
    assert toykit("explain", out).code == 0  # what is not scored again needs no plugin
    (out / "mine.py").unlink()
    assert toykit("explain", out, "--trust-plugins").code == 0


def test_what_is_told_of_a_score_goes_with_it(add, out):
    path = out.parent / "mine.py"
    other = EXTRA.replace("far", "mine").replace("most = 30", "")
    forward = "    def forward"
    for name in ("one", "two"):
        says = f"    def warnings(self):\n        return ['learnt {name}', 'said by both']\n\n"
        path.write_text(MINE.format(first="pass").replace(forward, says + forward))
        done = add(other, "--plugin", path, "--replace")
        assert done.code == 0, done.err
    told = read_results(RunDirectory(out)).warnings
    assert [one for one in told if one.startswith(("learnt", "said"))] == [
        "learnt two",
        "said by both",
    ]

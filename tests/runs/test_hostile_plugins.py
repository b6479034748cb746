"""Whole runs with planted faults: what must fail fails before training, and alone."""

import json
from pathlib import Path

import pytest

from anokit.errors import AnokitError
from anokit.recipe.reading import resolve
from anokit.registry.blame import PluginFault
from anokit.registry.lookup import Registry
from anokit.results.rows import read_results
from anokit.runs.finished import load
from anokit.runs.run import run
from anokit.runs.scoring import ScoresFailed
from anokit.store.run_directory import RunDirectory

HOSTILE = Path(__file__).parents[1] / "hostile.py"


@pytest.fixture
def hostile(toys_file, tmp_path, no_report, monkeypatch):
    """Carry out the recipe of one hostile score beside two others."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    registry = Registry.load([toys_file, HOSTILE])
    no_report()

    def carry_out(how, *, loss=None, resume=False, **changes):
        tables = {
            "seed": 3,
            "dataset": {"use": "blobs"},
            "backbone": {"use": "toys/linear", "images": 32},
            "encoder-losses": [{"use": "hostile/hostile", "how": loss}] if loss else [],
            "scores": [
                {"use": "hostile/hostile", "how": how},
                {"use": "toys/error"},
                {"use": "far"},
            ],
            "evaluation": {"resamples": 20, "batch_size": 16, "gallery": 3},
            "training": {"snapshots": 0},
            **changes,
        }
        recipe = resolve(tables, registry, Path("hostile.toml"))
        out = tmp_path / "run"
        where = {"resume": True, "resume_from": out} if resume else {"out": out}
        return run(recipe, registry, device="cpu", **where)

    return carry_out


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("write", "wrote into image"),
        ("map-write", "wrote into image"),
        ("fit-write", "wrote into image"),
        ("crowd", "depends on the other images of its batch"),
        ("place", "depends on the other images of its batch"),
        ("exit", "SystemExit: 3"),
        ("memory", "memory ran out"),
    ],
)
def test_what_must_fail_fails_before_training(hostile, tmp_path, how, message):
    with pytest.raises(
        PluginFault, match=rf"score 'hostile' .*{message}.*hostile.py:\d+"
    ) as caught:
        hostile(how)
    assert "go on with: anokit run" in str(caught.value)
    assert f"--resume {tmp_path / 'run'}" in str(caught.value)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("write", "wrote into image"),
        ("shape", r"returned \[2\], expected a scalar"),
        ("raise", "no loss today"),
        ("alone", "one image is too few"),
    ],
)
def test_a_loss_that_must_fail_fails_before_training(hostile, tmp_path, loss, message):
    with pytest.raises(PluginFault, match=rf"encoder-loss 'hostile' .*{message}"):
        hostile("nothing", loss=loss)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(("how", "message"), [("write", "wrote into"), ("crowd", "depends on the")])
def test_a_hostile_backbone_is_stopped_before_anything_is_scored(hostile, how, message):
    with pytest.raises(PluginFault, match=f"backbone 'hostile' .*{message}"):
        hostile(
            "nothing",
            backbone={"use": "hostile/hostile", "how": how},
            scores=[{"use": "toys/error"}],
        )


def test_one_failing_score_does_not_take_the_others(hostile, tmp_path):
    with pytest.raises(ScoresFailed) as caught:
        hostile("late")
    text = str(caught.value)
    assert caught.value.exit_code == 1
    assert "1 score failed, all else is scored" in text
    assert f"--resume {tmp_path / 'run'}" in text
    directory = RunDirectory(tmp_path / "run")
    results = read_results(directory)
    assert [row.name for row in results.rows] == ["hostile", "error", "far"]
    failed, error, far = results.rows
    assert "ValueError: only after training" in failed.failed
    assert failed.metrics is None
    assert failed.caveats == [f"failed: {failed.failed}"]
    assert error.metrics
    assert far.metrics
    assert results.primary == "error"
    assert directory.report.exists()
    assert set(directory.read_scores().columns) == {"error", "far"}
    finished = load(directory.path, plugins=[HOSTILE, Path(__file__).parents[1] / "toys.py"])
    assert [score.name for score in finished.recipe.scores] == ["error", "far"]


def test_a_run_goes_on_once_what_failed_is_mended(hostile, tmp_path):
    plain = hostile("nothing")
    expected = json.loads(plain.results.read_text())
    weights = plain.model.read_bytes()
    plain.path.rename(tmp_path / "plain")
    with pytest.raises(ScoresFailed):
        hostile("late")
    directory = hostile("nothing", resume=True)
    assert directory.model.read_bytes() == weights
    assert directory.tidy
    found = json.loads(directory.results.read_text())
    for one in (found, expected):
        for row in one["rows"]:
            row.pop("ms_per_image")
    assert found == expected
    with pytest.raises(AnokitError, match="this run is finished"):
        hostile("nothing", resume=True)


def test_a_declared_dependence_is_let_pass_and_marked(hostile):
    results = read_results(hostile("declared"))
    assert results.rows[0].batch.startswith("as published: depends on the batch: standardised")
    assert results.rows[1].batch == ""


def test_a_clash_of_names_never_breaks_what_ran_before(
    anokit, toys_file, tmp_path, recipe_file, monkeypatch, no_report
):
    """A plugin that came later offers `error` too; bare names mean what the run recorded."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    no_report()
    recipe, out = recipe_file("backbone.stop_at=3"), tmp_path / "clash"
    toys, both = ["--plugin", toys_file], ["--plugin", toys_file, "--plugin", HOSTILE]
    assert anokit("run", recipe, *toys, "--out", out).code == 130
    new = anokit("run", recipe, *both, "--out", tmp_path / "new")
    assert new.code == 2
    assert 'write "hostile/error" or "toys/error"' in new.err
    assert 'requires = ["hostile"]' in new.err
    done = anokit("run", recipe, *both, "--resume", out)
    assert done.code == 0, done.err
    names = json.loads((out / "resolved.json").read_text())["scores"]
    assert names[0]["terms"][0]["use"] == "toys/error"
    extra = tmp_path / "extra.toml"
    extra.write_text('[[scores]]\nname = "again"\nuse = "error"\n')
    added = anokit("add-scores", out, "--scores", extra, *both)
    assert added.code == 0, added.err
    results = read_results(RunDirectory(out))
    assert results.row("again").metrics == results.row("error").metrics

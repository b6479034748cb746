"""Whole runs with planted faults: what must fail fails before training, and alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.errors import AnokitError
from anokit.recipe.reading import resolve
from anokit.recipe.toml import to_toml
from anokit.registry.blame import PluginFault
from anokit.registry.lookup import Registry
from anokit.results.rows import read_results
from anokit.runs.add_scores import add_scores
from anokit.runs.finished import load
from anokit.runs.run import run
from anokit.runs.scoring import ScoresFailed
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import load_tensors

HOSTILE = Path(__file__).parents[1] / "hostile.py"
EXTRA = """
[[scores]]
name = "near"
use = "far"
most = 30
[[scores]]
name = "both"
terms = [{ use = "error" }, { use = "far", weight = 0.5 }]
[[scores]]
name = "telling"
use = "hostile/hostile"
how = "fit-says"
[[scores]]
name = "wrong"
use = "bad"
how = "raise"
"""


@pytest.fixture
def hostile(toys_file, tmp_path, no_report, monkeypatch):
    """Carry out the recipe of one hostile score beside two others."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    registry = Registry.load([toys_file, HOSTILE])
    no_report()

    evaluation = {"resamples": 20, "batch_size": 16, "gallery": 3}

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
            "evaluation": evaluation,
            "training": {"snapshots": 0},
            **changes,
        }
        recipe = resolve(tables, registry, Path("hostile.toml"))
        out = tmp_path / "run"
        where = {"resume": True, "resume_from": out} if resume else {"out": out}
        return run(recipe, registry, device="cpu", **where)

    carry_out.out = tmp_path / "run"
    carry_out.evaluation = evaluation
    return carry_out


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("write", "wrote into image"),
        ("map-write", "wrote into image"),
        ("fit-write", "wrote into image"),
        ("behind", "wrote into image"),
        ("map-behind", "wrote into image"),
        ("fit-behind", "wrote into image"),
        ("fit-unkept", "would be lost"),
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


def test_a_field_that_was_not_asked_for_is_told(hostile):
    said = r"'NoneType' object .*hostile.py:\d+\).*image.* filled, the rest is None unless needs"
    with pytest.raises(PluginFault, match=said):
        hostile("undeclared", scores=[{"use": "hostile/hostile", "how": "undeclared"}])


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("write", "wrote into image"),
        ("behind", "wrote into image"),
        ("shape", r"returned \[2\], expected a scalar"),
        ("raise", "no loss today"),
        ("alone", "one image is too few"),
    ],
)
def test_a_loss_that_must_fail_fails_before_training(hostile, tmp_path, loss, message):
    with pytest.raises(PluginFault, match=rf"encoder-loss 'hostile' .*{message}"):
        hostile("nothing", loss=loss)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("how", "message"),
    [("write", "wrote into"), ("behind", "wrote into"), ("crowd", "depends on the")],
)
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


def test_a_score_that_fails_once_it_is_kept_leaves_no_file(hostile):
    with pytest.raises(ScoresFailed, match="only once it is kept"):
        hostile("fit-kept")
    run = RunDirectory(hostile.out)
    kept = sorted(path.name for path in run.scores.iterdir())
    assert [name.partition("-")[0] for name in kept] == ["far"]
    assert set(read_results(run).files) == {"model.safetensors", f"scores/{kept[0]}"}


def test_a_score_whose_shapes_follow_from_its_images_is_restored(anokit, tmp_path, no_report):
    """The report's maps are by fits on other images; the full fit, of other shapes, comes back."""
    no_report()
    rng = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / f"{number}.png")
    tables = {
        "dataset": {"use": "image-folder", "root": str(tmp_path)},
        "backbone": {"use": "pixels"},
        "scores": [{"use": "pixel-pca"}],
    }
    (tmp_path / "pca.toml").write_text(to_toml(tables))
    done = anokit("run", tmp_path / "pca.toml", "--device", "cpu", "--out", tmp_path / "run")
    assert done.code == 0, done.err


@pytest.mark.parametrize("gallery", [3, 2])
def test_scores_that_were_added_stay_where_a_run_is_mended(hostile, tmp_path, gallery):
    scores = tmp_path / "extra.toml"
    scores.write_text(EXTRA)
    with pytest.raises(ScoresFailed):
        hostile("late")
    run = RunDirectory(hostile.out)
    plugins = [HOSTILE, HOSTILE.with_name("toys.py")]
    with pytest.raises(ScoresFailed):
        add_scores(run.path, scores, device="cpu", plugins=plugins)

    def added():
        results, ranking = read_results(run), run.read_ranking()
        judged = zip(
            ranking.images, ranking.columns["near"], ranking.judged["near"].p_values, strict=True
        )
        drawn = load_tensors(run.exhibits)
        return (
            [row for row in results.rows if row.added],
            run.read_scores().columns["near"].tolist(),
            sorted(judged),
            run.terms()["both"],
            {name: drawn[name].tolist() for name in drawn if name.split("/")[-2:-1] == ["both"]},
            {text for text in results.warnings if text.startswith(("wrong failed", "learnt"))},
        )

    before = added()
    assert [row.name for row in before[0]] == ["near", "both", "telling", "wrong"]
    assert len(before[-1]) == 2
    mended = hostile("nothing", resume=True, evaluation={**hostile.evaluation, "gallery": gallery})
    assert mended.tidy
    assert added() == before
    names = [row.name for row in read_results(run).rows]
    assert names == ["hostile", "error", "far", "near", "both", "telling", "wrong"]
    index = load_tensors(run.exhibits)["gallery_index"]
    assert all(
        len(maps) == len(index)
        for name, maps in load_tensors(run.exhibits).items()
        if name.startswith("gallery_map/")
    )
    assert set(load(run.path, plugins=plugins).thresholds) == set(names) - {"wrong"}


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


ENDS = {
    "exit": "SystemExit: 3; a plugin may not end the process",
    "interrupt": "KeyboardInterrupt, and nobody pressed Ctrl-C",
    "memory": "memory ran out (no more of it)",
    "own": "LastWord: goodbye",
}


@pytest.fixture
def command(toykit, tmp_path):
    """Run a small recipe with one hostile part in it, as a whole command."""

    def call(kind, how, use="hostile/hostile"):
        part = {"use": use, "how": how}
        tables = {
            "dataset": {"use": "blobs"},
            "backbone": {"use": "toys/linear", "images": 32},
            "encoder-losses": [],
            "scores": [{"use": "toys/error"}],
            "evaluation": {"resamples": 10, "gallery": 3},
            "training": {"snapshots": 0},
        }
        several = {"score": "scores", "encoder-loss": "encoder-losses"}
        if kind in several:
            tables[several[kind]].append(part)
        else:
            tables[kind] = part
        path = tmp_path / "ends.toml"
        path.write_text(to_toml(tables))
        return toykit("run", path, "--plugin", HOSTILE, "--out", tmp_path / "run")

    return call


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("kind", ["score", "encoder-loss", "backbone", "dataset"])
def test_a_plugin_that_would_end_the_process_is_blamed(command, tmp_path, kind, how):
    found = command(kind, how)
    assert found.code == 1
    line = found.err.splitlines()[0]
    assert line.startswith(f"error: {kind} 'hostile' of hostile sha256:")
    assert ENDS[how] in line
    assert "hostile.py:" in line
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize("how", ENDS)
def test_a_training_step_that_would_end_the_process_is_blamed(command, tmp_path, how):
    found = command("backbone", how, use="hostile/trained")
    assert found.code == 1
    line = found.err.splitlines()[0]
    assert line.startswith("error: backbone 'trained' of hostile sha256:")
    assert ENDS[how] in line
    assert f"--resume {tmp_path / 'run'}" in line
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize("how", ENDS)
def test_one_that_would_end_the_process_after_training_fails_alone(command, tmp_path, how):
    found = command("score", f"late-{how}")
    assert found.code == 1
    assert "1 score failed, all else is scored" in found.err
    assert ENDS[how] in found.err
    assert f"--resume {tmp_path / 'run'}" in found.err
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert [bool(row["failed"]) for row in rows] == [False, True]


CLASH = """
from anokit import Component, hookimpl


class Mine:
    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.image.flatten(1).mean(dim=1)


@hookimpl
def anokit_scores():
    for name in ("lr", "lo"):
        yield Component(name=name, summary="Another", factory=Mine, needs=frozenset({"image"}))
"""


def test_shipped_recipes_keep_working_beside_another_plugin_of_equal_names(
    anokit, tmp_path, no_report, monkeypatch
):
    no_report()
    monkeypatch.chdir(tmp_path)
    Path("acme.py").write_text(CLASH)
    acme = ("--plugin", "acme.py")
    assert anokit("check", "quickstart", *acme).out == "quickstart: ok\n"
    tiny = [
        word
        for key in ("backbone.latent_size=4", "backbone.max_channels=4", "backbone.images=64")
        for word in ("--set", key)
    ]
    tiny += ["--set", "evaluation.resamples=10", "--set", "training.snapshots=0"]
    done = anokit("run", "quickstart", *tiny, *acme, "--out", "run", "--device", "cpu")
    assert done.code == 0, done.err
    used = json.loads(Path("run/resolved.json").read_text())["scores"]
    assert used[0]["terms"][0]["use"] == "anokit-scores/lr"
    plugins = json.loads(Path("run/environment.json").read_text())["plugins"]
    assert "acme" not in plugins
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save("new.png")
    plain = anokit("score", "run", "new.png", "--out", "plain.csv", "--device", "cpu")
    clash = anokit("score", "run", "new.png", "--out", "clash.csv", "--device", "cpu", *acme)
    assert (plain.code, clash.code) == (0, 0), plain.err + clash.err
    assert Path("plain.csv").read_bytes() == Path("clash.csv").read_bytes()
    # A copy lies elsewhere, and still means what it meant.
    assert anokit("recipes", "copy", "quickstart", "mine.toml").code == 0
    text = Path("mine.toml").read_text()
    assert '"anokit-scores"' in text
    assert anokit("check", "mine.toml", *acme).out == "mine.toml: ok\n"
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("requires")]
    shown = anokit("recipes", "show", "quickstart")
    assert "".join(lines) == shown.out
    Path("bare.toml").write_text(shown.out)
    refused = anokit("check", "bare.toml", *acme)
    assert (refused.code, 'write "acme/lr" or "anokit-scores/lr"' in refused.err) == (2, True)

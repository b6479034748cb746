"""The command line, end to end on the toys: what is printed, what is left, how it exits."""

import csv
import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

import anokit
from anokit.cli.app import _with_bare_values, main
from anokit.errors import CheckpointError, DataError
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import load_tensors

EVERY_RUN = {
    "recipe.toml",
    "resolved.json",
    "environment.json",
    "split.json",
    "metrics.jsonl",
    "model.safetensors",
    "scores.csv",
    "results.json",
    "terms.json",
    "report.safetensors",
    "report.html",
    "samples",
    "scores",
    "toys.py",
}


def read(path, name):
    return json.loads((path / name).read_text())


def test_a_finished_run_leaves_what_was_promised(finished):
    left = {path.name for path in finished.iterdir()}
    assert left >= EVERY_RUN | {"figures"}
    assert not {name for name in left if name.endswith(".new")} | (left & {"checkpoint"})
    assert (finished / "recipe.toml").read_text() == (finished.parent / "toys.toml").read_text()
    assert (finished / "report.html").stat().st_size > 100_000
    environment = read(finished, "environment.json")
    assert environment["plugins"]["toys"].startswith("sha256:")
    assert environment["seed"] == 3
    assert len(read(finished, "split.json")["contaminants"]) == 6
    assert set(load_tensors(finished / "model.safetensors")) == {
        "encoder.weight",
        "encoder.bias",
        "decoder.weight",
        "decoder.bias",
        "steps_done",
    }
    results = read(finished, "results.json")
    assert [row["name"] for row in results["rows"]] == ["error", "sum", "far"]
    assert results["rows"][0]["metrics"]["auroc"]["value"] > 0.9
    assert results["rows"][0]["pixel"]["auroc"]["value"] > 0.9
    with (finished / "scores.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 40
    for path in finished.rglob("*"):
        assert path.suffix not in {".pkl", ".pt", ".pth", ".npy"}


def test_run_shows_recipe_data_phases_results_and_where_the_report_is(
    toykit, recipe_file, tmp_path
):
    found = toykit("run", recipe_file(), "--out", tmp_path / "run")
    assert found.code == 0, found.err
    for text in (
        'use = "toys/linear"',
        "Data: 60 training images 1×8×8, test 20 normal + 20 anomalous; toy",
        "blobs are no real images",
        "phase 1/2 half at 4 px: 96 images in batches of 8",
        "scoring test images: 40 images",
        "AUROC",
        "no label was read",
        str(tmp_path / "run" / "report.html"),
    ):
        assert text in found.out
    assert {path.name for path in (tmp_path / "run").iterdir()} >= EVERY_RUN


def test_a_run_lands_under_runs_by_default_and_settings_reach_it(
    toykit, recipe_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = recipe_file(extra="\n[quick]\nbackbone = { images = 16 }\n")
    arguments = ("--quick", "--seed", "9", "--set", "scores.far.most=10", "--device", "cpu")
    found = toykit("run", path, *arguments)
    assert found.code == 0, found.err
    (run,) = (tmp_path / "runs" / "toys").iterdir()
    resolved = read(run, "resolved.json")
    assert (resolved["seed"], resolved["quick"], resolved["backbone"]["images"]) == (9, True, 16)
    assert resolved["scores"][2]["terms"][0]["most"] == 10
    assert read(run, "results.json")["quick"] is True


def test_dry_run_shows_recipe_and_cost_and_leaves_nothing(
    toykit, recipe_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = recipe_file()
    found = toykit("run", path, "--dry-run", "--device", "cpu")
    assert found.code == 0, found.err
    assert "192 images, about " in found.out
    assert "GiB of memory" in found.out
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_run_is_resumed_bare(toykit, recipe_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = recipe_file("backbone.stop_at=3")
    stopped = toykit("run", path)
    assert stopped.code == 130
    assert stopped.err.startswith("interrupted: checkpoint saved after 128 images")
    assert "Traceback" not in stopped.err
    (run,) = (tmp_path / "runs" / "toys").iterdir()
    assert not (run / "results.json").exists()
    resumed = toykit("run", path, "--resume")
    assert resumed.code == 0, resumed.err
    assert "4 of 12 steps done" in resumed.out
    assert (run / "results.json").exists()
    assert not (run / "checkpoint").exists()
    again = toykit("run", path, "--resume", run)
    assert again.code == 2
    assert "this run is finished" in again.err
    assert list((tmp_path / "runs" / "toys").iterdir()) == [run]


def test_the_command_that_an_interrupted_run_prints_goes_on(toykit, recipe_file, tmp_path):
    path = recipe_file("backbone.stop_at=3", extra="\n[quick]\nbackbone = { images = 64 }\n")
    run = tmp_path / "a run"
    changes = ("--quick", "--seed", "9", "--set", "title='Two words'")
    stopped = toykit("run", path, "--out", run, *changes)
    assert stopped.code == 130
    command = shlex.split(stopped.err.strip().rpartition("go on with: ")[2])
    assert command[:3] == ["anokit", "run", str(path)]
    resumed = toykit(*command[1:])
    assert resumed.code == 0, resumed.err
    assert read(run, "results.json")["title"] == "Two words"


def test_resuming_on_other_data_is_refused(toykit, recipe_file, tmp_path, monkeypatch, registry):
    run = tmp_path / "run"
    path = recipe_file("backbone.stop_at=3")
    assert toykit("run", path, "--out", run).code == 130
    split = read(run, "split.json")
    (run / "split.json").write_text(json.dumps({**split, "fingerprint": "0" * 64}))
    found = toykit("run", path, "--resume", run)
    assert found.code == 1
    assert "the data changed since this run began" in found.err


def test_resuming_a_truncated_checkpoint_or_another_recipe_is_refused(
    toykit, recipe_file, tmp_path
):
    run = tmp_path / "run"
    path = recipe_file("backbone.stop_at=3")
    assert toykit("run", path, "--out", run).code == 130
    other = toykit("run", path, "--resume", run, "--set", "backbone.images=8")
    assert other.code == 1
    assert "was made by another recipe; backbone differ" in other.err
    checkpoint = run / "checkpoint" / "last.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    cut = toykit("run", path, "--resume", run)
    assert cut.code == 1
    assert "not a whole safetensors file" in cut.err
    assert "Traceback" not in cut.err + other.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--device", "nonsense"], 2, "--device nonsense: expected auto, cpu, cuda, cuda:N or mps"),
        (["--device", "meta"], 2, "--device meta: expected auto, cpu"),
        (["--device", "cuda:99"], 2, "--device cuda:99: this machine has"),
        (["--out", "full"], 2, "--out full: is there already and not empty"),
        (["--out", "full/file/run"], 2, "the run directory cannot be made"),
        (["--resume", "full", "--out", "x"], 2, "--resume and --out"),
        (["--resume", "nowhere"], 2, "--resume nowhere: no such run directory"),
        (["--resume", "full"], 1, "full: has no resolved.json; expected a run directory"),
        (["--resume"], 2, "there is no run in runs/toys"),
        (["--quick"], 2, "the recipe has no [quick] table"),
        (["--set", "backbone.imges=3"], 2, "did you mean 'images'?"),
        (["--set", "nothing"], 2, "expected KEY=VALUE"),
        (["--seed", "-4"], 2, "seed"),
        (["--nonsense"], 2, "No such option"),
        (["--plugin", "nowhere.py"], 2, "--plugin nowhere.py: no such file"),
        (["--set", "dataset.contamination=0.9"], 2, "asks for 540 contaminants"),
        (["--set", "dataset.size=7"], 1, "7×7 cannot be box-downscaled to 3 pixels"),
        (["--set", "backbone.fail_at=1"], 1, "failed while being trained: ZeroDivisionError"),
        (["--set", "backbone.nan_at=1"], 1, "training stopped"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_run_is_said_without_a_run(
    toykit, recipe_file, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    found = toykit("run", recipe_file(), *arguments)
    assert found.code == code
    assert message in found.err
    assert ("Traceback" in found.err) == ("fail_at" in str(arguments))
    if "fail_at" in str(arguments):
        assert found.err.splitlines()[0].startswith("error: backbone 'linear' of toys sha256:")
        assert "toys.py" in found.err
        assert found.err.rstrip().endswith("ZeroDivisionError: the toy was told to fail")


@pytest.mark.parametrize(
    "setting", ["dataset.labels=normal", "dataset.labels=none", "dataset.test=0"]
)
def test_without_two_classes_a_run_finishes_with_a_notice(toykit, recipe_file, tmp_path, setting):
    found = toykit("run", recipe_file(), "--set", setting, "--out", tmp_path / "run")
    assert found.code == 0, found.err
    said = "No metrics: the test set has no labelled images of both classes." in found.out
    assert said == (setting != "dataset.test=0"), "of a test set that is not there no word is said"
    assert found.out.index("most anomalous first") < found.out.index("false alarms")
    assert (
        f"All training images, all scores: {tmp_path / 'run' / 'training_scores.csv'}" in found.out
    )
    assert "bootstrap" not in found.out
    results = read(tmp_path / "run", "results.json")
    assert all(row["metrics"] is None for row in results["rows"])
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "scores.csv").exists() == (setting != "dataset.test=0")


def test_a_run_without_a_test_set_gets_a_real_report(
    anokit, recipe_file, tmp_path, monkeypatch, toys_file
):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    recipe = recipe_file("dataset.test=0", 'scores=[{use="far"}]', "training.snapshots=0")
    found = anokit("run", recipe, "--out", tmp_path / "run", "--plugin", toys_file)
    assert found.code == 0, found.err
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


# Scoring new images


@pytest.fixture
def pictures(tmp_path):
    """A folder of images: a plain one, an odd one, colour, another size, and no images."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    ramp = np.tile(np.linspace(80, 140, 8), (8, 1)).astype(np.uint8)
    odd = ramp.copy()
    odd[:4, :4] += 100
    Image.fromarray(ramp).save(folder / "plain.png")
    Image.fromarray(odd).save(folder / "odd.png")
    Image.fromarray(np.dstack([ramp] * 3)).save(folder / "deeper" / "colour.PNG")
    Image.fromarray(np.kron(ramp, np.ones((3, 3), np.uint8))).save(folder / "large.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (folder / "empty.jpg").touch()
    (folder / "notes.txt").write_text("no image")
    return folder


def test_score_ranks_lists_the_unreadable_and_writes_csv_and_overlays(
    toykit, finished, pictures, tmp_path
):
    out, maps = tmp_path / "new.csv", tmp_path / "maps"
    found = toykit("score", finished, pictures, "--out", out, "--maps", maps)
    assert found.code == 1, "two files could not be read"
    assert "broken.png is left out: " in found.out
    assert "empty.jpg is left out: " in found.out
    assert "passed over: 1 that are no images (.txt)" in found.out
    assert "4 images scored in " in found.out
    assert "; 2 could not be read." in found.out
    assert "of 4 images lie above the threshold" in found.out
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert next(row["image"] for row in rows) == str(pictures / "odd.png")
    values = [float(row["error"]) for row in rows]
    assert values == sorted(values, reverse=True)
    judged = ["flagged", "p_value", "threshold"]
    others = [f"{name}:{column}" for name in ("sum", "far") for column in judged]
    assert list(rows[0]) == ["image", "rank", *judged, "error", "sum", "far", *others]
    assert len(rows) == 4
    assert all((float(r["error"]) > float(r["threshold"])) == (r["flagged"] == "1") for r in rows)
    overlays = sorted(maps.glob("*_*.png"))
    assert {path.name for path in overlays} >= {"contact_sheet.png"}
    overlays.remove(maps / "contact_sheet.png")
    assert [path.name[:5] for path in overlays] == ["0001_", "0002_", "0003_", "0004_"]
    assert overlays[0].stem.endswith("_odd")
    assert "odd.png" in (maps / "index.html").read_text()
    with Image.open(overlays[0]) as overlay:
        assert min(overlay.size) >= 128


def test_score_shows_no_more_rows_than_asked_for(toykit, finished, pictures):
    found = toykit("score", finished, pictures / "plain.png", pictures / "odd.png", "--top", "1")
    assert found.code == 0, found.err
    assert "odd.png" in found.out
    assert "plain.png" not in found.out


def test_the_score_of_an_image_does_not_depend_on_the_others(toykit, finished, pictures, tmp_path):
    def scored(*paths):
        toykit("score", finished, *paths, "--out", tmp_path / "s.csv")
        with (tmp_path / "s.csv").open() as file:
            return {row["image"]: row for row in csv.DictReader(file)}

    alone = scored(pictures / "odd.png")
    together = scored(pictures)
    (row,) = alone.values()
    for name in ("error", "sum", "far"):
        assert float(row[name]) == pytest.approx(float(together[row["image"]][name]), rel=1e-4)


@pytest.mark.parametrize(
    ("paths", "code", "message"),
    [
        (["nowhere"], 2, "nowhere: no such file or folder"),
        (["empty"], 2, "no images in empty; expected files with the suffix of an image"),
        (["pictures/broken.png"], 1, "none of 1 files can be read as an image"),
        (["pictures", "--out", "nowhere/x.csv"], 2, "--out nowhere/x.csv: cannot be written"),
        (["pictures", "--maps", "pictures/odd.png"], 2, "odd.png: is a file; name a new folder"),
        (["pictures", "--device", "nonsense"], 2, "--device nonsense"),
    ],
    ids=str,
)
def test_what_cannot_be_scored_is_said(
    toykit, finished, pictures, tmp_path, monkeypatch, paths, code, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    found = toykit("score", finished, *paths)
    assert found.code == code
    assert message in found.err
    assert "Traceback" not in found.err


def test_scoring_with_what_is_no_finished_run_is_refused(
    toykit, anokit, finished, pictures, tmp_path
):
    found = toykit("score", tmp_path, pictures)
    assert (found.code, found.err.endswith("as `anokit run` leaves it\n")) == (1, True)
    for held in ("runs/first", "sweep/cells/first"):
        shutil.copytree(finished, tmp_path / held)
    for folder, held in (("runs", "runs/first"), ("sweep", "sweep/cells/first")):
        for arguments in (["score", tmp_path / folder, pictures], ["compare", tmp_path / folder]):
            found = toykit(*arguments) if arguments[0] == "score" else anokit(*arguments)
            assert f"as `anokit run` leaves it, such as {tmp_path / held}\n" in found.err
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    model = copy / "model.safetensors"
    model.write_bytes(model.read_bytes()[:200])
    found = toykit("score", copy, pictures)
    assert (found.code, "model.safetensors: damaged: its SHA-256" in found.err) == (1, True)
    (copy / "results.json").unlink()
    found = toykit("score", copy, pictures)
    assert (found.code, "this run is not finished; go on with: " in found.err) == (1, True)
    words = shlex.split(found.err.strip().rpartition("go on with: ")[2])
    began = json.loads((copy / "environment.json").read_text())["arguments"]
    assert words == ["anokit", "run", *shlex.split(began), "--resume", str(copy)]
    (copy / "resolved.json").write_text("{")
    found = toykit("score", copy, pictures)
    assert (found.code, "resolved.json: damaged" in found.err) == (1, True)


def test_a_finished_run_scores_in_python_as_it_did_itself(finished, monkeypatch, registry):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    run = anokit.load(finished, device="cpu", trust_plugins=True)
    source = run.recipe.dataset.entry.component.load()(run.recipe.dataset.options)
    found = run.score(source.test.images)
    with (finished / "scores.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for place, name in enumerate(source.test.ids):
        for score in ("error", "sum", "far"):
            assert found[score][place] == pytest.approx(float(rows[name][score]), rel=1e-6)
    assert run.maps(source.test.images[:2]).shape == (2, 8, 8)
    assert run.maps(source.test.images[:2], "far") is None
    assert set(run.thresholds) == {"error", "sum", "far"}
    assert run.score(source.test.images[:0])["error"].shape == (0,)
    for wrong in (source.test.images[:, :, :4], source.test.images.astype(np.float32)):
        with pytest.raises(DataError, match=r"images to score: expected uint8 \[N, 1, 8, 8\], got"):
            run.score(wrong)
    with pytest.raises(DataError, match=r"no score 'none'; there are: \['error', 'sum', 'far'\]"):
        run.maps(source.test.images[:2], "none")
    with pytest.raises(CheckpointError):
        anokit.load(finished.parent)


# Other commands


def test_check_reports_every_recipe_and_exits_2_if_one_is_wrong(toykit, recipe_file, tmp_path):
    good = recipe_file(name="good.toml")
    bad = recipe_file("backbone.imges=3", name="bad.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 3")
    found = toykit("check", bad, good, broken, tmp_path / "none.toml", good)
    assert found.code == 2
    assert found.out.splitlines() == [f"{good}: ok"] * 2
    assert f"{bad}: 1 error" in found.err
    assert f"{broken}:1:5: not valid TOML" in found.err
    assert "none.toml: no such recipe" in found.err
    assert toykit("check", good, "--set", "seed=5").code == 0
    assert toykit("check", good, "--set", "seed=-5").code == 2


def test_check_prints_notices(toykit, recipe_file):
    found = toykit("check", recipe_file('baselines=["pixel-knn"]'))
    assert found.code == 0
    assert "baseline 'pixel-knn' is left out" in found.out


def test_a_strict_check_passes_nothing_that_a_reader_would_want_to_know(
    toykit, recipe_file, tmp_path
):
    assert toykit("check", "--strict", recipe_file()).code == 0
    found = toykit("check", "--strict", recipe_file('baselines=["pixel-knn"]'))
    assert found.code == 2
    assert "not ok\n  baseline 'pixel-knn' is left out" in found.out
    by_labels = recipe_file("training.selection='best-on-test'")
    assert toykit("check", by_labels).code == 0
    found = toykit("check", "--strict", by_labels)
    assert (found.code, "chosen by test labels" in found.out) == (2, True)
    broken = tmp_path / "broken.py"
    broken.write_text("import a_package_that_is_not_there\n")
    found = toykit("check", "--strict", recipe_file(), "--plugin", broken)
    assert found.code != 0
    assert "a_package_that_is_not_there" in found.err


def test_list_plugins_as_table_as_json_and_by_kind(toykit):
    table = toykit("list-plugins")
    assert table.code == 0
    assert table.out.split()[:4] == ["KIND", "NAME", "SUMMARY", "PLUGIN"]
    assert "linear" in table.out
    found = json.loads(toykit("list-plugins", "--json", "--kind", "score").out)
    assert [c["qualified"] for c in found["components"]] == [
        "toys/bad",
        "toys/error",
        "toys/far",
        "toys/seen",
        "toys/typical",
    ]
    assert found["problems"] == []
    assert "description" in json.dumps(found["components"][2]["options"])
    assert toykit("list-plugins", "--kind", "nonsense").code == 2


def test_problems_are_listed_and_strict_makes_them_fail(toykit, tmp_path, monkeypatch):
    assert toykit("list-plugins", "--strict").code == 0
    bad = tmp_path / "bad_plugin.py"
    bad.write_text("1 / 0")
    found = toykit("list-plugins", "--plugin", bad)
    assert (found.code, "bad_plugin" in found.err) == (0, True)
    assert "Traceback" not in found.err
    assert toykit("list-plugins", "--plugin", bad, "--strict").code == 1
    listed = json.loads(toykit("list-plugins", "--plugin", bad, "--json").out)["problems"]
    assert "ZeroDivisionError" in listed[0]["message"]
    monkeypatch.setenv("ANOKIT_DEBUG", "1")
    assert "Traceback" in toykit("list-plugins", "--plugin", bad).err


def test_no_plugins_at_all_is_said(anokit, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    found = anokit("list-plugins")
    assert (found.code, "no components; install plugins" in found.out) == (0, True)


def test_describe_tells_all_without_importing(toykit):
    found = toykit("describe", "backbone", "linear")
    assert found.code == 0
    for text in (
        "backbone linear: Linear autoencoder",
        "plugin                           toys sha256:",
        "provides                         image, image_hat, latent, latent_hat",
        "trains an encoder on trips from  image",
        "integer ≥ 1",
        "step size of Adam",
        '[backbone]\nuse = "linear"\nimages = 16',
    ):
        assert text in found.out
    assert toykit("describe", "score", "toys/far").code == 0
    wrong = toykit("describe", "score", "eror")
    assert (wrong.code, "did you mean 'error'?" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "score run photos --maps --false-alarms 0.1",
            "'--maps': expected a value, got the option",
        ),
        ("run recipe.toml --set --quick", "'--set': expected a value, got the option --quick"),
        ("recipes copy one --plugin -h", "'--plugin': expected a value, got the option -h"),
    ],
)
def test_no_option_is_the_value_of_the_option_before_it(anokit, words, said):
    found = anokit(*words.split())
    assert (found.code, said in found.err) == (2, True), found.err


def test_describe_takes_a_name_alone(toykit, tmp_path):
    assert toykit("describe", "linear").out == toykit("describe", "backbone", "linear").out
    wrong = toykit("describe", "eror")
    assert (wrong.code, "did you mean 'error'?" in wrong.err) == (2, True)
    assert "anokit list-plugins shows all" in wrong.err
    both = tmp_path / "both.py"
    both.write_text(
        "from anokit import Component, Options, hookimpl\n\n\n"
        "@hookimpl\ndef anokit_scores():\n"
        '    yield Component(name="linear", summary="A score", factory=print, '
        'options=Options, needs={"image"})\n'
    )
    several = toykit("describe", "linear", "--plugin", both)
    assert several.code == 2
    assert "'linear' is a backbone and a score; say which is meant: backbone linear" in several.err
    assert toykit("describe", "score", "linear", "--plugin", both).code == 0
    more = toykit("describe", "scores", "far")
    assert more.code == 2
    assert "which is backbone, encoder-loss, score, dataset or watcher" in more.err


def test_report_is_made_anew(toykit, anokit, finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "report.html").unlink()
    found = anokit("report", copy)
    assert found.code == 0, found.err
    assert found.out.strip() == str(copy / "report.html")
    assert (copy / "report.html").exists()


def test_no_report_is_made_of_a_run_in_which_another_command_is_at_work(anokit, finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    page = (copy / "report.html").read_bytes()
    with RunDirectory(copy).locked():
        refused = anokit("report", copy)
    assert (refused.code, "another anokit is at work in it" in refused.err) == (2, True)
    assert (copy / "report.html").read_bytes() == page
    assert anokit("report", tmp_path).code == 1
    assert not (tmp_path / ".lock").exists(), "nothing is made in what is no run"


def test_a_run_whose_weights_are_gone_is_not_said_to_be_unfinished(toykit, finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "model.safetensors").unlink()
    found = toykit("suspects", copy)
    assert (found.code, f"{copy}/model.safetensors: " in found.err) == (1, True)
    assert "--resume" not in found.err, "it is finished, and refuses that"


def test_a_folder_that_is_no_run_has_no_report(anokit, tmp_path):
    found = anokit("report", tmp_path)
    assert (found.code, "expected a run directory" in found.err) == (1, True)
    (tmp_path / "resolved.json").write_text("{}")
    found = anokit("report", tmp_path)
    assert found.code == 1
    told = f"{tmp_path}: this run is not finished; go on with: anokit run RECIPE --resume"
    assert f"{told} {tmp_path}\n" in found.err
    compared = anokit("compare", tmp_path, tmp_path)
    assert (compared.code, told in compared.err) == (1, True)


def test_version_help_and_no_arguments(anokit):
    version = anokit("--version")
    assert (version.code, version.out.startswith("anokit 0.")) == (0, True)
    for arguments in (["--help"], ["-h"], []):
        found = anokit(*arguments)
        assert found.code in (0, 2)
        assert "list-plugins" in found.out + found.err
    assert anokit("nonsense").code == 2


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["run", "a.toml", "--resume"], "latest"),
        (["run", "--resume", "a.toml"], "latest"),
        (["run", "a.toml", "--resume", "--quick"], "latest"),
        (["run", "a.toml", "--resume", "runs/a/b"], "runs/a/b"),
    ],
)
def test_resume_may_stand_without_its_value(arguments, value):
    found = _with_bare_values(arguments)
    assert found[found.index("--resume") + 1] == value
    assert [a for a in found if a != "latest"] == arguments


def test_an_unexpected_fault_of_the_core_keeps_its_traceback(monkeypatch, recipe_file):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("anokit.registry.lookup.Registry.load", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["check", str(recipe_file())])


def test_any_command_that_is_interrupted_says_so(anokit, finished, monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("anokit.report.html.write_report", pressed)
    stopped = anokit("report", finished)
    assert (stopped.code, stopped.err.strip()) == (130, "interrupted")

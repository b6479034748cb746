"""A folder in, ranked images with names out."""

import csv
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.cli.app import main
from anokit.recipe.reading import load_recipe
from anokit.registry.lookup import Registry
from anokit.runs.scan import scan_recipe
from anokit.scoring.scorer import Scorer
from anokit_timm.backbone import TimmFeatures

SMALL = """
title = "Small"
[dataset]
use = "image-folder"
root = "elsewhere"
size = 32
channels = 3
max_train = 5
[backbone]
use = "timm-features"
model = "test_efficientnet"
weights = "random"
input_size = 64
patch_stages = [1, 2]
[[scores]]
use = "padim"
channels = 8
[[scores]]
use = "mahalanobis"
[evaluation]
overlays = 3
"""

PHOTOS = 30


def photo(rng, size=(40, 30), odd=False):
    pixels = np.clip(rng.normal(120, 6, (size[1], size[0])), 0, 255)
    if odd:
        pixels[8:20, 10:22] = 250
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Thirty photographs in a folder of the working directory; one has a bright square."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        photo(rng, odd=number == 17).save(folder / f"p{number:02d}.png")
    (folder / "notes.txt").write_text("none")
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    return Path("photos")


def main_code(words):
    """Return how a command ends that is given as it stands."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    return caught.value.code


def ranking(run):
    with (Path(run) / "training_scores.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("changed", [False, True])
def test_no_photo_makes_its_trip_through_a_ready_network_twice(
    anokit, no_report, photos, monkeypatch, changed
):
    """Trying out, fitting, leaving out and painting share trips, while a file is what it was."""
    no_report()
    shown = []
    forward = TimmFeatures.round_trip

    def counted(self, images, *rest):
        shown.append(len(images))
        return forward(self, images, *rest)

    def after_probing(*_):
        if changed:
            photo(np.random.default_rng(9), odd=True).save(photos / "p17.png")

    monkeypatch.setattr(TimmFeatures, "round_trip", counted)
    monkeypatch.setattr("anokit.results.assess.probe", after_probing)
    monkeypatch.setattr(Scorer, "milliseconds", lambda *_: 0.0)
    found = anokit("scan", photos, "--recipe", "small.toml", "--out", "run", "--top", "4")
    assert found.code == 0, found.err
    tried = 1 + 2 + 1  # whether the network takes such images; a pair, and one of it alone
    assert sum(shown) == tried + PHOTOS + changed


def test_a_folder_is_ranked_by_name_and_painted(anokit, no_report, photos):
    no_report()
    found = anokit("scan", photos, "--recipe", "small.toml", "--out", "run", "--top", "4")
    assert found.code == 0, found.err
    assert "Most anomalous first" in found.out
    assert "1 of 30 images are flagged" in found.out
    rows = ranking("run")
    assert len(rows) == PHOTOS, "every image of the folder, whatever the recipe's subset"
    assert rows[0]["image"] == "photos/p17.png"
    assert rows[0]["flagged"] == "1"
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, PHOTOS + 1)]
    painted = sorted(path.name for path in Path("run/overlays").glob("0*.png"))
    assert len(painted) == 4
    assert painted[0].startswith("0001_")
    assert painted[0].endswith("_p17.png")
    page = Path("run/overlays/index.html").read_text()
    assert "photos/p17.png" in page
    with Image.open(Path("run/overlays") / painted[0]) as picture:
        assert picture.width * 30 == picture.height * 40, "at the aspect of the file"
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    colourful = pixels.max(axis=2) - pixels.min(axis=2)
    down, across = (length // 30 for length in (picture.height, picture.height))
    square = colourful[9 * down : 19 * down, 11 * across : 21 * across]
    assert square.mean() > 3 * colourful[:, 28 * across :].mean(), "painted where the square is"


def test_its_run_is_like_any_other(anokit, no_report, photos, monkeypatch):
    no_report()
    assert anokit("scan", photos, "--recipe", "small.toml", "--out", "run").code == 0
    again = anokit("run", "run/recipe.toml", "--out", "again")
    assert again.code == 0, again.err
    assert ranking("run") == ranking("again")
    scored = anokit("score", "run", photos, "--out", "all.csv", "--maps", "maps")
    assert scored.code == 0, scored.err
    assert f"the run learnt from {PHOTOS} of these files" in scored.out
    with Path("all.csv").open() as file:
        assert next(csv.DictReader(file))["image"] == "photos/p17.png"
    assert len(list(Path("maps").glob("0*.png"))) == PHOTOS
    (photos / "below").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(photos / "below")
        scored = anokit("score", "../../run", "..")
        assert f"the run learnt from {PHOTOS} of these files" in scored.out + scored.err
    Path("more.toml").write_text('[[scores]]\nuse = "knn"\non = "image"\n')
    added = anokit("add-scores", "run", "--scores", "more.toml")
    assert added.code == 0, added.err
    assert float(ranking("run")[0]["knn"]) > 0


def test_a_folder_that_holds_its_own_runs_and_maps_is_read_as_before(
    anokit, no_report, photos, monkeypatch
):
    no_report()
    monkeypatch.chdir(photos)
    known = ("--recipe", "../small.toml", "--top", "4")
    assert anokit("scan", ".", *known, "--out", "runs/one").code == 0
    assert anokit("score", "runs/one", ".", "--maps", "maps").code == 0
    assert list(Path("maps").glob("*.png"))
    again = anokit("scan", ".", *known, "--out", "runs/two")
    assert again.code == 0, again.err
    assert ranking("runs/one") == ranking("runs/two")
    assert anokit("suspects", "runs/one", "--top", "4").code == 0, "its data are the same still"
    scored = anokit("score", "runs/one", ".")
    assert f"{PHOTOS} images scored" in scored.out
    assert "3 that anokit wrote (maps, …)" in scored.out


def test_the_commands_that_are_printed_name_what_the_scan_was_given(
    toykit, photos, tmp_path, monkeypatch
):
    monkeypatch.setenv("ANOKIT_PLUGINS", "anokit-datasets")
    recipe = SMALL[: SMALL.index("[backbone]")] + '[backbone]\nuse = "linear"\nimages = 8\n'
    (tmp_path / "toys.toml").write_text(recipe + '[[scores]]\nuse = "error"\n')
    found = toykit("scan", photos, "--recipe", "toys.toml", "--out", "a run", "--device", "cpu")
    assert found.code == 0, found.err
    for command in ("suspects", "score"):
        (line,) = (line for line in found.out.splitlines() if f": anokit {command} " in line)
        words = shlex.split(line.partition("anokit ")[2].replace("PATH…", str(photos)))
        assert main_code(words) == 0, line


def test_nothing_is_told_of_components_that_are_shipped(anokit, no_report, photos):
    """The network of the default is folded where it is first used; nobody else may notice."""
    no_report()
    recipe = SMALL.replace("test_efficientnet", "tf_efficientnet_lite0").replace("= 5", "= 20")
    Path("default.toml").write_text(recipe)
    done = [
        anokit("scan", photos, "--recipe", "default.toml", "--out", "run"),
        anokit("score", "run", photos, "--out", "all.csv", "--maps", "maps"),
        anokit("suspects", "run"),
        anokit("report", "run"),
    ]
    for each in done:
        assert each.code == 0, each.err
        assert "a plugin leaves it alone" not in each.out + each.err


def test_a_run_is_judged_anew_by_another_rate(anokit, no_report, photos):
    no_report()
    anokit("scan", photos, "--recipe", "small.toml", "--out", "run")
    rng = np.random.default_rng(2)
    Path("new").mkdir()
    for number in range(20):
        photo(rng, odd=number < 3).save(f"new/n{number:02d}.png")

    def flagged(*options):
        found = anokit("score", "run", "new", "--out", "all.csv", *options)
        assert found.code == 0, found.err
        with Path("all.csv").open() as file:
            return sum(row["flagged"] == "1" for row in csv.DictReader(file))

    assert "learnt from" not in anokit("score", "run", "new").out
    assert flagged() <= flagged("--false-alarms", "0.2") <= flagged("--false-alarms", "0.6")
    assert 3 <= flagged("--false-alarms", "0.2") <= 14
    assert flagged("--false-discoveries", "0.5") >= 1
    both = anokit("score", "run", photos, "--false-alarms", "0.2", "--false-discoveries", "0.2")
    assert both.code == 2
    assert "not both" in both.err
    wrong = anokit("score", "run", photos, "--false-alarms", "2")
    assert "expected a share above 0 and below 1, got 2" in wrong.err


def test_listed_images_are_left_out(anokit, no_report, photos):
    no_report()
    Path("out.txt").write_text("photos/p17.png\n")
    anokit("scan", photos, "--recipe", "small.toml", "--out", "run", "--exclude", "out.txt")
    assert len(ranking("run")) == PHOTOS - 1
    assert "photos/p17.png" not in {row["image"] for row in ranking("run")}


@pytest.fixture(scope="module")
def installed():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ANOKIT_PLUGINS", raising=False)
        return Registry.load([])


@pytest.mark.parametrize(
    ("paths", "key", "value"),
    [
        (["photos"], "root", "photos"),
        (["photos/p0*.png"], "files", ["photos/p0*.png"]),
        (["photos/p01.png", "photos/p02.png"], "files", ["photos/p01.png", "photos/p02.png"]),
        (["photos", "photos/p02.png"], "files", ["photos/**/*", "photos/p02.png"]),
    ],
)
def test_what_is_scanned(installed, photos, paths, key, value):
    found = scan_recipe(paths, installed, Path("run"), recipe=Path("small.toml"))
    options = found.dataset.options.model_dump(mode="json")
    assert options[key] == value
    assert options["max_train"] is None
    Path("run.toml").write_text(found.text)
    assert load_recipe(Path("run.toml"), installed).as_dict() == found.as_dict()


def test_the_shipped_recipe_for_folders_is_the_default(installed, photos):
    found = scan_recipe(["photos"], installed, Path("run"), top=7, false_alarms=0.05)
    assert found.primary.name == "gauss"
    assert found.primary.combine == "robust-z"
    named = [term.entry.component.name for term in found.primary.terms]
    assert named == ["mahalanobis", "padim", "reach-knn", "knn"]
    assert [named[terms] for terms in found.primary.sums] == [named[:2], named[2:3], named[3:]]
    keys = {term.key for term in found.primary.terms}
    assert {term.key for score in found.scores for term in score.terms} == keys, "none learns more"
    assert found.evaluation.overlays == 7
    assert found.threshold.false_alarms == 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["photos", "--recipe", "quickstart"], "expected the dataset image-folder, got"),
        (["photos", "--recipe", "your_foldr"], "did you mean"),
        (["empty"], "empty"),
        (["none*.png"], "matches no file"),
        (["photos/notes.txt"], "no image"),
    ],
)
def test_what_cannot_be_scanned_is_refused(anokit, photos, arguments, message):
    Path("empty").mkdir()
    found = anokit("scan", *arguments, "--out", "run")
    assert found.code in (1, 2), found.out
    assert message in found.err


@pytest.mark.parametrize(
    ("count", "message"), [(1, "at least 20 training"), (19, "at least 20 training")]
)
def test_few_images_are_refused_with_what_to_do(anokit, no_report, photos, count, message):
    no_report()
    files = [f"photos/p{number:02d}.png" for number in range(count)]
    found = anokit("scan", *files, "--recipe", "small.toml", "--out", "run")
    assert found.code == 1
    assert message in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize("way", ["the same command", "the command that is printed"])
def test_where_images_were_too_few_their_directory_takes_more(anokit, no_report, photos, way):
    no_report()
    scan = ("scan", photos, "--recipe", "small.toml", "--out", "run", "--device", "cpu")
    away = Path("away")
    away.mkdir()
    for path in sorted(photos.glob("*.png"))[1:]:
        path.rename(away / path.name)
    assert anokit(*scan).code == 1
    told = anokit("score", "run", photos).err
    for path in away.iterdir():
        path.rename(photos / path.name)
    printed = shlex.split(told.partition("go on with: anokit ")[2])
    done = anokit(*(scan if way == "the same command" else printed))
    assert done.code == 0, done.err
    assert len(ranking("run")) == PHOTOS


def test_images_that_are_all_equal_are_refused(anokit, no_report, photos):
    no_report()
    for path in photos.glob("*.png"):
        Image.new("L", (20, 20), 100).save(path)
    found = anokit("scan", photos, "--recipe", "small.toml", "--out", "run")
    assert found.code == 1
    assert "equal" in found.err


def test_a_failing_score_leaves_the_ranking_by_the_others(anokit, no_report, photos):
    no_report()
    extra = '[[scores]]\nuse = "hostile/hostile"\nhow = "late"\n[evaluation]'
    Path("small.toml").write_text(SMALL.replace("[evaluation]", extra))
    plugin = ("--plugin", Path(__file__).parents[1] / "hostile.py")
    found = anokit("scan", photos, "--recipe", "small.toml", "--out", "run", *plugin)
    assert found.code == 1
    assert "1 score failed, all else is scored" in found.err
    assert "hostile: score 'hostile' of hostile" in found.err
    assert "--resume run" in found.err
    assert "Most anomalous first" in found.out
    assert "p17.png" in found.out
    assert Path("run/overlays/index.html").exists()

"""`anokit suspects`, the list that it writes, and the run that leaves the listed images out."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.data.choosing import read_names
from anokit.report.reading import read_run
from anokit.store.exclude_list import listable, origin_of
from anokit.store.run_directory import RunDirectory
from anokit.store.undo import changing

SHORT = "backbone.images=8"


@pytest.fixture
def run(finished, tmp_path):
    """A finished run of our own."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def make_run(toykit, recipe_file, tmp_path):
    """Carry out the toy recipe, shortened and changed, in a directory of that name."""

    def call(name, *settings):
        path = recipe_file(SHORT)
        changes = [word for setting in settings for word in ("--set", setting)]
        done = toykit("run", path, *changes, "--device", "cpu", "--out", tmp_path / name)
        assert done.code == 0, done.err
        return tmp_path / name

    return call


def table(folder, name="suspects.csv"):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def pictures(folder):
    return sorted(path.name for path in folder.glob("0*.png"))


def test_they_are_the_first_of_the_ranking_with_three_others_beside_each(toykit, run):
    done = toykit("suspects", run, "--top", "5", "--device", "cpu", "--trust-plugins")
    assert done.code == 0, done.err
    assert "only a person can say" in done.out
    rows, ranked = table(run / "suspects"), table(run, "training_scores.csv")
    assert [row["image"] for row in rows] == [row["image"] for row in ranked[:5]]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    for row, own in zip(rows, ranked, strict=False):
        assert row["score"] == own["error"]
        assert (row["flagged"], row["p_value"]) == (own["flagged"], own["p_value"])
        near = {row[f"nearest_{number}"] for number in (1, 2, 3)}
        assert len(near) == 3
        assert near <= {line["image"] for line in ranked} - {row["image"]}
    # The images are no files: their pixels are drawn, enlarged.
    assert len(pictures(run / "suspects")) == 5
    assert len(list((run / "suspects" / "nearest").glob("*.png"))) == 15
    with Image.open(next((run / "suspects").glob("0001_*.png"))) as picture:
        assert picture.size == (512, 512)
    assert (run / "suspects" / "contact_sheet.png").is_file()
    page = (run / "suspects" / "index.html").read_text()
    assert "only a person can say" in page
    assert 'href="suspects.csv"' in page


def test_no_number_of_anomalies_is_claimed(toykit, run):
    done = toykit("suspects", run, "--device", "cpu", "--trust-plugins")
    page = (run / "suspects" / "index.html").read_text()
    for text in (done.out, page):
        assert "estimate" not in text
        assert "% " not in text.partition("<body>")[2]


def test_more_than_there_are_is_all_of_them(toykit, run):
    done = toykit("suspects", run, "--top", "1000", "--device", "cpu", "--trust-plugins")
    assert done.code == 0, done.err
    assert len(table(run / "suspects")) == len(table(run, "training_scores.csv"))


def test_files_are_shown_as_they_are(toykit, make_run, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    run = make_run("run", f"dataset.folder={images}")
    first = Path(table(run, "training_scores.csv")[0]["image"])
    Image.new("RGB", (30, 20), (200, 10, 10)).save(first)  # what is shown is the file itself
    (images / "train-3.png").write_text("no image")
    done = toykit("suspects", run, "--top", "60", "--device", "cpu")
    assert done.code == 0, done.err
    shown = run / "suspects"
    with Image.open(next(shown.glob("0001_*.png"))) as picture:
        assert picture.getcolors() == [(picture.width * picture.height, (200, 10, 10))]
        assert picture.width > picture.height
    assert "train-3.png cannot be shown: " in done.out
    assert len(pictures(shown)) == 59
    assert "cannot be read as an image" in (shown / "index.html").read_text()


def test_tiles_are_shown_as_photographs_and_listed_whole(toykit, make_run, tmp_path):
    run = make_run("run", "dataset.tiles=3")
    listed = tmp_path / "list.txt"
    command = ("suspects", run, "--top", "4", "--device", "cpu", "--write-exclude", listed)
    assert toykit(*command).code == 0
    assert len(table(run / "suspects")) == 4
    after = make_run("after", "dataset.tiles=3", f"dataset.exclude={listed}")
    assert json.loads((after / "split.json").read_text())["train"] == 60 - 4 * 3


def test_a_list_names_its_run_and_is_not_written_over(toykit, run, tmp_path):
    listed = tmp_path / "list.txt"
    command = ("suspects", run, "--top", "6", "--device", "cpu", "--trust-plugins")
    assert toykit(*command, "--write-exclude", listed).code == 0
    text = listed.read_text()
    assert origin_of(text) == run
    assert "\n# AUROC " in text
    names = [row["image"] for row in table(run, "training_scores.csv")[:6]]
    assert [line for line in text.splitlines() if not line.startswith("#")] == names
    listed.write_text("edited")
    done = toykit(*command, "--write-exclude", listed)
    assert done.code == 2
    assert "is there already" in done.err
    assert listed.read_text() == "edited"


def test_only_the_flagged_are_listed_where_asked_for(toykit, run, tmp_path):
    listed = tmp_path / "list.txt"
    command = ("suspects", run, "--device", "cpu", "--trust-plugins", "--flagged")
    assert "name a file with that" in toykit(*command).err
    rows = flag(run, [])
    assert (
        "none of the 40 images shown is flagged" in toykit(*command, "--write-exclude", listed).err
    )
    assert not listed.exists()
    flag(run, [0, 2, 50])
    assert toykit(*command, "--write-exclude", listed).code == 0
    assert read_names(listed) == {rows[0]["image"], rows[2]["image"]}


def flag(run, places):
    """Have the images at these places of training_scores.csv flagged, and no others."""
    path = run / "training_scores.csv"
    rows = table(run, path.name)
    for place, row in enumerate(rows):
        row["flagged"] = str(int(place in places))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_the_command_that_is_printed_runs_without_the_listed_and_compares(
    toykit, make_run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = make_run("before", "dataset.contamination=0.1", "backbone.images=96")
    done = toykit("suspects", before, "--top", "4", "--device", "cpu", "--write-exclude", "list")
    command = shlex.split(done.out.partition("leave the others out with: anokit ")[2])
    done = toykit(*command, "--device", "cpu", "--out", "after")
    assert done.code == 0, done.err
    listed = read_names(Path("list"))
    found = read_run(Path("after")).before
    assert found.run == str(before)
    assert (found.left_out, found.differences) == (4, [])
    assert any(name.startswith("odd/") for name in listed)  # what the recipe mixed in goes too
    assert json.loads(Path("after/split.json").read_text())["train"] == 66 - 4
    assert found.before.auroc is not None
    assert found.after.auroc is not None
    assert {line.image for line in found.moved if line.left_out} == listed
    ranks = {line.image: line.after for line in found.moved}
    for place, row in enumerate(table(Path("after"), "training_scores.csv")[:20], start=1):
        assert ranks[row["image"]] == place
    # A further list keeps what was left out, and the edited first one is not read again.
    Path("list").write_text("train/1\n")
    done = toykit("suspects", "after", "--top", "2", "--device", "cpu", "--write-exclude", "more")
    assert done.code == 0, done.err
    assert read_names(Path("more")) > listed


def test_a_run_whose_former_differs_or_is_gone_says_so(toykit, make_run, tmp_path):
    listed = tmp_path / "list.txt"
    before = make_run("before")
    assert (
        toykit("suspects", before, "--device", "cpu", "--write-exclude", listed, "--top", "3").code
        == 0
    )
    other = make_run("other", f"dataset.exclude={listed}", "seed=9", "dataset.test=12")
    assert read_run(other).before.differences == ["seed", "dataset", "test set"]
    shutil.rmtree(before)
    after = make_run("after", f"dataset.exclude={listed}")
    found = read_run(after).before
    assert found.before is None
    assert "results.json" in found.missing
    plain = tmp_path / "plain.txt"
    plain.write_text("train/1\n")
    assert read_run(make_run("plain", f"dataset.exclude={plain}")).before is None


def test_a_run_is_finished_also_while_scores_are_added_to_its_former(
    toykit, make_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("anokit.store.undo.PATIENCE", 0.2)
    listed = tmp_path / "list.txt"
    before = make_run("before")
    options = ("--device", "cpu", "--write-exclude", listed, "--top", "3")
    assert toykit("suspects", before, *options).code == 0
    directory = RunDirectory(before)
    with directory.locked(), changing(directory):
        after = make_run("after", f"dataset.exclude={listed}")
    assert "another anokit is changing its results" in read_run(after).before.missing


def test_the_list_is_kept_in_the_run(make_run, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("# mine\ntrain/4\ntrain/2\n")
    run = make_run("run", f"dataset.exclude={listed}")
    assert (run / "exclude.txt").read_text() == listed.read_text()
    assert json.loads((run / "split.json").read_text())["excluded"] == ["train/2", "train/4"]


@pytest.mark.parametrize("edited", ["train/1\n", None], ids=["edited", "gone"])
def test_a_run_goes_on_with_the_list_that_it_began_with(toykit, recipe_file, tmp_path, edited):
    """The list may have been edited for a further run while this one was interrupted."""
    listed, run = tmp_path / "list.txt", tmp_path / "run"
    listed.write_text("train/4\ntrain/2\n")
    changes = ("training.checkpoint_minutes=0", f"dataset.exclude={listed}")
    recipe = recipe_file("backbone.stop_at=3", *changes)
    assert toykit("run", recipe, "--out", run).code == 130
    if edited is None:
        listed.unlink()
    else:
        listed.write_text(edited)
    done = toykit("run", recipe, "--resume", run)
    assert done.code == 0, done.err
    assert f"2 training images are left out, as {listed} says" in done.out
    images = RunDirectory(run).read_ranking().images
    assert not {"train/2", "train/4"} & set(images)
    assert "train/1" in images


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run / "results.json").unlink(), "not finished"),
        (lambda run: (run / "training_scores.csv").unlink(), "training_scores.csv"),
        (lambda run: rename(run), "its images are not those of the training set"),
        (lambda run: regrey(run), "the data changed since this run began"),
    ],
)
def test_what_cannot_be_judged_is_said(toykit, run, change, message):
    change(run)
    done = toykit("suspects", run, "--device", "cpu", "--trust-plugins")
    assert done.code == 1
    assert message in done.err
    assert not (run / "suspects").exists()


def rename(run):
    path = run / "training_scores.csv"
    path.write_text(path.read_text().replace("train/", "elsewhere/"))


def regrey(run):
    resolved = json.loads((run / "resolved.json").read_text())
    resolved["dataset"]["gray"] = 7
    (run / "resolved.json").write_text(json.dumps(resolved))


def test_a_folder_of_something_else_is_left_alone(toykit, run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    command = ("suspects", run, "--top", "2", "--device", "cpu", "--trust-plugins", "--out")
    done = toykit(*command, tmp_path / "mine")
    assert done.code == 2
    assert "notes.txt, which would be lost" in done.err
    for _ in range(2):
        assert toykit(*command, tmp_path / "out").code == 0


@pytest.mark.parametrize(
    ("name", "fine"),
    [("a b/c.png", True), ("#1.png", False), (" a", False), ("a\nb", False), ("", False)],
)
def test_names_that_a_list_would_change_cannot_stand_in_it(name, fine, tmp_path):
    assert listable(name) == fine
    if fine:
        (tmp_path / "list").write_text(f"{name}\n")
        assert read_names(tmp_path / "list") == {name}


def test_pixels_of_any_number_of_channels_are_drawn():
    from anokit.report.originals import draw_pixels

    for channels in (1, 2, 3, 4):
        drawn = draw_pixels(np.full((channels, 4, 8), 9, np.uint8))
        assert (drawn.mode, drawn.size) == ("RGB", (512, 256))
        assert drawn.getcolors() == [(512 * 256, (9, 9, 9))]


def test_the_command_names_the_run_s_own_recipe_where_the_other_is_gone(toykit, run, tmp_path):
    path = run / "environment.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "arguments": "old/place/recipe.toml --seed 4"}))
    command = ("suspects", run, "--device", "cpu", "--trust-plugins", "--write-exclude")
    done = toykit(*command, tmp_path / "list.txt")
    assert f"anokit run {run / 'recipe.toml'} --seed 4 --set dataset.exclude=" in done.out

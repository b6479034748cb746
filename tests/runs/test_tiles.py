"""A small defect in a large photograph is found, and shown where it is."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.data.preparing import prepare
from anokit.data.sets import all_rows
from anokit.recipe.reading import load_recipe
from anokit.registry.lookup import Registry
from anokit.runs.finished import load
from anokit.runs.painting import drawn_by
from anokit.runs.run import run
from anokit.scoring.training_scores import folds_of

RECIPE = """
title = "Tiles"
[dataset]
use = "image-folder"
root = {photos}
channels = 1
tiles = {{ size = 256, overlap = 32 }}
[backbone]
use = "timm-features"
model = "test_efficientnet"
weights = "random"
input_size = 128
patch_stages = [2]
[[scores]]
use = "knn"
on = "patches"
max_patches = 1000
metric = "euclidean"
[evaluation]
overlays = 2
"""


def weave(rng, width, height):
    """Draw a textile of fine threads with noise."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    threads = 20 * np.sin(x / 5) + 20 * np.cos(y / 7)
    return np.clip(120 + threads + rng.normal(0, 4, (height, width)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run over three photographs of 800×700, cut into tiles; two large ones beside."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(3):
        Image.fromarray(weave(rng, 800, 700)).save(folder / f"photos/p{number}.png")
    large = weave(rng, 2400, 1800)
    Image.fromarray(large).save(folder / "good.png")
    large[900:920, 1860:1880] = 230
    Image.fromarray(large).save(folder / "bad.png")
    (folder / "tiles.toml").write_text(RECIPE.format(photos=json.dumps(str(folder / "photos"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ANOKIT_PLUGINS", raising=False)
        patch.setattr("anokit.runs.scoring.write_report", lambda path, results: path)
        registry = Registry.load([])
        run(load_recipe(folder / "tiles.toml", registry), registry, out=folder / "run")
    return folder


def test_a_small_defect_in_a_large_photograph_is_found(folder, anokit, monkeypatch):
    monkeypatch.chdir(folder)
    with (folder / "run" / "training_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = sorted(Path(row["image"]).name for row in rows)
    assert names == ["p0.png", "p1.png", "p2.png"]
    scored = anokit("score", "run", "good.png", "bad.png", "--out", "all.csv", "--maps", "maps")
    assert scored.code == 0, scored.err
    with Path("all.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["image"], first["flagged"]) == ("bad.png", "1")
    assert float(first["knn"]) > 1.5 * float(second["knn"])
    assert sorted(path.name for path in Path("maps").glob("000*.png"))[0].endswith("_bad.png")
    finished = load("run")
    heat = drawn_by(finished.scorer, finished.recipe.primary, finished.files)(Path("bad.png"))
    row, column = np.unravel_index(heat.values.argmax(), heat.values.shape)
    across = heat.box[0] + (column + 0.5) / heat.values.shape[1] * (heat.box[2] - heat.box[0])
    down = heat.box[1] + (row + 0.5) / heat.values.shape[0] * (heat.box[3] - heat.box[1])
    assert abs(across - 1870) < 24
    assert abs(down - 910) < 24


def test_the_score_of_a_photograph_is_that_of_its_worst_tile(folder):
    finished = load(folder / "run")
    path = folder / "photos" / "p1.png"
    pieces = finished.pieces(path).images
    tiles = finished.score(pieces)["knn"]
    assert len(tiles) == 4 * 3
    assert finished.score([path])["knn"].tolist() == [tiles.max()]


def test_tiles_of_one_photograph_are_left_out_together(folder, monkeypatch):
    monkeypatch.delenv("ANOKIT_PLUGINS", raising=False)
    recipe = load_recipe(folder / "tiles.toml", Registry.load([]))
    train = prepare(recipe.dataset, recipe.seed).train
    assert len(train) == 3 * 4 * 3
    parts = folds_of(len(train), 5, recipe.seed, train.units)
    for name in set(train.parents):
        assert len({int(parts[row]) for row in all_rows(36) if train.parents[row] == name}) == 1


def test_tiles_of_both_classes_that_are_one_image_are_not_explained(toykit, recipe_file, tmp_path):
    recipe = recipe_file("training.max_steps=2", "dataset.test_tiles=1000")
    done = toykit("run", recipe, "--device", "cpu", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["rows"][0]["metrics"] is None
    assert all(one["auroc"] is None for one in found["explanations"])

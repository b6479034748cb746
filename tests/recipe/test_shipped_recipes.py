"""Every recipe of the project checks, and its quick path runs whole with two steps per phase.

A search takes three.

The data are drawn here in the formats on disk that the recipes name, a few images each, so that
nothing is skipped for want of data and nothing depends on what lies in ``data/``.
"""

import json
import pickle
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.plugin import resolve_fields
from anokit.recipe.reading import check_recipe
from anokit.registry.lookup import Registry

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
SHORT = (
    "training.max_steps=2",
    "training.snapshots=1",
    "evaluation.resamples=10",
    "evaluation.max_train_images=16",
    "evaluation.gallery=2",
)
DRAWN_REPORTS = ("quickstart", "skip_ganomaly_cifar")
"""Recipes whose report is drawn, one with latents and one without: it takes longer than the run."""

SEARCHING = ("anogan", "adgan")
"""Backbones that search for latents, fifty steps and more for each image."""

NORMS = {"lo", "norm-typicality", "latent-likelihood"}
"""Scores of how long an encoding is."""

by_name = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


def draw(generator, count, side, channels):
    """Draw images of a bright disc on a dark ground: uint8 ``[count, side, side, channels]``."""
    y, x = np.mgrid[:side, :side] / side
    centres = generator.uniform(0.3, 0.7, (count, 2, 1, 1))
    near = np.hypot(y - centres[:, 0], x - centres[:, 1]) < generator.uniform(
        0.1, 0.3, (count, 1, 1)
    )
    noise = generator.normal(60, 20, (count, side, side, channels))
    return np.clip(noise + 120 * near[..., None], 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image folder with training images, contaminants and a test set."""
    root, generator = tmp_path_factory.mktemp("folder"), np.random.default_rng(0)
    parts = {"train/normal": 40, "contaminants/odd": 8, "test/normal": 12, "test/odd": 12}
    for part, count in parts.items():
        (root / part).mkdir(parents=True)
        for number, image in enumerate(draw(generator, count, 64, 3)):
            Image.fromarray(image).save(root / part / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """CIFAR-10 in its own format with 600 images in all."""
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
    ]
    names += ["truck"]
    root, generator = tmp_path_factory.mktemp("cifar"), np.random.default_rng(0)
    batches = root / "cifar-10-batches-py"
    batches.mkdir()
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        pixels = draw(generator, 100, 32, 3).transpose(0, 3, 1, 2).reshape(100, 3072)
        content = {"data": pixels, "labels": [place % 10 for place in range(100)]}
        (batches / name).write_bytes(pickle.dumps(content))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return root


@pytest.fixture
def data_settings(request, monkeypatch):
    """Return the settings that point a recipe's dataset at drawn data."""

    def settings(use):
        if use == "cifar10":
            reader = pytest.importorskip("torchvision.datasets.cifar")
            monkeypatch.setattr(reader, "check_integrity", lambda *_: True)
            root = request.getfixturevalue("cifar")
            return [f"dataset.root='{root}'", "dataset.max_train=32", "dataset.max_test=12"]
        if use == "image-folder":
            root = request.getfixturevalue("folder")
            return [f"dataset.root='{root}'", "dataset.max_train=32", "dataset.max_test=12"]
        if use == "kth-cellvideos":
            small = {"simulated_sequences": 2, "simulated_frames": 6, "test_size": 8, "copies": 1}
            return [f"dataset.{name}={value}" for name, value in small.items()]
        return []

    return settings


@by_name
def test_a_recipe_says_what_it_is_and_checks(path):
    text = path.read_text(encoding="utf-8")
    header = text[: text.index("\ntitle")]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "Time" in header or "min" in header, "the header says how long it takes"
    recipes = check_recipe(path, Registry.load())
    assert [recipe.quick for recipe in recipes] == [False, True][: len(recipes)]
    assert "quick" in tomllib.loads(text)
    assert not any(recipe.notices for recipe in recipes)
    if recipes[0].published:
        assert recipes[0].published_source
        assert all(f"{value:g}" in header for value in recipes[0].published.values())


@by_name
def test_each_cue_has_a_trivial_rival(path):
    """A norm stands beside the contrast of the image, a residual beside raw pixels."""
    (recipe, *_) = check_recipe(path, Registry.load())
    terms = [term for score in recipe.scores for term in score.terms]
    cues = {term.entry.component.name for term in terms}
    rivals = {score.name for score in recipe.baselines}
    if cues & NORMS:
        assert "pixel-contrast" in rivals, "of the length of an encoding"
    if any("image_hat" in resolve_fields(t.entry.component.needs, t.options) for t in terms):
        assert {"pixel-knn", "pixel-pca"} <= rivals, "of a residual"


@by_name
def test_a_recipe_that_prints_a_published_figure_trains_in_float32(path):
    (recipe, *_) = check_recipe(path, Registry.load())
    options = recipe.backbone.options
    if recipe.published and hasattr(options, "precision"):
        assert options.precision == "fp32"
        assert getattr(options, "tf32", False) is False


@by_name
def test_the_quick_path_of_a_recipe_runs(
    path, anokit, data_settings, tmp_path, monkeypatch, no_report
):
    if path.stem not in DRAWN_REPORTS:
        no_report()
    monkeypatch.chdir(tmp_path)
    tables = tomllib.loads(path.read_text())
    settings = [*SHORT, *data_settings(tables["dataset"]["use"])]
    if tables["backbone"]["use"] in SEARCHING or "search_steps" in tables["backbone"]:
        settings += ["backbone.search_steps=3"]
    if hasattr(check_recipe(path, Registry.load())[0].backbone.options, "batch_size"):
        settings += ["backbone.batch_size=8"]
    changes = [part for setting in settings for part in ("--set", setting)]
    found = anokit("run", path, "--quick", "--device", "cpu", "--out", "run", *changes)
    assert found.code == 0, found.err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["quick"] is True
    assert results["published_source"] is None
    assert all(row["published"] is None for row in results["rows"])
    assert all(row["metrics"] for row in results["rows"])
    assert (results["data"] == "simulated") == ("SIMULATED DATA" in found.out)
    for name in ("model.safetensors", "scores.csv", "report.html"):
        assert (tmp_path / "run" / name).stat().st_size > 0

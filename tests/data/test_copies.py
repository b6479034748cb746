"""The same picture twice: found wherever it is, told, left out where that is wanted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.data import ArraySplit
from anokit.data.preparing import prepare
from anokit.errors import DataError
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry

SCENES = np.random.default_rng(5).integers(0, 256, (20, 1, 16, 16)).astype(np.uint8)


def split(scenes, prefix, *, labels=None, **columns):
    names = [f"{prefix}{place}" for place in range(len(scenes))]
    return ArraySplit(SCENES[list(scenes)], names, labels=labels, **columns)


@pytest.fixture
def source():
    """Training 0, 1, 1, 2, 3; contaminants 3, 6, 6; test 2 0 twice normal, 7 in both classes."""

    def build(**columns):
        return Source(
            split([0, 1, 1, 2, 3], "n"),
            split([2, 7, 7, 8, 8, 9], "t", labels=[0, 0, 1, 1, 1, 1], **columns),
            split([3, 6, 6], "c"),
        )

    return build


class Source:
    """A dataset of given splits."""

    spec = type("Spec", (), {"channels": 1, "height": 16, "width": 16})()
    protocol, notices = "toy", ()

    def __init__(self, train, test=None, contaminants=None):
        self.train, self.test, self.contaminants = train, test, contaminants


@pytest.fixture
def assembled(make):
    from anokit.data.preparing import _assemble

    def build(source, seed=3, **keys):
        part = make().dataset
        changed = type(part)(part.entry, part.options, part.keys.model_copy(update=keys))
        return _assemble(changed, source, simulated=False, seed=seed)

    return build


def test_copies_are_kept_and_told_wherever_they_are(assembled, source):
    found = assembled(source())
    assert found.train.ids == [f"n{place}" for place in range(5)]
    assert len(found.test) == 6
    assert [(one.training, one.test, one.labels) for one in found.copies] == [
        (("n1", "n2"), (), ()),
        (("n3",), ("t0",), (0,)),
        ((), ("t1", "t2"), (0, 1)),
        ((), ("t3", "t4"), (1, 1)),
    ]
    text = "\n".join(found.notices)
    for part in (
        "1 training images are copies of others, to the last pixel (n1 = n2)",
        "1 test images are in the training set too, to the last pixel (t0 = n3)",
        "1 pictures are in both classes of the test set (t1 = t2)",
        "1 test images are copies of others of the test set (t3 = t4)",
    ):
        assert part in text
    assert text.count("duplicates = 'drop'") == 1
    assert "show nearly" not in text, "a copy is told once"


def test_a_contaminant_that_is_mixed_in_counts_as_training(assembled, source):
    # 5 training images and a half are 5 contaminants; there are three, of which one is n4 again.
    found = assembled(source(), contamination=0.375)
    assert found.train.is_contaminant.sum() == 3
    assert {one.training for one in found.copies} >= {("n4", "c0")} or any(
        set(one.training) == {"n4", "c0"} for one in found.copies
    )


def test_each_picture_once_where_copies_are_dropped(assembled, source):
    found = assembled(source(), duplicates="drop", contamination=0.5)
    assert found.train.ids[:2] == ["n0", "n1"], "n3 is tested on, n4 a known contaminant"
    assert set(found.train.ids[2:]) == {"c0", "c1"}, "half of those that are left"
    assert found.test.ids == ["t0", "t3", "t5"], "nothing says which label of t1 = t2 is right"
    assert found.copies == ()
    assert found.dropped == {
        "test": ("t1", "t2", "t4"),
        "contaminants": ("c2",),
        "training": ("n2", "n3", "n4"),
    }
    assert any("left out as copies" in text for text in found.notices)


def test_no_copy_is_taken_from_the_test_set_and_tested_on(assembled):
    test = split([5, 6, 7, 7, 8, 8], "t", labels=[0, 0, 1, 1, 1, 1])
    for seed in range(4):
        found = assembled(
            Source(split(range(4), "n"), test),
            seed,
            duplicates="drop",
            contaminants_from_test=0.5,
            contamination=0.2,
        )
        assert not found.copies
        assert int(found.train.is_contaminant.sum()) == 1


def test_copies_are_an_error_where_none_are_wanted(assembled, source):
    with pytest.raises(DataError, match=r"n1 = n2.*t0 = n3.*set duplicates = 'drop'"):
        assembled(source(), duplicates="error")
    clean = Source(split(range(4), "n"), split([5, 6], "t", labels=[0, 1]))
    assert not assembled(clean, duplicates="error").copies


def test_where_copies_leave_nothing_to_train_on_the_error_says_so(assembled):
    whole = Source(split([0, 1], "n"), split([0, 1], "t", labels=[0, 1]))
    with pytest.raises(DataError, match=r"every training image .* is in the test set"):
        assembled(whole, duplicates="drop")


def test_photographs_are_copies_not_their_tiles(assembled):
    tiled = ArraySplit(
        SCENES[[0, 1, 0, 2, 0, 1]],
        ["a#0", "a#1", "b#0", "b#1", "c#0", "c#1"],
        parents=["a", "a", "b", "b", "c", "c"],
        files=["in/a", "in/a", "in/b", "in/b", "in/c", "in/c"],
    )
    found = assembled(Source(tiled))
    assert [one.training for one in found.copies] == [("in/a", "in/c")]
    assert assembled(Source(tiled), duplicates="drop").train.ids == ["a#0", "a#1", "b#0", "b#1"]


def test_without_labels_no_class_is_told(assembled):
    found = assembled(Source(split([0, 1], "n"), split([3, 3], "t")))
    assert "in both classes" not in " ".join(found.notices)
    assert assembled(
        Source(split([0, 1], "n"), split([3, 3], "t")), duplicates="drop"
    ).test.ids == ["t0"]


def test_copies_are_in_the_results_of_a_run(tmp_path, recipe_file, toykit):
    path = recipe_file("dataset.train=12", "dataset.test=4", "dataset.copies=1")
    for name, settings in (("kept", []), ("once", ["--set", "dataset.duplicates=drop"])):
        found = toykit("run", path, "--out", tmp_path / name, *settings)
        assert found.code == 0, found.err
    kept = json.loads((tmp_path / "kept/results.json").read_text())
    assert kept["copies"] == [{"training": ["train/0", "train/1"], "test": [], "labels": []}]
    assert any("train/0 = train/1" in text for text in kept["notices"])
    once = json.loads((tmp_path / "once/results.json").read_text())
    assert once["copies"] == []
    assert once["dropped"] == {"training": ["train/1"]}
    assert once["train_images"] == 11


@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_every_picture_is_looked_at_once(assembled, source, monkeypatch, duplicates):
    from anokit.data.copies import Pictures

    seen = []
    look = Pictures.of
    monkeypatch.setattr(Pictures, "of", lambda part: seen.append(len(part)) or look(part))
    found = assembled(source(), duplicates=duplicates)
    assert sorted(seen) == ([3, 5, 6] if duplicates == "drop" else [5, 6])
    if duplicates == "drop":
        assert found.copies == ()
        seen.clear()
        from anokit.data.copies import copies_in
        from anokit.data.rows import SplitRows

        parts = [
            SplitRows.of(ArraySplit(one.images.read(np.arange(len(one))), one.ids))
            for one in (found.train, found.test)
        ]
        assert not copies_in(parts, None)


def test_the_same_picture_in_another_format_is_a_copy(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), np.uint8)
    files = {
        "train/a.png": 0,
        "train/a.tif": 0,
        "train/a.bmp": 0,
        "train/b.png": 1,
        "test/good/b.tif": 1,
        "test/good/c.png": 2,
        "test/bad/c.bmp": 2,
        "test/bad/d.png": 3,
    }
    for name, picture in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[picture]).save(tmp_path / name)
    tables = {
        "seed": 1,
        "dataset": {"use": "image-folder", "root": str(tmp_path)},
        "backbone": {"use": "timm-features"},
        "scores": [{"use": "pixel-knn"}],
    }
    recipe = resolve(tables, Registry.load([]), Path("copies.toml"))
    found = prepare(recipe.dataset, recipe.seed)
    names = [{Path(name).name for name in (*one.training, *one.test)} for one in found.copies]
    assert names == [{"a.png", "a.tif", "a.bmp"}, {"b.png", "b.tif"}, {"c.png", "c.bmp"}]
    assert [one.in_both_classes for one in found.copies] == [False, False, True]

"""The training set of a run: contamination is exact, seeded, nested and never in the test set."""

import itertools
import os
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anokit.data import ArraySplit, seeded_order
from anokit.data.preparing import _fingerprint, contaminant_count, prepare
from anokit.data.sets import ImageTable, TrainingSet
from anokit.errors import DataError, MissingDataError, RecipeError
from anokit.recipe.parts import DatasetPart
from anokit.registry.blame import PluginFault
from anokit.registry.guard import telling


@pytest.fixture
def data(make):
    """Prepare the toy recipe's data."""

    def build(*settings, seed=3):
        return prepare(make(*settings).dataset, seed)

    return build


@pytest.mark.parametrize(
    ("normals", "share", "count"),
    [(5000, 0.02, 102), (900, 0.1, 100), (60, 0.5, 60), (60, 0.0, 0), (10, 0.05, 0), (99, 0.01, 1)],
)
def test_the_count_of_contaminants(normals, share, count):
    assert contaminant_count(normals, share) == count


@pytest.mark.parametrize("normals", [1, 7, 100, 5000, 525_657])
@pytest.mark.parametrize("percent", [1, 2, 5, 10, 20, 25, 50])
def test_the_count_is_the_largest_whose_share_is_not_above_gamma(normals, percent):
    count = contaminant_count(normals, percent / 100)
    assert 100 * count <= percent * (normals + count)
    assert 100 * (count + 1) > percent * (normals + count + 1)


def chosen(data):
    return [
        name for name, odd in zip(data.train.ids, data.train.is_contaminant, strict=True) if odd
    ]


def test_contaminants_join_the_training_set_and_keep_their_pixels(data, toys):
    clean, mixed = data(), data("dataset.contamination=0.2")
    assert len(clean.train) == 60
    assert len(mixed.train) == 75
    assert chosen(clean) == []
    assert len(set(chosen(mixed))) == 15
    assert all(name.startswith("odd/") for name in chosen(mixed))
    rows = np.arange(75)
    source = toys.Blobs(toys.BlobOptions())
    expected = [source.contaminants.images[int(name.split("/")[1])] for name in chosen(mixed)]
    assert np.array_equal(mixed.train.images.read(rows[60:]).numpy(), np.stack(expected))
    assert torch.equal(mixed.train.images.read(rows[:60]), clean.train.images.read(rows[:60]))


def test_contaminants_are_nested_as_gamma_grows_and_follow_the_seed(data):
    sets = [chosen(data(f"dataset.contamination={share}")) for share in (0, 0.05, 0.1, 0.2, 0.3)]
    assert [len(names) for names in sets] == [0, 3, 6, 15, 25]
    for smaller, larger in itertools.pairwise(sets):
        assert larger[: len(smaller)] == smaller
    assert chosen(data("dataset.contamination=0.2")) == sets[3]
    assert set(chosen(data("dataset.contamination=0.2", seed=4))) != set(sets[3])


def test_more_contaminants_than_there_are_is_an_error_with_both_numbers(data):
    with pytest.raises(
        RecipeError, match="asks for 60 contaminants in 60 training images, and"
    ) as e:
        data("dataset.contamination=0.5")
    assert "dataset 'blobs' has 30; lower it" in str(e.value)
    with pytest.raises(RecipeError, match="has 0; set contaminants_from_test, or lower it"):
        data("dataset.contamination=0.1", "dataset.contaminants=0")


def test_contaminants_from_test_leave_one_test_set_for_every_gamma(data):
    settings = ["dataset.contaminants=0", "dataset.contaminants_from_test=0.5"]
    runs = [data(*settings, f"dataset.contamination={share}") for share in (0, 0.05, 0.1)]
    whole = data("dataset.contaminants=0")
    for run in runs:
        assert run.test.ids == runs[0].test.ids
        assert not set(run.test.ids) & set(run.train.ids)
        assert (run.test.labels == 0).sum() == 20
        assert (run.test.labels == 1).sum() == 10
        assert {whole.test.labels[whole.test.ids.index(name)] for name in chosen(run)} <= {1}
        for row, name in enumerate(run.test.ids):
            old = whole.test.ids.index(name)
            assert run.test.labels[row] == whole.test.labels[old]
            assert run.test.kinds[row] == whole.test.kinds[old]
            assert torch.equal(
                run.test.images.read(np.array([row])), whole.test.images.read(np.array([old]))
            )
    assert [len(chosen(run)) for run in runs] == [0, 3, 6]
    assert chosen(runs[2])[:3] == chosen(runs[1])
    with pytest.raises(RecipeError, match="has 10; lower it"):
        data(*settings, "dataset.contamination=0.3")


def test_contaminants_from_test_needs_a_test_set_and_no_contaminants_of_its_own(data):
    with pytest.raises(RecipeError, match="has contaminants of its own; remove it"):
        data("dataset.contaminants_from_test=0.5")
    with pytest.raises(RecipeError, match="no test set to take from"):
        data("dataset.contaminants_from_test=0.5", "dataset.contaminants=0", "dataset.test=0")


def test_a_dataset_that_breaks_its_word_is_refused(data):
    with pytest.raises(DataError, match="an id is in the training and in the test set"):
        data("dataset.overlap=true")
    with pytest.raises(PluginFault, match=r"is \[1, 8, 8\], the spec says 1×9×9"):
        data("dataset.says=9")
    with pytest.raises(DataError, match="has no training images; expected at least one"):
        data("dataset.train=0")


def test_labels_may_be_absent(data):
    assert data("dataset.labels=none").test.labels is None
    assert set(data("dataset.labels=normal").test.labels) == {0}
    assert data("dataset.test=0").test is None


def test_masks_are_zero_for_normal_images_and_unknown_without_labels(data):
    test = data("dataset.masks=true").test
    masks = [test.mask(row) for row in range(len(test))]
    assert [mask.any() for mask in masks] == list(test.labels == 1)
    without = data("dataset.labels=none").test
    assert without.mask(0) is None


def test_the_fingerprint_follows_pixels_and_ids(data):
    prints = [
        data(*settings).fingerprint
        for settings in ([], ["dataset.gray=1"], ["dataset.train=59"], ["dataset.test=19"])
    ]
    assert len(set(prints)) == 4
    assert data().fingerprint == prints[0]
    assert data("dataset.labels=none").fingerprint == prints[0]


def test_the_fingerprint_of_a_large_set_follows_every_image():
    pixels = np.zeros((20_000, 1, 64, 64), np.uint8)  # more than was ever hashed whole
    ids = [str(number) for number in range(len(pixels))]

    def fingerprint():
        return _fingerprint(TrainingSet(ImageTable([pixels]), ids, np.zeros(len(ids), bool)))

    first = fingerprint()
    for image in (0, 9_999, 12_345, 19_999):
        pixels[image, 0, 31, 17] = 1
        assert fingerprint() != first
        pixels[image] = 0
    assert fingerprint() == first


def test_files_that_were_only_touched_are_the_same_data(installed, tmp_path):
    draw = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    files = [tmp_path / f"{number}.bmp" for number in range(3)]
    for pixels, file in zip(draw, files, strict=True):
        Image.fromarray(pixels).save(file)
    entry = installed.get("dataset", "image-folder")
    part = DatasetPart(entry, entry.component.options(root=str(tmp_path)))
    first = prepare(part, 0).fingerprint
    os.utime(files[1], (1, 1))
    assert prepare(part, 0).fingerprint == first
    size = files[1].stat().st_size
    changed = bytearray(files[1].read_bytes())
    changed[-30] ^= 255
    files[1].write_bytes(changed)
    os.utime(files[1], (1, 1))
    assert files[1].stat().st_size == size
    assert prepare(part, 0).fingerprint != first


def test_the_fingerprint_of_the_test_set_is_of_that_alone(data):
    whole = data().test_fingerprint
    assert whole
    assert data("dataset.train=59").test_fingerprint == whole
    assert data("dataset.contamination=0.1").test_fingerprint == whole
    assert (
        len({whole, *(data(s).test_fingerprint for s in ("dataset.gray=1", "dataset.test=19"))})
        == 3
    )


def test_a_table_of_several_parts_reads_like_one(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 2, 3, 4), dtype=np.uint8)
    disk = np.memmap(tmp_path / "part", np.uint8, "w+", shape=(10, 2, 3, 4))
    disk[:] = images[10:20]
    parts = [torch.from_numpy(images[:10]), images[:0], disk, images[20:]]
    table = ImageTable(parts)
    assert len(table) == 30
    assert table.nbytes == images.nbytes
    generator = np.random.default_rng(1)
    for rows in ([], [3], [15], [29, 0, 12, 12], range(30), generator.integers(0, 30, 100)):
        chosen_rows = np.array(rows, dtype=np.int64)
        assert np.array_equal(table.read(chosen_rows).numpy(), images[chosen_rows])


def test_seeded_orders_are_permutations_that_differ_by_every_part_of_the_seed():
    orders = [seeded_order(50, *seed) for seed in ((1,), (2,), (1, "a"), (1, "b"), ("1a",))]
    for order in orders:
        assert sorted(order) == list(range(50))
    assert len({tuple(order) for order in orders}) == 5
    assert np.array_equal(seeded_order(50, 1, "a"), orders[2])
    assert list(seeded_order(0, 1)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 1, 4, 4), np.float32)}, "expected uint8 .* got float32"),
        ({"images": np.zeros((2, 4, 4), np.uint8)}, r"got uint8 \[2, 4, 4\]"),
        ({"ids": ["a"]}, "ids of a split: expected 2, got 1"),
        ({"ids": ["a", "a"]}, "expected each once"),
        ({"labels": [0]}, "labels of a split: expected 2, got 1"),
        ({"kinds": ["x"] * 3}, "kinds of a split: expected 2, got 3"),
    ],
)
def test_a_split_checks_what_it_is_given(change, message):
    arguments = {"images": np.zeros((2, 1, 4, 4), np.uint8), "ids": ["a", "b"], **change}
    images, ids = arguments.pop("images"), arguments.pop("ids")
    with pytest.raises(DataError, match=message):
        ArraySplit(images, ids, **arguments)


def test_selecting_from_a_split_keeps_what_belongs_together():
    split = ArraySplit(
        np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1),
        list("abcd"),
        labels=[0, 1, 0, 1],
        kinds=list("wxyz"),
        masks={1: np.array([[True]]), 3: np.array([[False]])},
    )
    part = split.select([3, 0])
    assert [sample.id for sample in part] == ["d", "a"]
    assert [(s.label, int(s.image)) for s in part] == [(1, 3), (0, 0)]
    assert part.kinds == ["z", "w"]
    assert [None if s.mask is None else bool(s.mask) for s in part] == [False, None]


def test_samples_are_read_one_by_one_where_a_split_offers_no_bulk(
    make, registry, monkeypatch, toys
):
    class OneByOne:
        def __init__(self, split):
            self.split = split

        def __len__(self):
            return len(self.split)

        def __getitem__(self, index):
            return self.split[index]

    expected = prepare(make("dataset.contamination=0.1").dataset, 3)
    original = toys.Blobs.split
    monkeypatch.setattr(toys.Blobs, "split", lambda *a, **k: OneByOne(original(*a, **k)))
    found = prepare(make("dataset.contamination=0.1").dataset, 3)
    assert found.fingerprint == expected.fingerprint
    assert found.train.ids == expected.train.ids


def test_missing_data_say_how_to_simulate_only_where_there_is_a_simulation(make, toys):
    def missing(options):
        raise MissingDataError("no such folder; expected\n  root/train/")

    def dataset(simulate, when_missing="error"):
        found = make().dataset
        component = replace(found.entry.component, factory=missing, simulate=simulate)
        keys = found.keys.model_copy(update={"when_missing": when_missing})
        return replace(found, entry=replace(found.entry, component=component), keys=keys)

    with pytest.raises(MissingDataError) as caught:
        prepare(dataset(None), 3)
    assert "simulate" not in str(caught.value)
    with pytest.raises(MissingDataError, match='root/train/\\nOr write when_missing = "simulate"'):
        prepare(dataset(toys.Blobs), 3)
    assert prepare(dataset(toys.Blobs, "simulate"), 3).simulated
    assert not prepare(make().dataset, 3).simulated


def test_a_dataset_that_raises_is_blamed(make, monkeypatch, toys):
    monkeypatch.setattr(toys.Blobs, "draw", lambda *_: 1 / 0)
    with pytest.raises(
        PluginFault, match=r"dataset 'blobs' of toys sha256:\w+ failed while opening"
    ):
        prepare(make().dataset, 3)


def test_a_library_that_draws_when_it_is_imported_is_no_fault_of_the_dataset(make, monkeypatch):
    dataset = make().dataset
    real = type(dataset.entry.component).load

    def load(component):
        random.random()
        return real(component)

    monkeypatch.setattr(type(dataset.entry.component), "load", load)
    said, before = [], random.getstate()
    with telling(said.append):
        prepare(dataset, 3)
    assert not said
    assert random.getstate() == before

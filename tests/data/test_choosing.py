"""Lists of images to leave out, groups that stay together, images that show the same."""

from dataclasses import dataclass

import numpy as np
import pytest

from anokit.data import ArraySplit
from anokit.data.choosing import Listed, excluded, groups_of
from anokit.data.duplicates import duplicate_groups, duplicates_across
from anokit.data.preparing import _assemble
from anokit.data.sets import ImageTable
from anokit.errors import DataError, RecipeError
from anokit.types import ImageSpec

GENERATOR = np.random.default_rng(0)
SCENES = GENERATOR.integers(0, 256, (12, 1, 16, 16)).astype(np.uint8)


@dataclass
class Source:
    """A dataset of given splits."""

    train: ArraySplit
    test: ArraySplit | None = None
    contaminants: ArraySplit | None = None
    spec = ImageSpec(1, 16, 16)
    protocol = "toy"
    notices = ()


def split(names, *, labels=None, scenes=None, **columns):
    scenes = SCENES[: len(names)] if scenes is None else SCENES[scenes]
    return ArraySplit(scenes, names, labels=labels, **columns)


@pytest.fixture
def assembled(make):
    """Assemble a run's data of a source, with keys of [dataset]."""

    def build(source, seed=3, **keys):
        part = make().dataset
        changed = type(part)(part.entry, part.options, part.keys.model_copy(update=keys))
        return _assemble(changed, source, simulated=False, seed=seed)

    return build


def listed(names, files=None, parents=None):
    return Listed(names, files, parents)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("b\n", [1]),
        ("# odd ones\n\nphotos/a.png\n  c  \n", [0, 2]),
        ("image,rank\nphotos/b.png,1\n", [1]),
        ("b\ngone\n", [1]),
    ],
)
def test_a_list_leaves_images_out_by_id_or_file(tmp_path, text, out):
    path = tmp_path / "out.txt"
    path.write_text(text)
    names = listed(["a", "b", "c"], [f"photos/{name}.png" for name in "abc"])
    found, sentence = excluded(names, path)
    assert np.flatnonzero(found).tolist() == out
    assert sentence.startswith(f"{len(out)} training images are left out")
    assert ("1 of its names are no training image: gone" in sentence) == ("gone" in text)


def test_a_file_is_found_from_wherever_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out.txt"
    path.write_text(f"{tmp_path}/photos/a.png\n")
    assert excluded(listed(["a", "b"], ["photos/a.png", "photos/b.png"]), path)[0].tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    "text", [b"photos/\xff.png\n", b"photos/\\xff.png\n", b'image,rank\n"photos/\\xff.png",1\n']
)
def test_a_file_whose_name_is_no_text_is_left_out_as_ls_and_as_tables_write_it(tmp_path, text):
    path = tmp_path / "out.txt"
    path.write_bytes(text)
    files = ["photos/\udcff.png", "photos/b.png"]
    assert excluded(listed(["a", "b"], files), path)[0].tolist() == [True, False]


def test_a_table_leaves_out_a_name_of_two_lines(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text('image,rank\n"new\nline.png",1\n')
    found, sentence = excluded(listed(["new\nline.png", "b"]), path)
    assert (found.tolist(), "no training image" in sentence) == ([True, False], False)


def test_all_tiles_of_a_photograph_are_left_out(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("a\n")
    assert excluded(listed(["a#0", "a#1", "b#0"], None, ["a", "a", "b"]), path)[0].sum() == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("a\0", "is no text in UTF-8; expected a text file with one image a line"),
        ("", "names no image; expected one a line"),
        ("x\n", "none of its .* names is a training image; expected names such as 'a'"),
        ("a\nb\n", "leaves no training image"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, text, message):
    path = tmp_path / "out.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        excluded(listed(["a", "b"]), path)


def test_excluded_images_are_not_trained_on(assembled, tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("n1\n")
    source = Source(split(["n0", "n1", "n2"], files=["f0", "f1", "f2"]))
    found = assembled(source, exclude=str(path))
    assert found.train.ids == ["n0", "n2"]
    assert found.train.files == ["f0", "f2"]
    assert np.array_equal(found.train.images.read(np.array([1])), SCENES[[2]])
    assert any("1 training images are left out" in text for text in found.notices)


def part_cells(names):
    return [name.rpartition("\0")[2] for name in names]


def test_groups_by_expression():
    found = groups_of(r"screw(\d+)", [listed(["screw7/a", "screw7/b", "x"])], ImageTable([]))
    assert part_cells(found[0]) == ["7", "7", "x"]
    whole = groups_of(r"^s\w", [listed(["sa1", "sa2", "sb1"])], ImageTable([]))
    assert part_cells(whole[0]) == ["sa", "sa", "sb"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [("(", "no regular expression"), ("q+", "matches no name; names are")],
)
def test_a_wrong_expression_is_refused(expression, message):
    with pytest.raises(RecipeError, match=message):
        groups_of(expression, [listed(["a"])], ImageTable([]))


def test_groups_by_manifest(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("image,specimen\na.png,7\nb.png,7\nc.png,\n")
    group = {"manifest": str(path), "column": "specimen"}
    names = listed(["1", "2", "3"], ["in/a.png", "in/b.png", "in/c.png"])
    assert part_cells(groups_of(group, [names], ImageTable([]))[0]) == ["7", "7", "3"]
    with pytest.raises(DataError, match=r"does not name .in/d\.png"):
        groups_of(group, [listed(["4"], ["in/d.png"])], ImageTable([]))
    with pytest.raises(DataError, match="expected columns image and site"):
        groups_of({**group, "column": "site"}, [names], ImageTable([]))


def test_exposures_of_one_scene_are_alike_and_other_scenes_are_not():
    darker = (SCENES[:3] * 0.5 + 20).astype(np.uint8)
    table = ImageTable([SCENES, darker])
    found = duplicate_groups(table)
    assert [found[row] == found[12 + row] for row in range(3)] == [True] * 3
    assert len(set(found)) == 12
    assert duplicates_across(ImageTable([SCENES]), ImageTable([darker])) == [(0, 0), (1, 1), (2, 2)]


def test_what_all_images_share_makes_none_alike():
    shared = GENERATOR.normal(128, 50, (1, 1, 16, 16))
    own = GENERATOR.normal(0, 8, (40, 1, 16, 16))
    images = np.clip(shared + own, 0, 255).astype(np.uint8)
    assert len(set(duplicate_groups(ImageTable([images])))) == 40


def test_flat_images_resemble_nothing():
    flat = np.full((3, 1, 16, 16), 90, np.uint8)
    assert len(set(duplicate_groups(ImageTable([flat, SCENES])))) == 15


def test_a_group_is_never_on_both_sides(assembled):
    source = Source(
        split(["s1/a", "s2/a", "s3/a", "s4/a"], scenes=[0, 1, 2, 3]),
        split(["s1/t", "s5/t"], labels=[0, 1], scenes=[4, 5]),
        split(["s5/c", "s6/c"], scenes=[6, 7]),
    )
    found = assembled(source, group=r"^(s\d)", contamination=0.25)
    assert found.train.ids == ["s2/a", "s3/a", "s4/a", "s6/c"]
    assert part_cells(found.train.groups) == ["s2", "s3", "s4", "s6"]
    assert found.train.is_contaminant.tolist() == [False, False, False, True]
    text = " ".join(found.notices)
    assert "1 training images are left out: their groups are in the test set too" in text
    with pytest.raises(DataError, match=r"every training image .* is of a group that the test set"):
        assembled(Source(split(["s1/a"]), split(["s1/t"], labels=[0], scenes=[4])), group="^(s1)")


def test_contaminants_are_taken_from_the_test_set_by_whole_groups(assembled):
    names = [f"g{row // 3}/{row}" for row in range(12)]
    labels = [0, 1, 1] * 4
    source = Source(
        split([f"n{row}" for row in range(6)], scenes=list(range(6))),
        split(names, labels=labels, scenes=list(range(12))),
    )
    for seed in range(5):
        found = assembled(
            source, seed, group=r"^(g\d)", contaminants_from_test=0.5, contamination=0.4
        )
        assert found.train.is_contaminant.sum() == 4
        own = set(part_cells(found.train.groups)) & {"g0", "g1", "g2", "g3"}
        left = {name[:2] for name in found.test.ids}
        assert len(own) == 2
        assert not own & left
        assert len(found.test) == 6, "what is normal in a group that was taken goes too"


def test_near_duplicates_across_the_split_are_told(assembled):
    nearly = (SCENES[[1, 5]] * 0.9).astype(np.uint8)
    source = Source(
        split(["a", "b", "c"], scenes=[0, 1, 2]),
        ArraySplit(nearly, ["x", "y"], labels=[0, 1]),
    )
    text = " ".join(assembled(source).notices)
    assert "1 of 2 test images show nearly what a training image shows (x and b)" in text
    apart = assembled(source, group="near-duplicates")
    assert apart.train.ids == ["a", "c"]
    assert "show nearly" not in " ".join(apart.notices)

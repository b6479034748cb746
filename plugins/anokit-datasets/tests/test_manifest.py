"""Tables of images: what columns mean, and what is said of rows that mean nothing."""

import codecs
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.errors import DataError, MissingDataError
from anokit_datasets.manifest import csv_manifest
from anokit_datasets.picture_options import CsvManifestOptions


@pytest.fixture
def read(tmp_path):
    """Write pictures, a mask and a table; read them."""
    source = np.random.default_rng(0)
    for name in ("a.png", "b.png", "in/c.png", "d, e.png", 'f"g.png', "h.png"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4] = 1
    Image.fromarray(mask).save(tmp_path / "set/mask.png")

    def build(text, encoding="utf-8", **options):
        table = tmp_path / "set/list.csv"
        table.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return csv_manifest(CsvManifestOptions(manifest=str(table), **options))

    return build


TABLE = (
    "path,label,mask,split,kind\n"
    "a.png,0,,train,\n"
    "b.png,,,train,\n"
    "in/c.png,1,mask.png,test,scratch\n"
    '"d, e.png",0,,test,\n'
    '"f""g.png",anomalous,,contaminants,dent\n'
    "h.png,0,,val,\n"
)


def test_every_column_means_what_it_says(read, tmp_path):
    found = read(TABLE)
    assert found.train.ids == ["a.png", "b.png"]
    assert found.contaminants.ids == ['f"g.png']
    assert found.contaminants.kinds == ["dent"]
    assert found.test.ids == ["in/c.png", "d, e.png"]
    assert found.test.labels == [1, 0]
    assert found.test.kinds == ["scratch", "normal"]
    assert found.test.files == [str(tmp_path / "set" / name) for name in found.test.ids]
    assert found.test[0].mask.numpy().nonzero()[0].tolist() == [2] * 8 + [3] * 8
    assert "1 rows of the validation split are not used" in " ".join(found.notices)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(",", ";").replace("d; e", "d, e").encode(),
        lambda text: text.replace(",", "\t").replace("d\t e", "d, e").encode(),
        lambda text: text.replace("path,label", " Path ,LABEL").encode(),
        lambda text: text.replace("in/c", "in\\c").encode(),
        lambda text: text.replace("a.png", "./a.png ").encode(),
        lambda text: (text + "\n,,,,\n").encode(),
    ],
)
def test_tables_as_programs_write_them_are_one_table(read, change):
    expected, found = read(TABLE), read(change(TABLE))
    for name in ("train", "test", "contaminants"):
        one, other = getattr(expected, name), getattr(found, name)
        assert one.ids == other.ids
        assert np.array_equal(one.images, other.images)
        assert one.labels == other.labels


def test_without_splits_a_fifth_of_the_normal_rows_is_held_out(read):
    names = ("a.png", "b.png", "in/c.png", "h.png")
    rows = [f"{name},0" for name in names]
    found = read("path,label\n" + "\n".join([*rows, '"d, e.png",0', '"f""g.png",1']))
    assert len(found.train) == 4
    assert sorted(found.test.labels) == [0, 1]
    assert (
        "has no column split: 4 rows are taken for training, 1 normal and 1 anomalous"
        in " ".join(found.notices)
    )
    plain = read("path\na.png\nb.png\n")
    assert plain.test is None
    assert "without a test set" in plain.protocol


def test_test_images_may_be_without_labels(read):
    found = read("path,split\na.png,train\nb.png,test\n")
    assert found.test.labels is None


def test_rows_that_cannot_be_read_are_named(read, tmp_path):
    (tmp_path / "set/broken.png").write_bytes(b"no picture")
    found = read("path\na.png\ngone.png\nbroken.png\n")
    text = " ".join(found.notices)
    assert found.train.ids == ["a.png"]
    assert "2 of 3 training images could not be used: gone.png" in text
    assert "broken.png (" in text

    with pytest.raises(DataError, match=r"list\.csv: 1 of 1 training images could not be used"):
        read("path\ngone.png\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_absolute_paths_keep_their_names(read, tmp_path):
    Path(tmp_path / "set/a.png").rename(tmp_path / "far.png")
    found = read(f"path\n{tmp_path / 'far.png'}\n../set/b.png\n")
    assert found.train.ids == [str(tmp_path / "far.png"), "../set/b.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column path, got nothing; expected a CSV file in UTF-8"),
        ("file\na.png\n", "no column path, got file"),
        ("path,path\na.png,b.png\n", "column path twice"),
        ("path\n", "lists no image"),
        ("path,label\na.png,2\n", r"line 2: label = .2.; expected 0 or normal, 1 or anomalous"),
        ("path,label\na.png,scratch\n", "belongs into the column kind"),
        ("path,split\na.png,\n", r"line 2: split = ..; expected train, test or contaminants"),
        ("path,split\na.png,dev\n", r"split = .dev.; expected train"),
        ("path,split,label\na.png,train,1\n", "split = train with label = 1"),
        ("path,split,label\na.png,contaminants,0\n", "split = contaminants with label = 0"),
        ("path,label\na.png,0\n./a.png,0\n", "lines 2 and 3 both list"),
        ("path,label\nd, e.png,0\n", "line 2: 3 cells, expected 2; put names that hold a comma"),
        ("path,label\n,0\n", "line 2: no path"),
        ('path\n"a.png\n', "cannot be read"),
        ("path,split\na.png,test\n", "no row is for training"),
        (
            "path,split,label\na.png,train,\nb.png,test,\nh.png,test,0\n",
            "line 3: no label, and other test images have one",
        ),
        ("path\nä.png\n".encode("cp1252"), "is no UTF-8 .* in Excel as .CSV UTF-8."),
        ("path\na.png\n".encode("utf-16"), "is no UTF-8"),
    ],
)
def test_a_wrong_table_is_one_error_with_the_line(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


def test_a_missing_table_says_what_was_expected(tmp_path):
    for name, problem in (("gone.csv", "does not exist"), ("", "is a folder")):
        with pytest.raises(MissingDataError, match=f"{problem}; expected a CSV file"):
            csv_manifest(CsvManifestOptions(manifest=str(tmp_path / name)))


def test_columns_that_are_not_known_are_told(read):
    found = read("path,labels\na.png,1\n")
    assert "columns that are not used: labels" in " ".join(found.notices)

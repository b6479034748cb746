"""Names of files may hold any bytes; what becomes of them is text."""

import os

import numpy as np
import pytest

from anokit.data.arrays import ArraySplit
from anokit.data.names import file_called, readable, shown
from anokit.data.rows import SplitRows

LATIN = os.fsdecode(b"caf\xe9.png")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.png", "plain.png"),
        ("café.png", "café.png"),
        ('a, "b"\nc.png', 'a, "b"\nc.png'),
        (LATIN, r"caf\xe9.png"),
        ("half \ud800.png", r"half \ud800.png"),
    ],
)
def test_what_is_no_text_is_escaped_and_all_else_stays(name, text):
    assert readable(name) == text
    text.encode("utf-8")


def test_terminals_take_it():
    assert shown(LATIN + "\x1b[31m\n") == r"caf\xe9.png\x1b[31m\n"


def test_names_of_any_dataset_are_text():
    split = ArraySplit(np.zeros((2, 1, 4, 4), np.uint8), [LATIN, "b"], files=[f"x/{LATIN}", "x/b"])
    listed = SplitRows.of(split).listed
    assert list(listed.ids) == [r"caf\xe9.png", "b"]
    assert list(listed.files) == [r"x/caf\xe9.png", "x/b"]


@pytest.mark.parametrize("name", ["plain.png", "café.png", r"back\xe9slash.png", LATIN])
def test_the_file_is_found_again_by_its_text(name, tmp_path):
    (tmp_path / name).touch()
    assert file_called(readable(str(tmp_path / name))) == tmp_path / name

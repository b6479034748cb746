"""One limit on the pixels of an image, wherever one is decoded, and one variable that moves it."""

import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from anokit.data import try_to_decode
from anokit.data.limits import VARIABLE, most_pixels
from anokit.data.masks import try_to_decode_mask
from anokit.data.pictures import header_size
from anokit.data.quiet import quiet
from anokit.errors import DataError, UsageError
from anokit.report.originals import read_original

READERS = {
    "picture": lambda path: try_to_decode(path, None)[1],
    "mask": lambda path: try_to_decode_mask(path)[1],
    "original": lambda path: refused(read_original, path),
}


def refused(read, path):
    try:
        read(path)
    except DataError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def _pillow_as_it_was(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    with quiet():  # as whoever reads many files has it
        yield


@pytest.fixture(params=["a.png", "a.jpg", "a.gif", "deep.png"])
def image(request, tmp_path):
    """An image of 100 by 60."""
    depth = np.uint16 if request.param == "deep.png" else np.uint8
    path = tmp_path / request.param
    Image.fromarray(np.zeros((60, 100), depth)).save(path)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_the_variable_moves_the_limit_both_ways(image, reader, monkeypatch):
    assert READERS[reader](image) == ""
    monkeypatch.setenv(VARIABLE, "5998")
    told = "6,000 pixels, over the limit of 5,998; ANOKIT_MAX_PIXELS=6000 admits it"
    assert READERS[reader](image).endswith(told)
    assert header_size(image) is None
    monkeypatch.setenv(VARIABLE, "6000")
    assert READERS[reader](image) == ""
    assert header_size(image) == (60, 100)


@pytest.mark.parametrize("reader", ["picture", "mask"])
def test_the_variable_admits_a_tif_that_holds_little_in_few_bytes(reader, tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((1000, 1000), np.uint8), compression="zlib")
    assert READERS[reader](path) == ""
    monkeypatch.setenv(VARIABLE, "300000")
    assert READERS[reader](path).endswith("if it is neither, ANOKIT_MAX_PIXELS=333334 admits it")
    monkeypatch.setenv(VARIABLE, "333334")
    assert READERS[reader](path) == ""


def test_without_the_variable_pillows_own_limit_holds(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert most_pixels() == 178_956_970
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert most_pixels() == sys.maxsize


@pytest.mark.parametrize("value", ["many", "0", "-1", "1e9", "9" * 5000])
def test_a_value_that_is_no_number_of_pixels_is_the_users_to_mend(image, value, monkeypatch):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(UsageError, match=rf"{VARIABLE}=.*: expected a whole number of pixels"):
        try_to_decode(image, None)

"""Values that make images black, white or flat are told, with the option that mends it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from anokit.errors import DataError
from anokit_datasets.folder import image_folder
from anokit_datasets.picture_options import ImageFolderOptions

GREY = np.add.outer(np.arange(32) * 4, np.arange(32) * 3)
VALUES = {
    "float to 255": GREY.astype(np.float32),
    "kelvin": (280 + GREY / 8).astype(np.float32),
    "celsius": (-30 + GREY / 10).astype(np.float32),
    "16 bits in the middle": (28000 + GREY * 10).astype(np.uint16),
    "12 bits in 16": (GREY * 16).astype(np.uint16),
    "8 bits in 16": GREY.astype(np.uint16),
    "8 bits in 32": GREY.astype(np.int32),
    "tiny": (GREY / 1e6).astype(np.float32),
    "centred": (GREY / 127.5 - 1).astype(np.float32),
    "signed": (GREY * 257 - 32768).astype(np.int16),
    "32 bits": GREY.astype(np.uint32) * 2**24,
}
WORDS = re.compile(r"(black_level|white_level) = (-?[\d.e+-]*\d)")


def said(root: Path, **options: object) -> str:
    """Return all that is said of a folder, as notices or as an error."""
    try:
        found = image_folder(ImageFolderOptions.model_validate({"root": str(root), **options}))
    except DataError as error:
        return str(error)
    return " ".join(text for text in found.notices if "no train/" not in text)


@pytest.mark.parametrize("way", VALUES)
def test_levels_that_are_advised_mend_it(tmp_path: Path, way: str):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"{number}.tif", VALUES[way])
    advised = {name: float(value) for name, value in WORDS.findall(said(tmp_path))}
    assert "white_level" in advised
    assert said(tmp_path, **advised) == ""
    found = image_folder(ImageFolderOptions(root=str(tmp_path), **advised))
    assert int(found.train.images.max()) - int(found.train.images.min()) > 100


def test_what_is_set_is_said_and_not_advised(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", VALUES["12 bits in 16"])
    text = said(tmp_path, white_level=1000.0)
    assert "the recipe sets black_level = 0, white_level = 1000" in text
    assert "under [dataset]" not in text


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float64])
def test_a_black_training_set_is_refused_by_name(tmp_path: Path, value: int, kind: type):
    tifffile.imwrite(
        tmp_path / "a.tif", np.full((16, 16), 0 if kind is np.float64 else value, kind)
    )
    text = said(tmp_path)
    assert text.startswith(f"{tmp_path}: no training image is brighter than ")
    assert ("8 bits are taken as they are" in text) == (kind is np.uint8)


def test_levels_without_effect_are_told(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.uint8))
    assert "white_level = 4095 under [dataset] has no effect" in said(tmp_path, white_level=4095.0)
    assert said(tmp_path) == ""


def test_levels_that_fit_already_are_not_advised(tmp_path: Path):
    for number, value in enumerate((0, 30000, 65535)):
        tifffile.imwrite(tmp_path / f"{number}.tif", np.full((8, 8), value, np.uint16))
    told = said(tmp_path)
    assert "all 3 training images are of (nearly) one grey level" in told
    assert "their files hold values from 0 to 65535: check them" in told
    assert "set white_level" not in told

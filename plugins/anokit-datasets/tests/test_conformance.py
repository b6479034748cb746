from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

import anokit_datasets.plugin
from anokit.testing import parametrize_checks


def write_folder(folder: Path) -> Mapping[str, object]:
    """Write a few noisy pictures in the layout of an image folder."""
    source = np.random.default_rng(0)
    for part in ("train/good", "contaminants", "test/good", "test/bad"):
        place = folder / part
        place.mkdir(parents=True)
        for number in range(3):
            pixels = source.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return {"root": str(folder), "size": 8, "channels": 3}


def nothing(folder: Path) -> Mapping[str, object]:
    """Name a folder that is not there, so that a stand-in is simulated."""
    return {"root": str(folder / "absent")}


@parametrize_checks(
    anokit_datasets.plugin, samples={"image-folder": write_folder, "kth-cellvideos": nothing}
)
def test_conformance(check):
    check()

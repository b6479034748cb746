"""What the conformance checks test with: tiny data sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


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


def write_manifest(folder: Path) -> Mapping[str, object]:
    """Write the same pictures, and a table of them."""
    options = dict(write_folder(folder))
    lines = ["path,label,split"]
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder).as_posix()
        label = int("bad" in name or "contaminants" in name)
        lines.append(f"{name},{label},{name.partition('/')[0]}")
    (folder / "list.csv").write_text("\n".join(lines))
    del options["root"]
    return {**options, "manifest": str(folder / "list.csv")}


def nothing(folder: Path) -> Mapping[str, object]:
    """Name a folder that is not there, so that a stand-in is simulated."""
    return {"root": str(folder / "absent")}


SAMPLES = {
    "csv-manifest": write_manifest,
    "image-folder": write_folder,
    "kth-cellvideos": nothing,
}

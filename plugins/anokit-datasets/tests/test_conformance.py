import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torchvision.datasets.cifar as reader
from PIL import Image

import anokit_datasets.plugin
from anokit.testing import parametrize_checks
from anokit_datasets.cifar10 import FILES
from anokit_datasets.options import CIFAR10_CLASSES


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


def write_cifar(folder: Path) -> Mapping[str, object]:
    """Write 240 noisy pictures in the files of CIFAR-10."""
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    source = np.random.default_rng(0)
    for name in FILES[:-1]:
        pixels = source.integers(0, 256, (40, 3072), dtype=np.uint8)
        labels = [number % 10 for number in range(40)]
        (place / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}))
    meta = {"label_names": list(CIFAR10_CLASSES)}
    (place / "batches.meta").write_bytes(pickle.dumps(meta))
    return {"root": str(folder), "test_size": 6}


def nothing(folder: Path) -> Mapping[str, object]:
    """Name a folder that is not there, so that a stand-in is simulated."""
    return {"root": str(folder / "absent")}


@parametrize_checks(
    anokit_datasets.plugin,
    samples={
        "cifar10": write_cifar,
        "image-folder": write_folder,
        "csv-manifest": write_manifest,
        "kth-cellvideos": nothing,
    },
)
def test_conformance(check, monkeypatch):
    # The reader knows the hashes of the real files alone.
    monkeypatch.setattr(reader, "check_integrity", lambda path, *_: Path(path).is_file())
    check()

"""What the fingerprint of the data costs: ``uv run python tests/benchmarks/fingerprint.py``.

It writes ``--count`` PNG files of ``--side`` pixels in grey, reads them as a run does, and prints
how many seconds of processor time that took, and how many of these went into the hash.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from anokit.data import preparing
from anokit.data.sets import TestSet, TrainingSet
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry


def main() -> None:
    """Write, read and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=64)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    hashed = 0.0
    fingerprint = preparing._fingerprint

    def timed(*sets: TrainingSet | TestSet) -> str:
        nonlocal hashed
        began = time.process_time()
        found = fingerprint(*sets)
        hashed += time.process_time() - began
        return found

    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.count):
            pixels = rng.integers(0, 256, (asked.side, asked.side), np.uint8)
            Image.fromarray(pixels).save(Path(folder) / f"{number:05}.png", compress_level=1)
        tables = {
            "dataset": {"use": "image-folder", "root": folder, "size": asked.side, "channels": 1},
            "backbone": {"use": "pixels"},
            "scores": [{"use": "pixel-pca"}],
        }
        recipe = resolve(tables, Registry.load([]), Path("fingerprint.toml"))
        began = time.process_time()
        with patch.object(preparing, "_fingerprint", timed):
            data = preparing.prepare(recipe.dataset, 0)
        whole = time.process_time() - began
    print(f"{len(data.train):,} files: {whole:.2f} s, of which {hashed:.2f} s in the fingerprint")


if __name__ == "__main__":
    main()

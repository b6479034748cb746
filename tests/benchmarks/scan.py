"""A scan against bare decoding and a bare network: ``uv run python tests/benchmarks/scan.py``.

Run by hand, ``--images`` says how many photographs of 600×600 are made. The bare side decodes each
file with Pillow as JPEG, resizes it, and runs the network in batches: no score, no threshold, no
map, no report. Imports are in neither time. Both run in turns, A B A B; the ratios of the pairs are
printed, bare over scan: 1 would mean that all else costs nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anokit.data import ArraySplit
from anokit.data.sets import ImageTable, all_rows
from anokit.registry.lookup import Registry
from anokit.runs.run import run
from anokit.runs.scan import scan_recipe
from anokit.scoring.scorer import Scorer
from anokit.training.backbone import build_backbone
from anokit.types import ImageSpec

SIDE, PAIRS = 224, 2


def photographs(folder: Path, count: int) -> None:
    """Write JPEG files of smooth random colours with noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((600, 600), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:05d}.jpg", quality=90)


def main() -> None:
    """Print seconds of both and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    count = parser.parse_args().images
    registry = Registry.load([])
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / "photos"
        folder.mkdir()
        photographs(folder, count)
        recipe = scan_recipe([str(folder)], registry, scratch)
        cpu = torch.device("cpu")
        backbone = build_backbone(recipe, ImageSpec(3, SIDE, SIDE), cpu)
        batch = recipe.evaluation.batch_size
        needs = frozenset({"features", "patches"})

        def bare() -> None:
            images = np.empty((count, 3, SIDE, SIDE), np.uint8)
            for row, path in enumerate(sorted(folder.iterdir())):
                with Image.open(path) as opened:
                    small = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                images[row] = np.asarray(small).transpose(2, 0, 1)
            split = ArraySplit(images, [str(row) for row in range(count)])
            trips = Scorer([], backbone, cpu, batch, 0).trips(
                ImageTable([split.images]), all_rows(count), needs
            )
            for _ in trips:
                pass

        def scan(number: int) -> None:
            run(recipe, registry, device="cpu", out=scratch / f"run{number}")

        times = []
        for number in range(PAIRS):
            began = time.perf_counter()
            bare()
            middle = time.perf_counter()
            scan(number)
            times.append((middle - began, time.perf_counter() - middle))
        bares, scans = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = ", ".join(f"{a / b:.2f}" for a, b in times)
        print(f"scan of {count:,}: bare {bares:.1f} s, scan {scans:.1f} s, bare / scan {ratios}")


if __name__ == "__main__":
    main()

"""A scan against bare decoding and a bare network: ``uv run python tests/benchmarks/scan.py``.

Run by hand, ``--images`` says how many photographs of 600×600 are made. The bare side decodes each
file with Pillow as JPEG, resizes it, and runs the network in batches: no score, no threshold, no
map, no report; once as timm computes it, and once with its batch normalisation folded, as a scan
does. Imports are in no time. They run in turns, A B C A B C; the ratios are printed, bare over
scan: 1 would mean that all else costs nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

SIDE, PAIRS = 224, 4


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

        folding: Any = backbone.module.folding
        folded, plain = folding.network(), backbone.module.network

        def bare(network: Any) -> None:
            images = np.empty((count, 3, SIDE, SIDE), np.uint8)
            for row, path in enumerate(sorted(folder.iterdir())):
                with Image.open(path) as opened:
                    small = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                images[row] = np.asarray(small).transpose(2, 0, 1)
            split = ArraySplit(images, [str(row) for row in range(count)])
            folding.network = lambda: network
            trips = Scorer([], backbone, cpu, batch, 0).trips(
                ImageTable([split.images]), all_rows(count), needs
            )
            for _ in trips:
                pass

        def scan(number: int) -> None:
            run(recipe, registry, device="cpu", out=scratch / f"run{number}")

        bare(plain)  # which warms up
        times = [
            [took(bare, plain), took(bare, folded), took(scan, number)] for number in range(PAIRS)
        ]
        columns = zip(*times, strict=True)
        seconds = ", ".join(f"{statistics.median(column):.1f}" for column in columns)
        print(f"{count:,} images, median seconds of bare, bare and folded, scan: {seconds}")
        print("bare / scan:", ", ".join(f"{one[0] / one[2]:.2f}" for one in times))
        print("bare and folded / scan:", ", ".join(f"{one[1] / one[2]:.2f}" for one in times))


def took(do: Callable[[Any], None], what: object) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    do(what)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

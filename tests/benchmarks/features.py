"""Feature extraction against a bare timm loop: ``uv run python tests/benchmarks/features.py``.

Run by hand. Both run in turns, A B A B …; the median of the ratios of the pairs is printed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch

from anokit.data.pixels import to_float
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.training.backbone import build_backbone
from anokit.training.device import resolve_device
from anokit.types import ImageSpec

SIZE, IMAGES, BATCH, PAIRS = 112, 256, 64, 5
TABLES = {
    "dataset": {"use": "digits"},
    "backbone": {
        "use": "timm-features",
        "model": "tf_efficientnet_lite0",
        "weights": "random",
        "input_size": SIZE,
    },
    "scores": [{"use": "knn", "on": "features"}],
}


def main() -> None:
    """Print images/s of both and their ratio."""
    device = resolve_device("auto")
    recipe = resolve(TABLES, Registry.load(), Path("benchmark.toml"))
    model = build_backbone(recipe, ImageSpec(3, SIZE, SIZE), device)
    bare = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval().to(device)
    bare = bare.to(memory_format=torch.channels_last)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, SIZE, SIZE), dtype=np.uint8)
    batches = [to_float(part.to(device)) for part in torch.from_numpy(pixels).split(BATCH)]

    def ours() -> None:
        for batch in batches:
            model.round_trip(batch, frozenset({"features"})).features.cpu()

    def plain() -> None:
        for batch in batches:
            bare(batch.contiguous(memory_format=torch.channels_last)).cpu()

    def speed(run: Callable[[], None]) -> float:
        began = time.perf_counter()
        run()
        return IMAGES / (time.perf_counter() - began)

    with torch.no_grad():
        ours()
        plain()
        pairs = [(speed(ours), speed(plain)) for _ in range(PAIRS)]
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"features   anokit {first:8.1f}  bare timm {second:8.1f} images/s   ratio {ratio:.3f}")


if __name__ == "__main__":
    main()

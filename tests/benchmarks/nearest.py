"""Exact nearest neighbours against plain float32: ``uv run python tests/benchmarks/nearest.py``.

Run by hand. The plain search is one matrix product and ``topk``: no bound on its rounding, and not
the same bits for another batch. With ``uv run --with faiss-cpu`` faiss's flat index is another.
Both run in turns, A B A B …; the median of the ratios of the pairs is printed. To be met with
faiss: 1.3.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable

import torch

from anokit.training.device import resolve_device
from anokit_memory.exact import unit
from anokit_memory.nearest import NearestRows

ROWS, WIDTH, K, PAIRS = 50_000, 1280, 5, 7


def main() -> None:
    """Print milliseconds of both and their ratio, for many queries and for one."""
    device = resolve_device("auto")
    source = torch.Generator().manual_seed(0)
    centres = torch.randn(300, WIDTH, generator=source)

    def draw(count: int) -> torch.Tensor:
        of = torch.randint(300, (count,), generator=source)
        return unit((centres[of] + torch.randn(count, WIDTH, generator=source)).relu()).to(device)

    rows, queries = draw(ROWS), draw(256)
    halves = rows.square().sum(dim=1) / 2
    search = NearestRows(rows)

    def seconds(run: Callable[[], None]) -> float:
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    others: dict[str, Callable[[torch.Tensor], object]] = {
        "plain float32": lambda asked: (halves - asked @ rows.T).topk(K, largest=False)
    }
    if importlib.util.find_spec("faiss"):
        index = importlib.import_module("faiss").IndexFlatL2(WIDTH)
        index.add(rows.cpu().numpy())
        others["faiss"] = lambda asked: index.search(asked.cpu().numpy(), K)
    for name, other in others.items():
        for count in (256, 1):
            asked = queries[:count]

            def exact(asked: torch.Tensor = asked) -> None:
                search.nearest(asked, K)

            def another(
                asked: torch.Tensor = asked, run: Callable[[torch.Tensor], object] = other
            ) -> None:
                run(asked)

            exact()
            another()
            pairs = [(seconds(exact), seconds(another)) for _ in range(PAIRS)]
            ours, theirs = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(
                f"nearest    {count:3d} queries of {ROWS:,} × {WIDTH:,}   exact {ours:7.1f}  "
                f"{name} {theirs:7.1f} ms   ratio {ratio:.3f}"
            )


if __name__ == "__main__":
    main()

"""Which score bears contamination: ``uv run python tests/benchmarks/contamination.py run``.

Run by hand, on real images below ``--data``: ``cifar-10-batches-py``, ``rbc12`` and ``screw`` (as
in docs/datasets.md). Every image makes one trip through the network; every cell (a set of images, a
share γ of contaminants, a draw) then fits all scores again and scores the test images. Each cell
is a line of ``--out``; cells that are there already are not made again. ``tables`` prints what the
lines say.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contamination_tables import GROUPS, print_tables
from sklearn.metrics import roc_auc_score

from anokit.data import seeded_order
from anokit.data.preparing import contaminant_count, open_dataset
from anokit.data.rows import SplitRows
from anokit.data.sets import ImageTable, Rows, all_rows
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.scoring.scorer import Scorer
from anokit.training.backbone import build_backbone

GAMMAS = (0.0, 0.1, 0.02, 0.2)
LAST_GAMMAS = (0.4,)
"""For these, most images are still to make their trip: after all others."""

APART_GAMMAS = (0.1, 0.2)
DRAWS = (1000, 1001, 1002)
CONFIRMING = ("deer", "horses")
"""Sets that had no part in choosing the weights of any score."""

BATCH = 256
MEMORY_BYTES = 2**33
"""Room for the fields of all trips of a set, of which only those that are made take any."""

ENOUGH = 0.8
"""Where there are too few contaminants for γ, normal training images are left out, down to this
share of them; below it the cell is not made."""

BACKBONE = {
    "use": "timm-features",
    "model": "tf_efficientnet_lite0",
    "weights": "package:efficientnet-lite0",
    "pooled": [
        "head",
        *(f"stage{stage}{how}" for how in ("", "-std", "-max") for stage in (4, 3, 2)),
    ],
    "patch_stages": [2, 3],
    "patch_stride": 16,
}
NEAR = {"full_weight_at": 2000, "alternative": True}
SCORES: list[dict[str, Any]] = [
    {
        "name": "gauss-equal",
        "combine": "robust-z",
        "terms": [{"use": "mahalanobis"}, {"use": "padim"}],
    },
    {
        "name": "gauss-knn",
        "combine": "robust-z",
        "terms": [
            {"use": "mahalanobis"},
            {"use": "padim", "weight": 0.3},
            {"use": "knn", "k": 0.025, "full_weight_at": 2000},
        ],
    },
    {
        "name": "gauss",
        "combine": "robust-z",
        "terms": [
            {"use": "mahalanobis"},
            {"use": "padim", "weight": 0.2},
            {"use": "reach-knn", "reach": 0.03, "k": 0.01, **NEAR},
            {"use": "knn", "k": 5, "weight": 1.1, **NEAR},
        ],
    },
    {
        "name": "gauss-reach",
        "combine": "robust-z",
        "terms": [
            {"use": "mahalanobis"},
            {"use": "padim", "weight": 0.3},
            {"use": "reach-knn", "reach": 0.007, "weight": 1.5, "full_weight_at": 2000},
        ],
    },
    {"use": "mahalanobis"},
    {"name": "mahalanobis-trim", "terms": [{"use": "mahalanobis", "trim": 0.85}]},
    {"use": "padim"},
    {"name": "knn-5", "terms": [{"use": "knn", "k": 5}]},
    {"name": "knn-50", "terms": [{"use": "knn", "k": 50}]},
    {"name": "knn-share", "terms": [{"use": "knn", "k": 0.025}]},
    {"use": "sparse-knn"},
    {"use": "reach-knn"},
    {"use": "trimmed-knn"},
]


@dataclass(frozen=True)
class Cell:
    """What one line says beside its scores."""

    set: str
    gamma: float
    draw: int
    group: str | None = None
    """of `GROUPS` that contaminants are drawn from; None: from all kinds"""

    @property
    def key(self) -> str:
        """Return what no other cell has."""
        return f"{self.set} {self.gamma:g} {self.draw} {self.group}"


def cifar(data: Path, normal: str, most: int | None = None) -> dict[str, Any]:
    """Return the dataset's table of a class of CIFAR-10."""
    return {"use": "cifar10", "root": str(data), "normal": [normal], "max_train": most}


def screw(data: Path, root: Path, draw: int) -> dict[str, Any]:
    """Lay links to the screws out as one draw has them, and return the dataset's table.

    Normal images of both of the data set's own parts are pooled, and so are anomalous ones. A
    quarter of the normal and half of the anomalous ones are the test set; the other half of the
    anomalous ones are contaminants.
    """
    files = sorted((data / "screw").glob("t*/*/*.png"))
    good = [file for file in files if file.parent.name == "good"]
    bad = [file for file in files if file.parent.name != "good"]
    for name, found, held in (("good", good, len(good) // 4), ("bad", bad, len(bad) // 2)):
        for place, row in enumerate(seeded_order(len(found), draw, "screw", name)):
            file = found[row]
            kind = file.parent.name
            rest = "train" if name == "good" else f"contaminants/{kind}"
            folder = root / (f"test/{kind}" if place < held else rest)
            folder.mkdir(parents=True, exist_ok=True)
            link = folder / f"{file.parent.parent.name}_{file.name}"
            link.symlink_to(file.resolve())
    return {"use": "image-folder", "root": str(root), "size": 224, "channels": 3}


class Bench:
    """One set of images: all of them in one table, with a memory of their trips."""

    def __init__(self, name: str, dataset: dict[str, Any], size: int | None) -> None:
        dataset = {key: value for key, value in dataset.items() if value is not None}
        backbone = BACKBONE if size is None else {**BACKBONE, "input_size": size}
        tables = {"dataset": dataset, "backbone": backbone, "scores": SCORES}
        recipe = resolve(tables, Registry.load(), Path("contamination.toml"))
        source, _ = open_dataset(recipe.dataset)
        if source.contaminants is None or source.test is None:
            raise ValueError(f"{name}: expected contaminants and a test set")
        splits = [SplitRows.of(s) for s in (source.train, source.contaminants, source.test)]
        self.images = ImageTable([split.images for split in splits])
        self.normals, self.spare, self.tested = (len(split) for split in splits)
        self.test_ids = list(splits[2].listed.ids)
        self.test_labels = [int(label) for label in vars(source.test)["labels"]]
        self.test_kinds = list(vars(source.test)["kinds"])
        self.kinds = np.array(vars(source.contaminants)["kinds"])
        device = torch.device("cpu")
        model = build_backbone(recipe, source.spec, device)
        self.scorer = Scorer(recipe.scores, model, device, BATCH, recipe.seed)
        memory = self.scorer.memory(len(self.images))
        if memory is None:
            raise ValueError(f"{name}: the backbone's trips depend on their batch")
        memory.room = MEMORY_BYTES
        self.memory = memory

    def training_rows(self, cell: Cell) -> Rows | None:
        """Return the training images of a cell, sorted; None where contaminants do not suffice."""
        order = seeded_order(self.spare, cell.draw, "contamination")
        if cell.group:
            order = order[np.isin(self.kinds[order], GROUPS[cell.group])]
        normals = all_rows(self.normals)
        if contaminant_count(self.normals, cell.gamma) > len(order):
            fewer = int(len(order) * (1 - cell.gamma) / cell.gamma)
            if fewer < ENOUGH * self.normals:
                return None
            normals = np.sort(seeded_order(self.normals, cell.draw, "fewer normals")[:fewer])
        wanted = contaminant_count(len(normals), cell.gamma)
        return np.concatenate([normals, self.normals + np.sort(order[:wanted])])

    def measure(self, cell: Cell) -> dict[str, Any] | None:
        """Fit all scores, and return the line of a cell."""
        rows = self.training_rows(cell)
        if rows is None:
            return None
        began = time.perf_counter()
        scorer, images, memory = self.scorer, self.images, self.memory
        fitted = scorer.fit(images, rows, memory=memory)
        keys = {
            t.key for score in scorer.scores if score.combine == "robust-z" for t in score.terms
        }
        own = scorer.compute(
            images, rows, only=lambda c: c.part.key in keys, memory=memory, fitted_on=fitted
        )
        scorer.standardise(own.values)
        test = self.normals + self.spare + all_rows(self.tested)
        found = scorer.compute(images, test, memory=memory).values
        values = {score.name: scorer.combine(score, found) for score in scorer.scores}
        auroc = {name: roc_auc_score(self.test_labels, column) for name, column in values.items()}
        return {
            **vars(cell),
            "normals": int((rows < self.normals).sum()),
            "contaminants": int((rows >= self.normals).sum()),
            "seconds": round(time.perf_counter() - began, 1),
            "auroc": {name: round(float(value), 5) for name, value in auroc.items()},
            "ids": self.test_ids,
            "labels": self.test_labels,
            "kinds": self.test_kinds,
            "scores": {name: np.float32(column).tolist() for name, column in values.items()},
        }


def cells_of(name: str, gammas: Sequence[float]) -> Iterator[Cell]:
    """Yield the cells of a set."""
    if name == "cars, kinds apart":
        for gamma in gammas:
            if gamma in APART_GAMMAS:
                for draw in DRAWS:
                    yield from (Cell(name, gamma, draw, group) for group in GROUPS)
        return
    for gamma in gammas:
        # With one test set a clean training set has nothing that could be drawn.
        chosen = DRAWS if gamma or name == "screw" else DRAWS[:1]
        yield from (Cell(name, gamma, draw) for draw in chosen)


def benches(
    name: str, cells: list[Cell], data: Path, scratch: Path, kept: dict[str, Bench]
) -> Iterator[tuple[Bench, list[Cell]]]:
    """Yield what the cells of a set are measured on; both sets of cars are on the same images."""
    if name == "screw":
        for draw in sorted({cell.draw for cell in cells}):
            table = screw(data, scratch / str(draw), draw)
            yield Bench(name, table, None), [cell for cell in cells if cell.draw == draw]
        return
    tables: dict[str, dict[str, Any]] = {
        "cars": cifar(data, "automobile"),
        "blood cells": {"use": "image-folder", "root": str(data / "rbc12"), "size": 64},
        "ships": cifar(data, "ship", 2000),
        "cats": cifar(data, "cat", 2000),
        "deer": cifar(data, "deer", 2000),
        "horses": cifar(data, "horse", 2000),
    }
    images = name.partition(",")[0]
    if images not in kept:
        kept[images] = Bench(images, tables[images], 160)
    yield kept[images], cells


def run(sets: list[str], data: Path, out: Path) -> None:
    """Measure what is not in ``out`` yet, what matters most first."""
    lines = out.read_text().splitlines() if out.exists() else []
    done = {
        Cell(*(json.loads(line)[k] for k in ("set", "gamma", "draw", "group"))).key
        for line in lines
    }
    kept: dict[str, Bench] = {}
    for gammas, name in itertools.product((GAMMAS, LAST_GAMMAS), sets):
        cells = [cell for cell in cells_of(name, gammas) if cell.key not in done]
        with tempfile.TemporaryDirectory() as scratch:
            for bench, own in benches(name, cells, data, Path(scratch), kept):
                for cell in own:
                    line = bench.measure(cell)
                    if line is None:
                        print(f"{cell.key}: too few contaminants", flush=True)
                        continue
                    with out.open("a") as stream:
                        stream.write(json.dumps(line) + "\n")
                    print(f"{cell.key}: {line['seconds']} s {line['auroc']}", flush=True)


def main() -> None:
    """Measure, or print the tables."""
    names = ["cars", "cars, kinds apart", "screw", "blood cells", "ships", "cats", *CONFIRMING]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("do", choices=["run", "tables"])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("contamination.jsonl"))
    parser.add_argument("--sets", nargs="+", choices=names, default=names)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.do == "run":
        run(given.sets, given.data, given.out)
    else:
        print_tables([json.loads(line) for line in given.out.read_text().splitlines()], given.sets)


if __name__ == "__main__":
    main()

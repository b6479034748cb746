"""What the lines of ``contamination.py`` say, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from anokit.results.metrics import Estimate, area_under, percentile_interval

RESAMPLES = 1000

GROUPS = {
    "A": ("airplane", "cat", "dog", "horse", "truck"),
    "B": ("bird", "deer", "frog", "ship"),
}
"""Groups of the nine classes that are anomalous where cars are normal: every other of them."""

COMBINED = ("gauss-equal", "gauss-knn", "gauss-reach", "gauss")
"""Scores that are sums of others; the rest are simple."""

LATER = "reach-knn"
"""A simple score that was added after the rule for the default was set."""

Floats = npt.NDArray[np.float64]
Line = Mapping[str, Any]
Admits = Callable[[Line, str], bool]


class Means:
    """AUROC of every score, averaged over lines, with resamples that all scores share.

    The test images of a line are resampled, the normal and the anomalous ones apart. Lines of one
    test set are resampled alike, so that a mean over draws keeps the spread that the test images
    have in common, and so that a difference of two scores is paired.
    """

    def __init__(self, lines: Sequence[Line], admits: Admits = lambda line, kind: True) -> None:
        self.values: dict[str, float] = {}
        self.draws: dict[str, Floats] = {}
        sets: dict[tuple[str, ...], int] = {}
        for line in lines:
            labels = np.array(line["labels"])
            chosen = [y == 0 or admits(line, k) for y, k in zip(labels, line["kinds"], strict=True)]
            rows = np.flatnonzero(chosen)
            ids = tuple(line["ids"][row] for row in rows)
            seed = sets.setdefault(ids, len(sets))
            for name, column in line["scores"].items():
                scores = np.array(column)[rows]
                value = float(roc_auc_score(labels[rows], scores)) / len(lines)
                draws = resampled(labels[rows], scores, seed) / len(lines)
                self.values[name] = self.values.get(name, 0.0) + value
                self.draws[name] = self.draws.get(name, 0.0) + draws

    def of(self, name: str) -> Estimate:
        """Return the mean of a score."""
        return percentile_interval(self.values[name], self.draws[name], 0.95)

    def best(self, names: Iterable[str]) -> str:
        """Return which of the scores has the largest mean."""
        return max(names, key=self.values.__getitem__)

    def above(self, name: str, other: str) -> Estimate:
        """Return the mean of a score less that of another."""
        value = self.values[name] - self.values[other]
        return percentile_interval(value, self.draws[name] - self.draws[other], 0.95)


def resampled(labels: npt.NDArray[Any], scores: Floats, seed: int) -> Floats:
    """Return the AUROC of stratified resamples of the images: ``[N], [N] -> [RESAMPLES]``."""
    levels, group = np.unique(-scores, return_inverse=True)
    generator = np.random.default_rng(seed)
    weights = []
    for label in (1, 0):
        members = group[labels == label]
        drawn = members[generator.integers(0, len(members), (RESAMPLES, len(members)))]
        drawn = drawn + np.arange(RESAMPLES)[:, None] * len(levels)
        counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * len(levels))
        weights.append(counts.reshape(RESAMPLES, len(levels)).astype(np.float64))
    return area_under(weights[0], weights[1], 1.0)


def print_tables(lines: Sequence[Line], sets: Sequence[str]) -> None:
    """Print a table of every set: scores, and what sums and mahalanobis lose to the best."""
    for name in sets:
        own = [line for line in lines if line["set"] == name]
        if not own:
            continue
        print(f"\n### {name}\n")
        if any(line["group"] for line in own):
            clean = [line for line in lines if line["set"] == "cars" and not line["gamma"]]
            _print_apart(own, clean[:1])
        else:
            _print_set(own)


def _print_set(lines: Sequence[Line]) -> None:
    gammas = sorted({line["gamma"] for line in lines})
    cells = {g: [line for line in lines if line["gamma"] == g] for g in gammas}
    means = {gamma: Means(found) for gamma, found in cells.items()}
    for gamma, found in cells.items():
        sizes = ", ".join(sorted({f"{one['normals']} + {one['contaminants']}" for one in found}))
        print(f"γ = {gamma:g}: {len(found)} draws, normal + contaminants {sizes}")
    first = lines[0]
    print(f"test: {first['labels'].count(0)} + {first['labels'].count(1)}\n")
    heads = [f"γ = {100 * gamma:g} %" if gamma else "γ = 0" for gamma in gammas]
    _row(["score", *heads], head=True)
    for name in first["scores"]:
        _row([name, *(str(means[gamma].of(name)) for gamma in gammas)])
    simple = [name for name in first["scores"] if name not in COMBINED]
    for name, without in ((n, w) for w in ("", LATER) for n in (*COMBINED, "mahalanobis")):
        if name not in first["scores"] or (without and name != "gauss"):
            continue
        row = []
        for gamma in gammas:
            best = means[gamma].best(other for other in simple if other not in (name, without))
            row.append(f"{_signed(means[gamma].above(name, best))} ({best})")
        _row([f"{name} less the best simple score{f' but {without}' if without else ''}", *row])


def _print_apart(lines: Sequence[Line], clean: Sequence[Line]) -> None:
    """Print the AUROC on kinds that are, and that are not, among the contaminants."""
    gammas = sorted({line["gamma"] for line in lines})
    groups = sorted({line["group"] for line in lines})
    base = [{**line, "group": group} for line in clean for group in groups]
    names = list(lines[0]["scores"])
    for title, same in (("other kinds than the contaminants'", False), ("the same kinds", True)):

        def admits(line: Line, kind: str, same: bool = same) -> bool:
            return (kind in GROUPS[line["group"]]) == same

        means = [Means(base, admits)] if base else []
        means += [Means([one for one in lines if one["gamma"] == g], admits) for g in gammas]
        print(f"\ntest images of {title}, {len(lines) // len(gammas)} lines each\n")
        heads = [*(["γ = 0"] if base else []), *(f"γ = {100 * gamma:g} %" for gamma in gammas)]
        _row(["score", *heads], head=True)
        for name in names:
            _row([name, *(str(mean.of(name)) for mean in means)])


def _signed(value: Estimate) -> str:
    return f"{value.value:+.3f} [{value.low:+.3f}, {value.high:+.3f}]".replace("-", "−")


def _row(cells: Sequence[str], *, head: bool = False) -> None:
    print(f"| {' | '.join(cells)} |")
    if head:
        print("|" + "---|" * len(cells))

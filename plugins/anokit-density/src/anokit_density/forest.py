"""Isolation forest: grown by scikit-learn, walked in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import IsolationForest

from anokit.nn import Detector, FieldScore, field_score

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_density.plugin import IsolationForestOptions


class Forest(Detector):
    """2^(−E[h(x)] / c(n)), h the depth at which a random tree sets x apart, in (0, 1].

    The state is the trees as tensors ``[T, M]``, padded to the largest: which value a node looks
    at, its threshold, its two children (a leaf is its own child) and the path length that ends
    there. Equal to −``score_samples`` of scikit-learn. Liu, Ting, Zhou (2008), equation 2.
    """

    value: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    length: Tensor
    depth: Tensor
    scale: Tensor

    def __init__(self, trees: int, samples: int, seed: int) -> None:
        super().__init__()
        self.trees = trees
        self.samples = samples
        self.seed = seed
        for name in ("value", "left", "right"):
            self.register_buffer(name, torch.empty(0, 0, dtype=torch.int64))
        for name in ("threshold", "length"):
            self.register_buffer(name, torch.empty(0, 0))
        self.register_buffer("depth", torch.empty(0, dtype=torch.int64))
        self.register_buffer("scale", torch.empty(0))

    def fit(self, rows: Tensor) -> None:
        """Grow the trees on ``[N, D]``."""
        samples = min(self.samples, len(rows))
        forest = IsolationForest(
            n_estimators=self.trees, max_samples=samples, random_state=self.seed
        ).fit(rows.cpu().numpy())
        trees = [estimator.tree_ for estimator in forest.estimators_]
        size = max(tree.node_count for tree in trees)
        arrays = [_tree_arrays(tree, size) for tree in trees]
        for name in arrays[0]:
            stacked = torch.from_numpy(np.stack([tree[name] for tree in arrays]))
            setattr(self, name, stacked.to(rows.device))
        self.depth = torch.tensor([max(tree.max_depth for tree in trees)], device=rows.device)
        scale = float(average_path_length(np.array([samples]))[0])
        self.scale = torch.tensor([scale], device=rows.device, dtype=torch.float32)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the anomaly score: ``[R, D] -> [R]``, in (0, 1]; 1/2 is average."""
        tree = torch.arange(len(self.value), device=rows.device)
        node = torch.zeros(len(rows), len(tree), dtype=torch.int64, device=rows.device)
        for _ in range(int(self.depth)):
            goes_left = rows.gather(1, self.value[tree, node]) <= self.threshold[tree, node]
            node = torch.where(goes_left, self.left[tree, node], self.right[tree, node])
        mean = self.length[tree, node].mean(dim=1)
        # One sample per tree has no path; scikit-learn then scores 1/2 throughout.
        return torch.where(self.scale > 0, torch.exp2(-mean / self.scale), torch.exp2(-mean - 1))


def _tree_arrays(tree: Any, size: int) -> dict[str, npt.NDArray[Any]]:
    """Return one tree of scikit-learn as arrays of ``size`` nodes."""
    count = tree.node_count
    own = np.arange(size)
    leaf = tree.children_left < 0
    depth = np.zeros(count, dtype=np.int64)
    for node in np.flatnonzero(~leaf):  # parents come before their children
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    filled: dict[str, npt.NDArray[Any]] = {
        "value": np.zeros(size, dtype=np.int64),
        "threshold": np.zeros(size, dtype=np.float32),
        "left": own.copy(),
        "right": own.copy(),
        "length": np.zeros(size, dtype=np.float32),
    }
    filled["value"][:count] = np.where(leaf, 0, tree.feature)
    filled["threshold"][:count] = round_down(np.where(leaf, 0, tree.threshold))
    filled["left"][:count] = np.where(leaf, own[:count], tree.children_left)
    filled["right"][:count] = np.where(leaf, own[:count], tree.children_right)
    filled["length"][:count] = depth + average_path_length(tree.n_node_samples)
    return filled


def round_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the largest float32 that is not above: for a float32 x, x ≤ it just if x ≤ value."""
    near = values.astype(np.float32)
    above = near.astype(np.float64) > values
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near)


def average_path_length(count: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return c(n), the mean depth of an unsuccessful search among n. Liu et al., equation 1."""
    n = np.asarray(count, dtype=np.float64)
    long = np.maximum(n, 3)
    many = 2 * (np.log(long - 1) + np.euler_gamma) - 2 * (long - 1) / long
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, many))


def isolation_forest(options: IsolationForestOptions) -> FieldScore:
    """Return the score ``isolation-forest``."""
    return field_score(
        Forest(options.trees, options.samples, options.seed), "isolation-forest", options
    )

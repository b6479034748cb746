"""Kernel density estimate on principal components."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from anokit.data import seeded_order
from anokit.nn import Detector, FieldScore, field_score, to_double
from anokit_density.components import check_count, principal_components

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_density.plugin import KDEOptions

BANDWIDTHS = tuple(2 ** (step / 2) for step in range(-4, 11))
"""Candidates of cross-validation: 2^0.5 … 2^5 as for Deep SVDD's baseline, continued downwards for
fields of few dimensions."""

FOLDS = 5

HELD_OUT = 1000
"""Most training rows whose density is looked at for the choice of the bandwidth."""

MAX_ROWS = 1024
"""Rows of either side in memory at one time: their distances take 8 MB."""


class KernelDensity(Detector):
    """−log p(x), p being the mean of Gaussians round the training rows.

    Rows are projected on principal components and, if whitened, divided by the standard deviation
    along each; what lies outside the components does not count. The state is the mean ``[D]``, the
    projection ``[D, K]``, the projected training rows ``[N, K]`` and the bandwidth ``[1]``. It is
    −``score_samples`` of scikit-learn's ``KernelDensity`` after ``PCA``, but computed from all
    pairs, so exact in far tails too, where scikit-learn's tree is off.

    Parameters
    ----------
    name
        Of the score, for messages.
    options
        See `KDEOptions`.
    """

    mean: Tensor
    projection: Tensor
    points: Tensor
    bandwidth: Tensor

    def __init__(self, name: str, options: KDEOptions) -> None:
        super().__init__()
        self.name = name
        self.options = options
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("projection", torch.empty(0, 0))
        self.register_buffer("points", torch.empty(0, 0))
        self.register_buffer("bandwidth", torch.empty(0))

    def fit(self, rows: Tensor) -> None:
        """Project ``[N, D]``, keep it, and choose the bandwidth.

        Raises
        ------
        DataError
            Where more components are asked for than N rows of D values can have.
        """
        self._fit(rows, self.options.components, self.options.bandwidth)

    def refit(self, rows: Tensor) -> None:
        """Project ``[N, D]`` on as many components as before, and keep the bandwidth.

        Densities in spaces of different dimension, or of another width, are of no one scale.
        """
        if not self.bandwidth.numel():
            self.fit(rows)
            return
        kept = min(self.points.shape[1], *rows.shape)
        self._fit(rows, kept or self.options.components, float(self.bandwidth))

    def _fit(self, rows: Tensor, components: float, bandwidth: float | Literal["cv"]) -> None:
        options = self.options
        values = self._prepare(rows).cpu().numpy()
        check_count(self.name, components, values)
        mean, directions, variances = principal_components(values, components)
        if options.whiten:
            real = variances > variances.max(initial=0) * np.finfo(np.float32).eps
            directions = directions[real] / np.sqrt(variances[real, None])
        self.mean = torch.from_numpy(mean).to(rows)
        self.projection = torch.from_numpy(np.ascontiguousarray(directions.T)).to(rows)
        self.points = self._project(rows).to(rows)
        chosen = (
            cross_validated(to_double(self.points), options.seed)
            if bandwidth == "cv"
            else bandwidth
        )
        self.bandwidth = torch.tensor([chosen], device=rows.device)

    def forward(self, rows: Tensor) -> Tensor:
        """Return minus the log density: ``[R, D] -> [R]``, any sign."""
        points, bandwidth = to_double(self.points), to_double(self.bandwidth)
        parts = []
        for queries in torch.split(self._project(rows), MAX_ROWS):
            total = torch.full((len(queries),), -torch.inf, dtype=torch.float64).to(queries)
            for block in torch.split(points, MAX_ROWS):
                exponents = -squared_distances(queries, block) / (2 * bandwidth.square())
                total = torch.logaddexp(total, exponents.logsumexp(dim=1))
            parts.append(total)
        count, width = points.shape
        constant = math.log(count) + width * (bandwidth.log() + 0.5 * math.log(2 * math.pi))
        return (constant - torch.cat(parts)).to(rows)

    def _prepare(self, rows: Tensor) -> Tensor:
        return normalise_contrast(rows) if self.options.contrast else rows

    def _project(self, rows: Tensor) -> Tensor:
        centred = to_double(self._prepare(rows)) - to_double(self.mean)
        return centred @ to_double(self.projection)


def normalise_contrast(rows: Tensor) -> Tensor:
    """Subtract the mean of each row and divide by the mean of its absolute values: ``[R, D]``.

    A row without contrast becomes zero.
    """
    centred = rows - rows.mean(dim=1, keepdim=True)
    scale = centred.abs().mean(dim=1, keepdim=True)
    return centred / torch.where(scale > 0, scale, torch.ones_like(scale))


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Return ‖a − b‖² of all pairs: ``[R, K], [N, K] -> [R, N]``, ≥ 0."""
    squares = left.square().sum(dim=1, keepdim=True) + right.square().sum(dim=1)
    return (squares - 2 * left @ right.T).clamp_min(0)


def cross_validated(points: Tensor, seed: int) -> float:
    """Return the bandwidth of `BANDWIDTHS` under which held-out points are likeliest.

    Points ``[N, K]`` are dealt to `FOLDS` folds in a seeded order; the density of each (of at most
    `HELD_OUT`) comes from the other folds. A single point tells nothing: 1.
    """
    count, width = points.shape
    if count < 2:
        return 1.0
    order = torch.from_numpy(seeded_order(count, seed, "kde")).to(points.device)
    folds = torch.empty_like(order)
    folds[order] = torch.arange(count, device=points.device) % min(FOLDS, count)
    likelihood = torch.zeros(len(BANDWIDTHS), dtype=torch.float64)
    for rows in torch.split(order[:HELD_OUT], 256):
        distances = squared_distances(points[rows], points)
        same = folds[rows][:, None] == folds
        others = (~same).sum(dim=1)
        distances[same] = torch.inf
        for place, bandwidth in enumerate(BANDWIDTHS):
            density = (-distances / (2 * bandwidth**2)).logsumexp(dim=1) - others.log()
            likelihood[place] += (density - width * math.log(bandwidth)).sum().cpu()
    return BANDWIDTHS[int(likelihood.argmax())]


def kde(options: KDEOptions) -> FieldScore:
    """Return the score ``kde``."""
    return field_score(KernelDensity("kde", options), "kde", options)

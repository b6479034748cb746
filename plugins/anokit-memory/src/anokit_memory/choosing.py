"""Which training patches to remember, and how odd each of them is among its like."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from anokit.nn import to_double
from anokit_memory.nearest import NearestRows

WIDTH = 128
"""Values that longer rows are projected to where many are compared."""

RIDGE = 0.01
"""Added to variances before they are inverted."""

TINY = 1e-10
"""Added to mean distances before they divide: rows that are all equal are no outliers."""

Weighting = Literal["lof", "nearest", "gaussian"]


def projection(width: int, seed: int) -> Tensor:
    """Return a seeded Gaussian projection that keeps distances on average: ``[width, WIDTH]``."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(width, WIDTH, generator=source) / math.sqrt(WIDTH)


def projected(rows: Tensor, seed: int) -> Tensor:
    """Return rows of at most `WIDTH` values: ``[N, D] -> [N, min(D, WIDTH)]`` float32."""
    if rows.shape[1] <= WIDTH:
        return rows
    wide = to_double(rows)
    return (wide @ projection(rows.shape[1], seed).to(wide)).to(rows)


def k_centre(rows: Tensor, count: int, seed: int) -> Tensor:
    """Return ascending places of ``count`` rows that cover the others: ``[N, D] -> [count]`` int64.

    Greedy: from a seeded row on, always that which is farthest from all chosen ones, which is at
    most twice as far as in the best cover (Gonzalez 1985). Distances are those of projections.
    """
    if count >= len(rows):
        return torch.arange(len(rows), device=rows.device)
    source = torch.Generator().manual_seed(seed)
    short = projected(rows, seed)
    short = short - short.mean(dim=0)
    squares = short.square().sum(dim=1)
    chosen = torch.empty(count, dtype=torch.int64, device=rows.device)
    chosen[0] = torch.randint(len(rows), (1,), generator=source)[0]
    away = torch.full_like(squares, torch.inf)
    for number in range(count):
        if number:
            chosen[number] = away.argmax()
        new = chosen[number : number + 1]
        torch.minimum(away, squares + squares[new] - 2 * (short @ short[new[0]]), out=away)
        away[new] = -torch.inf  # never again, also where all that is left are copies
    return chosen.sort().values


def weights(group: Tensor, how: Weighting, k: int) -> Tensor:
    """Return how odd each row is among the others, about 1 for ordinary ones: ``[N, D] -> [N]``.

    Parameters
    ----------
    group
        Rows, N ≥ 2, and N > k for ``"lof"``.
    how
        ``"lof"``: local outlier factor (Breunig et al. 2000) of k neighbours; ``"nearest"``:
        1 + distance to the nearest other; ``"gaussian"``: 1 + Mahalanobis distance, variances
        raised by `RIDGE`.
    k
        Neighbours of ``"lof"``.
    """
    if how == "gaussian":
        wide = to_double(group)
        centred = wide - wide.mean(dim=0)
        covariance = centred.T @ centred / (len(wide) - 1)
        covariance.diagonal().add_(RIDGE)
        factor = torch.linalg.cholesky(covariance)
        solved = torch.linalg.solve_triangular(factor, centred.T, upper=False)
        return 1 + torch.linalg.vector_norm(solved, dim=0)
    itself = torch.arange(len(group), device=group.device)
    where, squares = NearestRows(group).nearest(group, 1 if how == "nearest" else k, itself)
    near = squares.sqrt()
    if how == "nearest":
        return 1 + near[:, 0]
    where = where.to(near.device)
    reach = torch.maximum(near[:, -1][where], near)
    density = 1 / (reach.mean(dim=1) + TINY)
    return density[where].mean(dim=1) / density

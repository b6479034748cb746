"""Dirichlet distributions of greatest likelihood.

Minka, "Estimating a Dirichlet distribution" (2000), for the fixed point and its inverse digamma;
Wicker et al., "A maximum likelihood approximation method for Dirichlet's parameter estimation"
(2008), for where it begins.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.special import digamma, polygamma

__all__ = ["fit_dirichlets", "inverse_digamma", "shift_of_fit"]

EULER = 0.5772156649015329
"""Euler's constant γ = −ψ(1)."""

NEWTON_STEPS = 5
TOLERANCE = 1e-9
MOST_ITERATIONS = 1000

LEAST_SPREAD = 1e-12
"""Keeps the initial α finite where all observations are equal."""


def fit_dirichlets(mean: Tensor, mean_log: Tensor) -> Tensor:
    """Return α of the Dirichlet most likely to have made observations p, for each of R rows.

    Begins at α = s·E[p] with s = (K − 1)·γ / Σ_j E[p_j]·(log E[p_j] − E[log p_j]) and repeats
    ψ(α_j) ← ψ(Σ_k α_k) + E[log p_j] until no row's α moves by 1e-9 (Euclidean norm), at most 1,000
    times.

    Parameters
    ----------
    mean, mean_log
        E[p] and E[log p], ``[R, K]`` float64: all that the likelihood depends on.

    Returns
    -------
    Tensor
        ``[R, K]`` float64, > 0.
    """
    spread = (mean * (mean.log() - mean_log)).sum(dim=1, keepdim=True)
    alpha = mean * (mean.shape[1] - 1) * EULER / spread.clamp(min=LEAST_SPREAD)
    for _ in range(MOST_ITERATIONS):
        before = alpha
        alpha = inverse_digamma(digamma(alpha.sum(dim=1, keepdim=True)) + mean_log)
        if (alpha - before).norm(dim=1).max() < TOLERANCE:
            break
    return alpha


def inverse_digamma(y: Tensor) -> Tensor:
    """Return x > 0 with ψ(x) = y, by Newton steps from Minka's first guess (appendix C)."""
    x = torch.where(y >= -2.22, y.exp() + 0.5, -1 / (y + EULER))
    for _ in range(NEWTON_STEPS):
        x = x - (digamma(x) - y) / polygamma(1, x)
    return x


def shift_of_fit(alpha: Tensor, change: Tensor) -> Tensor:
    """Return to first order how α moves where E[log p] changes: ``[R, K], [B, R, K] -> [B, R, K]``.

    At the fit ψ(α_j) − ψ(Σ_k α_k) = E[log p_j]; its derivative is a diagonal matrix less a constant
    one, which Sherman's and Morrison's formula inverts.
    """
    inverse = 1 / polygamma(1, alpha)
    own = change * inverse
    common = polygamma(1, alpha.sum(dim=1))
    factor = common / (1 - common * inverse.sum(dim=1))
    return own + inverse * (factor * own.sum(dim=2))[..., None]

"""Distances to Gaussians whose covariance was shrunk; several Gaussians at a time where asked.

Σ = s S + r I, with S the covariance of N rows (divided by N), s its share and r the ridge. Leading
dimensions ``...`` count Gaussians.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anokit.nn import to_double

LEAST_ROWS = 20
"""Fewest training images, or rows, that a Gaussian is fitted to."""

SINGULAR = 1e-14
"""Least variance, as a share of the largest, that is not taken for rounding."""

SERIES_ERROR = 1e-7
"""Bound of what the series of `left_out_distances` leaves out, as a share of Σ⁻¹."""

LEAST_REST = 1e-9
"""Least denominator of `left_out_distances`; reached by a row that spans a direction alone."""


def cholesky(covariance: Tensor) -> Tensor | None:
    """Return the lower factor L of Σ = LLᵀ, ``[..., D, D]``; None where one has no inverse."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    least = factor.diagonal(dim1=-2, dim2=-1).amin(dim=-1).square()
    largest = covariance.diagonal(dim1=-2, dim2=-1).amax(dim=-1)
    if bool(failed.any()) or bool((least < SINGULAR * largest).any()):
        return None
    return factor


def pack(factor: Tensor) -> Tensor:
    """Return the lower triangle row by row: ``[..., D, D] -> [..., D (D + 1) / 2]``."""
    rows, columns = torch.tril_indices(*factor.shape[-2:], device=factor.device)
    return factor[..., rows, columns]


def unpack(packed: Tensor, width: int) -> Tensor:
    """Undo `pack`: ``[..., D (D + 1) / 2] -> [..., D, D]``, D = ``width``."""
    shape = (*packed.shape[:-1], width, width)
    lower = torch.ones(width, width, dtype=torch.bool, device=packed.device).tril()
    return packed.new_zeros(shape).masked_scatter_(lower.expand(shape), packed)


class Factor:
    """The lower factor of a packed triangle, unpacked once for all batches.

    What is fitted anew, loaded, moved to another device or asked for in another precision is
    unpacked again.
    """

    def __init__(self) -> None:
        self._of: tuple[Tensor, int, bool] | None = None
        self._factor = torch.empty(0)

    def __call__(self, packed: Tensor, width: int, *, double: bool = False) -> Tensor:
        """Return `unpack` of ``packed``, in float64 if asked; nothing may be written into it."""
        if packed.is_inference():  # torch does not count what is written into these
            return _unpacked(packed, width, double)
        of = self._of
        if of is None or of[0] is not packed or of[1:] != (packed._version, double):
            self._of = packed, packed._version, double
            self._factor = _unpacked(packed, width, double)
        return self._factor


def _unpacked(packed: Tensor, width: int, double: bool) -> Tensor:
    factor = unpack(packed, width)
    return to_double(factor) if double else factor


def distances(factor: Tensor, centred: Tensor) -> Tensor:
    """Return √(uᵀ Σ⁻¹ u) = ‖L⁻¹ u‖ of columns u: ``[..., D, D], [..., D, R] -> [..., R]``, ≥ 0."""
    solved = torch.linalg.solve_triangular(factor, centred, upper=False)
    return torch.linalg.vector_norm(solved, dim=-2)


def left_out_distances(
    factor: Tensor, centred: Tensor, *, share: float | Tensor, ridge: Tensor, count: int
) -> Tensor:
    """Return the distances of fitted rows to the Gaussian of the other N − 1, s and r held.

    Without the row m + u the mean is m − u/(N−1), at a distance of N/(N−1) u from the row, and the
    covariance S' = N/(N−1) S − N/(N−1)² uuᵀ. So Σ' = A − c uuᵀ with c = s N/(N−1)² and
    A = s N/(N−1) S + r I = N/(N−1) (Σ − r/N I), and by Sherman and Morrison (1950)

        d² = (N/(N−1))² q / (1 − c q),    q = uᵀ A⁻¹ u.

    Since Σ ≥ r I, the inverse of Σ − r/N I is a series in Σ⁻¹ whose terms fall by N each; it is
    summed until the rest is below `SERIES_ERROR`.

    Parameters
    ----------
    factor
        L of Σ, ``[..., D, D]``.
    centred
        Fitted rows less the mean, as columns ``[..., D, R]``.
    share, ridge
        s in [0, 1] and r ≥ 0, a number or ``[..., 1]``.
    count
        N ≥ 2.

    Returns
    -------
    Tensor
        ``[..., R]`` float64, ≥ 0.
    """
    factor, column = to_double(factor), to_double(centred)
    ratio = ridge / count
    terms = math.ceil(-math.log(SERIES_ERROR) / math.log(count)) if bool((ridge > 0).any()) else 1
    power: Tensor | float = 1.0
    product = torch.zeros_like(column[..., 0, :])
    for term in range(terms):  # L⁻¹, L⁻ᵀ, L⁻¹, … : the squared lengths are uᵀ Σ⁻¹ u, uᵀ Σ⁻² u, …
        back = term % 2 == 1
        column = torch.linalg.solve_triangular(factor.mT if back else factor, column, upper=back)
        product += power * column.square().sum(dim=-2)
        power = power * ratio
    scale = count / (count - 1)
    product /= scale
    rest = (1 - share * scale / (count - 1) * product).clamp(min=LEAST_REST)
    return scale * (product / rest).sqrt()

"""Distance to the centre of the training vectors, in units of their own spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from anokit.errors import DataError
from anokit.nn import Detector, FieldScore, field_score, to_double
from anokit_memory.gaussian import (
    LEAST_ROWS,
    Factor,
    cholesky,
    distances,
    left_out_distances,
    pack,
)

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.plugin import MahalanobisOptions

FEW_ROWS = 100
"""Fewer training rows than this are warned about."""

ROUNDS = 3
"""How often rows are trimmed and the Gaussian fitted again."""


class Gaussian(NamedTuple):
    """What one fit gives, float64."""

    mean: Tensor
    """``[D]``"""
    factor: Tensor
    """L of Σ = (1 − α) S + α μ I, ``[D, D]``"""
    alpha: float
    mu: float


class Mahalanobis(Detector):
    """‖L⁻¹ (x − m)‖, m the mean of the training rows, LLᵀ = (1 − α) S + α μ I.

    S is their covariance (divided by N), μ = trace(S)/D, and α is given or estimated as in Ledoit
    and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices" (2004).
    The state is m ``[D]``, the lower triangle of L, packed, and what leaving a row out takes: which
    rows were kept (bool ``[N]``), α and μ.

    Parameters
    ----------
    name
        Of the score, for messages.
    shrinkage
        α in [0, 1], or ``"ledoit-wolf"``.
    trim
        Share of the rows that is kept in the end, in (0, 1]. Below 1, m and Σ are fitted again to
        the rows nearest to the last fit, three times.
    """

    mean: Tensor
    triangle: Tensor
    kept: Tensor
    alpha: Tensor
    mu: Tensor

    def __init__(
        self, name: str, shrinkage: float | Literal["ledoit-wolf"], trim: float = 1.0
    ) -> None:
        super().__init__()
        self.name = name
        self.shrinkage = shrinkage
        self.trim = trim
        self.factor = Factor()
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("triangle", torch.empty(0))
        self.register_buffer("kept", torch.empty(0, dtype=torch.bool))
        self.register_buffer("alpha", torch.empty(0))
        self.register_buffer("mu", torch.empty(0))

    def fit(self, rows: Tensor) -> None:
        """Estimate m and Σ of ``[N, D]``.

        Raises
        ------
        DataError
            Where fewer than 20 rows are left to fit, all of them are equal, or Σ cannot be
            inverted, which more shrinkage mends.
        """
        most = int(self.trim * len(rows))
        if most < LEAST_ROWS:
            trimmed = f", of which trim = {self.trim:g} leaves {most}" if self.trim < 1 else ""
            raise DataError(
                f"score '{self.name}': expected at least {LEAST_ROWS} training vectors, got "
                f"{len(rows)}{trimmed}: add images; scores such as knn do with fewer"
            )
        values = to_double(rows)
        kept = torch.ones(len(rows), dtype=torch.bool, device=values.device)
        found = self._estimate(values)
        for _ in range(ROUNDS if most < len(rows) else 0):
            far = distances(found.factor, (values - found.mean).mT)
            kept = torch.zeros_like(kept)
            kept[far.argsort(stable=True)[:most]] = True
            found = self._estimate(values[kept])
        self.mean = found.mean.to(rows)
        self.triangle = pack(found.factor).to(rows)
        self.kept = kept.to(rows.device)
        self.alpha = rows.new_tensor([found.alpha])
        self.mu = rows.new_tensor([found.mu])

    def forward(self, rows: Tensor) -> Tensor:
        """Return the distance: ``[R, D] -> [R]``, ≥ 0."""
        return distances(self.factor(self.triangle, len(self.mean)), (rows - self.mean).mT)

    def leave_one_out(self, rows: Tensor, places: Tensor) -> Tensor:
        """Return the distance of fitted rows to the Gaussian of the others: ``[R, D] -> [R]``.

        In closed form, with α and μ as they are. A row that was trimmed away was not fitted to and
        keeps its distance.

        Parameters
        ----------
        rows
            Rows that were fitted to, ``[R, D]``.
        places
            Their places among the fitted rows, int64 ``[R]``.
        """
        alpha, mu = to_double(self.alpha), to_double(self.mu)
        without = left_out_distances(
            self.factor(self.triangle, len(self.mean), double=True),
            (rows - self.mean).mT,
            share=1 - alpha,
            ridge=alpha * mu,
            count=int(self.kept.sum()),
        )
        kept = self.kept[places.to(rows.device)]
        return without.to(rows) if kept.all() else torch.where(kept, without.to(rows), self(rows))

    def warnings(self) -> list[str]:
        """Return a sentence where the Gaussian was fitted to few rows, else nothing."""
        count = int(self.kept.sum())
        if count >= FEW_ROWS:
            return []
        text = (
            f"score '{self.name}' was fitted to {count} training vectors; below {FEW_ROWS} its "
            "covariance is hardly more than a guess: add training images if there are any"
        )
        return [text]

    def _estimate(self, rows: Tensor) -> Gaussian:
        if bool((rows == rows[0]).all()):
            raise DataError(
                f"score '{self.name}': all {len(rows)} training vectors are equal, so that there "
                "is no spread to measure by: look at the training images and at the field that "
                "the score reads (on)"
            )
        count, width = rows.shape
        mean = rows.mean(dim=0)
        centred = rows - mean
        covariance = centred.mT @ centred / count
        mu = float(covariance.diagonal().mean())
        if self.shrinkage == "ledoit-wolf":
            alpha = ledoit_wolf(centred, covariance)
        else:
            alpha = self.shrinkage
        covariance *= 1 - alpha
        covariance.diagonal().add_(alpha * mu)
        factor = cholesky(covariance)
        if factor is None:
            mend = (
                ": set it to a number above 0, such as 0.1"
                if self.shrinkage == "ledoit-wolf"
                else ': set it higher, or to "ledoit-wolf"'
            )
            raise DataError(
                f"score '{self.name}': the covariance of {count} training vectors of {width} "
                f"values has no inverse with shrinkage = {self.shrinkage}{mend}"
            )
        return Gaussian(mean, factor, alpha, mu)


def ledoit_wolf(centred: Tensor, covariance: Tensor) -> float:
    """Return the estimated α in [0, 1] of centred rows ``[N, D]`` and their covariance S.

    α = β²/δ², cut to [0, 1], with δ² = ‖S‖²/D − μ² and
    β² = (Σ ‖x‖⁴/N² − ‖S‖²/N)/D (Ledoit and Wolf, 2004, section 3.3).
    """
    count, width = centred.shape
    square = float(covariance.square().sum())
    delta = square / width - float(covariance.diagonal().mean()) ** 2
    beta = (float(centred.square().sum(dim=1).square().sum()) / count - square) / count / width
    # A covariance that is a sphere already has nothing to be shrunk to.
    return min(max(beta / delta, 0.0), 1.0) if delta > 0 else 0.0


def mahalanobis(options: MahalanobisOptions) -> FieldScore:
    """Return the score ``mahalanobis``."""
    detector = Mahalanobis("mahalanobis", options.shrinkage, options.trim)
    return field_score(detector, "mahalanobis", options)

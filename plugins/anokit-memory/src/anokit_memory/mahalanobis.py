"""Distance to the centre of the training vectors, in units of their own spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from sklearn.covariance import LedoitWolf, ShrunkCovariance

from anokit.errors import DataError
from anokit.nn import Detector, FieldScore, field_score, to_double

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.plugin import MahalanobisOptions

FLOOR = 1e-12
"""Smallest variance along any direction; reached where all training vectors are alike."""

SINGULAR = 1e-14
"""Least variance, as a share of the largest, that is not taken for rounding."""


class Mahalanobis(Detector):
    """√((x − μ)ᵀ Σ⁻¹ (x − μ)), μ and Σ of the training rows, Σ shrunk towards a sphere.

    The covariance comes from scikit-learn. The state is μ ``[D]`` and W ``[D, D]``, the inverse of
    the Cholesky factor of Σ, so that the distance is ‖W (x − μ)‖₂, which no rounding makes
    negative.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, name: str, shrinkage: float | Literal["ledoit-wolf"]) -> None:
        super().__init__()
        self.name = name
        self.shrinkage = shrinkage
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("whitening", torch.empty(0, 0))

    def fit(self, rows: Tensor) -> None:
        """Estimate μ and Σ of ``[N, D]``.

        Raises
        ------
        DataError
            Where Σ cannot be inverted, which some shrinkage mends.
        """
        values = rows.cpu().double().numpy()
        estimator = (
            LedoitWolf()
            if self.shrinkage == "ledoit-wolf"
            else ShrunkCovariance(shrinkage=self.shrinkage)
        ).fit(values)
        covariance = torch.from_numpy(np.ascontiguousarray(estimator.covariance_))
        diagonal = covariance.diagonal().clamp_(min=FLOOR)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if int(failed) or factor.diagonal().min() ** 2 < SINGULAR * diagonal.max():
            raise DataError(
                f"score '{self.name}': the covariance of {len(values)} training vectors of "
                f"{values.shape[1]} values has no inverse with shrinkage = {self.shrinkage}: set "
                'it higher, or to "ledoit-wolf"'
            )
        identity = torch.eye(len(factor), dtype=torch.float64)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        self.mean = torch.from_numpy(estimator.location_).to(rows)
        self.whitening = inverse.to(rows).contiguous()

    def forward(self, rows: Tensor) -> Tensor:
        """Return the distance: ``[R, D] -> [R]``, ≥ 0."""
        centred = to_double(rows) - to_double(self.mean)
        distances = torch.linalg.vector_norm(centred @ to_double(self.whitening).T, dim=1)
        return distances.to(rows)


def mahalanobis(options: MahalanobisOptions) -> FieldScore:
    """Return the score ``mahalanobis``."""
    return field_score(Mahalanobis("mahalanobis", options.shrinkage), "mahalanobis", options)

"""The RX detector: squared Mahalanobis distance of images, or of every pixel's window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from anokit.errors import DataError
from anokit.nn import Detector, FieldScore, PatchScore, field_score, to_double

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_density.plugin import RXOptions

FLOOR = 1e-12
"""Ridge where all training vectors are alike."""

SINGULAR = 1e-14
"""Least variance, as a share of the largest, that is not taken for rounding."""


class ReedXiaoli(Detector):
    """(x − μ)ᵀ (Σ + εI)⁻¹ (x − μ), μ and Σ of the training rows, ε = ridge · trace(Σ)/D.

    The state is μ ``[D]`` and W ``[D, D]``, the inverse of the Cholesky factor of Σ + εI, so that
    the score is ‖W (x − μ)‖².
    """

    mean: Tensor
    whitening: Tensor
    count: Tensor
    """int64 ``[1]``: N of the training rows"""

    def __init__(self, name: str, ridge: float) -> None:
        super().__init__()
        self.name = name
        self.ridge = ridge
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("whitening", torch.empty(0, 0))
        self.register_buffer("count", torch.empty(0, dtype=torch.int64))

    def fit(self, rows: Tensor) -> None:
        """Estimate μ and Σ of ``[N, D]``.

        Raises
        ------
        DataError
            Where Σ + εI cannot be inverted, which a larger ridge mends.
        """
        values = rows.cpu().double()
        # Not scikit-learn's, which warns of a single row; its covariance is 0, as it should be.
        covariance = torch.cov(values.mT, correction=0).reshape(2 * (values.shape[1],))
        diagonal = covariance.diagonal()
        spread = float(diagonal.mean())
        diagonal += self.ridge * spread if spread else FLOOR
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if int(failed) or factor.diagonal().min() ** 2 < SINGULAR * diagonal.max():
            raise DataError(
                f"score '{self.name}': the covariance of {len(values)} training vectors of "
                f"{values.shape[1]} values has no inverse with ridge = {self.ridge:g}: set it "
                "higher"
            )
        identity = torch.eye(len(factor), dtype=torch.float64)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        self.mean = values.mean(dim=0).to(rows)
        self.whitening = inverse.to(rows).contiguous()
        self.count = torch.tensor([len(values)], device=rows.device)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the squared distance: ``[R, D] -> [R]``, ≥ 0; D on average over training."""
        return self._distances(rows).to(rows)

    def leave_one_out(self, rows: Tensor, places: Tensor) -> Tensor:
        """Return the squared distances of fitted rows as if each had been left out: ``[R]``.

        By Sherman and Morrison, with εI as it is: of q = (x − μ)ᵀ (Σ + εI)⁻¹ (x − μ) it becomes
        N/(N − 1) · q / (1 − q/(N − 1)). ``places`` are not looked at: every row was fitted on.
        """
        others = max(int(self.count) - 1, 1)
        distances = self._distances(rows)
        left = (1 - distances / others).clamp_min(torch.finfo(torch.float64).eps)
        return ((others + 1) / others * distances / left).to(rows)

    def _distances(self, rows: Tensor) -> Tensor:
        centred = to_double(rows) - to_double(self.mean)
        return (centred @ to_double(self.whitening).T).square().sum(dim=1)


def windows(images: Tensor, side: int) -> Tensor:
    """Return the window round every pixel: ``[B, C, H, W] -> [B, C·side², H, W]``.

    Borders are reflected. Images must be larger than half a window.
    """
    margin = side // 2
    padded = functional.pad(images, (margin,) * 4, mode="reflect") if margin else images
    columns = functional.unfold(padded, side)
    return columns.reshape(*columns.shape[:2], *images.shape[-2:])


def rx(options: RXOptions) -> FieldScore:
    """Return the score ``rx``, global or local."""
    detector = ReedXiaoli("rx", options.ridge)
    if options.local:
        return PatchScore(detector, "rx", options, partial(windows, side=options.window))
    return field_score(detector, "rx", options)

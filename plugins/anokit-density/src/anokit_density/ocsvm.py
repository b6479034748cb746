"""One-class support vector machine: fitted by scikit-learn, evaluated in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from sklearn.svm import OneClassSVM

from anokit.nn import Detector, FieldScore, field_score, to_double
from anokit_density.kde import squared_distances

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_density.plugin import OCSVMOptions

MAX_ROWS = 1024
"""Rows of either side in memory at one time: their distances take 8 MB."""


class SupportVectors(Detector):
    """−Σ αᵢ exp(−γ ‖x − sᵢ‖²) / Σ αᵢ over the support vectors sᵢ, in [−1, 0).

    The state is the support vectors ``[S, D]``, α / Σ α ``[S]`` and γ ``[1]``. Equal to
    −``score_samples`` of scikit-learn over ν·N, which Σ α is, so that fits to different numbers of
    images are of one scale; the offset of its decision function is left out, since it shifts all
    scores alike.
    """

    vectors: Tensor
    weights: Tensor
    gamma: Tensor

    def __init__(self, nu: float, gamma: float | Literal["scale"]) -> None:
        super().__init__()
        self.nu = nu
        self.given = gamma
        self.register_buffer("vectors", torch.empty(0, 0))
        self.register_buffer("weights", torch.empty(0))
        self.register_buffer("gamma", torch.empty(0))

    def fit(self, rows: Tensor) -> None:
        """Find the support vectors of ``[N, D]``."""
        values = rows.cpu().double().numpy()
        spread = float(values.var())
        scale = 1 / (values.shape[1] * spread) if spread else 1.0
        gamma = scale if self.given == "scale" else self.given
        machine = OneClassSVM(nu=self.nu, gamma=gamma)
        machine.random_state = 0  # otherwise it draws a seed, unused, from NumPy's global generator
        machine.fit(values)
        self.vectors = torch.from_numpy(np.ascontiguousarray(machine.support_vectors_)).to(rows)
        weights = machine.dual_coef_[0]
        self.weights = torch.from_numpy(weights / weights.sum()).to(rows)
        self.gamma = torch.tensor([gamma]).to(rows)

    def forward(self, rows: Tensor) -> Tensor:
        """Return minus the weighted kernel sum: ``[R, D] -> [R]``, < 0."""
        vectors, weights = to_double(self.vectors), to_double(self.weights)
        gamma = to_double(self.gamma)
        parts = [
            torch.stack(
                [
                    torch.exp(-gamma * squared_distances(queries, block)) @ weight
                    for block, weight in zip(
                        torch.split(vectors, MAX_ROWS), torch.split(weights, MAX_ROWS), strict=True
                    )
                ]
            ).sum(dim=0)
            for queries in torch.split(to_double(rows), MAX_ROWS)
        ]
        return -torch.cat(parts).to(rows)


def ocsvm(options: OCSVMOptions) -> FieldScore:
    """Return the score ``ocsvm``."""
    return field_score(SupportVectors(options.nu, options.gamma), "ocsvm", options)

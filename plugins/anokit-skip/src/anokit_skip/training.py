"""Loss and optimiser of DCGAN-like backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam

if TYPE_CHECKING:
    from torch import Tensor, nn


def adam(parameters: list[nn.Parameter], learning_rate: float) -> Adam:
    """Return a fresh Adam with β = (0.5, 0.999), fused where the device can. DCGAN (2016)."""
    fused = all(parameter.device.type in {"cpu", "cuda"} for parameter in parameters)
    return Adam(parameters, lr=learning_rate, betas=(0.5, 0.999), fused=fused)


def cross_entropy(logits: Tensor, real: bool) -> Tensor:
    """Return the mean binary cross-entropy of ``logits`` ``[B]`` with all real or all fake."""
    target = torch.full_like(logits, float(real))
    return binary_cross_entropy_with_logits(logits, target)

"""Losses, optimisers and draws of adversarial training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator, Tensor, nn
    from torch.optim import Optimizer

BETAS = (0.5, 0.999)


def adam(networks: Sequence[nn.Module], learning_rate: float) -> Adam:
    """Return a fresh Adam over the parameters of networks, fused where the device can."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    fused = all(parameter.device.type in {"cpu", "cuda"} for parameter in parameters)
    return Adam(parameters, lr=learning_rate, betas=BETAS, fused=fused)


def descend(optimiser: Optimizer, loss: Tensor) -> None:
    """Take one step down the gradient of ``loss``."""
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Return the mean binary cross-entropy of ``logits`` ``[B]`` with one label for all."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def prior(count: int, size: int, like: Tensor, random: Generator) -> Tensor:
    """Draw latents z ~ N(0, I), ``[count, size]``, of the device and type of ``like``."""
    return torch.randn((count, size), generator=random, device=like.device, dtype=like.dtype)

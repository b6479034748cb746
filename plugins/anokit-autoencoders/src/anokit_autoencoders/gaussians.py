"""Diagonal Gaussians, which a variational encoder gives for codes and a decoder for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

LIMIT = 10.0
"""Largest |log σ²| of a code: an image like no other must not overflow what is computed of it."""


def mean_of(code: Tensor) -> Tensor:
    """Return μ of ``[B, 2Z]``: its first half, ``[B, Z]``."""
    return code.chunk(2, dim=1)[0]


def log_variance_of(code: Tensor) -> Tensor:
    """Return log σ² of ``[B, 2Z]``: its second half, ``[B, Z]``, kept in [-10, 10]."""
    return code.chunk(2, dim=1)[1].clamp(-LIMIT, LIMIT)


def shifted(code: Tensor, noise: Tensor) -> Tensor:
    """Return z = μ + σ·ε: ``[B, 2Z]`` and ``[B, Z]`` or ``[Z]`` give ``[B, Z]``."""
    return mean_of(code) + torch.exp(log_variance_of(code) / 2) * noise


def drawn(code: Tensor, generator: Generator) -> Tensor:
    """Return a draw of the codes ``[B, 2Z]``, by Kingma and Welling's reparametrisation."""
    mean = mean_of(code)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return shifted(code, noise)


def kl_to_standard(code: Tensor) -> Tensor:
    """Return KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² − 1 − log σ²) in nats: ``[B, 2Z] -> [B]``.

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014), appendix B.
    """
    mean, log_variance = mean_of(code), log_variance_of(code)
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2


def gaussian_error(images: Tensor, images_hat: Tensor, variance: float) -> Tensor:
    """Return ½ ‖x − x̂‖² / σ², summed over pixels and channels, in nats: ``[B, …] -> [B]``.

    −log p(x|z) of a Gaussian of variance σ² about x̂, but for the constant ½·N·log(2πσ²) of N
    values.
    """
    return (images - images_hat).square().flatten(1).sum(dim=1) / (2 * variance)

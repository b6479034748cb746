"""Gradient penalty of a Wasserstein critic (Gulrajani et al., "Improved training of WGANs", 4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from anokit.nn.resampling import lerp
from anokit.nn.shapes import assert_shape

__all__ = ["gradient_penalty"]


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    generator: Generator,
    target: float = 1.0,
) -> Tensor:
    """Return (‖∇D(x̂)‖₂ − t)²/t² for each pair, ``[B, ...], [B, ...] -> [B]``, differentiable.

    x̂ = real + u·(fake − real) with one u ~ U(0, 1) per image. Computed in float32 even inside an
    autocast region: a second derivative in half precision is noise.

    Parameters
    ----------
    critic
        D: ``[B, ...] -> [B]``. No result may depend on another image, up to what the published
        networks' minibatch standard deviation does.
    real, fake
        Images of equal shape, ``[B, ...]``. No gradient flows into them.
    generator
        Source of u, on the images' device.
    target
        t > 0, the gradient norm asked for: 1 as a rule, 750 in Karras et al.'s CIFAR-10 setting.

    Raises
    ------
    ValueError
        Where the shapes of ``real`` and ``fake`` differ.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import gradient_penalty
    >>> critic = lambda images: 3 * images.flatten(1)[:, 0]
    >>> source = torch.Generator().manual_seed(0)
    >>> real, fake = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    >>> gradient_penalty(critic, real, fake, source).detach()
    tensor([4., 4.])
    """
    assert_shape(fake, real.shape, "fake images")
    u = torch.rand(len(real), generator=generator, device=real.device)
    u = u.view(-1, *[1] * (real.ndim - 1))
    with torch.autocast(real.device.type, enabled=False), torch.enable_grad():
        between = lerp(real.detach().float(), fake.detach().float(), u).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        norm = torch.linalg.vector_norm(slope.flatten(1), dim=1)
        return (norm - target).square() / target**2

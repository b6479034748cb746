"""ADGAN's search: latent and generator are both fitted to each query (Deecke et al., section 3.3).

Every query and start has its own copy of the generator's weights, stacked along a first dimension;
torch.func runs the one network with all copies at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.optim import Adam

from anokit.nn import assert_shape

__all__ = ["Adapted", "adaptive_search"]

BETAS = (0.5, 0.999)


class Adapted(NamedTuple):
    """What `adaptive_search` found for B queries from R starts."""

    latent: Tensor
    """``[B, Z]``: from the start that ended lowest"""
    image_hat: Tensor
    """``[B, C, H, W]``: made of it by the generator as it was adapted there"""
    losses: Tensor
    """``[B, R]``: mean (x − G(z))² at the end of the search from each start"""


def adaptive_search(
    generator: nn.Module,
    images: Tensor,
    starts: Tensor,
    *,
    steps: int = 5,
    latent_learning_rate: float = 0.25,
    generator_learning_rate: float = 5e-5,
    progress: Callable[[float], None] | None = None,
) -> Adapted:
    """Minimise mean (x − G(z))² over z and the weights of G, anew for each query and start.

    One step moves z by Adam and then, at the new z, the weights by another Adam (β₁ = 0.5 both).
    Every query and start has weights and moments of its own. No query sees another, but for
    rounding: give one query at a time where that matters. The generator itself is left as it is.

    Parameters
    ----------
    generator
        G: ``[B, Z] -> [B, C, H, W]``, in evaluation mode.
    images
        The queries x, ``[B, C, H, W]``.
    starts
        ``[B, R, Z]``, R for each query; see `anokit.nn.SearchStarts`.
    steps
        Steps from each start, ≥ 0.
    latent_learning_rate, generator_learning_rate
        Step sizes; the latter may be 0.
    progress
        Called after every step with the share of the whole work that it made up; they sum to 1.

    Raises
    ------
    ValueError
        Where images or starts have another number of dimensions.
    """
    assert_shape(images, (None, None, None, None), "queries of a search")
    assert_shape(starts, (len(images), None, None), "starts of a search")
    restarts = starts.shape[1]
    weights = {name: weight.detach() for name, weight in generator.named_parameters()}
    buffers = dict(generator.named_buffers())

    def generate(own: dict[str, Tensor], z: Tensor) -> Tensor:
        made: Tensor = functional_call(generator, (own, buffers), (z[None],))
        return made[0]

    def loss(own: dict[str, Tensor], z: Tensor, image: Tensor) -> Tensor:
        return (image - generate(own, z)).square().mean()

    slope_of_weights = vmap(grad(loss, argnums=0))
    slope_of_latent = vmap(grad(loss, argnums=1))
    share = 1 / max(1, steps)
    # Every query from every start. A copy: where a row lies may decide how it is rounded, too.
    wanted = images.repeat_interleave(restarts, dim=0)
    z = starts.flatten(0, 1).clone()
    own = {name: weight.expand(len(z), *weight.shape).clone() for name, weight in weights.items()}
    adam_z = Adam([z], lr=latent_learning_rate, betas=BETAS)
    # Most of the time goes into this optimiser: copies of all weights.
    fused = z.device.type in {"cpu", "cuda"}
    adam_g = Adam(list(own.values()), lr=generator_learning_rate, betas=BETAS, fused=fused)
    for _ in range(steps):
        z.grad = slope_of_latent(own, z, wanted)
        adam_z.step()
        if generator_learning_rate:
            for name, slope in slope_of_weights(own, z, wanted).items():
                own[name].grad = slope
            adam_g.step()
        if progress:
            progress(share)
    found = vmap(generate)(own, z)
    ends = (wanted - found).square().flatten(1).mean(dim=1).view(-1, restarts)
    best = ends.nan_to_num(nan=torch.inf).argmin(dim=1)
    chosen = torch.arange(len(images), device=best.device) * restarts + best
    return Adapted(z[chosen], found[chosen], ends)

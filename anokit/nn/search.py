"""Search for the latent whose image is nearest to a query (Schlegl et al., AnoGAN, section 2.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam

from anokit.nn.learning_rate import set_learning_rate
from anokit.nn.shapes import assert_shape

__all__ = ["FoundLatents", "latent_search", "residual_objective", "settle"]


class FoundLatents(NamedTuple):
    """What `latent_search` found for B queries from R starts.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import latent_search
    >>> nearest = lambda x: lambda z: (x - z).square().sum(dim=1)
    >>> found = latent_search(nearest, torch.zeros(2, 3), torch.ones(2, 4, 3), steps=3)
    >>> found.latent.shape, found.loss.shape, found.losses.shape
    (torch.Size([2, 3]), torch.Size([2]), torch.Size([2, 4]))
    """

    latent: Tensor
    """``[B, Z]``: where the search ended that ended lowest"""
    loss: Tensor
    """``[B]``: the objective there"""
    losses: Tensor
    """``[B, R]``: the objective at the end of the search from each start"""


def settle(progress: float) -> float:
    """Return the factor of the learning rate at ``progress`` in [0, 1): 1, at last 0.05.

    It is 0.1 from 0.4 and 0.05 from 0.6 on. With a learning rate of 0.01 and 500 steps that is the
    schedule of EGBAD's released AnoGAN: 0.01 for 200 steps, 0.001 for 100 and 0.0005 for 200. Under
    a constant rate a latent circles around its minimum, and the score is noise to that extent.

    Examples
    --------
    >>> from anokit.nn import settle
    >>> [settle(step / 500) for step in (0, 200, 300)]
    [1.0, 0.1, 0.05]
    """
    if progress < 0.4:
        return 1.0
    return 0.1 if progress < 0.6 else 0.05


def residual_objective(
    images: Tensor,
    generate: Callable[[Tensor], Tensor],
    features: Callable[[Tensor], Tensor],
    feature_weight: float = 0.1,
) -> Callable[[Tensor], Tensor]:
    """Return the objective of AnoGAN for some queries x: ``[B, Z] -> [B]``, ≥ 0.

    (1 − λ)·Σ|x − G(z)| + λ·Σ|f(x) − f(G(z))|, sums over one image's pixels and features (Schlegl et
    al., AnoGAN, equations 3 to 5). Its value where the search ends is AnoGAN's score.

    Parameters
    ----------
    images
        The queries ``[B, C, H, W]``.
    generate, features
        G: ``[B, Z] -> [B, C, H, W]`` and f: ``[B, C, H, W] -> [B, F]``.
    feature_weight
        λ in [0, 1]; at 0 the features are never computed.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import residual_objective
    >>> images = torch.ones(2, 1, 2, 2)
    >>> generate = lambda codes: codes.view(-1, 1, 2, 2)
    >>> objective = residual_objective(images, generate, lambda x: x.flatten(1), feature_weight=0)
    >>> objective(torch.zeros(2, 4))
    tensor([4., 4.])
    """
    wanted = None
    if feature_weight:
        with torch.no_grad():
            wanted = features(images)

    def objective(latents: Tensor) -> Tensor:
        found = generate(latents)
        loss = (1 - feature_weight) * (images - found).abs().flatten(1).sum(dim=1)
        if wanted is not None:
            loss = loss + feature_weight * (wanted - features(found)).abs().flatten(1).sum(dim=1)
        return loss

    return objective


def latent_search(
    objective: Callable[[Tensor], Callable[[Tensor], Tensor]],
    queries: Tensor,
    starts: Tensor,
    *,
    steps: int = 500,
    learning_rate: float = 0.01,
    schedule: Callable[[float], float] = settle,
    batch_size: int = 1,
    progress: Callable[[float], None] | None = None,
) -> FoundLatents:
    """Minimise an objective over latents by Adam, for every query from several starts at once.

    Every query has starts of its own (see `SearchStarts`), and the objectives are *summed*: the
    gradient of one latent is then the one that it would have alone, and so are Adam's steps. That
    leaves rounding.
    Matrix products round by the size of a batch and, on some processors, by a row's place in it,
    and hundreds of steps over a function with kinks blow one unit in the last place up to any size,
    in float64 too. So by default one query is searched for at a time, from all starts at once: what
    is found is the same to the bit, whatever the other queries are, their number and their order.

    Gradients are enabled inside, whatever holds outside; parameters of networks that the objective
    runs through get none.

    Parameters
    ----------
    objective
        Takes queries ``[b·R, ...]``, each R times in a row, and returns what is to be minimised for
        them: a function ``[b·R, Z] -> [b·R]`` of latents, in which no value depends on another.
    queries
        ``[B, ...]``, B ≥ 1.
    starts
        ``[B, R, Z]``, R for each query. R = 1 is the plain search, more are restarts, made at once,
        of which every query keeps the best. What is found lies near where the search began: one
        start for all makes the latents of unrelated queries alike.
    steps
        Steps of Adam (β = 0.9, 0.999) from each start, ≥ 0.
    learning_rate
        Adam's step size, > 0, times ``schedule``.
    schedule
        Factor of the learning rate by the share of steps done, in [0, 1).
    batch_size
        b, queries at once, ≥ 1. More than one is faster where a processor has room for them, and
        then what is found depends on the batch: by rounding alone, yet by any amount.
    progress
        Called after every step with the share of the whole work that it made up; they sum to 1.

    Raises
    ------
    ValueError
        Where ``starts`` is not ``[B, R, Z]`` or the objective does not return ``[b·R]``.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import latent_search
    >>> nearest = lambda x: lambda z: (x - z).square().sum(dim=1)
    >>> queries, starts = torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 1, 1)
    >>> found = latent_search(nearest, queries, starts, steps=200, learning_rate=0.1)
    >>> found.latent.round()
    tensor([[ 1.],
            [-1.]])
    """
    assert_shape(starts, (len(queries), None, None), "starts of a latent search")
    restarts = starts.shape[1]
    parts = []
    share = 1 / max(1, steps * math.ceil(len(queries) / batch_size))
    tell = (lambda: progress(share)) if progress else lambda: None
    for first in range(0, len(queries), batch_size):
        # A copy: where a row lies in memory may decide how it is rounded, too.
        batch = queries[first : first + batch_size].repeat_interleave(restarts, dim=0)
        own = starts[first : first + batch_size].flatten(0, 1).clone()
        z, loss = _descend(objective(batch), own, steps, learning_rate, schedule, tell)
        parts.append(_best(z.view(-1, restarts, z.shape[1]), loss.view(-1, restarts)))
    return FoundLatents(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _descend(
    minimand: Callable[[Tensor], Tensor],
    start: Tensor,
    steps: int,
    learning_rate: float,
    schedule: Callable[[float], float],
    tell: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """Return latents ``[b·R, Z]`` after so many steps, and the objective ``[b·R]`` there."""
    z = start.detach().clone().requires_grad_()
    adam = Adam([z], lr=learning_rate)
    for step in range(steps):
        set_learning_rate(adam, learning_rate * schedule(step / steps))
        with torch.enable_grad():
            loss = minimand(z)
            assert_shape(loss, (len(z),), "objective of a latent search")
            (z.grad,) = torch.autograd.grad(loss.sum(), z)
        adam.step()
        tell()
    with torch.no_grad():
        return z.detach(), minimand(z)


def _best(latents: Tensor, losses: Tensor) -> FoundLatents:
    """Choose the start that ended lowest: ``[b, R, Z], [b, R]``."""
    # A search that ran off to NaN loses against any other, instead of winning.
    best = losses.nan_to_num(nan=math.inf).argmin(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return FoundLatents(latents[rows, best], losses[rows, best], losses)

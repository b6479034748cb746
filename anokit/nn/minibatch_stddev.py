"""Minibatch standard deviation (Karras et al., "Progressive growing of GANs", section 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anokit.nn.shapes import assert_shape

__all__ = ["MinibatchStddev", "minibatch_stddev"]

EPS = 1e-8


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """Return for each image how much its group varies, ``[B, C, H, W] -> [B]`` float32, ≥ 0.

    The standard deviation over a group (population, √(variance + 1e-8)) is taken per channel and
    place and averaged over both. With n = ⌈B/group⌉ groups, image i belongs to group i mod n: where
    ``group`` divides B these are the strided groups i, i + n, i + 2n … of the published TensorFlow
    layer, and any other B is split as evenly as can be.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import minibatch_stddev
    >>> x = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    >>> minibatch_stddev(x, group=2)
    tensor([1., 1.])
    """
    batch = len(x)
    groups = math.ceil(batch / group)
    rounds, rest = divmod(batch, groups)
    members = x[: rounds * groups].float().reshape(rounds, groups, *x.shape[1:])
    if rest:
        # The first groups have one member more.
        longer = torch.cat([members[:, :rest], x[-rest:].float()[None]])
        values = torch.cat([_stddev(longer), _stddev(members[:, rest:])])
    else:
        values = _stddev(members)
    return values.repeat(rounds + 1)[:batch]


def _stddev(members: Tensor) -> Tensor:
    """Mean over C, H, W of the standard deviation over K members, ``[K, G, C, H, W] -> [G]``."""
    # Not Tensor.var: over the first dimension it is far slower than these two means.
    variance = (members - members.mean(dim=0)).square().mean(dim=0)
    return (variance + EPS).sqrt().mean(dim=(1, 2, 3))


class MinibatchStddev(nn.Module):
    """Append a map that tells how much the batch varies, ``[B, C, H, W] -> [B, C + 1, H, W]``.

    In training mode the map of an image holds `minibatch_stddev` of its group. That makes an
    image's result depend on its batch, so in evaluation mode the map holds a constant instead: the
    mean of the statistic over the batches that `accumulate` was shown.

    Parameters
    ----------
    group
        Images per group.
    over_batch
        Keep the statistic of the batch in evaluation mode too, as published implementations do.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import MinibatchStddev
    >>> layer = MinibatchStddev(group=2).eval()
    >>> layer.accumulate(torch.rand(4, 3, 8, 8))
    >>> layer(torch.rand(4, 3, 8, 8)).shape
    torch.Size([4, 4, 8, 8])
    """

    mean: Tensor
    """``[]`` float32: mean of the statistic over the images accumulated so far"""
    count: Tensor
    """``[]`` int64: how many images that were"""

    def __init__(self, group: int = 4, *, over_batch: bool = False) -> None:
        super().__init__()
        self.group = group
        self.over_batch = over_batch
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Append the map to activations ``[B, C, H, W]``."""
        if self.training or self.over_batch:
            values = minibatch_stddev(x, self.group)
        else:
            values = self.mean.expand(len(x))
        height, width = x.shape[2:]
        layer = values.to(x.dtype).view(-1, 1, 1, 1).expand(-1, 1, height, width)
        return torch.cat([x, layer], dim=1)

    @torch.no_grad()
    def accumulate(self, x: Tensor) -> None:
        """Take the statistic of one batch of activations ``[B, C, H, W]`` into the mean."""
        assert_shape(x, (None, None, None, None), "activations")
        self.count += len(x)
        shift = minibatch_stddev(x, self.group).mean() - self.mean
        self.mean += shift * (len(x) / self.count)

    @torch.no_grad()
    def reset(self) -> None:
        """Forget what was accumulated."""
        self.mean.zero_()
        self.count.zero_()

    def extra_repr(self) -> str:
        """Show the group size when the module is printed."""
        return f"group={self.group}, over_batch={self.over_batch}"

"""Layers with an equalised learning rate (Karras et al., "Progressive growing of GANs", 4.1).

Weights are drawn from N(0, 1) and multiplied at run time by ``gain / √fan_in``, He's constant.
Adam's step does not depend on a gradient's scale, so every weight then has the same dynamic range
and moves at the same relative speed.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EqualizedConv2d", "EqualizedLinear"]

Resample = Literal["none", "up", "down"]


class EqualizedLinear(nn.Module):
    """Linear layer with an equalised learning rate, ``[B, in_features] -> [B, out_features]``.

    Parameters
    ----------
    in_features, out_features
        Sizes.
    gain
        Multiplier of He's constant; √2 suits a rectifier, 1 a linear output.
    bias
        Whether to add one bias per output, from 0.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import EqualizedLinear
    >>> EqualizedLinear(16, 4)(torch.zeros(2, 16)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, in_features: int, out_features: int, gain: float = math.sqrt(2), bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.scale = gain / math.sqrt(in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_features]`` to ``[B, out_features]``."""
        return functional.linear(x, self.weight * self.scale, self.bias)

    def extra_repr(self) -> str:
        """Show sizes when the module is printed."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"


class EqualizedConv2d(nn.Module):
    """Convolution of stride 1 and "same" zero padding with an equalised learning rate.

    Parameters
    ----------
    in_channels, out_channels
        Sizes.
    kernel
        Height and width of the kernel in pixels, odd.
    gain
        Multiplier of He's constant; √2 suits a rectifier, 1 a linear output.
    resample
        ``"up"`` doubles the resolution (nearest neighbour) *before* the convolution, ``"down"``
        halves it (mean of 2×2) *after* it. Both are linear, and so is the convolution: they are
        done as one convolution of stride 2 with a 4×4 kernel, equal in its result and 2.25 times
        cheaper.
    bias
        Whether to add one bias per output channel, from 0.

    Raises
    ------
    ValueError
        For an even kernel, or one other than 3 with ``resample``.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import EqualizedConv2d
    >>> EqualizedConv2d(3, 8, 3, resample="down")(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 8, 8, 8])
    """

    spread: Tensor | None
    """``[9, 16]``: turns the flat 3×3 kernel into the 4×4 one, scale included"""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        gain: float = math.sqrt(2),
        resample: Resample = "none",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0 or (resample != "none" and kernel != 3):
            raise ValueError(
                f"EqualizedConv2d: expected an odd kernel, 3 where it resamples, got {kernel}"
            )
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.scale = gain / math.sqrt(in_channels * kernel**2)
        self.resample: Resample = resample
        spread: Tensor | None = None
        if resample == "up":
            # A transposed convolution applies its kernel turned by half a revolution.
            spread = self.scale * _spread_by_box().flip(1)
        elif resample == "down":
            spread = self.scale / 4 * _spread_by_box()
        self.register_buffer("spread", spread, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H', W']``.

        ``H' × W'`` is ``H × W``, doubled by ``"up"`` and halved by ``"down"``.
        """
        if self.spread is None:
            margin = self.weight.shape[-1] // 2
            return functional.conv2d(x, self.weight * self.scale, self.bias, padding=margin)
        kernel = (self.weight.flatten(2) @ self.spread).view(*self.weight.shape[:2], 4, 4)
        if self.resample == "up":
            kernel = kernel.transpose(0, 1)
            return functional.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)
        return functional.conv2d(x, kernel, self.bias, stride=2, padding=1)

    def extra_repr(self) -> str:
        """Show sizes when the module is printed."""
        out_channels, in_channels, kernel, _ = self.weight.shape
        return f"{in_channels}, {out_channels}, kernel={kernel}, resample={self.resample}"


def _spread_by_box() -> Tensor:
    """Return the matrix that convolves a flat 3×3 kernel with a 2×2 box of ones, ``[9, 16]``."""
    line = torch.eye(3, 4) + torch.eye(3, 4).roll(1, dims=1)  # the same along one axis, [3, 4]
    return torch.kron(line, line)

"""Pixel normalisation (Karras et al., "Progressive growing of GANs", section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["PixelNorm", "pixel_norm"]


def pixel_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Divide each vector along dimension 1 by its root mean square, ``[B, C, ...] -> [B, C, ...]``.

    The result has length √C at every place, whatever the length of the input: a network that begins
    so sees only the direction of its latent. The mean of squares is taken in float32, and ``eps``
    stands inside the root, so that a vector of zeros gives zeros and a finite gradient.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import pixel_norm
    >>> pixel_norm(torch.tensor([[3.0, -3.0]]))
    tensor([[ 1., -1.]])
    """
    mean_square = x.float().square().mean(dim=1, keepdim=True)
    return x * (mean_square + eps).rsqrt().to(x.dtype)


class PixelNorm(nn.Module):
    """Apply `pixel_norm`; has neither parameters nor state.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import PixelNorm
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), PixelNorm())
    >>> network(torch.rand(2, 3, 8, 8)).shape
    torch.Size([2, 8, 6, 6])
    """

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[B, C, ...]`` along dimension 1."""
        return pixel_norm(x, self.eps)

    def extra_repr(self) -> str:
        """Show ``eps`` when the module is printed."""
        return f"eps={self.eps}"

"""Where latent searches begin: for every image somewhere else, and for one image always there."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["SearchStarts"]


class SearchStarts(nn.Module):
    """Draws the starts of a latent search for each image from its grey levels and a seed.

    A search of a few hundred steps keeps much of the latent that it began at. From one start for
    all, the latents of unrelated images would therefore lie close together, whatever the images
    are. Here every image has starts of its own, which depend neither on the other images of a batch
    nor on the device: they are drawn on the CPU, from SHA-256 of the seed and of the image's values
    rounded to 8 bits, as they are stored. Equal images begin at equal starts.

    The seed is drawn from torch's default generator on construction and saved with the weights.

    Parameters
    ----------
    count
        R, starts per image, ≥ 1.
    latent_size
        Z, components of a latent.
    distribution
        ``"normal"`` for N(0, 1), ``"uniform"`` for U(-1, 1).

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import SearchStarts
    >>> starts = SearchStarts(count=2, latent_size=4)
    >>> images = torch.rand(3, 1, 8, 8)
    >>> starts(images).shape
    torch.Size([3, 2, 4])
    >>> torch.equal(starts(images)[1], starts(images[1:2])[0])
    True
    """

    seed: Tensor
    """int64 ``[1]``"""

    def __init__(
        self, count: int, latent_size: int, distribution: Literal["normal", "uniform"] = "normal"
    ) -> None:
        super().__init__()
        self.count = count
        self.latent_size = latent_size
        self.distribution = distribution
        self.register_buffer("seed", torch.randint(2**62, (1,)))

    def forward(self, images: Tensor) -> Tensor:
        """Return starts on the images' device: ``[B, C, H, W]`` in [-1, 1] -> ``[B, R, Z]``."""
        levels = images.detach().add(1).mul(127.5).round().to("cpu", torch.int32).flatten(1)
        seed = int(self.seed).to_bytes(8, "little")
        drawn = [self._draw(seed + row.numpy().astype("<i4").tobytes()) for row in levels]
        return torch.stack(drawn).to(images.device) if drawn else images.new_empty(0, *self._shape)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.count, self.latent_size

    def _draw(self, content: bytes) -> Tensor:
        digest = hashlib.sha256(content).digest()
        source = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        if self.distribution == "normal":
            return torch.randn(self._shape, generator=source)
        return 2 * torch.rand(self._shape, generator=source) - 1

"""A Gaussian of each position of the feature map: PaDiM, for objects that are aligned."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from anokit.errors import DataError, PluginError
from anokit.nn import map_of_grid, read_field, to_double
from anokit_memory.gaussian import (
    LEAST_ROWS,
    Factor,
    cholesky,
    distances,
    left_out_distances,
    pack,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anokit.types import RoundTrip
    from anokit_memory.plugin import PadimOptions

NAME = "padim"

SHRINKAGE = 0.1
"""Share of every covariance that is replaced by a multiple of the identity of equal trace."""

FLOOR = 1e-6
"""Least variance that a position's is replaced by, as a share of the mean over positions: where
nothing ever varied, such as a masked background, a Gaussian would have no spread at all."""

COPIES = 3
"""Float64 copies of all covariances that fitting holds at one time."""


class Padim(nn.Module):
    """max over positions p of b_p = ‖L_p⁻¹ (u_p − m_p)‖, u_p the feature vector at p.

    m_p and C_p are mean and covariance (divided by N) of the vectors at p of all training images,
    L_p L_pᵀ = 0.9 C_p + 0.1 (trace C_p / d) I. A seeded draw of d channels is read. Images stream
    by while it is fitted; what is held does not grow with their number.
    Source: Defard et al., "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection
    and Localization" (2020), whose own regulariser is 0.01 I.

    The state is m ``[P, d]``, the lower triangles of L ``[P, d (d + 1) / 2]``, the ridges
    ``[P]``, the chosen channels ``[d]``, the layout ``[3]`` = F, h, w of the feature map
    (P = h·w), and the number of images ``[1]``.

    Parameters
    ----------
    channels
        d, ≥ 1; all of F where there are fewer.
    max_fit_images
        Most training images that are fitted on, ≥ 1.
    seed
        Of the draw of channels.
    """

    mean: Tensor
    triangle: Tensor
    ridge: Tensor
    chosen: Tensor
    layout: Tensor
    count: Tensor

    def __init__(self, channels: int, max_fit_images: int, seed: int) -> None:
        super().__init__()
        self.channels = channels
        self.max_fit_images = max_fit_images
        self.seed = seed
        self.factor = Factor()
        self.register_buffer("mean", torch.empty(0, 0))
        self.register_buffer("triangle", torch.empty(0, 0))
        self.register_buffer("ridge", torch.empty(0))
        for name in ("chosen", "layout", "count"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int64))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Estimate m and Σ of every position.

        Raises
        ------
        DataError
            Where there are fewer than 20 training images, all of their feature maps are equal, or
            the covariances do not fit into memory.
        """
        moments: Moments | None = None
        for trip in trips:
            patches = read_field(trip, "patches", NAME)
            if moments is None:
                self._begin(patches)
                moments = Moments()
            moments.add(self._columns(patches))
        if moments is None:
            raise DataError(f"score '{NAME}' is fitted to training images: expected some, got none")
        if moments.count < LEAST_ROWS:
            raise DataError(
                f"score '{NAME}': expected at least {LEAST_ROWS} training images, got "
                f"{moments.count}: add images; scores such as knn do with fewer"
            )
        self._end(moments)

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return the largest distance of an image's positions: ``[B]``, ≥ 0."""
        return self._positions(trip).amax(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the distances of the positions, resized bilinearly to the image: ``[B, H, W]``."""
        values = self._positions(trip)
        return map_of_grid(values.reshape(len(values), *self.layout[1:].tolist()), trip, NAME)

    def leave_one_out(self, trip: RoundTrip, places: Tensor) -> Tensor:
        """Return the scores of fitted images as if each had been left out: ``[B]``.

        In closed form, each position with its ridge 0.1 trace C_p / d as it is, which the image
        took part in. ``places`` are not looked at: every image was fitted on.
        """
        centred = self._centred(trip)
        without = left_out_distances(
            self._factor(double=True),
            centred,
            share=1 - SHRINKAGE,
            ridge=to_double(self.ridge)[:, None],
            count=int(self.count),
        )
        return without.amax(dim=0).to(centred)

    def _begin(self, patches: Tensor) -> None:
        """Draw the channels, note the layout, and refuse what memory cannot hold."""
        width, positions = patches.shape[1], patches.shape[2] * patches.shape[3]
        used = min(self.channels, width)
        needed, there = COPIES * positions * used**2 * 8, memory()
        if there is not None and needed > there:
            raise DataError(
                f"score '{NAME}': the covariances of {used} channels at {positions} positions "
                f"take {needed / 2**30:.1f} GiB while they are fitted, expected less than the "
                f"{there / 2**30:.1f} GiB of memory: set channels lower, or let the backbone give "
                "patches on a coarser grid"
            )
        order = np.random.Generator(np.random.PCG64(self.seed)).permutation(width)
        self.chosen = torch.from_numpy(np.sort(order[:used])).to(patches.device)
        self.layout = torch.tensor(patches.shape[1:], device=patches.device)

    def _end(self, moments: Moments) -> None:
        covariance, like = moments.scatter.div_(moments.count), self.chosen.device
        width = covariance.shape[-1]
        spread = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1)
        if not bool((spread > 0).any()):
            raise DataError(
                f"score '{NAME}': the feature maps of all {moments.count} training images are "
                "equal, so that there is no spread to measure by: look at the training images"
            )
        ridge = SHRINKAGE * spread.clamp(min=FLOOR * float(spread.mean()))
        covariance.mul_(1 - SHRINKAGE).diagonal(dim1=-2, dim2=-1).add_(ridge[:, None])
        factor = cholesky(covariance)
        if factor is None:
            raise DataError(
                f"score '{NAME}': a covariance of {width} channels has no inverse: the values of "
                "the feature maps are not finite, or all but nothing varies; look at the backbone"
            )
        self.mean = moments.mean[..., 0].float().to(like)
        self.triangle = pack(factor).float().to(like)
        self.ridge = ridge.float().to(like)
        self.count = torch.tensor([moments.count], device=like)

    def _positions(self, trip: RoundTrip) -> Tensor:
        """Return the distances ``[B, P]``."""
        return distances(self._factor(), self._centred(trip)).mT

    def _factor(self, *, double: bool = False) -> Tensor:
        return self.factor(self.triangle, len(self.chosen), double=double)

    def _centred(self, trip: RoundTrip) -> Tensor:
        """Return the vectors of all positions less their means: ``[P, d, B]``."""
        patches = read_field(trip, "patches", NAME)
        if not self.count.numel():
            raise PluginError(
                f"score '{NAME}' is not fitted: call fit(trips) or load its state first"
            )
        return self._columns(patches) - self.mean[..., None]

    def _columns(self, patches: Tensor) -> Tensor:
        """Return the chosen channels ``[B, F, h, w] -> [P, d, B]``; check the layout."""
        got, expected = list(patches.shape[1:]), self.layout.tolist()
        if got != expected:
            raise PluginError(
                f"score '{NAME}' was fitted to patches {expected} [F, h, w], got {got}: score "
                "images of the size of the training images"
            )
        return patches[:, self.chosen].flatten(2).permute(2, 1, 0)


class Moments:
    """Mean and scatter of vectors that come in parts, float64 (Chan, Golub and LeVeque, 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.empty(0)  # [P, d, 1]
        self.scatter = torch.empty(0)  # Σ (x − mean)(x − mean)ᵀ, [P, d, d]

    def add(self, columns: Tensor) -> None:
        """Take the vectors ``[P, d, B]`` of B more images."""
        values = to_double(columns).contiguous()  # products of strided matrices are slow
        more = values.shape[-1]
        mean = values.mean(dim=-1, keepdim=True)
        centred = values - mean
        if not self.count:
            self.count, self.mean, self.scatter = more, mean, centred @ centred.mT
            return
        total = self.count + more
        apart = mean - self.mean
        self.scatter.baddbmm_(centred, centred.mT)
        self.scatter.baddbmm_(apart, apart.mT, alpha=self.count * more / total)
        self.mean += apart * (more / total)
        self.count = total


def memory() -> int | None:
    """Return the bytes of memory of this computer, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def padim(options: PadimOptions) -> Padim:
    """Return the score ``padim``."""
    return Padim(options.channels, options.max_fit_images, options.seed)

"""Exact search for nearest rows, at the speed of float32.

Distances are first bounded, from a float32 matrix product and what is known of its rounding; then
those that may be among the k smallest are computed again, alike to the bit for any batch (`exact`).

The bound
---------
Rows are moved by a centre c, which changes no distance and makes them short: q' = fl(q − c),
t' = fl(t − c), of lengths a and n. With u = 2⁻²⁴ and γ = L·u/(1 − L·u) for sums of L terms, in any
order, fused or not (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1):

- the product: |fl(q'·t') − q'·t'| ≤ γ·a·n;
- moving: ½‖q' − t'‖² differs from ½‖q − t‖² by at most u·(a + n)²;
- n²/2 as float32, and then n²/2 − q'·t': by at most u·n²/2 and u·(n²/2 + a·n).

So h = n²/2 − q'·t' differs from ½‖q − t‖² − a²/2 by at most E = γ·a·n + 2u·(a + n)². E is taken
1 % larger, for terms of second order and the rounding of float64, and larger by D·2⁻¹²⁰ for
underflow. Any k rows bound the k-th smallest by the largest of their h + E; every row whose h − E
is not above it is looked at again. `low` below is h − E without the part in a², which is the same
for all rows of a query; the part in a·n is one more column of the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anokit.nn import autocast, tf32, to_double
from anokit_memory.exact import pieces, squared_distances, squared_lengths

MAX_DISTANCES = 2**24
"""Most distances that are in memory at one time: 64 MB, and twice that in float64."""

MAX_CACHED = 2**19
"""Most distances that are compared at one time: 2 MB, which stay in a cache."""

MAX_SUM = 2048
"""Longest sum that is left to one matrix product, so that the bound is tight for long rows too."""

MAX_WIDE = 2**22
"""Most values of training rows that are float64 at one time: 32 MB."""

BLOCK = 64
"""Distances next to each other of which one alone bounds the k smallest."""

FEW = 256
"""Candidates of one query that are always looked at without a second search in float64."""

LARGEST = 1e37
"""Largest (a + n)² of which no float32 product can overflow."""

SLACK = 1.01
"""By how much bounds are taken larger than derived."""

ROUNDING = {torch.float32: 2.0**-24, torch.float64: 2.0**-48}
"""u, in float64 taken 32 times too large: that of `exact` and of the lengths is not 1 % of E."""


@dataclass(frozen=True)
class Moved:
    """Rows as the product takes them: moved by the centre, with a column for the bound."""

    rows: Tensor
    """``[N, W]``: the D values, the column, zeros to a multiple of 16"""
    lengths: Tensor
    """``[N]`` float64"""


class NearestRows:
    """Search among fixed rows. What depends on them alone is computed once.

    Parameters
    ----------
    rows
        ``[N, D]`` float32, N ≥ 1. They are kept, and a copy that is moved to their mean.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self.version = rows._version
        self.centre = torch.nan_to_num(rows.mean(dim=0), posinf=0, neginf=0)
        with torch.no_grad():
            self.moved = self._move(rows, torch.float32, training=True)
            self.halves = self._halves(self.moved)
            self.longest = self.moved.lengths.amax()

    def is_of(self, rows: Tensor) -> bool:
        """Return whether this is a search among ``rows``, unchanged since."""
        return self.rows is rows and self.version == rows._version

    def nearest(
        self, queries: Tensor, k: int, without: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return places and squared distances of the k nearest rows of each query.

        Parameters
        ----------
        queries
            ``[R, D]`` float32.
        k
            1 ≤ k ≤ N, or < N where rows are left out.
        without
            int64 ``[R]``: for each query the place of a row that does not count, or −1.

        Returns
        -------
        places
            int64 ``[R, k]``, nearest first; of rows equally far the earlier one first.
        squares
            float64 ``[R, k]``: ‖q − t‖². No bit of them depends on the other queries.
        """
        step = max(1, MAX_DISTANCES // len(self.rows))
        asked = torch.split(queries, step)
        left_out = None if without is None else torch.split(without.to(queries.device), step)
        found = []
        with torch.no_grad(), tf32(False), autocast(queries.device, False):
            for number, part in enumerate(asked):
                found.append(self._search(part, k, left_out[number] if left_out else None))
        places, squares = (torch.cat(column) for column in zip(*found, strict=True))
        return places, squares

    def _search(self, queries: Tensor, k: int, without: Tensor | None) -> tuple[Tensor, Tensor]:
        asked = self._move(queries, torch.float32)
        products = _products(asked.rows, self.moved.rows)
        found = []
        step = max(1, MAX_CACHED // len(self.rows))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            low = torch.sub(self.halves, products[part], out=products[part])
            left_out = None if without is None else without[part]
            lengths = asked.lengths[part]
            chosen = self._candidates(low, lengths, self.moved.lengths, k, left_out)
            pairs = chosen.nonzero()
            counts = torch.bincount(pairs[:, 0], minlength=len(chosen))
            safe = ((lengths + self.longest).square() <= LARGEST).to(counts.device)
            most = max(FEW, 4 * k, len(self.rows) // 32)
            unsure = (~safe | (counts > most) | (counts < k)).nonzero()[:, 0]
            if len(unsure):
                left_out = None if left_out is None else left_out[unsure]
                chosen[unsure] = self._candidates_in_double(queries[part][unsure], k, left_out)
                pairs = chosen.nonzero()
            found.append(self._rank(queries[part], pairs, k))
        places, squares = (torch.cat(column) for column in zip(*found, strict=True))
        return places, squares

    def _candidates_in_double(self, queries: Tensor, k: int, without: Tensor | None) -> Tensor:
        asked = self._move(queries, torch.float64)
        low = asked.rows.new_empty(len(queries), len(self.rows))
        lengths = asked.rows.new_empty(len(self.rows))
        step = max(1, MAX_WIDE // asked.rows.shape[1])
        for start in range(0, len(self.rows), step):
            part = slice(start, start + step)
            block = self._move(self.rows[part], torch.float64, training=True)
            low[:, part] = self._halves(block) - _products(asked.rows, block.rows)
            lengths[part] = block.lengths
        chosen = self._candidates(low, asked.lengths, lengths, k, without)
        chosen[chosen.count_nonzero(dim=1) < k, :k] = (
            True  # not finite: any rows, at a distance of NaN
        )
        return chosen.to(queries.device)

    def _candidates(
        self, low: Tensor, asked: Tensor, lengths: Tensor, k: int, without: Tensor | None
    ) -> Tensor:
        """Return which rows may be among the k nearest: bool ``[R, N]``."""
        if without is not None:
            of = (without >= 0).nonzero()[:, 0]
            low[of.to(low.device), without[of].to(low.device)] = torch.inf
        least, where = _few_small(low, k)
        n, a = lengths[where.to(lengths.device)], asked[:, None]
        bound = self._gamma(low.dtype) * a * n + 2 * ROUNDING[low.dtype] * (a + n).square()
        bound = SLACK * bound + self.rows.shape[1] * 2.0**-120
        limit = (to_double(least) + 2 * bound).amax(dim=1, keepdim=True).to(low)
        return low <= torch.nextafter(limit, torch.full_like(limit, torch.inf))

    def _rank(self, queries: Tensor, pairs: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the k nearest of candidates ``[P, 2]``, by distances that no batch changes."""
        who, which = pairs.unbind(dim=1)
        squares = torch.cat(
            [
                squared_distances(queries[who[part]], self.rows[which[part]])
                for part in pieces(len(who), queries.shape[1])
            ]
        )
        counts = torch.bincount(who, minlength=len(queries))
        slots = torch.arange(len(who), device=who.device) - (counts.cumsum(0) - counts)[who]
        places = who.new_zeros(len(queries), int(counts.max()))
        places[who, slots] = which
        table = torch.full(places.shape, torch.inf, dtype=squares.dtype, device=squares.device)
        table[who.to(table.device), slots.to(table.device)] = squares
        table, order = table.sort(dim=1, stable=True)
        return places.gather(1, order[:, :k].to(places.device)), table[:, :k]

    def _move(self, rows: Tensor, dtype: torch.dtype, *, training: bool = False) -> Moved:
        if dtype == torch.float64:
            rows = to_double(rows)
        width = rows.shape[1]
        moved = rows.new_zeros(len(rows), -(-(width + 1) // 16) * 16)
        torch.sub(rows, self.centre.to(rows), out=moved[:, :width])
        lengths = squared_lengths(moved[:, :width]).sqrt()
        factor = SLACK * (self._gamma(dtype) + 4 * ROUNDING[dtype]) if training else 1.0
        moved[:, width] = (factor * lengths).to(moved)
        return Moved(moved, lengths)

    def _halves(self, moved: Moved) -> Tensor:
        share = 0.5 - 2 * SLACK * ROUNDING[moved.rows.dtype]
        return (moved.lengths.square() * share).to(moved.rows)

    def _gamma(self, dtype: torch.dtype) -> float:
        width = self.rows.shape[1] + 16
        terms = (min(width, MAX_SUM) + -(-width // MAX_SUM)) * ROUNDING[dtype]
        return terms / (1 - terms)


def _few_small(low: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return k of the smallest values of each row, and their places: ``[R, N] -> [R, k]``.

    In a long row these are the smallest of the k blocks whose smallest value is least: hardly
    larger than the k smallest, and found without sorting what is far.
    """
    if k == 1:
        return low.min(dim=1, keepdim=True)
    if (blocks := low.shape[1] // BLOCK) < 8 * k:
        return low.topk(k, dim=1, largest=False)
    blocked = low[:, : blocks * BLOCK].reshape(len(low), blocks, BLOCK)
    least, which = blocked.amin(dim=2).topk(k, dim=1, largest=False)
    inside = blocked.gather(1, which[..., None].expand(-1, -1, BLOCK)).argmin(dim=2)
    return least, which * BLOCK + inside


def _products(first: Tensor, second: Tensor) -> Tensor:
    """Return all q'·t': ``[R, W], [N, W] -> [R, N]``, no sum longer than `MAX_SUM`."""
    total = first[:, :MAX_SUM] @ second[:, :MAX_SUM].T
    for start in range(MAX_SUM, first.shape[1], MAX_SUM):
        part = slice(start, start + MAX_SUM)
        total += first[:, part] @ second[:, part].T
    return total

"""Round trips of which only the fields asked for are computed, each at most once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from anokit.types import RoundTrip
from anokit.types.models import ROUND_TRIP_FIELDS

__all__ = ["Source", "fill"]

Source = tuple[Callable[[Tensor], Tensor], str]
"""How a field is computed, and from which other one.

Examples
--------
>>> from anokit.nn import Source
>>> halved: Source = (lambda images: images / 2, "image")
"""


def fill(
    known: Mapping[str, Tensor], sources: Mapping[str, Source], needs: frozenset[str]
) -> RoundTrip:
    """Return a trip with the fields in ``needs``, computed from ``known`` by their sources.

    Parameters
    ----------
    known
        Fields to begin at: ``image`` ``[B, C, H, W]``, or ``latent`` ``[B, Z]``.
    sources
        By field: the function of another field that computes it. Steps on the way may have names
        that are no fields; a source is called at most once, and only where it is needed.
    needs
        Fields to fill. They are float32, whatever the arithmetic: losses and scores compare them.

    Raises
    ------
    KeyError
        Where a field has no source.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import fill
    >>> sources = {
    ...     "latent": (lambda images: images.mean(dim=(2, 3)), "image"),
    ...     "image_hat": (lambda codes: codes[:, :, None, None].expand(-1, -1, 8, 8), "latent"),
    ... }
    >>> trip = fill({"image": torch.rand(2, 3, 8, 8)}, sources, frozenset({"image_hat"}))
    >>> trip.filled(), trip.image_hat.shape
    (frozenset({'image_hat'}), torch.Size([2, 3, 8, 8]))
    """
    found = dict(known)

    def value(name: str) -> Tensor:
        if name not in found:
            compute, source = sources[name]
            found[name] = compute(value(source))
        return found[name]

    fields = {name: value(name).float() for name in sorted(needs)}
    own = {name: fields.pop(name) for name in ROUND_TRIP_FIELDS if name in fields}
    return RoundTrip(**own, extra=fields)

"""Scores of what a backbone says about places: of its anomaly map, and of predicted patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anokit.nn import combine_scales, map_of_grid, patch_distances
from anokit_scores.tensors import read

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip
    from anokit_scores.plugin import MapMeanOptions, PatchResidualOptions


class MapMax:
    """The largest value of the backbone's anomaly map, at the map's own resolution.

    Source: the image score of Wang et al., Student-Teacher Feature Pyramid Matching (2021), section
    3.3, and of most methods that begin at a map.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the maximum: ``[B, h, w] -> [B]``."""
        (values,) = read(trip, "map-max", "anomaly_map")
        return values.flatten(1).amax(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the backbone's map, resized bilinearly to the image: ``[B, H, W]``."""
        (values,) = read(trip, "map-max", "anomaly_map")
        return map_of_grid(values, trip, "map-max")


class MapMean:
    """Mean of the largest values of the backbone's anomaly map: a ``top`` share of them, or all.

    With a small share it is a maximum that a single position does not decide.
    """

    def __init__(self, options: MapMeanOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the mean of max(1, round(top · h · w)) values: ``[B, h, w] -> [B]``."""
        (values,) = read(trip, "map-mean", "anomaly_map")
        flat = values.flatten(1)
        count = max(1, round(self.options.top * flat.shape[1]))
        return flat.topk(count, dim=1).values.mean(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the backbone's map, resized bilinearly to the image: ``[B, H, W]``."""
        (values,) = read(trip, "map-mean", "anomaly_map")
        return map_of_grid(values, trip, "map-mean")


class PatchResidual:
    """How far predicted feature maps are from the true ones: their distance at every position.

    With several ``scales`` the distances are combined on the finest of their grids
    (`anokit.nn.combine_scales`); with the cosine and the product this is the anomaly map of Wang et
    al., Student-Teacher Feature Pyramid Matching (2021), equations 1 and 4. With ``mean`` and
    ``max`` it is close to that of Deng and Li, Anomaly Detection via Reverse Distillation (2022),
    who add the maps and smooth the sum.
    """

    def __init__(self, options: PatchResidualOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the largest, or the mean, distance of an image's positions: ``[B]``, ≥ 0."""
        values = self._grid(trip).flatten(1)
        return values.amax(dim=1) if self.options.patch_score == "max" else values.mean(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the distances, resized bilinearly to the image: ``[B, H, W]``, ≥ 0."""
        return map_of_grid(self._grid(trip), trip, "patch-residual")

    def _grid(self, trip: RoundTrip) -> Tensor:
        options, maps = self.options, []
        for end in [f".{scale}" for scale in options.scales] or [""]:
            names = f"patches{end}", f"patches_hat{end}"
            patches, patches_hat = read(trip, "patch-residual", *names)
            maps.append(patch_distances(patches, patches_hat, options.distance))
        return combine_scales(maps, options.combine)

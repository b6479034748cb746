"""Figures of merit of anomaly maps, from masks and maps alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from anokit.errors import AnokitError
from anokit.results.metrics import Estimate, Floats, area_under, percentile_interval, require_finite

_LEVELS = 2048
"""Thresholds that pixel metrics look at, per class of pixels."""


def pixel_auroc(
    maps: npt.ArrayLike,
    masks: npt.ArrayLike,
    *,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate | None:
    """Return the AUROC over all pixels of all images.

    Exact where the maps have at most 2048 distinct values in normal and in anomalous pixels each,
    otherwise within 0.001 of the exact value. The interval comes from resampling images, those
    with and those without anomalous pixels separately: pixels of one image are not independent.

    Parameters
    ----------
    maps
        float ``[N, H, W]``: higher = more anomalous.
    masks
        bool ``[N, H, W]``: True where anomalous.
    resamples, seed, level
        As in `measure`.

    Returns
    -------
    Estimate or None
        None where all pixels are of one class.
    """
    return _pixel_metric(maps, masks, False, 1.0, resamples, seed, level)


def aupro(
    maps: npt.ArrayLike,
    masks: npt.ArrayLike,
    limit: float = 0.3,
    *,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate | None:
    """Return the area under the per-region-overlap curve up to a false positive rate ``limit``.

    With ω the connected regions (8 neighbours) of all masks and P_t the pixels that exceed t::

        PRO(t) = mean over ω of |P_t ∩ ω| / |ω|        FPR(t) = share of normal pixels in P_t
        AUPRO  = 1/limit · ∫₀^limit PRO d FPR           in [0, 1]; chance is limit/2

    (Bergmann et al. 2020, Uninformed Students, section 4). PRO is thus a true positive rate in
    which every pixel weighs 1/|ω|, so the curve is a ROC curve with weights. Parameters, interval
    and None are those of `pixel_auroc`, the resolution is 0.001/limit; ``limit`` is in (0, 1].
    """
    return _pixel_metric(maps, masks, True, limit, resamples, seed, level)


def _pixel_metric(
    maps: npt.ArrayLike,
    masks: npt.ArrayLike,
    by_region: bool,
    limit: float,
    resamples: int,
    seed: int,
    level: float,
) -> Estimate | None:
    values, truth = np.asarray(maps), np.asarray(masks, dtype=bool)
    if values.shape != truth.shape or values.ndim != 3:
        raise AnokitError(
            f"maps and masks: expected two arrays [N, H, W] of one shape, got "
            f"{list(values.shape)} and {list(truth.shape)}"
        )
    if not 0 < limit <= 1:
        raise AnokitError(f"limit of the false positive rate: expected (0, 1], got {limit}")
    if truth.all() or not truth.any():
        return None
    require_finite(values, "pixels of the maps")
    positive, negative = _pixel_weights(values, truth, by_region)
    defective = truth.any(axis=(1, 2))
    strata = [np.flatnonzero(chosen) for chosen in (defective, ~defective) if chosen.any()]
    value = area_under(positive.sum(axis=0)[None], negative.sum(axis=0)[None], limit)[0]
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        picked = np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])
        times = np.bincount(picked, minlength=len(values)).astype(np.float64)[None]
        draws.append(area_under(times @ positive, times @ negative, limit))
    return percentile_interval(float(value), np.concatenate(draws), level)


def _pixel_weights(
    values: Floats, truth: npt.NDArray[np.bool_], by_region: bool
) -> tuple[Floats, Floats]:
    """Return the weight of anomalous and normal pixels per image and level, highest level first.

    ``[N, H, W] -> [N, L], [N, L]``. A pixel weighs 1, an anomalous one ``by_region`` 1/|region|.
    """
    edges = np.union1d(_levels(values[truth]), _levels(values[~truth]))
    positive, negative = np.zeros((2, len(values), len(edges)))
    for row, (image, mask) in enumerate(zip(values, truth, strict=True)):
        bins = len(edges) - 1 - np.minimum(np.searchsorted(edges, image), len(edges) - 1)
        negative[row] = np.bincount(bins[~mask], minlength=len(edges))
        weights = np.ones(int(mask.sum()))
        if by_region:
            regions, _ = scipy.ndimage.label(mask, structure=np.ones((3, 3)))
            weights = 1 / np.bincount(regions.ravel())[regions[mask]]
        positive[row] = np.bincount(bins[mask], weights=weights, minlength=len(edges))
    return positive, negative


def _levels(values: Floats) -> Floats:
    """Return all distinct values if they are few, else values at evenly spaced ranks."""
    ordered = np.sort(values)
    distinct = ordered[np.flatnonzero(np.diff(ordered, prepend=-np.inf))]
    if len(distinct) <= _LEVELS:
        return distinct
    return ordered[np.linspace(0, len(ordered) - 1, _LEVELS + 1).astype(np.int64)]

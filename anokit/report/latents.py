"""Figures of latents: t-SNE, coefficients and norms."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from anokit.report.colours import ANOMALOUS, INK, MUTED, NORMAL, THIRD
from anokit.report.figures import DASHED, GROUPS, overlaid
from anokit.report.style import panels

__all__ = ["coefficients", "embed", "embeddable", "norms", "perplexity", "scatter"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NORM_COLOURS = {
    "normal": NORMAL,
    "anomalous": ANOMALOUS,
    "unlabelled": MUTED,
    "training": THIRD,
    "contaminants": ANOMALOUS,
}


def perplexity(count: int) -> float:
    """Return the perplexity of a t-SNE of ``count`` points: 30, or less than a third of them."""
    return min(30.0, (count - 1) / 3.5)


def embed(latents: Floats, seed: int) -> Floats:
    """Return a t-SNE of latents, ``[N, Z] -> [N, 2]``, the same for the same ``seed``.

    (van der Maaten & Hinton 2008.) Distances between far groups and their sizes mean nothing.
    """
    method = TSNE(perplexity=perplexity(len(latents)), init="pca", random_state=seed)
    return np.asarray(method.fit_transform(latents.astype(np.float64)), dtype=np.float64)


def embeddable(latents: Floats) -> bool:
    """Return whether latents ``[N, Z]`` are finite, and enough of them different, for a t-SNE."""
    enough = len(latents) >= 12 and latents.shape[1] >= 2
    return enough and bool(np.isfinite(latents).all()) and bool((latents.std(axis=0) > 0).any())


def scatter(points: Floats, labels: Ints) -> Figure:
    """Draw embedded test images ``[N, 2]`` by label."""
    figure, (axes,) = panels(1, 1, 4.6)
    order = np.random.default_rng(0).permutation(len(points))
    colours = {key: colour for key, _, colour in GROUPS}
    # Drawn in random order, so that neither group hides the other.
    axes.scatter(
        points[order, 0],
        points[order, 1],
        s=9,
        linewidths=0,
        alpha=0.75,
        c=[colours[int(label)] for label in labels[order]],
    )
    for key, name, colour in GROUPS:
        if (labels == key).any():
            axes.scatter([], [], s=14, linewidths=0, color=colour, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)
    return figure


def coefficients(latents: Floats, labels: Ints) -> Figure:
    """Draw the histogram of all components of all latents ``[N, Z]``, with N(0, 1) behind."""
    figure, (axes,) = panels(1, 1, 2.5)
    low, high = (float(x) for x in np.quantile(latents, [0.001, 0.999]))
    width = overlaid(
        axes,
        [(name, latents[labels == key].ravel(), colour) for key, name, colour in GROUPS],
        low,
        high,
        bins=80,
    )
    if high > low:
        grid = np.linspace(low, high, 200)
        density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi) * width
        axes.plot(grid, density, color=INK, linewidth=0.9, linestyle=DASHED, label="N(0, 1)")
    axes.set(xlabel="value of a component", yticks=[])
    axes.legend(loc="best")
    return figure


def norms(groups: Mapping[str, Floats]) -> Figure:
    """Draw one histogram of ‖ẑ‖ per group under each other, on one scale, median marked."""
    figure, axes = panels(len(groups), 1, 0.72)
    pooled = np.concatenate(list(groups.values()))
    low, high = (float(x) for x in np.quantile(pooled, [0.002, 0.998]))
    for panel, (name, values) in zip(axes, groups.items(), strict=True):
        colour = _NORM_COLOURS.get(name, MUTED)
        overlaid(panel, [(name, values, colour)], low, high, bins=60)
        panel.axvline(float(np.median(values)), color=INK, linewidth=1.1)
        panel.set(yticks=[], xlim=(low, high) if high > low else None)
        panel.spines["left"].set_visible(False)
        panel.set_ylabel(f"{name} · {len(values):,}", rotation=0, ha="right", va="center")
        panel.tick_params(axis="x", labelbottom=panel is axes[-1])
    axes[-1].set_xlabel("‖ẑ‖")
    return figure

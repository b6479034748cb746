"""Sections on images and latents: closest matches, latents, samples."""

import numpy as np
import numpy.typing as npt

from anokit.report import findings, gallery
from anokit.report import latents as drawing
from anokit.report.reading import Run
from anokit.report.section import Picture, Plot, Section
from anokit.store.records import GALLERY_MAP

__all__ = ["latents", "matches", "samples"]

Floats = npt.NDArray[np.float64]

TSNE_LIMIT = 1000
"""Most latents that t-SNE is given: its time grows faster than their number."""

_CAPTIONS = {
    "most_anomalous": "Look at whether what is strange in them is also what you look for.",
    "least_anomalous": "Look at whether these are plain, simple images: a score often takes what "
    "is simple for normal.",
    "false_alarms": "The worst false alarms. Look at what is rare but harmless in them.",
    "misses": "The worst misses. Look at what the anomaly is, and whether it can be seen at all at "
    "this size.",
}

_MATCH_CAPTIONS = _CAPTIONS | {
    "most_anomalous": "Look at whether the reconstruction leaves the anomaly out: that is how it "
    "is meant to work. A reconstruction that is poor everywhere tells little.",
    "least_anomalous": "Look at whether these are plain, simple images: a score often takes what "
    "is easy to reconstruct for normal.",
    "misses": "The worst misses. Look at whether the anomaly is reconstructed along with the rest.",
}
"""What to look at where the model reconstructs its queries."""


def matches(run: Run) -> Section:
    """Return queries, reconstructions and residual maps of extremes and worst mistakes."""
    primary = run.primary()
    matched = "gallery_image_hat" in run.arrays
    title = "Closest matches" if matched else "Test images at either end"
    captions = _MATCH_CAPTIONS if matched else _CAPTIONS
    if primary is None:
        return Section(title, skipped="No test image was scored.")
    table, scores = primary
    plots = []
    for group in gallery.groups(table.labels, scores):
        figure = gallery.matches(run, group)
        if figure is not None:
            caption = f"{group.title}. {captions[group.name]}"
            plots.append(Plot(group.name, figure, caption))
    if not plots:
        return Section(title, skipped="The run kept no test images for a gallery.")
    text = (
        f"Test images with what the model makes of them, chosen by {run.results.primary}, whose "
        "value stands beneath."
    )
    if (table.labels == 1).any():
        text += " Anomalous queries are framed."
    maps = run.maps(GALLERY_MAP)
    if len(maps) == 1:
        what = "a large difference" if matched else "unlike the training images"
        text += f" All maps of one figure share a scale: bright is {what}."
    elif maps:
        text += (
            f" Maps are by {'; '.join(maps)}, those named together differing in scale alone. Those "
            "of one score in one figure share a scale: bright is what it takes for anomalous."
        )
    return Section(title, text=[text], plots=plots)


def latents(run: Run) -> Section:
    """Return t-SNE, coefficients and norms of latents."""
    title = "Latents"
    found = run.arrays.get("test_latent")
    groups = findings.norm_groups(run)
    plots: list[Plot] = []
    text: list[str] = []
    if found is not None and run.scores is not None and len(found) == len(run.scores.labels):
        seed = run.results.seed or 0
        plots, reason = _latent_plots(found.astype(np.float64), run.scores.labels, seed)
        if reason:
            text.append(reason)
    if groups:
        figure = drawing.norms(groups)
        caption = (
            "Length of the latent, one row per group of images, each scaled to the same area, with "
            "its median. Look at whether contaminants and anomalous images lie to the same side of "
            "the training images."
        )
        plots.append(Plot("latent_norms", figure, caption))
        text.append(findings.norm_direction(groups))
    if not plots:
        return Section(title, skipped="The model has no latent, or the run kept none.")
    return Section(title, text=[sentence for sentence in text if sentence], plots=plots)


def _latent_plots(
    found: Floats, labels: npt.NDArray[np.int64], seed: int
) -> tuple[list[Plot], str]:
    if not np.isfinite(found).all():
        return [], "Some latents are not finite, so they are not drawn."
    caption = (
        "All components of all test latents together. Look at whether the two groups differ in "
        "width, and how far both are from the standard normal that many priors use."
    )
    coefficients = Plot("latent_coefficients", drawing.coefficients(found, labels), caption)
    if not drawing.embeddable(found):
        return [coefficients], "There are too few different latents for a t-SNE."
    chosen = np.arange(len(found))
    if len(found) > TSNE_LIMIT:
        generator = np.random.default_rng(seed)
        chosen = np.sort(generator.choice(len(found), TSNE_LIMIT, replace=False))
    points = drawing.embed(found[chosen], seed)
    caption = (
        f"t-SNE of {len(chosen):,} of {len(found):,} test latents (perplexity "
        f"{drawing.perplexity(len(chosen)):.3g}). Look at whether anomalous images keep together; "
        "sizes of clusters and distances between them mean nothing."
    )
    return [Plot("latent_tsne", drawing.scatter(points, labels[chosen]), caption), coefficients], ""


def samples(run: Run) -> Section:
    """Return generated images through the phases."""
    if not run.samples:
        return Section(
            "Samples through the phases",
            skipped="The model generates no images of its own, or the run kept none.",
        )
    pictures = [Picture(*sample) for sample in gallery.sample_steps(run.samples)]
    text = (
        "Images from the same latents as training went on. Look for variety within a grid: equal "
        "images in all places mean that the generator has collapsed."
    )
    return Section("Samples through the phases", text=[text], pictures=pictures)

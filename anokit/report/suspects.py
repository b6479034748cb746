"""Sections on the training images: which look most anomalous, and what their threshold means."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.report import findings, thumbnails
from anokit.report.figures import training_scores
from anokit.report.gallery import train_maps
from anokit.report.reading import Run
from anokit.report.section import Card, Link, Plot, Section
from anokit.store.score_table import Ranking

__all__ = ["suspects", "threshold"]

Floats = npt.NDArray[np.float64]

OVERLAYS = "overlays/index.html"

SCORES = "training_scores.csv"


def suspects(run: Run) -> Section:
    """Return the training images that look most anomalous, with what is known of each."""
    title = "Suspicious training images"
    images = run.arrays.get("train_top_image")
    found = findings.contaminants_found(run)
    if images is None or len(images) == 0:
        if found:
            return Section(title, text=[found])
        scored = "train_score" in run.arrays
        why = "kept no training images for a gallery" if scored else "scored no training images"
        return Section(title, skipped=f"The run {why}.")
    ranking = _ranking(run)
    names, folder = _names(ranking)
    text = [_introduction(run, len(images), ranking, folder)]
    return Section(
        title,
        text=[sentence for sentence in [*text, found] if sentence],
        cards=_cards(run, images, ranking, names),
        links=_links(run),
        plots=_maps(run),
    )


def _maps(run: Run) -> list[Plot]:
    """Return the first images with the maps of every score, as far as the run kept any."""
    figure = train_maps(run)
    if figure is None:
        return []
    caption = (
        "The first of them, and what each score that has a map finds in them, none fitted on the "
        "image. The maps of one score share a scale: bright is what it takes for anomalous."
    )
    return [Plot("train_maps", figure, caption)]


def _introduction(run: Run, count: int, ranking: Ranking | None, folder: str) -> str:
    text = (
        f"The {count:,} training images with the highest values of {run.results.primary}, none by "
        "a score that was fitted on the image, as the model was shown them."
    )
    if ranking is not None:
        text += (
            f" The p-value of an image is the share of the {len(ranking.images):,} training images "
            "that score as high."
        )
        names = f"names are those below {folder}/." if folder else ""
        if (run.directory / SCORES).is_file():
            text += f" All of them, with every score, are in {SCORES}"
            text += f"; {names}" if names else "."
        elif names:
            text += f" N{names[1:]}"
    return text


def _ranking(run: Run) -> Ranking | None:
    """Return the ranking by the primary score, or None where the run has none."""
    if run.ranking is None or next(iter(run.ranking.columns)) != run.results.primary:
        return None
    return run.ranking


def _names(ranking: Ranking | None) -> tuple[list[str], str]:
    """Return the names of ranked images below the folder that all share, and that folder."""
    if ranking is None:
        return [], ""
    names = list(ranking.images)
    try:
        folder = os.path.commonpath([Path(name).parent for name in names])
        below = [Path(name).relative_to(folder).as_posix() for name in names]
    except ValueError:  # some are absolute, some are not
        return names, ""
    return (names, "") if folder in {"", ".", "/"} else (below, folder)


def _cards(
    run: Run, images: npt.NDArray[np.uint8], ranking: Ranking | None, names: list[str]
) -> list[Card]:
    """Return the most anomalous images, which report.safetensors has in the ranking's order."""
    scores = run.arrays.get("train_top_score")
    known = run.arrays.get("train_top_is_contaminant", np.zeros(len(images)))
    row = run.row(run.results.primary)
    limit = None if row is None else row.threshold
    judged = None if ranking is None else ranking.judged[run.results.primary]
    cards = []
    for at, image in enumerate(images):
        facts, marks = [], []
        flagged = scores is not None and limit is not None and bool(scores[at] > limit)
        if scores is not None:
            facts.append(f"score {scores[at]:.4g}")
        if judged is not None and at < len(judged.p_values):
            facts.append(f"p {judged.p_values[at]:.2g}")
            flagged = bool(judged.flagged[at])
        if flagged:
            marks.append("flagged")
        if known[at]:
            marks.append("known contaminant")
        name = names[at] if at < len(names) else ""
        cards.append(Card(at + 1, *thumbnails.thumbnail(image), name, facts, marks))
    return cards


def _links(run: Run) -> list[Link]:
    if not (run.directory / OVERLAYS).is_file():
        return []
    text = "The most anomalous of them, with what stands out painted on the original files"
    return [Link(text, OVERLAYS)]


def threshold(run: Run) -> Section:
    """Return how the training images score, where the threshold lies, and what it promises."""
    title = "Threshold and training scores"
    results = run.results
    row = run.row(results.primary)
    if row is None or row.threshold is None:
        return Section(title, skipped="The run has no threshold.")
    text = [
        f"An image counts as anomalous where {row.name} exceeds {row.threshold:.4g}.",
        *([f"Threshold: {results.selection.threshold}."] if results.selection.threshold else []),
    ]
    scores, flagged = _judged(run, row.threshold)
    if not len(scores) or not np.isfinite(scores).all():
        return Section(title, text=[" ".join(text)])
    caption = (
        f"{row.name} of the {len(scores):,} training images that were scored; dashed, the "
        "threshold. Look for images that lie apart from the rest, on either side of it. The end "
        "bins hold all that lies beyond them."
    )
    figure = training_scores(scores, flagged, row.threshold)
    return Section(
        title,
        text=[" ".join(text), findings.expected(run, row, len(scores), int(flagged.sum()))],
        plots=[Plot("training_scores", figure, caption, narrow=True)],
    )


def _judged(run: Run, limit: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the primary score of the training images ``[N]``, and which of them are flagged."""
    ranking = _ranking(run)
    if ranking is not None:
        name = run.results.primary
        return ranking.columns[name], ranking.judged[name].flagged
    scores = run.arrays.get("train_score", np.zeros(0)).astype(np.float64)
    return scores, scores > limit

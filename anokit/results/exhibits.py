"""What the report draws from: latents, terms of sums, the images of its galleries, maps of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data.pixels import to_uint8
from anokit.data.sets import ImageTable, Rows, TestSet
from anokit.recipe.parts import Recipe
from anokit.results.assess import Assessment
from anokit.scoring.scorer import Values
from anokit.store.records import GALLERY_MAP, TRAIN_MAP
from anokit.training.job import Job
from anokit.training.memory import TripMemory

OF_SCORES = ("term/", f"{GALLERY_MAP}/", f"{TRAIN_MAP}/")
"""Beginnings of names of what belongs to one score, whose name stands next."""

Terms = dict[str, list[tuple[str, float]]]


def exhibits(job: Job, found: Assessment) -> dict[str, Tensor]:
    """Return the content of report.safetensors: what the report shows beside figures."""
    tensors = _of_training(job, found)
    if job.data.test:
        tensors |= _of_test(job, job.data.test, found)
    return tensors


def terms_of(job: Job) -> Terms:
    """Return names and weights of the terms of every weighted sum, by score name.

    Not of the largest of several: no term has a share of that.
    """
    return {
        score.name: [(term.entry.component.name, term.weight) for term in score.terms]
        for score in (*job.recipe.scores, *job.recipe.baselines)
        if score.adds_up
    }


def term_values(job: Job, found: Assessment) -> dict[str, Tensor]:
    """Return the test set's values by each term of the recipe's weighted sums."""
    if found.test is None:
        return {}
    return {
        f"term/{score.name}/{place}": torch.from_numpy(
            found.test.values[term.key][found.tiles[score.name]]
        )
        for score in job.recipe.scores
        if score.adds_up
        for place, term in enumerate(score.terms)
    }


def maps_of(
    found: Assessment,
    recipe: Recipe,
    images: ImageTable,
    rows: Rows,
    kind: str,
    memory: TripMemory | None = None,
) -> dict[str, Tensor]:
    """Return maps ``[N, H, W]`` of images by every score that has one, as ``KIND/NAME``."""
    scorer, scores = found.scorer, recipe.scores
    keys = {term.key for score in scores for term in score.terms}
    terms = scorer.maps_of(keys, images, rows, memory=memory)
    maps = {score.name: scorer.combine_maps(score, terms) for score in scores}
    return {f"{kind}/{name}": torch.from_numpy(m) for name, m in maps.items() if m is not None}


def _of_training(job: Job, found: Assessment) -> dict[str, Tensor]:
    """Return what the report shows of the training images."""
    train, training = job.data.train, found.training
    primary = job.recipe.primary.name
    rows, values = training.tiles[primary], training.columns[primary]
    tainted = train.is_contaminant.astype(np.uint8)
    top = np.argsort(-values, kind="stable")[: 2 * job.recipe.evaluation.gallery]
    tensors = {
        "train_score": torch.from_numpy(values),
        "train_score_is_contaminant": torch.from_numpy(tainted[rows]),
        "train_top_image": train.images.read(rows[top]),
        "train_top_is_contaminant": torch.from_numpy(tainted[rows[top]]),
        "train_top_score": torch.from_numpy(values[top]),
    }
    latent = found.scored_training.latent
    if latent is not None:
        lengths = np.linalg.norm(latent.astype(np.float64), axis=1)
        tensors["train_latent_norm"] = torch.from_numpy(lengths)
        tensors["train_is_contaminant"] = torch.from_numpy(tainted[found.scored_training.rows])
    return tensors


def _of_test(job: Job, test: TestSet, found: Assessment) -> dict[str, Tensor]:
    """Return what the report shows of the test images: latents, terms, closest matches."""
    recipe, primary = job.recipe, job.recipe.primary
    tiles = found.tiles[primary.name]
    tensors = term_values(job, found)
    if found.test and found.test.latent is not None:
        tensors["test_latent"] = torch.from_numpy(found.test.latent[tiles])
    labels = None if test.labels is None else test.labels[tiles]
    places = _gallery_rows(found.columns[primary.name], labels, recipe.evaluation.gallery)
    if not len(places):
        return tensors
    rows = tiles[places]
    tensors["gallery_index"] = torch.from_numpy(places)
    tensors["gallery_image"] = test.images.read(rows)
    if job.backbone.fills("image_hat"):
        trips = found.scorer.trips(test.images, rows, frozenset({"image_hat"}))
        tensors["gallery_image_hat"] = torch.cat([to_uint8(t.image_hat).cpu() for t in trips])
    return tensors


def _gallery_rows(values: Values, labels: npt.NDArray[np.int64] | None, count: int) -> Rows:
    """Return the most and least anomalous images and, where labels tell, the worst mistakes."""
    order = np.argsort(-values, kind="stable")
    chosen = [*order[:count], *order[::-1][:count]]
    if labels is not None:
        chosen += [
            *order[labels[order] == 0][:count],
            *order[::-1][labels[order[::-1]] == 1][:count],
        ]
    return np.array(sorted({int(row) for row in chosen}), dtype=np.int64)

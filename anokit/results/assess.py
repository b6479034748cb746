"""From a trained backbone to results: fit, choose thresholds, score, measure. Labels come last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anokit.data import seeded_order
from anokit.data.sets import Rows, TestSet, Wholes, all_rows
from anokit.recipe.parts import NamedScore, Recipe
from anokit.results.best_on_test import ON_TEST, batch_remark, in_order
from anokit.results.metrics import auroc_by_kind, measure, rates
from anokit.results.pixel_metrics import aupro, pixel_auroc
from anokit.results.resting import (
    about_few,
    against_its_direction,
    knows_its_images,
    threshold_rule,
)
from anokit.results.rows import MapScale, Row
from anokit.results.shares import shares_of
from anokit.results.thresholds import Calibration
from anokit.scoring.probing import probe
from anokit.scoring.scorer import Maps, Scored, Scorer, Values
from anokit.scoring.training_scores import TrainingScores, score_training
from anokit.store.fitted_files import FittedFiles
from anokit.store.score_table import Ranking
from anokit.training.job import Job
from anokit.training.memory import TripMemory
from anokit.watching import Watcher

TIMED_IMAGES = 8


@dataclass(frozen=True)
class TrainingImages:
    """Training images as the user knows them, with their scores: thresholds come from these."""

    names: list[str]
    """M files, or ids where images are no files"""
    tiles: dict[str, Rows]
    """``[M]`` by score name: the rows of the training set that scores and pictures are of"""
    columns: dict[str, Values]
    """``[M]`` by score name, none by a score that was fitted on the image"""
    calibrating: npt.NDArray[np.bool_]
    """``[M]``: those that thresholds are from: where any were held out of training, these alone"""


@dataclass(frozen=True)
class Assessment:
    """Everything that scoring a run gave, before and after labels were looked at."""

    scorer: Scorer
    memory: TripMemory | None
    """round trips of training images, as far as they were kept"""
    scored_training: TrainingScores
    training: TrainingImages
    calibrations: dict[str, Calibration]
    """by score name"""
    test: Scored | None
    """None without a test set"""
    columns: dict[str, Values]
    """``[M]`` by score name, of the test images as the user knows them; empty without any"""
    tiles: dict[str, Rows]
    """``[M]`` by score name: the rows of the test set that scores and pictures are of"""
    rows: list[Row]
    """one per score and baseline"""
    threshold_rule: str
    warnings: list[str]

    @property
    def ranking(self) -> Ranking:
        """Return training_scores.csv: how each score judges the training images."""
        judged = {
            name: self.calibrations[name].judge(values, own=True)
            for name, values in self.training.columns.items()
        }
        return Ranking(self.training.names, self.training.columns, judged)


def assess(job: Job, kept: FittedFiles | None = None) -> Assessment:
    """Fit and save scores but what ``kept`` has, choose thresholds, score the test set and measure.

    Thresholds come from unlabelled training images, none judged by a score that was fitted on it.
    """
    recipe, train, test = job.recipe, job.data.train, job.data.test
    scores = [*recipe.scores, *recipe.baselines]
    scorer = Scorer(scores, job.backbone, job.device, recipe.evaluation.batch_size, recipe.seed)
    memory = job.memory
    scored_training = score_training(
        scorer,
        train,
        _scored_rows(job),
        recipe.evaluation.folds,
        latent=job.backbone.fills("latent"),
        mapped={term.key for score in recipe.scores for term in score.terms},
        memory=memory,
        watcher=job.watcher,
    )
    probe(scorer, train.images, all_rows(len(train)))
    scorer.save(kept or FittedFiles(job.directory.scores))
    training = _training_images(job, scorer, scores, scored_training)
    calibrations = {
        name: Calibration.of(values[training.calibrating], recipe.threshold)
        for name, values in training.columns.items()
    }
    calibrating = int(training.calibrating.sum())
    tested = score_test(job, test, scorer, scores) if test else None
    scored, columns, tiles = tested or (None, {}, {})
    rows = [_row(job, scorer, score, calibrations[score.name], scored_training) for score in scores]
    for score, row in zip(scores, rows, strict=True):
        if test and score.name in columns:
            measure_row(recipe, test, row, columns[score.name])
        if scored and len(score.terms) > 1:
            row.note = shares_of(scorer, score, scored.values)
    if test:
        _measure_maps(recipe, test, scorer, rows, job.watcher)
    job.watcher.done()
    return Assessment(
        scorer=scorer,
        memory=memory,
        scored_training=scored_training,
        training=training,
        calibrations=calibrations,
        test=scored,
        columns=columns,
        tiles=tiles,
        rows=rows,
        threshold_rule=threshold_rule(
            calibrations[recipe.primary.name],
            calibrating,
            scored_training,
            held_out=len(job.held_out) > 0,
            known=knows_its_images(recipe.primary, scored_training),
        ),
        warnings=[
            *(text for component in scorer.components.values() for text in component.warnings()),
            *against_its_direction(recipe.primary, rows[0].metric("auroc")),
            *about_few(
                recipe.primary,
                calibrations[recipe.primary.name],
                calibrating,
                scored_training,
                test,
            ),
        ],
    )


def _scored_rows(job: Job) -> Rows:
    """Return the training images that are scored, all or some; tiles of one stay together.

    Those that were held out of training come first, since thresholds are from them.
    """
    wholes, most = job.data.train.wholes, job.recipe.evaluation.max_train_images
    order = seeded_order(len(wholes), job.recipe.seed, "threshold")
    held = np.isin(order, wholes.of_tile[job.held_out])
    chosen = np.concatenate([order[held], order[~held]])[:most]
    return np.flatnonzero(np.isin(wholes.of_tile, chosen))


def _training_images(
    job: Job, scorer: Scorer, scores: Sequence[NamedScore], scored: TrainingScores
) -> TrainingImages:
    train = job.data.train
    parents = None if train.parents is None else [train.parents[row] for row in scored.rows]
    wholes = Wholes.of([train.ids[row] for row in scored.rows], parents)
    names = train.names
    values = {score.name: scorer.combine(score, scored.values) for score in scores}
    tops = {name: wholes.tops(column) for name, column in values.items()}
    held = np.isin(scored.rows[wholes.first], job.held_out)
    return TrainingImages(
        [names[row] for row in scored.rows[wholes.first]],
        {name: scored.rows[top] for name, top in tops.items()},
        {name: values[name][top] for name, top in tops.items()},
        held if held.any() else np.ones_like(held),
    )


def score_test(
    job: Job, test: TestSet, scorer: Scorer, scores: Sequence[NamedScore]
) -> tuple[Scored, dict[str, Values], dict[str, Rows]]:
    """Score a test set; no label is looked at.

    Returns
    -------
    scored
        Of every row of the test set.
    columns, tiles
        ``[M]`` by score name, of the images as the user knows them: values, and their rows.
    """
    rows = in_order(test, job.recipe.evaluation.order)
    latent = job.backbone.fills("latent")
    advance = job.watcher.track("scoring test images", len(test))
    scored = scorer.compute(test.images, rows, latent=latent, advance=advance).restored(rows)
    values = {score.name: scorer.combine(score, scored.values) for score in scores}
    tiles = {name: test.wholes.tops(column) for name, column in values.items()}
    return scored, {name: column[tiles[name]] for name, column in values.items()}, tiles


def _row(
    job: Job,
    scorer: Scorer,
    score: NamedScore,
    calibration: Calibration,
    training: TrainingScores,
) -> Row:
    """Return all of a row but what is measured with labels."""
    recipe, data = job.recipe, job.data
    learnt = any(component.needs - {"image"} for component in scorer.of(score))
    batch = [batch_remark(recipe, component) for component in scorer.of(score)]
    batch += [batch_remark(recipe, job.backbone)] if learnt else []
    fitted_on = training.fitted_on
    fitted = [len(fitted_on[term.key]) for term in score.terms if term.key in fitted_on]
    images = data.test.images if data.test else data.train.images
    timed = all_rows(min(TIMED_IMAGES, len(images)))
    standard = scorer.standards.get(score.name)
    return Row(
        name=score.name,
        kind=score.role,
        selection=ON_TEST if learnt and recipe.training.selection != "last" else "none",
        batch="; ".join(dict.fromkeys(text for text in batch if text)),
        protocol=data.protocol,
        threshold=calibration.threshold,
        false_alarms=None if knows_its_images(score, training) else calibration.promised,
        scales=standard.scales if standard else None,
        shares=standard.shares if standard else [],
        map_scale=_map_scale(scorer.combine_maps(score, training.held_maps), recipe)
        if score.role == "score"
        else None,
        published=recipe.published.get(score.name),
        ms_per_image=scorer.milliseconds(score, images, timed),
        fitted_on=min(fitted) if fitted else None,
        fitted_files=scorer.files_of(score),
    )


def _map_scale(maps: Maps | None, recipe: Recipe) -> MapScale | None:
    if maps is None:
        return None
    low = float(np.median(maps))
    threshold = Calibration.of(maps.reshape(len(maps), -1).max(axis=1), recipe.threshold).threshold
    high = threshold + max(threshold - low, 0) or low + 1.0
    return MapScale(low=low, high=high, threshold=threshold, images=len(maps))


def measure_row(recipe: Recipe, test: TestSet, row: Row, values: Values) -> None:
    """Add the metrics of one score's values ``[M]`` of the test set, where there are labels."""
    if test.labels is None:
        return
    first = test.wholes.first
    labels = test.labels[first]
    found = measure(
        labels,
        values,
        row.threshold,
        resamples=recipe.evaluation.resamples,
        seed=recipe.seed,
    )
    if found:
        row.metrics = dict(vars(found))
        if row.threshold is not None:
            row.metrics |= rates(labels, values, row.threshold)
        if test.kinds:
            row.by_kind = dict(auroc_by_kind(labels, values, [test.kinds[i] for i in first]))


def _measure_maps(
    recipe: Recipe, test: TestSet, scorer: Scorer, rows: Sequence[Row], watcher: Watcher
) -> None:
    """Add pixel AUROC and AUPRO to the rows of scores with maps, where masks exist."""
    masks = {row: mask for row in range(len(test)) if (mask := test.mask(row)) is not None}
    if not any(mask.any() for mask in masks.values()):
        return
    chosen = np.array(sorted(masks), dtype=np.int64)
    truth = np.stack([masks[int(row)] for row in chosen])
    resamples = min(recipe.evaluation.resamples, 200)
    for score, row in zip([*recipe.scores, *recipe.baselines], rows, strict=True):
        if not any(component.has_map for component in scorer.of(score)):
            continue
        advance = watcher.track(f"maps of {score.name}", len(chosen))
        maps = scorer.maps(score, test.images, chosen, advance)
        if maps is not None:
            row.pixel = {
                "auroc": pixel_auroc(maps, truth, resamples=resamples, seed=recipe.seed),
                "aupro": aupro(maps, truth, resamples=resamples, seed=recipe.seed),
            }

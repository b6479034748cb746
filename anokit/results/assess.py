"""From a trained backbone to results: fit, choose thresholds, score, measure. Labels come last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anokit.data import seeded_order
from anokit.data.sets import Rows, TestSet, all_rows
from anokit.recipe.parts import NamedScore, Recipe
from anokit.results.best_on_test import LAST, ON_TEST, batch_remark, in_order
from anokit.results.metrics import auroc_by_kind, measure, quantile_threshold
from anokit.results.pixel_metrics import aupro, pixel_auroc
from anokit.results.rows import SIMULATED, Choice, Results, Row
from anokit.scoring.memory import TripMemory
from anokit.scoring.scorer import Scored, Scorer, Values
from anokit.training.job import Job
from anokit.version import __version__
from anokit.watching import Watcher

HELD_OUT = 0.1
"""Share of the training images that fitted scores are kept from, for their threshold."""

TIMED_IMAGES = 128


@dataclass(frozen=True)
class TrainingScores:
    """Scores of training images, without labels: thresholds come from them."""

    subset: Rows
    """training images that were scored"""
    plain: Scored
    """by the components that are not fitted, of ``subset``"""
    held: Rows
    """training images that fitted components were kept from"""
    fitted: Scored
    """by the components that are fitted, of ``held``"""

    def of(self, score: NamedScore, scorer: Scorer) -> tuple[Rows, Values]:
        """Return training images and their values by one score, fitted on none of them."""
        if scorer.is_fitted(score):
            return self.held, scorer.combine(score, self.fitted.values)
        return self.subset, scorer.combine(score, self.plain.values)


@dataclass(frozen=True)
class Assessment:
    """Everything that scoring a run gave, before and after labels were looked at."""

    scorer: Scorer
    training: TrainingScores
    test: Scored | None
    """None without a test set"""
    columns: dict[str, Values]
    """``[N]`` by score name, of the test set; empty without one"""
    rows: list[Row]
    """one per score and baseline"""
    threshold_rule: str
    warnings: list[str]


def assess(job: Job) -> Assessment:
    """Fit and save the scores, choose thresholds, score the test set and measure.

    Thresholds come from unlabelled training images. A fitted score knows those that it was fitted
    on, so it is fitted on 90 % for the threshold (from the other 10 %) and on all for the result.
    """
    recipe, train, test = job.recipe, job.data.train, job.data.test
    scores = [*recipe.scores, *recipe.baselines]
    scorer = Scorer(scores, job.backbone, job.device, recipe.evaluation.batch_size, recipe.seed)
    memory = scorer.memory(len(train))
    training = _score_training(job, scorer, memory)
    thresholds = {
        score.name: quantile_threshold(training.of(score, scorer)[1], recipe.threshold.quantile)
        for score in scores
    }
    fitted_on = scorer.fit(train.images, all_rows(len(train)), job.watcher, memory)
    del memory
    scorer.save(job.directory.scores)
    scored = _score_test(job, test, scorer) if test else None
    columns = {s.name: scorer.combine(s, scored.values) for s in scores} if scored else {}
    rows = [_row(job, scorer, score, thresholds[score.name], fitted_on) for score in scores]
    for score, row in zip(scores, rows, strict=True):
        _measure(job, score, row, columns.get(score.name))
        if scored and len(score.terms) > 1:
            row.note = _shares(score, scored.values)
    if test:
        _measure_maps(recipe, test, scorer, rows, job.watcher)
    job.watcher.done()
    return Assessment(
        scorer=scorer,
        training=training,
        test=scored,
        columns=columns,
        rows=rows,
        threshold_rule=_threshold_rule(recipe, training, scorer),
        warnings=[
            *(text for component in scorer.components.values() for text in component.warnings()),
            *_direction_warning(recipe, rows),
        ],
    )


def make_results(
    job: Job, found: Assessment, warnings: Sequence[str], epoch: str = LAST
) -> Results:
    """Return the content of results.json; ``epoch`` says how the weights were chosen."""
    recipe, data = job.recipe, job.data
    whole = not (recipe.quick or data.simulated or recipe.training.max_steps)
    labels = data.test.labels if data.test else None
    notices = [*recipe.notices, *data.notices]
    if data.simulated:
        notices.insert(0, SIMULATED)
    if recipe.training.max_steps:
        notices.append(
            f"every phase stopped after {recipe.training.max_steps} steps: the figures mean nothing"
        )
    return Results(
        anokit=__version__,
        title=recipe.title,
        recipe=recipe.name,
        seed=recipe.seed,
        quick=recipe.quick,
        data="simulated" if data.simulated else "real",
        protocol=data.protocol,
        contamination=recipe.dataset.keys.contamination,
        primary=recipe.primary.name,
        notices=notices,
        warnings=[*warnings, *found.warnings],
        selection=Choice(epoch=epoch, threshold=found.threshold_rule),
        train_images=len(data.train),
        contaminants=int(data.train.is_contaminant.sum()),
        test_normal=0 if labels is None else int((labels == 0).sum()),
        test_anomalous=0 if labels is None else int((labels == 1).sum()),
        published_source=recipe.published_source if whole and recipe.published else None,
        interval=f"95 % stratified bootstrap over test images, {recipe.evaluation.resamples} "
        "resamples; one training run, so the spread between seeds is not in it",
        rows=[row if whole else row.model_copy(update={"published": None}) for row in found.rows],
    )


def _score_training(job: Job, scorer: Scorer, memory: TripMemory | None) -> TrainingScores:
    """Score training images, by fitted components those that they were not fitted on."""
    images, count = job.data.train.images, len(job.data.train)
    order = seeded_order(count, job.recipe.seed, "threshold")
    most = job.recipe.evaluation.max_train_images
    subset = np.sort(order[: min(count, most)])
    held = np.sort(order[: max(1, min(int(count * HELD_OUT), most))])
    plain = scorer.compute(
        images,
        subset,
        only=lambda component: not component.fitted,
        latent=job.backbone.fills("latent"),
        advance=job.watcher.track("scoring training images", len(subset)),
    )
    if not any(component.fitted for component in scorer.components.values()):
        return TrainingScores(subset, plain, held, Scored())
    rest = np.setdiff1d(all_rows(count), held)
    scorer.fit(images, rest if len(rest) else held, job.watcher, memory)
    return TrainingScores(subset, plain, held, scorer.compute(images, held))


def _threshold_rule(recipe: Recipe, training: TrainingScores, scorer: Scorer) -> str:
    rule = (
        f"{recipe.threshold.quantile:g} quantile of the scores of {len(training.subset):,} "
        "unlabelled training images"
    )
    if any(component.fitted for component in scorer.components.values()):
        rule += (
            f"; of fitted scores, of {len(training.held):,} training images that they were not "
            "fitted on"
        )
    return rule + "; no label was read"


def _score_test(job: Job, test: TestSet, scorer: Scorer) -> Scored:
    rows = in_order(test, job.recipe.evaluation.order)
    latent = job.backbone.fills("latent")
    advance = job.watcher.track("scoring test images", len(test))
    return scorer.compute(test.images, rows, latent=latent, advance=advance).restored(rows)


def _row(
    job: Job, scorer: Scorer, score: NamedScore, threshold: float, fitted_on: Mapping[str, int]
) -> Row:
    """Return all of a row but what is measured with labels."""
    recipe, data = job.recipe, job.data
    learnt = any(component.needs - {"image"} for component in scorer.of(score))
    fitted = [fitted_on[term.key] for term in score.terms if term.key in fitted_on]
    images = data.test.images if data.test else data.train.images
    timed = all_rows(min(TIMED_IMAGES, len(images)))
    return Row(
        name=score.name,
        kind=score.role,
        selection=ON_TEST if learnt and recipe.training.selection != "last" else "none",
        batch=batch_remark(recipe, job.backbone) if learnt else "",
        protocol=data.protocol,
        threshold=threshold,
        published=recipe.published.get(score.name),
        ms_per_image=scorer.milliseconds(score, images, timed),
        fitted_on=min(fitted) if fitted else None,
    )


def _measure(job: Job, score: NamedScore, row: Row, values: Values | None) -> None:
    """Add the metrics of one score's values of the test set, where there are labels."""
    test = job.data.test
    if values is None or test is None or test.labels is None:
        return
    evaluation = job.recipe.evaluation
    found = measure(
        test.labels, values, row.threshold, resamples=evaluation.resamples, seed=job.recipe.seed
    )
    if found:
        row.metrics = dict(vars(found))
        if test.kinds:
            row.by_kind = dict(auroc_by_kind(test.labels, values, test.kinds))


def _shares(score: NamedScore, values: Mapping[str, Values]) -> str:
    """Say how much of a weighted sum's spread each term makes up."""
    spread = {
        t.entry.component.name: abs(t.weight) * float(values[t.key].std()) for t in score.terms
    }
    total = sum(spread.values()) or 1.0
    parts = [f"{name} {100 * value / total:.2g} %" for name, value in spread.items()]
    text = "spread of the terms: " + ", ".join(parts)
    name, value = max(spread.items(), key=lambda item: item[1])
    return f"{text}; so this is nearly {name} alone" if value > 0.99 * total else text


def _direction_warning(recipe: Recipe, rows: Sequence[Row]) -> list[str]:
    auroc = rows[0].metric("auroc")
    if auroc is None or auroc.value >= 0.5:
        return []
    text = (
        f"the AUROC of {recipe.primary.name} is {auroc.value:.3f}, below 0.5: here anomalous "
        "images score lower than normal ones. The direction of a score is never flipped; compare "
        "the other scores, other seeds and a longer schedule"
    )
    return [text]


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

"""From a trained model to results: fit, choose thresholds, score, measure. Labels come last."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit import checkpoints, evaluation
from anokit.data import seeded_order
from anokit.datasets import RunData, TestSet
from anokit.feed import to_uint8
from anokit.models import Model
from anokit.plugin import resolve_fields
from anokit.recipe import NamedScore, Recipe
from anokit.scoring import Scored, Scorer, Values, all_rows, in_order
from anokit.selection import ON_TEST, batch_remark
from anokit.trips import Advance, Rows, TripMemory

HELD_OUT = 0.1
"""Share of the training images that fitted scores are kept from, for their threshold."""

TIMED_IMAGES = 128

Track = Callable[[str, int], Advance]


@dataclass
class Assessment:
    """Everything that scoring a run gave, before and after labels were looked at."""

    rows: list[dict[str, Any]]
    """one per score and baseline, as results.json holds them"""
    columns: dict[str, Values]
    """``[N]`` by score name, of the test set; empty without one"""
    tensors: dict[str, Tensor]
    """what the report draws from"""
    terms: dict[str, list[tuple[str, float]]]
    threshold_rule: str
    warnings: list[str]


def assess(
    recipe: Recipe, data: RunData, model: Model, device: torch.device, folder: Path, track: Track
) -> Assessment:
    """Fit and save the scores, choose thresholds, score the test set and measure.

    Thresholds come from unlabelled training images. A fitted score knows those that it was fitted
    on, so it is fitted on 90 % for the threshold (from the other 10 %) and on all for the result.
    """
    scores = [*recipe.scores, *recipe.baselines]
    batch = recipe.evaluation.batch_size
    scorer = Scorer(scores, model, device, batch, recipe.seed)
    subset, held = _threshold_rows(len(data.train), recipe)
    memory = scorer.memory(len(data.train))
    training = _score_training(scorer, data, subset, held, track, memory)
    thresholds = {
        score.name: evaluation.quantile_threshold(
            scorer.combine(score, training[scorer.is_fitted(score)].values),
            recipe.threshold.quantile,
        )
        for score in scores
    }
    fitted_on = scorer.fit(data.train.images, all_rows(len(data.train)), track, memory)
    del memory
    scorer.save(folder)
    tensors = _training_tensors(recipe, data, scorer, training, subset, held)
    result = Assessment(
        rows=[],
        columns={},
        tensors=tensors,
        terms={
            s.name: [(t.entry.component.name, t.weight) for t in s.terms]
            for s in scores
            if len(s.terms) > 1
        },
        threshold_rule=_threshold_rule(recipe, len(subset), len(held), scorer),
        warnings=[],
    )
    scored = _score_test(recipe, data.test, scorer, track) if data.test else None
    for score in scores:
        values = scorer.combine(score, scored.values) if scored else None
        row = _row(recipe, data, scorer, score, values, thresholds[score.name], fitted_on)
        if scored and len(score.terms) > 1:
            row["note"] = _shares(score, scored.values)
        result.rows.append(row)
        if values is not None:
            result.columns[score.name] = values
    if scored and data.test:
        result.tensors |= _test_tensors(recipe, data.test, model, scorer, scored, result.columns)
        _pixel_metrics(recipe, data.test, scorer, result.rows, track)
    result.warnings += _direction_warning(recipe, result.rows)
    return result


def _threshold_rows(count: int, recipe: Recipe) -> tuple[Rows, Rows]:
    """Return the training images that are scored, and those that fitted scores are kept from."""
    order = seeded_order(count, recipe.seed, "threshold")
    most = recipe.evaluation.max_train_images
    held = max(1, min(int(count * HELD_OUT), most))
    return np.sort(order[: min(count, most)]), np.sort(order[:held])


def _score_training(
    scorer: Scorer,
    data: RunData,
    subset: Rows,
    held: Rows,
    track: Track,
    memory: TripMemory | None,
) -> dict[bool, Scored]:
    """Score training images by components that are fitted (True, on ``held``) and not (False)."""
    latent = scorer.model is not None and _fills(scorer.model, "latent")
    images = data.train.images
    advance = track("scoring training images", len(subset))
    plain = scorer.compute(
        images, subset, only=lambda c: not c.fitted, latent=latent, advance=advance
    )
    if not any(component.fitted for component in scorer.components.values()):
        return {False: plain, True: plain}
    rest = np.setdiff1d(all_rows(len(data.train)), held)
    scorer.fit(images, rest if len(rest) else held, track, memory)
    return {False: plain, True: scorer.compute(images, held)}


def _fills(model: Model, name: str) -> bool:
    return name in resolve_fields(model.part.entry.component.provides, model.part.options)


def _threshold_rule(recipe: Recipe, subset: int, held: int, scorer: Scorer) -> str:
    rule = (
        f"{recipe.threshold.quantile:g} quantile of the scores of {subset:,} unlabelled training "
        "images"
    )
    if any(component.fitted for component in scorer.components.values()):
        rule += f"; of fitted scores, of {held:,} training images that they were not fitted on"
    return rule + "; no label was read"


def _score_test(recipe: Recipe, test: TestSet, scorer: Scorer, track: Track) -> Scored:
    model = scorer.model
    latent = model is not None and _fills(model, "latent")
    advance = track("scoring test images", len(test))
    rows = in_order(test, recipe.evaluation.order)
    return scorer.compute(test.images, rows, latent=latent, advance=advance).restored(rows)


def _row(
    recipe: Recipe,
    data: RunData,
    scorer: Scorer,
    score: NamedScore,
    values: Values | None,
    threshold: float,
    fitted_on: Mapping[str, int],
) -> dict[str, Any]:
    learnt = any(component.needs - {"image"} for component in scorer.of(score))
    row: dict[str, Any] = {
        "name": score.name,
        "kind": score.role,
        "selection": ON_TEST if learnt and recipe.training.selection != "last" else "none",
        "batch": batch_remark(recipe, scorer.model) if learnt and scorer.model else "",
        "protocol": data.protocol,
        "threshold": threshold,
        "metrics": None,
        "pixel": None,
        "by_kind": None,
        "published": recipe.published.get(score.name),
        "ms_per_image": None,
        "note": None,
    }
    fitted = [fitted_on[term.key] for term in score.terms if term.key in fitted_on]
    if fitted:
        row["fitted_on"] = min(fitted)
    images = data.test.images if data.test else data.train.images
    row["ms_per_image"] = scorer.milliseconds(
        score, images, all_rows(min(TIMED_IMAGES, len(images)))
    )
    if values is None or data.test is None or data.test.labels is None:
        return row
    found = evaluation.evaluate(
        data.test.labels,
        values,
        threshold,
        resamples=recipe.evaluation.resamples,
        seed=recipe.seed,
    )
    if found:
        row["metrics"] = asdict(found)
        if data.test.kinds:
            row["by_kind"] = evaluation.auroc_by_kind(data.test.labels, values, data.test.kinds)
    return row


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


def _direction_warning(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    metrics = rows[0]["metrics"]
    if metrics is None or metrics["auroc"]["value"] >= 0.5:
        return []
    text = (
        f"the AUROC of {recipe.primary.name} is {metrics['auroc']['value']:.3f}, below 0.5: here "
        "anomalous images score lower than normal ones. The direction of a score is never flipped; "
        "compare the other scores, other seeds and a longer schedule"
    )
    return [text]


def _training_tensors(
    recipe: Recipe,
    data: RunData,
    scorer: Scorer,
    training: Mapping[bool, Scored],
    subset: Rows,
    held: Rows,
) -> dict[str, Tensor]:
    """Return what the report shows of the training images."""
    fitted = scorer.is_fitted(recipe.primary)
    rows = held if fitted else subset
    values = scorer.combine(recipe.primary, training[fitted].values)
    tainted = data.train.is_contaminant
    top = np.argsort(-values, kind="stable")[: 2 * recipe.evaluation.gallery]
    found = {
        "train_score": torch.from_numpy(values),
        "train_score_is_contaminant": torch.from_numpy(tainted[rows].astype(np.uint8)),
        "train_top_image": data.train.images.read(rows[top]),
        "train_top_is_contaminant": torch.from_numpy(tainted[rows[top]].astype(np.uint8)),
        "train_top_score": torch.from_numpy(values[top]),
    }
    latent = training[False].latent
    if latent is not None:
        found["train_latent_norm"] = torch.from_numpy(
            np.linalg.norm(latent.astype(np.float64), axis=1)
        )
        found["train_is_contaminant"] = torch.from_numpy(tainted[subset].astype(np.uint8))
    return found


def _test_tensors(
    recipe: Recipe,
    test: TestSet,
    model: Model,
    scorer: Scorer,
    scored: Scored,
    columns: Mapping[str, Values],
) -> dict[str, Tensor]:
    """Return what the report shows of the test images: latents, terms, closest matches."""
    found: dict[str, Tensor] = {}
    if scored.latent is not None:
        found["test_latent"] = torch.from_numpy(scored.latent)
    for score in recipe.scores:
        if len(score.terms) > 1:
            for place, term in enumerate(score.terms):
                found[f"term/{score.name}/{place}"] = torch.from_numpy(scored.values[term.key])
    rows = _gallery_rows(columns[recipe.primary.name], test.labels, recipe.evaluation.gallery)
    if not len(rows):
        return found
    found["gallery_index"] = torch.from_numpy(rows)
    found["gallery_image"] = test.images.read(rows)
    if _fills(model, "image_hat"):
        needs = frozenset({"image_hat"})
        trips = scorer.trips(test.images, rows, needs)
        found["gallery_image_hat"] = torch.cat([to_uint8(t.image_hat).cpu() for t in trips])
    maps = scorer.maps(recipe.primary, test.images, rows)
    if maps is not None:
        found["gallery_map"] = torch.from_numpy(maps)
    return found


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


def _pixel_metrics(
    recipe: Recipe, test: TestSet, scorer: Scorer, rows: Sequence[dict[str, Any]], track: Track
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
        advance = track(f"maps of {score.name}", len(chosen))
        maps = scorer.maps(score, test.images, chosen, advance)
        if maps is None:
            continue
        area = evaluation.pixel_auroc(maps, truth, resamples=resamples, seed=recipe.seed)
        overlap = evaluation.aupro(maps, truth, resamples=resamples, seed=recipe.seed)
        row["pixel"] = {
            "auroc": asdict(area) if area else None,
            "aupro": asdict(overlap) if overlap else None,
        }


def write_assessment(found: Assessment, data: RunData, path: Path) -> None:
    """Write scores.csv, terms.json and report.safetensors into a run directory."""
    import csv

    if data.test:
        new = path / ".scores.csv.new"
        with new.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "label", "kind", *found.columns])
            for row, name in enumerate(data.test.ids):
                label = "" if data.test.labels is None else int(data.test.labels[row])
                kind = data.test.kinds[row] if data.test.kinds else ""
                values = [repr(float(column[row])) for column in found.columns.values()]
                writer.writerow([name, label, kind, *values])
        new.replace(path / "scores.csv")
    (path / "terms.json").write_text(json.dumps(found.terms, indent=2) + "\n", encoding="utf-8")
    checkpoints.save_tensors(path / "report.safetensors", found.tensors)

"""What thresholds and intervals rest on, in words: small sets say so."""

from __future__ import annotations

from anokit.data.sets import TestSet
from anokit.recipe.parts import NamedScore
from anokit.results.metrics import Estimate
from anokit.results.thresholds import Calibration
from anokit.scoring.training_scores import TrainingScores

LEAST_TESTED = 10
"""Least test images of each class whose bootstrap is shown without a warning."""

ALL_KNOWN = (
    "the threshold of {} promises nothing: it comes from training images that the score was fitted "
    "on, since there is but one image, or one group of images, and so none to fit on without it; "
    "add training images"
)


def knows_its_images(score: NamedScore, scored: TrainingScores) -> bool:
    """Return whether a score judged training images that it was fitted on.

    It did where there is but one image, or one group of images, so that nothing was left to fit on
    without it.
    """
    return scored.folds == 1 and any(term.key in scored.crossed for term in score.terms)


def threshold_rule(
    calibration: Calibration,
    count: int,
    scored: TrainingScores,
    *,
    known: bool,
    held_out: bool = False,
) -> str:
    """Say where a threshold comes from, of ``count`` training images.

    ``known``: its score was fitted on the very images; ``held_out``: no training step saw them.
    """
    promise = f", for {100 * calibration.promised:.3g} % false alarms"
    words = [f"{calibration.method}{promise}, from the "]
    words.append(f"scores of {count:,} unlabelled training images")
    words += [" that were held out of training"] if held_out else []
    if calibration.settings.trim:
        words.append(f" without the highest {100 * calibration.settings.trim:.3g} %")
    if known:
        words.append(", by a score that was fitted on them, since there are no others to fit on")
        return "".join(words).replace(promise, "") + "; it promises nothing; no label was read"
    if scored.fitted_on:
        words.append(", none by a score that was fitted on the image")
    if calibration.promised > calibration.settings.false_alarms:
        rate = 100 * calibration.settings.false_alarms
        words.append(f"; so few cannot promise the {rate:.3g} % asked for")
    if calibration.method != calibration.settings.method:
        words.append(f"; too few for {calibration.settings.method}")
    return "".join(words) + "; no label was read"


def about_few(
    score: NamedScore,
    calibration: Calibration,
    count: int,
    scored: TrainingScores,
    test: TestSet | None,
) -> list[str]:
    """Return sentences where the threshold of ``score`` or intervals rest on too few images.

    ``count``: training images, as the user knows them, that the threshold is taken from.
    """
    known = knows_its_images(score, scored)
    trained = [ALL_KNOWN.format(score.name)] if known else too_few(calibration, count)
    return [*trained, *(few_tested(test) if test else [])]


def against_its_direction(score: NamedScore, auroc: Estimate | None) -> list[str]:
    """Return a sentence where anomalous images score lower than normal ones."""
    if auroc is None or auroc.value >= 0.5:
        return []
    text = (
        f"the AUROC of {score.name} is {auroc.value:.3f}, below 0.5: here anomalous "
        "images score lower than normal ones. The direction of a score is never flipped; compare "
        "the other scores, other seeds and a longer schedule"
    )
    return [text]


def few_tested(test: TestSet) -> list[str]:
    """Return a sentence where intervals of figures rest on few test images of a class."""
    if test.labels is None:
        return []
    labels = test.labels[test.wholes.first]
    normal, anomalous = int((labels == 0).sum()), int((labels == 1).sum())
    if not normal or not anomalous or min(normal, anomalous) >= LEAST_TESTED:
        return []
    text = (
        f"figures rest on {normal:,} normal and {anomalous:,} anomalous test images: a bootstrap "
        "of so few is narrower than what is not known, so trust no difference between such figures"
    )
    return [text]


def too_few(calibration: Calibration, count: int) -> list[str]:
    """Return a sentence where a threshold rests on too few images for the rate asked for."""
    rate = calibration.settings.false_alarms
    if calibration.method == "quantile" and rate * count < 1:
        text = (
            f"the threshold is a quantile of {count:,} training images, of which "
            f"{100 * rate:.3g} % are less than one image: it says little of the rate of false "
            "alarms; add training images, raise false_alarms under [threshold], or take "
            'method = "conformal"'
        )
        return [text]
    if calibration.promised <= rate:
        return []
    text = (
        f"the threshold rests on {count:,} training images, which can promise no fewer than "
        f"{100 * calibration.promised:.3g} % false alarms, not the "
        f"{100 * calibration.settings.false_alarms:.3g} % asked for: add training images, or "
        "raise false_alarms under [threshold]"
    )
    return [text]

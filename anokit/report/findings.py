"""What the figures show, in sentences: facts of this run, each with its number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anokit.report.figures import Sweep
from anokit.report.reading import Run
from anokit.results.metrics import auroc_over_lambda, measure
from anokit.results.rows import QUICK, Row

__all__ = [
    "banners",
    "contaminants_found",
    "expected",
    "norm_direction",
    "norm_groups",
    "shares",
    "sweeps",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Banner:
    """A notice above everything else."""

    title: str
    text: str


def banners(run: Run) -> list[Banner]:
    """Return what a reader must know before any number."""
    results = run.results
    found = []
    if results.data == "simulated":
        found.append(
            Banner(
                "Simulated data",
                "The data set that the recipe names was not there, and a program drew every image "
                "instead. No number on this page says anything about the real data.",
            )
        )
    if results.quick:
        text = QUICK.partition(": ")[2]
        found.append(Banner("Quick run", text[0].upper() + text[1:]))
    for batch in dict.fromkeys(row.batch for row in results.rows if row.batch):
        names = ", ".join(row.name for row in results.rows if row.batch == batch)
        found.append(
            Banner(
                "Scores depend on the batch",
                f"{batch} ({names}). An image may score differently beside other images.",
            )
        )
    for selection in dict.fromkeys(r.selection for r in results.rows if r.selection != "none"):
        names = ", ".join(row.name for row in results.rows if row.selection == selection)
        found.append(
            Banner(
                "Selected by test labels",
                f"{selection} ({names}). An honest choice would give lower figures.",
            )
        )
    return found + [
        Banner("Notice", text)
        for text in results.notices
        # Said above already.
        if not (results.data == "simulated" and text.lower().startswith("simulated data"))
    ]


def norm_groups(run: Run) -> dict[str, Floats]:
    """Return ‖ẑ‖ of each group of images that is there, ``[N]`` each, in reading order."""
    found: dict[str, Floats] = {}
    latents = run.arrays.get("test_latent")
    if latents is not None and run.scores is not None and len(latents) == len(run.scores.labels):
        lengths = np.linalg.norm(latents.astype(np.float64), axis=1)
        for key, name in ((0, "normal"), (1, "anomalous"), (-1, "unlabelled")):
            found[name] = lengths[run.scores.labels == key]
    training = run.arrays.get("train_latent_norm")
    if training is not None:
        training = training.astype(np.float64)
        known = run.arrays.get("train_is_contaminant", np.zeros(len(training))).astype(bool)
        found["training"], found["contaminants"] = training[~known], training[known]
    return {
        name: values
        for name, values in found.items()
        if len(values) > 0 and np.isfinite(values).all()
    }


def norm_direction(groups: Mapping[str, Floats]) -> str:
    """Return in which direction the norm cue went, with the AUROC of ‖ẑ‖ and its interval."""
    if not {"normal", "anomalous"} <= set(groups):
        return ""
    normal, anomalous = groups["normal"], groups["anomalous"]
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    metrics = measure(labels, np.concatenate([normal, anomalous]), None, resamples=500)
    if metrics is None:
        return ""
    auroc = metrics.auroc
    if auroc.low > 0.5:
        finding = "anomalous images have the longer codes"
        use = "A score that grows with the norm points the right way"
    elif auroc.high < 0.5:
        finding = "anomalous images have the shorter codes"
        use = "A score that grows with the norm points the wrong way"
    else:
        finding = "neither group has clearly longer codes"
        use = "A score that reads the norm alone has little to go by"
    return (
        f"Here {finding}: the median norm is {np.median(normal):.3g} on normal and "
        f"{np.median(anomalous):.3g} on anomalous images, and the AUROC of the norm is {auroc}. "
        f"{use} on these data. The direction is a property of the data, not of the method: it was "
        "found here with labels, and no score was turned round for it."
    )


def sweeps(run: Run) -> dict[str, Sweep]:
    """Return AUROC over λ for every weighted sum of two terms with positive weights.

    Terms may differ by orders of magnitude, so the grid is fine near both ends.
    """
    fine = np.geomspace(1e-4, 1e-2, 15)
    lambdas = np.unique(np.concatenate([np.linspace(0, 1, 81), fine, 1 - fine]))
    found: dict[str, Sweep] = {}
    if run.scores is None:
        return found
    known = run.scores.labels >= 0
    for name, terms in run.terms.items():
        values = [_term(run, name, place) for place in range(len(terms))]
        if len(terms) != 2 or min(weight for _, weight in terms) <= 0:
            continue
        first, second = values
        if first is None or second is None or len(first) != len(known) or len(second) != len(known):
            continue
        (a, weight_a), (b, weight_b) = terms
        auroc = auroc_over_lambda(run.scores.labels[known], first[known], second[known], lambdas)
        found[name] = Sweep(lambdas, auroc, weight_a / (weight_a + weight_b), a, b)
    return found


def _term(run: Run, name: str, place: int) -> Floats | None:
    """Return a term of a sum over the test images ``[N]``, as the sum takes it."""
    values = run.arrays.get(f"term/{name}/{place}")
    row = run.row(name)
    scales = None if row is None else row.scales
    if values is None:
        return None
    shift, by = (0.0, 1.0) if scales is None else scales[place]
    return (values.astype(np.float64) - shift) / by


def shares(run: Run, name: str) -> str:
    """Return how much the first term of a two-term sum adds to the sum's mean and spread."""
    (a, weight_a), (b, weight_b) = run.terms[name]
    first, second = _term(run, name, 0), _term(run, name, 1)
    if first is None or second is None:
        return ""
    first, second = weight_a * first, weight_b * second
    size = np.abs(first).mean() / max(np.abs(first).mean() + np.abs(second).mean(), 1e-300)
    spread = first.std() / max(first.std() + second.std(), 1e-300)
    return (
        f"In {name} = {weight_a:g}·{a} + {weight_b:g}·{b}, {a} makes up {100 * size:.2g} % of "
        f"the sum's size and {100 * spread:.2g} % of its spread over the test images"
        + (f", so it is nearly {b} alone." if max(size, spread) < 0.02 else ".")
    )


def contaminants_found(run: Run) -> str:
    """Return how many of the known contaminants are among as many top-scored training images."""
    scores, known = run.arrays.get("train_score"), run.arrays.get("train_score_is_contaminant")
    if scores is None or known is None or not known.any():
        return ""
    known = known.astype(bool)
    total, count = len(scores), int(known.sum())
    top = np.argsort(-scores, kind="stable")[:count]
    hits = int(known[top].sum())
    return (
        f"Of the {total:,} training images that were scored, {count:,} are contaminants that the "
        f"recipe mixed in. Among the {count:,} highest scores there are {hits:,} of them; a draw "
        f"by chance would hold {count * count / total:.1f}."
    )


def expected(run: Run, row: Row, count: int, flagged: int) -> str:
    """Return how many of ``count`` training images are flagged, and how many would be anyway."""
    found = f"{flagged:,} of {count:,} training images {'is' if flagged == 1 else 'are'} flagged"
    if row.false_alarms is None:
        return f"{found}."
    rate, trim = row.false_alarms, float(_settings(run).get("trim", 0.0))
    alarms = number(rate * count)
    text = (
        f"{found}; if none of them were anomalous, {alarms} false "
        f"{'alarm' if alarms == '1' else 'alarms'} would be expected ({100 * rate:.3g} %)."
    )
    if trim:
        return text + (
            f" The highest {100 * trim:.3g} % were left out when the threshold was chosen, as the "
            f"recipe says, so up to {number(trim * count)} more may be false alarms."
        )
    return text + (
        " The threshold was taken from these images, so about as many are flagged whatever they "
        "show: that number does not tell how many are anomalous. Look down the ranking until "
        "nothing strange comes any more."
    )


def number(value: float) -> str:
    """Return an expected number of images, with two digits or as a whole number."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _settings(run: Run) -> Mapping[str, Any]:
    found = (run.resolved or {}).get("threshold")
    return found if isinstance(found, Mapping) else {}

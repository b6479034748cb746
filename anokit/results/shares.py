"""What the terms of a score have to do with it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anokit.recipe.parts import NamedScore
from anokit.scoring.scorer import Scorer, Values


def shares_of(scorer: Scorer, score: NamedScore, values: Mapping[str, Values]) -> str:
    """Say how much of a weighted sum's spread each term makes up; of several, which is largest.

    ``values`` are those of images ``[N]`` by the key of the term.
    """
    if len(score.sums) > 1:
        return _largest(scorer, score, values)
    spread = {
        term.entry.component.name: abs(term.weight / by) * float(values[term.key].std())
        for term, (_, by) in zip(score.terms, scorer.standard(score).scales, strict=True)
    }
    total = sum(spread.values()) or 1.0
    parts = [f"{name} {100 * value / total:.2g} %" for name, value in spread.items()]
    text = "spread of the terms: " + ", ".join(parts)
    name, value = max(spread.items(), key=lambda item: item[1])
    return f"{text}; so this is nearly {name} alone" if value > 0.99 * total else text


def _largest(scorer: Scorer, score: NamedScore, values: Mapping[str, Values]) -> str:
    sums = scorer.sums(score, values)
    counts = np.bincount(np.argmax(sums, axis=0), minlength=len(sums))
    names = [
        " + ".join(term.entry.component.name for term in score.terms[terms]) for terms in score.sums
    ]
    parts = [f"{n} for {100 * c / counts.sum():.0f} %" for n, c in zip(names, counts, strict=True)]
    text = "the largest of its sums: " + ", ".join(parts) + " of the images"
    few = [
        f"{100 * share:.2g} % by {name}"
        for name, share in zip(names[1:], scorer.standard(score).shares, strict=True)
        if share < 1
    ]
    return text if not few else f"{text}; raised above the first " + ", ".join(few)

"""before.json: a run beside the one whose suspects it leaves out."""

from __future__ import annotations

from pydantic import BaseModel

from anokit.results.metrics import Estimate
from anokit.results.rows import Results
from anokit.store.score_table import Ranking

TOP = 20
"""Most anomalous training images of each run whose ranks are compared."""


class Side(BaseModel):
    """What one of the two runs found."""

    score: str
    """its primary score"""
    train_images: int | None
    ranked: int
    """training images that were scored"""
    flagged: int
    """of these, above the threshold"""
    threshold: float
    auroc: Estimate | None
    """None without labels"""

    @classmethod
    def of(cls, results: Results, ranking: Ranking) -> Side:
        """Return what a run found, from two of its files."""
        name = results.primary
        row = next(row for row in results.rows if row.name == name)
        judged = ranking.judged[name]
        return cls(
            score=name,
            train_images=results.train_images,
            ranked=len(ranking.images),
            flagged=int(judged.flagged.sum()),
            threshold=judged.threshold,
            auroc=row.metric("auroc"),
        )

    @property
    def words(self) -> list[str]:
        """Return it as sentences."""
        found = [
            f"{self.train_images or self.ranked:,} training images, {self.ranked:,} scored",
            f"threshold {self.threshold:.4g} of {self.score}, exceeded by {self.flagged:,} of them",
        ]
        return found if self.auroc is None else [*found, f"AUROC {self.auroc}"]


class Moved(BaseModel):
    """Where an image stands among the most anomalous ones of each run."""

    image: str
    before: int | None
    after: int | None
    """rank from 1; None where the image was not scored"""
    left_out: bool = False


class Before(BaseModel):
    """before.json."""

    run: str
    """the directory of the former run"""
    missing: str = ""
    """why it cannot be compared; then nothing below is filled"""
    left_out: int = 0
    """training images that the list leaves out"""
    before: Side | None = None
    after: Side | None = None
    moved: list[Moved] = []
    """the most anomalous of either run, by their ranks before"""
    differences: list[str] = []
    """what else differs between the two"""


def moved(before: Ranking, after: Ranking, left_out: set[str]) -> list[Moved]:
    """Return the ranks of the `TOP` most anomalous images of either run in both."""
    ranks = [
        {ranking.images[row]: rank for rank, row in enumerate(ranking.order, start=1)}
        for ranking in (before, after)
    ]
    shown = dict.fromkeys(image for found in ranks for image, rank in found.items() if rank <= TOP)
    lines = [
        Moved(
            image=image,
            before=ranks[0].get(image),
            after=ranks[1].get(image),
            left_out=image in left_out,
        )
        for image in shown
    ]
    return sorted(lines, key=lambda line: (line.before or float("inf"), line.after or 0))

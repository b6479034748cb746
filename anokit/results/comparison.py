"""What a comparison of runs says, as one model."""

from __future__ import annotations

import statistics

from pydantic import BaseModel

from anokit.results.metrics import Estimate

LEVEL = 0.05
"""p below which a difference is called one."""


class System(BaseModel):
    """What is compared: one score of one recipe, by its runs of one or several seeds."""

    name: str
    score: str
    runs: list[str]
    seeds: list[int | None]
    auroc: list[float]
    """of each run"""
    remarks: list[str] = []
    """what must stand beside its figures"""

    @property
    def figure(self) -> str:
        """Return the mean AUROC over its runs, with the standard deviation of several."""
        mean = statistics.fmean(self.auroc)
        if len(self.auroc) < 2:
            return f"{mean:.3f}"
        return f"{mean:.3f} ± {statistics.stdev(self.auroc):.3f}"


class Compared(BaseModel):
    """A pair of systems: ``second`` − ``first``."""

    first: str
    second: str
    auroc: Estimate
    p: float
    p_holm: float
    """corrected for the number of pairs"""
    test: str
    paired_seeds: bool

    @property
    def figure(self) -> str:
        """Return the difference with its interval, signs included."""
        return f"{self.auroc.value:+.3f} [{self.auroc.low:+.3f}, {self.auroc.high:+.3f}]"

    @property
    def verdict(self) -> str:
        """Return in words whether one is better."""
        if self.auroc.low <= 0 <= self.auroc.high:
            return "not resolved: the interval holds zero"
        better = self.second if self.auroc.value > 0 else self.first
        if self.p_holm >= LEVEL:
            return f"{better} is better, though not resolved among so many comparisons"
        return f"{better} is better"


class Comparison(BaseModel):
    """All pairs, and what they have in common."""

    protocol: str
    normal: int
    anomalous: int
    resamples: int
    systems: list[System]
    pairs: list[Compared]
    chosen: list[str] = []
    """how the weights were chosen"""

    @property
    def letters(self) -> dict[str, str]:
        """Return a letter for each system, or after the 26th a number, by its name."""
        names = [system.name for system in self.systems]
        return {name: chr(65 + n) if n < 26 else str(n + 1) for n, name in enumerate(names)}

    @property
    def note(self) -> str:
        """Return what intervals and p-values are, and how weights were chosen, in words."""
        tests = " and ".join(sorted({pair.test for pair in self.pairs}))
        text = (
            f"{self.normal:,} normal and {self.anomalous:,} anomalous test images, the same ones "
            f"for both; 95 % paired bootstrap, {self.resamples:,} resamples; p: {tests}."
        )
        if any(len(system.runs) < 2 for system in self.systems):
            text += (
                " Systems of one run are that run: the spread between seeds is not in its "
                "differences."
            )
        return " ".join([text, *self.chosen])

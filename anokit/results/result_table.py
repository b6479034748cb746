"""A table of many finished runs as one model, whoever lays it out or draws it."""

from __future__ import annotations

from pydantic import BaseModel

METRICS = {
    "auroc": "AUROC",
    "ap": "AP",
    "fpr95": "FPR at 95 % TPR",
    "f1": "F1",
    "fpr": "false alarms",
    "tpr": "finds",
    "regressed": "AUROC beyond contrast",
    "equal-contrast": "AUROC at equal contrast",
    "equal-gradient": "AUROC at equal gradient",
    "contrast": "correlation with contrast",
    "gradient": "correlation with gradient",
    "brightness": "correlation with brightness",
}
"""What a table may be of; none that is selected by the labels. The last six are explanations."""


AT_THRESHOLD = ("f1", "fpr", "tpr")
"""Those of `METRICS` that are taken at a run's own threshold."""


class Cell(BaseModel):
    """A system's figure at one contamination, over its runs."""

    mean: float
    deviation: float | None = None
    """standard deviation over seeds; None of one run"""
    low: float | None = None
    """ends of the 95 % interval; None where several runs have none together"""
    high: float | None = None
    seeds: list[int | None]
    published: float | None = None
    contamination: float = 0.0
    score: str = ""

    @property
    def holds_published(self) -> bool | None:
        """Return whether the published figure lies in the interval; None without one or other."""
        if self.published is None or self.low is None or self.high is None:
            return None
        return self.low <= self.published <= self.high


class Line(BaseModel):
    """A score of a system, or a row of a sweep's layout."""

    system: str
    score: str
    """empty where the layout's own words say it"""
    baseline: bool
    primary: bool = False
    """whether the score is the one that its recipe names first"""
    cells: dict[str, Cell]
    """by what stands at the head of the column"""
    remarks: list[int]
    """places in the table's ``remarks``"""


class ResultTable(BaseModel):
    """All of it."""

    metric: str
    columns: list[str]
    lines: list[Line]
    remarks: list[str]
    sources: list[str]
    """of the published figures"""
    chosen: list[str] = []
    """how the weights, and where the metric needs one the threshold, were chosen"""

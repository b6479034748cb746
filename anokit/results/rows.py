"""results.json as one model: whoever writes or reads it does so through `Results`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from anokit.results.explanations import Explanation
from anokit.results.metrics import Estimate
from anokit.scoring.standards import Standard
from anokit.store.documents import read_document
from anokit.store.run_directory import RunDirectory
from anokit.store.undo import put_back

SIMULATED = (
    "SIMULATED DATA: the named data set is not on this machine, so drawn images stand in for it. "
    "These figures say nothing about the real data set."
)

QUICK = (
    "QUICK RUN: fewer images, narrower networks or a lower resolution than the recipe asks for. It "
    "shows the path, not the quality."
)


class MapScale(BaseModel):
    """What values of a score's maps mean, from maps of training images that it was not fitted on.

    Where there is but one image, or one group, they are of it: there is no other to fit on.
    Pictures of maps are coloured from ``low`` to ``high``, so that they can be compared.
    """

    low: float
    """median of their pixels"""
    high: float
    """as far above the threshold as ``low`` lies under it"""
    threshold: float
    """which the largest value of an image's map exceeds as rarely as its score its threshold"""
    images: int
    """training images that it was taken from"""


class Row(BaseModel):
    """One line of results.json: a score of the recipe or a baseline."""

    name: str
    kind: Literal["score", "baseline"] = "score"
    selection: str = "none"
    """what was chosen by looking at test labels; ``none`` where nothing was"""
    batch: str = ""
    """how the score depends on the other images of its batch; empty where it does not"""
    protocol: str = ""
    """how normal and anomalous were defined"""
    threshold: float | None = None
    false_alarms: float | None = None
    """share of normal images that the threshold promises to flag at most"""
    scales: list[tuple[float, float]] | None = None
    """of each term: what is taken off it and what it is divided by; None where that is nothing"""
    shares: list[float] = []
    """of each sum after the first: how much counts of what it is above the first; empty: all"""
    map_scale: MapScale | None = None
    """None where the score has no map"""
    metrics: dict[str, Estimate | None] | None = None
    """by name: auroc, ap, fpr95, f1, f1_max; None where the test set has one class or none; fpr and
    tpr at the threshold stand with exact binomial intervals"""
    pixel: dict[str, Estimate | None] | None = None
    """by name: auroc, aupro; None without maps or masks"""
    by_kind: dict[str, float | None] | None = None
    """AUROC of each kind of anomaly against all normal images"""
    published: float | None = None
    ms_per_image: float | None = None
    note: str | None = None
    fitted_on: int | None = None
    """training images that the score was fitted on; None where it learns nothing"""
    fitted_files: list[str] = []
    """files in scores/ that hold what it learnt"""
    failed: str = ""
    """why there are no figures: what went wrong in the score's code; empty where nothing did"""
    added: str = ""
    """when and how the score was added to a finished run; empty where it is the run's own"""

    def metric(self, name: str) -> Estimate | None:
        """Return the image-level metric called ``name``, or None if it was not measured."""
        return (self.metrics or {}).get(name)

    @property
    def caveats(self) -> list[str]:
        """Return what must stand beside every figure: what selected it, and its batch."""
        failed = f"failed: {self.failed}" if self.failed else ""
        return [text for text in (self.selection, self.batch, failed) if text and text != "none"]

    @property
    def remarks(self) -> list[str]:
        """Return the caveats, and when the score was added."""
        return [*self.caveats, *([self.added] if self.added else [])]


class Judgement(BaseModel):
    """One time that training images were judged while a model was trained on them."""

    shown: int
    """training images that had been shown by then"""
    rejected: int
    """images, as the user knows them, that were left out from then on"""
    contaminants: int
    """known contaminants among these; read after training"""


class Refined(BaseModel):
    """How training images that looked anomalous were kept out of training."""

    strategy: str
    share: float
    score: str | None = None
    """which score judged; None where losses did"""
    afresh: bool = False
    """whether new weights were trained on what the last judgement kept"""
    judgements: list[Judgement] = []


class Choice(BaseModel):
    """How a run chose its weights and thresholds."""

    epoch: str = ""
    threshold: str = ""


class Copies(BaseModel):
    """Images that are equal to the last pixel, by name: one picture that occurs more than once."""

    training: list[str] = []
    test: list[str] = []
    labels: list[int | None] = []
    """of those in the test set"""


class Results(BaseModel):
    """results.json. Keys that this version does not know are left aside."""

    anokit: str = ""
    """version that made it"""
    title: str = "Untitled run"
    recipe: str = ""
    seed: int | None = None
    quick: bool = False
    data: Literal["real", "simulated"] = "real"
    protocol: str = ""
    contamination: float = 0.0
    primary: str = ""
    notices: list[str] = []
    warnings: list[str] = []
    selection: Choice = Choice()
    train_images: int | None = None
    contaminants: int = 0
    test_normal: int = 0
    test_anomalous: int = 0
    published_source: str | None = None
    interval: str = ""
    """what the intervals are, in words"""
    rows: list[Row] = []
    copies: list[Copies] = []
    """pictures that occur more than once in what the run read"""
    dropped: dict[str, list[str]] = {}
    """copies that ``duplicates = "drop"`` left out: of ``training``, ``contaminants``, ``test``"""
    unread: dict[str, str] = {}
    """files of the data set that could not be read, and why, by name"""
    files: dict[str, str] = {}
    """SHA-256 of the weights and of what fitted scores learned, by path in the run directory"""
    refined: Refined | None = None
    """None where all training images were shown alike"""
    explanations: list[Explanation] = []
    """what scores follow besides anomaly: those of norms and residuals, and others when asked"""

    def row(self, name: str) -> Row | None:
        """Return the line of a score or baseline, or None if there is none of that name."""
        return next((row for row in self.rows if row.name == name), None)

    def figure(self, score: str, metric: str) -> Estimate | None:
        """Return a metric of a score, or a figure of its explanation; None where there is none."""
        row = self.row(score)
        found = row.metric(metric) if row else None
        explained = (one for one in self.explanations if one.score == score)
        return found or next((one.figure(metric) for one in explained), None)

    @property
    def told(self) -> list[str]:
        """Return all warnings, those of explanations too, each once."""
        more = [text for one in self.explanations for text in one.warnings]
        return list(dict.fromkeys([*self.warnings, *more]))

    @property
    def fitted_files(self) -> list[str]:
        """Return the names of all files in scores/ that the rows' scores are read from."""
        return sorted({name for row in self.rows for name in row.fitted_files})

    @property
    def failed(self) -> dict[str, str]:
        """Return why scores failed, by their names."""
        return {row.name: row.failed for row in self.rows if row.failed}

    @property
    def standards(self) -> dict[str, Standard]:
        """Return what the terms of standardised scores are brought to one scale by, by score."""
        return {row.name: Standard(row.scales, row.shares) for row in self.rows if row.scales}

    @property
    def prints_published(self) -> bool:
        """Whether published figures may stand beside these: a full run on real data has some."""
        return (
            self.data == "real"
            and not self.quick
            and bool(self.published_source)
            and any(row.published is not None for row in self.rows)
        )

    def with_rows(
        self,
        rows: Sequence[Row],
        warnings: Sequence[str],
        explanations: Sequence[Explanation] = (),
    ) -> Results:
        """Return the same results with further rows, in the place of those of the same name.

        Of each that failed there is a warning, and none is left of one that had failed before. What
        scores follow beside one whose place is taken goes with it.
        """
        new = {row.name: row for row in rows}
        kept = [new.pop(row.name, row) for row in self.rows]
        names = {row.name for row in rows}
        gone = {f"{row.name} failed: {row.failed}" for row in self.rows if row.name in names}
        old = [text for text in self.warnings if text not in gone]
        told = [*warnings, *(f"{row.name} failed: {row.failed}" for row in rows if row.failed)]
        more = [text for text in told if text not in old]
        staying = [one for one in self.explanations if not names & {one.score, *one.given}]
        return self.model_copy(
            update={
                "rows": [*kept, *new.values()],
                "warnings": [*old, *more],
                "explanations": [*staying, *explanations],
            }
        )

    def with_explanations(self, explanations: Sequence[Explanation]) -> Results:
        """Return the same results with explanations, in the place of those of the same scores."""
        new = {one.score: one for one in explanations}
        kept = [new.pop(one.score, one) for one in self.explanations]
        return self.model_copy(update={"explanations": [*kept, *new.values()]})

    def explanation(self, name: str) -> Explanation | None:
        """Return what a score follows, or None where that was not asked."""
        return next((one for one in self.explanations if one.score == name), None)


def write_results(directory: RunDirectory, results: Results) -> None:
    """Write results.json; a run counts as finished once it is there."""
    directory.write_json(directory.results.name, results.model_dump(mode="json"))


def read_results(directory: RunDirectory) -> Results:
    """Read results.json, after a change of it that was stopped has been undone.

    Raises
    ------
    UsageError
        Where another process is changing it, and for long.
    CheckpointError
        Where it is missing or damaged.
    """
    put_back(directory)
    return read_document(directory.results, Results)

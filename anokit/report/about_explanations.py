"""The section on what scores follow besides anomaly."""

from __future__ import annotations

from collections.abc import Sequence

from anokit.report.reading import Run
from anokit.report.section import Section
from anokit.report.tables import Cell, Line, Table, estimate, percent
from anokit.results.explanations import EqualCopies, Explanation, Without
from anokit.results.metrics import Estimate

__all__ = ["explanations"]

TEXT = (
    "Three things can be told of an image without any network: its contrast (the standard "
    "deviation of its values), its gradient (their root mean square difference between neighbours) "
    "and its brightness (their mean). A score that follows one of them closely measures it, "
    "whatever else it means to measure."
)


def explanations(run: Run) -> Section | None:
    """Return how far scores are contrast, gradient and brightness; None where none was asked."""
    found = run.results.explanations
    if not found:
        return None
    made = [_correlations(run, found)]
    measured = [one for one in found if one.auroc is not None]
    if measured:
        made += [_without(run, measured), _alone(run, measured)]
    notes = dict.fromkeys(note for one in found for note in one.notes)
    return Section(
        "What the scores follow",
        entries=[one.sentence for one in found],
        text=[TEXT],
        tables=made,
        notes=[" ".join(notes)],
    )


def _correlations(run: Run, found: Sequence[Explanation]) -> Table:
    statistics = [one.statistic for one in found[0].statistics]
    lines = [
        _line(run, one, [*(signed(s.correlation) for s in one.statistics), percent(one.explained)])
        for one in found
    ]
    return Table(
        ["Score", *(statistic.capitalize() for statistic in statistics), "Explained by all three"],
        lines,
        "Rank correlation (Spearman) of each score with each statistic on training images; no "
        "label was read. Explained: share of the score's variance, by linear least squares.",
    )


def _without(run: Run, found: Sequence[Explanation]) -> Table:
    """Return AUROC as it is, and as it is without what the statistics tell."""
    kinds = list(dict.fromkeys(copies.statistic for one in found for copies in one.copies))
    lines = []
    for one in found:
        copies: dict[str, EqualCopies] = {own.statistic: own for own in one.copies}
        left: list[Without | None] = [one.regressed, *(copies.get(kind) for kind in kinds)]
        cells = [estimate(one.auroc), *(estimate(other.auroc if other else None) for other in left)]
        lines.append(_line(run, one, cells))
    caption = (
        "AUROC on the test images, beneath each its 95 % bootstrap interval. Regressed out: of "
        "what the three statistics do not tell of the score, by a fit on training images alone."
    )
    if kinds:
        caption += (
            " Equal: on copies of the test images that were scaled about their means until all had "
            "the training images' median."
        )
    header = ["Score", "AUROC", "Regressed out", *(f"Equal {kind}" for kind in kinds)]
    return Table(header, lines, caption)


def _alone(run: Run, found: Sequence[Explanation]) -> Table:
    statistics = [one.statistic for one in found[0].statistics]
    lines = [
        _line(
            run,
            one,
            [
                Cell("–") if s.auroc is None else _turned(s.auroc, falling=s.falling)
                for s in one.statistics
            ],
        )
        for one in found
    ]
    return Table(
        ["Rival of", *(f"{statistic.capitalize()} alone" for statistic in statistics)],
        lines,
        "AUROC of each statistic as if it were the score, minus it (−) where the score falls as it "
        "rises on training images. A score that does no better than its rivals needs no network.",
    )


def _line(run: Run, one: Explanation, cells: Sequence[Cell]) -> Line:
    row = run.row(one.score)
    kind = "score" if row is None else row.kind
    return Line([Cell(one.score), *cells], "primary" if one.score == run.results.primary else kind)


def signed(value: Estimate | None) -> Cell:
    """Return a correlation with its interval beneath, or a dash."""
    if value is None:
        return Cell("–")
    return Cell(f"{value.value:+.2f}", f"{value.low:+.2f} – {value.high:+.2f}")


def _turned(value: Estimate, *, falling: bool) -> Cell:
    cell = estimate(value)
    return Cell(f"{'− ' if falling else ''}{cell.text}", cell.small)

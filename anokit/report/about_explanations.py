"""The section on what scores follow besides anomaly."""

from __future__ import annotations

from collections.abc import Sequence

from anokit.report.reading import Run
from anokit.report.section import Section
from anokit.report.tables import Cell, Line, Table, estimate, percent
from anokit.results.explanations import Explanation
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
        made += [_without(run, measured), _alone(measured)]
    notes = dict.fromkeys(note for one in found for note in one.notes)
    return Section(
        "What the scores follow",
        entries=[one.sentence for one in found],
        text=[TEXT],
        tables=made,
        notes=[" ".join(notes)],
    )


def _correlations(run: Run, found: Sequence[Explanation]) -> Table:
    names = _statistics(found)
    lines = []
    for one in found:
        own = {followed.statistic: signed(followed.correlation) for followed in one.statistics}
        cells = [own.get(name, Cell("–")) for name in names]
        lines.append(_line(run, one, [*cells, percent(one.explained)]))
    return Table(
        ["Score", *names, "All of them"],
        lines,
        "Rank correlation (Spearman) of each score with each statistic on training images, beneath "
        "it its 95 % bootstrap interval; no label was read. All of them: the share of the score's "
        "variance that linear least squares explains by them.",
    )


def _without(run: Run, found: Sequence[Explanation]) -> Table:
    """Return AUROC as it is, and as it is without what the statistics tell."""
    kinds = list(dict.fromkeys(copies.statistic for one in found for copies in one.copies))
    lines = []
    for one in found:
        copies = {own.statistic: own.auroc for own in one.copies}
        regressed = one.regressed.auroc if one.regressed else None
        figures = [one.auroc, regressed, *(copies.get(kind) for kind in kinds)]
        cells = [estimate(figure) for figure in figures]
        lines.append(_line(run, one, cells))
    caption = (
        "AUROC on the test images. Regressed out: of what the statistics do not tell of the score, "
        "by linear least squares that were fitted on training images alone; a score that bends "
        "with them keeps some of its bend."
    )
    if kinds:
        caption += (
            " Equal: on copies of the test images that were scaled about their means until all had "
            "the training images' median, which no bend escapes."
        )
    header = ["Score", "AUROC", "Regressed out", *(f"Equal {kind}" for kind in kinds)]
    return Table(header, lines, caption)


def _alone(found: Sequence[Explanation]) -> Table:
    own = {followed.statistic: followed.auroc for one in found for followed in one.statistics}
    return Table(
        ["Statistic alone", "AUROC"],
        [Line([Cell(name), estimate(auroc)]) for name, auroc in own.items()],
        "Of each statistic as if it were the score, no network being asked; below 0.5 anomalous "
        "images have less of it, and then minus the statistic is the rival to beat.",
    )


def _statistics(found: Sequence[Explanation]) -> list[str]:
    return list(dict.fromkeys(own.statistic for one in found for own in one.statistics))


def _line(run: Run, one: Explanation, cells: Sequence[Cell]) -> Line:
    row = run.row(one.score)
    kind = "score" if row is None else row.kind
    return Line([Cell(one.score), *cells], "primary" if one.score == run.results.primary else kind)


def signed(value: Estimate | None) -> Cell:
    """Return a correlation with its interval beneath, or a dash."""
    if value is None:
        return Cell("–")
    return Cell(f"{value.value:+.2f}", f"{value.low:+.2f} – {value.high:+.2f}")

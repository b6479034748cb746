"""The section on a run that leaves out suspects of an earlier one: both side by side."""

from anokit.report.reading import Run
from anokit.report.section import Section
from anokit.report.tables import Cell, Line, Table, estimate
from anokit.results.before import TOP, Before, Moved, Side

__all__ = ["before_and_after"]


def before_and_after(run: Run) -> Section | None:
    """Return the comparison with the run that the list of images left out comes from."""
    found, title = run.before, "Before and after"
    if found is None:
        return None
    if found.before is None or found.after is None:
        reason = found.missing or "nothing of it was kept"
        return Section(
            title,
            skipped=f"The images left out were listed from the run {found.run}, which cannot be "
            f"compared: {reason.removesuffix('.')}.",
        )
    origin = (
        f"The list of {found.left_out:,} training images that this run leaves out comes from the "
        f"run {found.run}."
    )
    text = [origin]
    if found.differences:
        text.append(
            f"The two runs differ in more than these images: {', '.join(found.differences)}. What "
            "changed cannot be put down to the images alone."
        )
    if found.before.auroc is None or found.after.auroc is None:
        text.append(
            "There are no labels to tell whether this run finds more. Another threshold, or other "
            "images on top, shows that the fit changed, not that it became better."
        )
    return Section(
        title, text=text, tables=[_figures(found, found.before, found.after), _ranks(found)]
    )


def _figures(found: Before, before: Side, after: Side) -> Table:
    sides = (before, after)
    lines = [
        _line("Training images", [f"{side.train_images or side.ranked:,}" for side in sides]),
        _line("Left out by the list", ["–", f"{found.left_out:,}"]),
        _line("Threshold", [f"{side.threshold:.4g}" for side in sides], [s.score for s in sides]),
        _line(
            "Training images above it",
            [f"{100 * side.flagged / max(side.ranked, 1):.2g} %" for side in sides],
            [f"{side.flagged:,} of {side.ranked:,}" for side in sides],
        ),
    ]
    if before.auroc or after.auroc:
        lines.append(Line([Cell("AUROC"), *(estimate(side.auroc) for side in sides)]))
    caption = (
        "Each run's threshold is of its own fit and in its own unit. The share of training images "
        "above it follows from the false-alarm rate asked for: it is no share of anomalies."
    )
    if before.auroc or after.auroc:
        caption += " Beneath an AUROC its 95 % interval, which is of one run, not of a difference."
    return Table(["", "Before", "After"], lines, caption)


def _ranks(found: Before) -> Table:
    folder = _common([line.image for line in found.moved])
    lines = [
        Line([Cell(line.image[len(folder) :]), Cell(_rank(line.before)), Cell(_after(line))])
        for line in found.moved
    ]
    caption = (
        f"Rank among the training images, from the most anomalous, of the first {TOP} of either "
        "run; those that remain move up by as many as were left out above them. A dash: not scored."
    )
    if folder:
        caption += f" All names begin with {folder}"
    return Table(["Image", "Rank before", "Rank after"], lines, caption)


def _common(names: list[str]) -> str:
    """Return the folder that all names begin with, with its slash; empty where there is none."""
    folders = {name[: max(name.rfind("/"), name.rfind("\\")) + 1] for name in names}
    return folders.pop() if len(folders) == 1 else ""


def _line(name: str, texts: list[str], small: list[str] | None = None) -> Line:
    under = small or [""] * len(texts)
    return Line([Cell(name), *(Cell(t, s) for t, s in zip(texts, under, strict=True))])


def _rank(rank: int | None) -> str:
    return "–" if rank is None else f"{rank:,}"


def _after(line: Moved) -> str:
    return "left out" if line.left_out else _rank(line.after)

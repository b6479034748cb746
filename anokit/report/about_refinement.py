"""The section on training images that were kept out of training, or counted less."""

from anokit.report.reading import Run
from anokit.report.section import Section
from anokit.report.tables import Cell, Line, Table
from anokit.results.rows import Refined

__all__ = ["refinement"]

EXPOSED = {"exposure-hard": "as anomalies", "exposure-soft": "half as anomalies"}
"""How the suspects of a batch counted, by strategy."""


def refinement(run: Run) -> Section | None:
    """Return what was left out when, and how many known contaminants were among it."""
    found, title = run.results.refined, "Refinement of the training set"
    if found is None:
        return None
    share = f"{100 * found.share:.3g} %"
    if found.score is None:
        counted = EXPOSED.get(found.strategy, found.strategy)
        text = f"In every batch the {share} that looked most anomalous counted {counted}."
        return Section(title, text=[text])
    if not found.judgements:
        return Section(title, skipped="Training was over before its images were first judged.")
    text = (
        f"While the model was trained, the {share} of the training images that the score "
        f"{found.score} found most anomalous were left out until they were judged again. No label "
        "was read. Scores and thresholds were then taken from all training images."
    )
    if found.afresh:
        text += " New weights were trained on what the last judgement kept."
    return Section(title, text=[text], tables=[_table(found, run)])


def _table(found: Refined, run: Run) -> Table:
    known, images = run.results.contaminants, run.results.train_images
    header, caption = ["After training images", "Left out"], "Which images: rejected.csv."
    if known and images:
        header += ["Known contaminants among them", "By chance"]
        caption += (
            f" The recipe mixed in {known:,} contaminants; by chance is how many of them as many "
            "images would hold that were drawn blindly."
        )
    lines = []
    for judgement in found.judgements:
        cells = [Cell(f"{judgement.shown:,}"), Cell(f"{judgement.rejected:,}")]
        if known and images:
            cells.append(Cell(f"{judgement.contaminants:,}"))
            cells.append(Cell(f"{judgement.rejected * known / images:.1f}"))
        lines.append(Line(cells))
    return Table(header, lines, caption)

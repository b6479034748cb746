"""The kinds of figures for papers: what each draws of which runs, and what its caption says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from anokit.errors import UsageError
from anokit.report import latents as latent_figures
from anokit.report import printed
from anokit.report.captions import PanelWords
from anokit.report.panel_grid import NAMES, Panel, Place, in_reading_order, letter
from anokit.report.style import VectorFormat
from anokit.report.sweep import contamination_curve
from anokit.results.metrics import Estimate, measure
from anokit.results.result_table import Line, ResultTable
from anokit.runs.figure_runs import Material, Shown, system_names, words_of
from anokit.runs.gathering import GatheredRun
from anokit.runs.table import make_table

MATERIAL = {
    "tsne": "latents",
    "histograms": "latents",
    "losses": "losses",
    "curves": "losses",
    "matches": "pictures",
}
"""What each kind of figure draws of a run."""

KINDS = (*MATERIAL, "contamination")

SEED = 0
"""Of t-SNE and of bootstraps: figures of the same runs are the same."""


@dataclass(frozen=True)
class Wish:
    """What is to be drawn."""

    kinds: Sequence[str] = KINDS
    style: VectorFormat = "svg"
    images: int = 512
    """most test images of a panel"""
    queries: int = 8
    """test images that are shown with their closest matches"""
    names: Mapping[str, str] = field(default_factory=dict)
    """what systems are called, by recipe"""
    gammas: Sequence[float] = ()
    """contaminations to have panels of; all where empty"""


@dataclass(frozen=True)
class Drawn:
    """A figure and what its caption says."""

    figure: Figure
    text: str
    panels: Sequence[PanelWords]
    left_out: Sequence[str] = ()
    queries: Sequence[str] = ()


class NotDrawn(Exception):
    """Says in a sentence why there is no figure of a kind."""


def draw(
    kind: str,
    runs: Sequence[GatheredRun],
    sets: Sequence[tuple[list[str], list[Shown]]],
    material: Sequence[Material],
    wish: Wish,
) -> Drawn:
    """Draw one kind of figure; call it inside `style.drawing`.

    Raises
    ------
    NotDrawn
        Where these runs do not give what it needs.
    """
    if kind == "contamination":
        return _contamination(runs, wish.names)
    what = MATERIAL[kind]
    there = [one for one in material if what in one.given]
    left_out = {one.shown.place: one.missing[what] for one in material if what in one.missing}
    if kind == "matches":
        return _matches(sets, there, left_out)
    makers = {"tsne": _tsne, "histograms": _histograms, "losses": _losses, "curves": _curves}
    return makers[kind](there, left_out)


def _said(left_out: Mapping[Place, str]) -> list[str]:
    return [f"{place}: {reason}." for place, reason in left_out.items()]


def _panels(
    material: Sequence[Material],
    what: str,
    left_out: dict[Place, str],
    fits: Callable[[Panel], str] = lambda panel: "",
) -> list[tuple[Panel, Material]]:
    """Return panels in reading order, each with what it is of.

    ``fits`` says why a panel cannot be drawn, which is then left out; empty where it can.
    """
    found = {}
    for one in material:
        labels = one.shown.labels(one.ids[what])
        panel = Panel(one.shown.place, one.given[what], labels)
        if reason := fits(panel):
            left_out[panel.place] = reason
        else:
            found[panel.place] = (panel, one)
    if not found:
        reasons = list(dict.fromkeys(left_out.values()))
        rest = f", and {len(reasons) - 2} more reasons" if len(reasons) > 2 else ""
        raise NotDrawn(f"no run here can be shown: {'; '.join(reasons[:2])}{rest}")
    order = in_reading_order([panel for panel, _ in found.values()])
    return [found[panel.place] for panel in order]


def _tsne(material: Sequence[Material], left_out: dict[Place, str]) -> Drawn:
    def fits(panel: Panel) -> str:
        few = "it has too few different latents for a t-SNE"
        return "" if latent_figures.embeddable(panel.values) else few

    found = _panels(material, "latents", left_out, fits)
    words: list[PanelWords] = []
    panels: list[Panel] = []
    for number, (panel, one) in enumerate(found):
        points = latent_figures.embed(panel.values, SEED)
        panels.append(Panel(panel.place, points, panel.labels))
        note = f"perplexity {latent_figures.perplexity(len(points)):.3g}"
        values = f"latents {one.sources['latents']}; {note}"
        words.append(one.shown.words(one.ids["latents"], letter(number), values))
    text = (
        "t-SNE of the latents of test images (random state 0, begun at their principal "
        "components): filled circles are normal, open triangles anomalous. Sizes of clusters and "
        "distances between them mean nothing."
    )
    return Drawn(printed.embeddings(panels), text, words, _said(left_out))


def _histograms(material: Sequence[Material], left_out: dict[Place, str]) -> Drawn:
    found = _panels(material, "latents", left_out)
    text = (
        "All components of the latents of test images together, each group's area 1: a filled "
        "histogram of normal images, the outline of that of anomalous ones. The outermost bins "
        "hold what lies beyond the central 99.8 %."
    )
    figure = printed.coefficient_histograms([panel for panel, _ in found])
    return Drawn(figure, text, _words(found, "latents"), _said(left_out))


def _words(found: Sequence[tuple[Panel, Material]], what: str) -> list[PanelWords]:
    return [
        one.shown.words(one.ids[what], letter(number), f"{what} {one.sources[what]}")
        for number, (_, one) in enumerate(found)
    ]


def _losses(material: Sequence[Material], left_out: dict[Place, str]) -> Drawn:
    found = _panels(material, "losses", left_out)
    text = (
        "The losses that encoders are trained by, of each test image x: d_I = mean |x − G(E(x))| "
        "over pixels and channels in [−1, 1], d_z = mean |E(x) − E(G(E(x)))| over components of "
        "the latent. Filled circles are normal, open triangles anomalous images."
    )
    figure = printed.loss_scatter([panel for panel, _ in found])
    return Drawn(figure, text, _words(found, "losses"), _said(left_out))


def _curves(material: Sequence[Material], left_out: dict[Place, str]) -> Drawn:
    def fits(panel: Panel) -> str:
        return "" if {0, 1} <= set(panel.labels.tolist()) else "it has no labels of both classes"

    found = _panels(material, "losses", left_out, fits)
    estimates = [_auroc(panel) for panel, _ in found]
    text = (
        "ROC curves of d_I (solid) and d_z (dashed) of test images, taken as anomaly scores, with "
        "AUROC and its 95 % bootstrap interval over the images that are shown, of one training "
        "run each. d_I and d_z are as in the scatter plot of losses."
    )
    figure = printed.loss_curves([panel for panel, _ in found], estimates)
    return Drawn(figure, text, _words(found, "losses"), _said(left_out))


def _auroc(panel: Panel) -> list[Estimate]:
    known = panel.labels >= 0
    measured = [measure(panel.labels[known], one, None, seed=SEED) for one in panel.values[known].T]
    return [one.auroc for one in measured if one is not None]


def _matches(
    sets: Sequence[tuple[list[str], list[Shown]]],
    material: Sequence[Material],
    left_out: Mapping[Place, str],
) -> Drawn:
    of = {one.shown.place: one for one in material}
    drawn: list[printed.Queries] = []
    words: list[PanelWords] = []
    queries: list[str] = []
    for ids, members in sets:
        for here in _by_pictures([of[one.place] for one in members if one.place in of]):
            pictures = [one.given["pictures"] for one in here]
            sharpest = max((images for images, _ in pictures), key=lambda images: images.shape[-1])
            first = here[0].shown
            kinds = dict(zip(first.table.ids, first.table.kinds, strict=True))
            labels = first.labels(ids)
            under = [kinds[name] or NAMES[int(n)] for name, n in zip(ids, labels, strict=True)]
            rows = []
            for one, (_, hats) in zip(here, pictures, strict=True):
                rows.append(printed.Match(one.shown.place, hats))
                size = "×".join(map(str, hats.shape[2:]))
                values = f"reconstructions of {size} pixels {one.sources['pictures']}"
                words.append(one.shown.words(ids, letter(len(words)), values))
            drawn.append(printed.Queries(sharpest, labels, under, rows))
            queries += ids
    if not drawn:
        reasons = "; ".join(list(dict.fromkeys(left_out.values()))[:2])
        raise NotDrawn(f"no run here reconstructs images that could be shown: {reasons}")
    text = (
        "Test images (queries) and, row by row, the closest match of each system, which is what it "
        "reconstructs of them. Anomalous queries are framed; the class stands beneath."
    )
    figure = printed.closest_matches(drawn)
    return Drawn(figure, text, words, _said(left_out), queries)


def _by_pictures(material: Sequence[Material]) -> list[list[Material]]:
    """Return runs whose queries are the same images together; other sizes are taken for the same.

    Images of two data sets may have the same ids.
    """
    found: list[list[Material]] = []
    for one in material:
        images = one.given["pictures"][0]
        for group in found:
            others = [other.given["pictures"][0] for other in group]
            if all(np.array_equal(images, o) for o in others if o.shape == images.shape):
                group.append(one)
                break
        else:
            found.append([one])
    return found


def _contamination(runs: Sequence[GatheredRun], names: Mapping[str, str]) -> Drawn:
    gammas = sorted({run.results.contamination for run in runs})
    if len(gammas) < 2:
        raise NotDrawn(
            f"all runs here were trained at one contamination, γ = {100 * gammas[0]:g} %, and the "
            "curve needs two"
        )
    systems = system_names(runs, names)
    text = (
        "AUROC of each system's first score over the share of anomalies in the training set. Bands "
        "are 95 % intervals over test images and, where there are several, seeds. The axis is "
        "linear up to 1 % and logarithmic above; the thin line is chance."
    )
    lines, left_out = _lines(runs, systems)
    columns = list(dict.fromkeys(name for line in lines for name in line.cells))
    table = ResultTable(metric="auroc", columns=columns, lines=lines, remarks=[], sources=[])
    figure = contamination_curve(table, printed=True)
    words = []
    for run in runs:
        row = run.results.row(run.results.primary)
        auroc = row.metric("auroc") if row else None
        if auroc is not None:
            value = f"AUROC of {run.results.primary}: {auroc}"
            words.append(words_of(run, systems[run.path]).model_copy(update={"values": value}))
    return Drawn(figure, text, words, left_out)


def _lines(
    runs: Sequence[GatheredRun], systems: Mapping[Path, str]
) -> tuple[list[Line], list[str]]:
    """Return the first score of each system over contamination, and which have none, and why."""
    lines, left_out = [], []
    for name in dict.fromkeys(systems[run.path] for run in runs):
        own = [run for run in runs if systems[run.path] == name]
        # No interval is bootstrapped that is not drawn.
        scores = list(dict.fromkeys(run.results.primary for run in own))
        try:
            found = make_table([run.path for run in own], scores=scores).lines
        except UsageError as error:
            left_out.append(f"{name}: {error}.")
            continue
        lines += [line.model_copy(update={"system": name}) for line in found if line.primary]
    if not lines:
        raise NotDrawn("; ".join(left_out[:2]).rstrip("."))
    return lines, left_out

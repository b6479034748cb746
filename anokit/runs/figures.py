"""Figures for papers of finished runs, as vector files with one file of captions beside them.

After Berg, Ahlberg, Felsberg, figures 2 to 5. Nothing is trained; labels are those of scores.csv.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from anokit.errors import UsageError
from anokit.report import style
from anokit.report.captions import Caption, FigureSet
from anokit.runs.figure_kinds import KINDS, MATERIAL, Drawn, NotDrawn, Wish, draw
from anokit.runs.figure_runs import Material, Shown, gather, query_sets, shown_runs
from anokit.runs.gathering import find_runs
from anokit.runs.noting import noting
from anokit.runs.trips_again import TripsAgain, by_hash
from anokit.store.files import make_folder, replacing, write_text
from anokit.version import __version__
from anokit.watching import NOBODY, Watcher

CAPTIONS = "figures.md"


def draw_figures(
    given: Sequence[Path],
    out: Path,
    wish: Wish,
    watcher: Watcher = NOBODY,
    *,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
) -> FigureSet:
    """Draw what the finished runs at or below some folders give; write it and its captions.

    Parameters
    ----------
    given
        Run directories, sweeps, or other folders of runs.
    out
        The folder to write to.
    plugins, trust_plugins
        As of `open_run`, for what is computed again.

    Returns
    -------
    FigureSet
        What was drawn, and why the rest was not.

    Raises
    ------
    UsageError
        Where there is no finished run, a wish names what is not there, or nothing can be drawn.
    CheckpointError
        Where a run is damaged or a file cannot be written.
    """
    for kind in wish.kinds:
        if kind not in KINDS:
            raise UsageError(f"--only {kind}: no such figure; there are: {', '.join(KINDS)}")
    runs = find_runs(given)
    shown = shown_runs(runs, wish.names, wish.gammas)

    def reopen(run: Path) -> TripsAgain:
        return TripsAgain(run, watcher, device=device, plugins=plugins, trust_plugins=trust_plugins)

    sets = query_sets(shown, wish.queries)
    with noting(watcher):
        material = _gathered(shown, sets, wish, reopen)
    watcher.done()
    figures: list[Caption] = []
    not_drawn: dict[str, str] = {}
    with style.drawing():
        for kind in dict.fromkeys(wish.kinds):
            watcher.notice(f"drawing {kind}")
            try:
                drawn = draw(kind, runs, sets, material, wish)
            except NotDrawn as reason:
                not_drawn[kind] = str(reason)
                continue
            path = out / f"{kind}.{wish.style}"
            out.parent.mkdir(parents=True, exist_ok=True)
            make_folder(out)
            with replacing(path) as new:
                new.write_bytes(style.vector(drawn.figure, wish.style))
            figures.append(_caption(kind, path, drawn))
    if not figures:
        reasons = "".join(f"\n  {kind}: {reason}" for kind, reason in not_drawn.items())
        raise UsageError(f"no figure can be drawn of these runs:{reasons}")
    found = FigureSet(
        anokit=__version__, selection=_selection(wish), figures=figures, not_drawn=not_drawn
    )
    write_text(out / CAPTIONS, found.markdown())
    return found


def _caption(kind: str, path: Path, drawn: Drawn) -> Caption:
    return Caption(
        kind=kind,
        file=path.name,
        text=drawn.text,
        panels=list(drawn.panels),
        queries=list(drawn.queries),
        left_out=list(drawn.left_out),
    )


def _selection(wish: Wish) -> str:
    return (
        "Of each system and contamination the run of the lowest seed is shown, but for the curve "
        f"over contamination, which takes all. Of each run at most {wish.images:,} test images are "
        "shown, those whose ids have the smallest SHA-256, so that runs with the same test set "
        "show the same ones, chosen by no score and no label; queries are chosen in the same way, "
        "half of them normal."
    )


def _gathered(
    shown: Sequence[Shown],
    sets: Sequence[tuple[list[str], list[Shown]]],
    wish: Wish,
    reopen: Callable[[Path], TripsAgain],
) -> list[Material]:
    """Return what every run gives of what the wished figures draw."""
    wanted = {MATERIAL[kind] for kind in wish.kinds if kind in MATERIAL}
    asked = {id(member): ids for ids, members in sets for member in members}
    found = []
    for one in shown:
        some = by_hash(one.table.ids)[: wish.images]
        ids = {"latents": some, "losses": some, "pictures": asked.get(id(one), [])}
        found.append(gather(one, {what: ids[what] for what in ids if what in wanted}, reopen))
    return found

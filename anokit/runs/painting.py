"""Maps of what a report shows, and folders of images to look through with maps painted on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from anokit.data.names import file_called
from anokit.data.sets import ImageTable, Rows, all_rows
from anokit.errors import DataError
from anokit.recipe.parts import NamedScore, Recipe
from anokit.report.heat import Heat, stitch
from anokit.report.originals import levels_of
from anokit.report.pictures import Made
from anokit.report.ranked_gallery import Entry, Gallery, write_gallery
from anokit.results.assess import Assessment
from anokit.results.exhibits import maps_of
from anokit.results.rows import MapScale
from anokit.runs.files import FileReader
from anokit.scoring.scorer import Scorer
from anokit.scoring.training_scores import fit_without
from anokit.store.records import GALLERY_MAP, TRAIN_MAP
from anokit.store.score_table import Ranking
from anokit.training.job import Job
from anokit.training.memory import TripMemory
from anokit.watching import NOBODY, Watcher

NOT_MADE: Mapping[str, tuple[Made, Path]] = {}

Draw = Callable[[Path], Heat | None]
"""Makes the map of a file; None where there is none."""


class Known:
    """Some training images, of which trips are remembered, found again by what they show.

    Parameters
    ----------
    images, rows
        The training set, and which of it may be asked for.
    memory
        What remembers the trips of the set.
    """

    def __init__(self, images: ImageTable, rows: Rows, memory: TripMemory | None) -> None:
        self.images = images
        self.memory = memory
        shown = zip(images.read(rows), rows, strict=True)
        self.rows = {image.numpy().tobytes(): row for image, row in shown}

    def find(self, images: Tensor) -> Rows | None:
        """Return the rows of images ``[N, C, H, W]`` uint8; None where one is not among them."""
        found = [self.rows.get(image.numpy().tobytes()) for image in images]
        return None if None in found else np.array(found, dtype=np.int64)


def standing(known: Known | None, images: Tensor) -> tuple[ImageTable, Rows, TripMemory | None]:
    """Return where images ``[N, C, H, W]`` uint8 stand, and what remembers their trips.

    That is a table of their own, and nothing, where one of them is not known.
    """
    rows = None if known is None else known.find(images)
    if known is None or rows is None:
        return ImageTable([images]), all_rows(len(images)), None
    return known.images, rows, known.memory


def drawn_by(
    scorer: Scorer, score: NamedScore, reader: FileReader, known: Known | None = None
) -> Draw:
    """Return what makes the map of a file by ``score``: one over all tiles of a photograph.

    Images that are ``known`` make no trip again.
    """

    def draw(path: Path) -> Heat | None:
        try:
            pieces = reader.pieces(path)
        except DataError:
            return None  # the gallery says of the original what is wrong with it
        images, rows, memory = standing(known, pieces.images)
        maps = scorer.maps(score, images, rows, memory=memory)
        return None if maps is None else stitch(maps, pieces.boxes, pieces.size)

    return draw


def paint_ranking(
    folder: Path,
    ranking: Ranking,
    count: int,
    scale: MapScale | None,
    draw: Draw,
    recipe: Recipe,
    *,
    title: str,
    made: Mapping[str, tuple[Made, Path]] = NOT_MADE,
    watcher: Watcher = NOBODY,
) -> Gallery:
    """Write the ``count`` most anomalous files of a ranking, as `write_gallery` has it.

    Those with pictures that were ``made``, by name and with the folder that they lie in, are drawn
    no more.
    """
    name, column = next(iter(ranking.columns.items()))
    judged = ranking.judged[name]
    order = ranking.order[:count]
    doing = "painting maps on files" if not made else "putting maps in order"
    advance = watcher.track(doing, len(order))

    def entries() -> Iterator[Entry]:
        for rank, row in enumerate(order, start=1):
            path = file_called(ranking.images[row])
            there = made.get(ranking.images[row])
            yield Entry(
                rank=rank,
                score=float(column[row]),
                flagged=bool(judged.flagged[row]),
                path=path,
                p_value=float(judged.p_values[row]),
                heat=None if scale is None or there else draw(path),
                made=there,
            )
            advance(1)

    facts = {
        "score": name,
        "threshold": f"{judged.threshold:.4g}, without labels",
        "ranked": f"{len(ranking.images):,} images, of which {int(judged.flagged.sum()):,} flagged",
    }
    if recipe.quick:
        facts["quick run"] = "it shows the path, not the quality"
    levels = levels_of(recipe.dataset.options)
    found = write_gallery(folder, entries(), scale, title=title, facts=facts, levels=levels)
    watcher.done()
    return found


def draw_maps(
    job: Job,
    found: Assessment,
    shown: Mapping[str, Tensor],
    ranking: Ranking,
    *,
    overlays: bool = False,
) -> dict[str, Tensor]:
    """Return the maps, by every score, of the images that the report shows: of test images if any.

    No map of a training image is by a score that was fitted on it: those shown are left out of a
    fit for the purpose.

    Parameters
    ----------
    shown
        What else the report draws from; with the images of its galleries.
    ranking
        The training images, as the run's primary score ranks them.
    overlays
        Whether to write overlays/ of the run's directory too, where training images are files.
    """
    recipe, train, test = job.recipe, job.data.train, job.data.test
    maps: dict[str, Tensor] = {}
    if test and "gallery_image" in shown:
        ids = [test.wholes.ids[place] for place in shown["gallery_index"].tolist()]
        images = ImageTable([shown["gallery_image"]], ids)
        maps = maps_of(found, recipe, images, all_rows(len(images)), GALLERY_MAP)
    top = [ranking.images[row] for row in ranking.order]
    drawn = 0 if test else len(shown.get("train_top_image", ()))
    painted = recipe.evaluation.overlays if train.files and all(train.files) and overlays else 0
    rows = np.flatnonzero(np.isin(train.names, top[: max(drawn, painted)]))
    with _fitted_without(job, found, rows, recipe.scores if drawn else recipe.scores[:1]):
        known = Known(train.images, rows, found.memory)
        if drawn:
            images, places, memory = standing(known, shown["train_top_image"])
            maps |= maps_of(found, recipe, images, places, TRAIN_MAP, memory)
        if painted:
            paint_ranking(
                job.directory.overlays,
                ranking,
                painted,
                found.rows[0].map_scale,
                drawn_by(
                    found.scorer,
                    recipe.primary,
                    FileReader(recipe.dataset, job.data.spec),
                    known,
                ),
                recipe,
                title=f"{recipe.title}: the most anomalous training images",
                watcher=job.watcher,
            )
    return maps


@contextmanager
def _fitted_without(
    job: Job, found: Assessment, rows: Rows, scores: Sequence[NamedScore]
) -> Iterator[None]:
    """Fit what the maps of ``scores`` need on all training images but ``rows``, for a while."""
    terms = {term.key for score in scores for term in score.terms}
    scorer = found.scorer
    mapped = {
        id(component)
        for key, component in scorer.components.items()
        if key in terms and component.has_map and component.fitted
    }
    if mapped and len(rows):
        fit_without(scorer, job.data.train, rows, lambda c: id(c) in mapped, found.memory)
    try:
        yield
    finally:
        if mapped and len(rows):
            scorer.load(scorer.files)

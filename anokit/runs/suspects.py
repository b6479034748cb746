"""``anokit suspects``: a finished run's most unusual training images, for a person to judge."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from anokit.data.choosing import read_names
from anokit.data.names import file_called
from anokit.data.preparing import prepare
from anokit.data.sets import Rows, RunData
from anokit.errors import CheckpointError, UsageError
from anokit.plugin import resolve_fields
from anokit.recipe.parts import Recipe
from anokit.report.beside import Near
from anokit.report.originals import draw_pixels, levels_of
from anokit.report.ranked_gallery import Entry, Gallery, write_gallery
from anokit.results.before import Side
from anokit.runs.noting import noting
from anokit.runs.opened import OpenedRun, open_run
from anokit.scoring.nearest import Likeness, Neighbours, nearest_training_images
from anokit.store.exclude_list import exclude_text, listable
from anokit.store.files import write_text
from anokit.store.score_table import Judged, Ranking, csv_text
from anokit.store.targets import check_file
from anokit.training.backbone import load_backbone
from anokit.training.device import resolve_device
from anokit.watching import NOBODY, Watcher

NEAR = 3
"""Nearest training images that are shown beside each one."""

LEAD = (
    "These are the most unusual of the training images, as the score has it. Something has to come "
    "first in every set, also where nothing is wrong: whether they are anomalous only a person can "
    f"say. Beside each one stand the {NEAR} training images that are most like it."
)


@dataclass(frozen=True)
class Suspects:
    """The most unusual training images of a finished run, and what is like them."""

    opened: OpenedRun
    recipe: Recipe
    data: RunData
    ranking: Ranking
    """of all training images that were scored"""
    likeness: Likeness
    places: Rows
    """``[S]``: of the suspects among `wholes`, the most unusual first"""
    neighbours: Neighbours

    def __len__(self) -> int:
        return len(self.places)

    @property
    def judged(self) -> Judged:
        """Return how the primary score judges all training images that were scored."""
        return self.ranking.judged[self.recipe.primary.name]

    @cached_property
    def wholes(self) -> list[str]:
        """Return the names of all training images as the user knows them."""
        return _wholes(self.data)

    def near(self, rank: int) -> list[tuple[int, float]]:
        """Return the nearest of one of them: places among `wholes`, and distances."""
        places, distances = self.neighbours.places[rank - 1], self.neighbours.distances[rank - 1]
        return [(int(at), float(far)) for at, far in zip(places, distances, strict=True)]

    def text(self) -> str:
        """Return suspects.csv."""
        column = self.ranking.columns[self.recipe.primary.name]
        head = ["image", "score", "p_value", "flagged"]
        near = [f"nearest_{number}" for number in range(1, NEAR + 1)]
        lines = []
        for rank, row in enumerate(self.ranking.order[: len(self)], start=1):
            own = [
                self.ranking.images[row],
                repr(float(column[row])),
                repr(float(self.judged.p_values[row])),
                str(int(self.judged.flagged[row])),
            ]
            names = [self.wholes[place] for place, _ in self.near(rank)]
            lines.append([str(rank), *own, *names, *[""] * (NEAR - len(names))])
        return csv_text(["rank", *head, *near], lines)


def find_suspects(
    run: Path,
    watcher: Watcher = NOBODY,
    *,
    top: int = 40,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
) -> Suspects:
    """Find the ``top`` most unusual training images of a finished run, and what is like them.

    The ranking is the run's own. Images are alike by what the primary score reads of them.

    Raises
    ------
    CheckpointError
        Where the run is not finished, a file of it is damaged, or the data are no longer the same.
    UsageError
        Where a plugin is neither given nor trusted.
    """
    opened = open_run(run, plugins=plugins, trust_plugins=trust_plugins)
    ranking = opened.directory.read_ranking()
    with noting(watcher):
        recipe = opened.recipe(baselines=[])
        data = prepare(recipe.dataset, recipe.seed, watcher)
        opened.directory.check_same_data(data.fingerprint)
        place = {name: at for at, name in enumerate(_wholes(data))}
        names = [ranking.images[row] for row in ranking.order[:top]]
        if not set(names) <= set(place):
            raise CheckpointError(
                f"{opened.directory.ranking}: damaged: its images are not those of the training set"
            )
        needs = [
            resolve_fields(term.entry.component.needs, term.options)
            for term in recipe.primary.terms
        ]
        likeness = Likeness.of(frozenset[str]().union(*needs))
        target = resolve_device(device)
        places = _rows([place[name] for name in names])
        neighbours = nearest_training_images(
            load_backbone(recipe, data.spec, target, opened.directory.model),
            data.train,
            places,
            likeness,
            count=NEAR,
            batch_size=recipe.evaluation.batch_size,
            device=target,
            watcher=watcher,
        )
    return Suspects(opened, recipe, data, ranking, likeness, places, neighbours)


def write_suspects(found: Suspects, folder: Path, watcher: Watcher = NOBODY) -> Gallery:
    """Write suspects.csv, a contact sheet and a page to look through.

    Raises
    ------
    UsageError
        Where the folder cannot be written, or holds something else.
    """
    name, ranking, judged = found.recipe.primary.name, found.ranking, found.judged
    advance = watcher.track("reading originals", len(found))

    def entries() -> Iterator[Entry]:
        for rank, row in enumerate(ranking.order[: len(found)], start=1):
            path, picture = _shown(found, int(found.places[rank - 1]))
            yield Entry(
                rank=rank,
                score=float(ranking.columns[name][row]),
                flagged=bool(judged.flagged[row]),
                path=path or file_called(ranking.images[row]),
                p_value=float(judged.p_values[row]),
                picture=picture,
                near=[
                    Near(found.wholes[at], far, *_shown(found, at)) for at, far in found.near(rank)
                ],
            )
            advance(1)

    several, scored = len(found.wholes), len(ranking.images)
    some = "" if scored == several else f", of which {scored:,} were scored"
    facts = {
        "training images": f"{several:,}{some}",
        "score": name,
        "threshold": f"{judged.threshold:.4g}, without labels",
        "nearest by": found.likeness.words,
    }
    if found.data.simulated:
        facts["simulated data"] = "these images are drawn, and say nothing of the real ones"
    if found.recipe.quick:
        facts["quick run"] = "it shows the path, not the quality"
    levels = levels_of(found.recipe.dataset.options)
    try:
        return write_gallery(
            folder,
            entries(),
            title=f"{found.recipe.title}: the most unusual training images",
            lead=LEAD,
            facts=facts,
            table=found.text(),
            levels=levels,
        )
    except CheckpointError as error:
        raise UsageError(f"--out {error}") from None
    finally:
        watcher.done()


def write_exclude_list(
    found: Suspects, path: Path, *, flagged: bool = False
) -> tuple[int, list[str]]:
    """Write the list that ``[dataset] exclude`` takes: all that are shown, or those flagged.

    What the run itself left out stays in the list. Returns how many images were listed, and the
    names that cannot stand in a list.

    Raises
    ------
    UsageError
        Where the file is there already, since somebody may have edited it, or cannot be written,
        or no image is flagged.
    """
    check_new(path)
    opened = found.opened
    rows = found.ranking.order[: len(found)]
    names = [
        _listed(found, int(place))
        for row, place in zip(rows, found.places, strict=True)
        if found.judged.flagged[row] or not flagged
    ]
    kept = [name for name in names if listable(name)]
    if not names:
        raise UsageError(
            f"--flagged: none of the {len(found):,} images shown is flagged; without it all of "
            "them are listed"
        )
    former: list[str] = []
    if opened.directory.exclude.exists():
        former = sorted(read_names(opened.directory.exclude))
    remarks = [
        *Side.of(opened.results, found.ranking).words,
        "",
        f"The {len(kept):,} most unusual training images of that run"
        + (" that are flagged" if flagged else "")
        + (f", and below them {len(former):,} that it left out itself." if former else "."),
        "Whether they are anomalous only a person can say: delete the lines of images that are",
        "normal. What stays listed is left out by:",
        f"  {refit_command(found, path)}",
        "",
    ]
    try:
        write_text(path, exclude_text([*kept, *former], opened.directory.path, remarks))
    except CheckpointError as error:
        raise UsageError(f"--write-exclude {error}") from None
    return len(kept), [name for name in names if not listable(name)]


def check_new(path: Path) -> None:
    """Raise `UsageError` where a list is there already: somebody may have edited it."""
    if path.exists():
        raise UsageError(
            f"--write-exclude {path}: is there already, and may have been edited; name a new file"
        )
    check_file("--write-exclude", path)


def refit_command(found: Suspects, path: Path) -> str:
    """Return the command that makes the run again without the images that a list names."""
    directory = found.opened.directory
    arguments = directory.environment().arguments
    if arguments is None:  # the run was made before this was recorded
        quick = ["--quick"] if found.opened.quick else []
        arguments = shlex.join([str(directory.path / "recipe.toml"), *quick])
    recipe, *others = shlex.split(arguments)
    if recipe.endswith(".toml") and not Path(recipe).is_file():  # the run, or it, was moved
        arguments = shlex.join([str(directory.path / "recipe.toml"), *others])
    return f"anokit run {arguments} --set {shlex.quote(f'dataset.exclude={path}')}"


def _wholes(data: RunData) -> list[str]:
    names = data.train.names
    return [names[row] for row in data.train.wholes.first]


def _shown(found: Suspects, place: int) -> tuple[Path | None, Image.Image | None]:
    """Return the file of a training image or, where it is none, a picture of its pixels."""
    train = found.data.train
    row = int(train.wholes.first[place])
    if train.files and train.files[row]:
        return file_called(train.files[row]), None
    return None, draw_pixels(train.images.read(_rows([row]))[0].numpy())


def _listed(found: Suspects, place: int) -> str:
    """Return by which name a list leaves an image out, with all its tiles."""
    train = found.data.train
    row = int(train.wholes.first[place])
    if train.files and train.files[row]:
        return train.files[row]
    return train.ids[row] if train.parents is None else train.parents[row]


def _rows(places: Sequence[int]) -> Rows:
    return np.array(places, dtype=np.int64)

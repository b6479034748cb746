"""The factory of ``kth-cellvideos``: sequences in, crops in a cache on disk, splits out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.data import ArraySplit, quiet
from anokit.types import ImageSpec
from anokit_datasets.kth.crops import Cropper, grey_limits, read_frame, scale_grey
from anokit_datasets.kth.format import CellSequence, Found, find_sequences
from anokit_datasets.kth.objects import Objects, find_objects
from anokit_datasets.kth.split import divide
from anokit_datasets.options import KthOptions
from anokit_datasets.resizing import bilinear
from anokit_datasets.source import Source, draw
from anokit_datasets.storage import appear_whole, beside, create_array, fingerprint, open_array

CACHE_VERSION = 1
"""Raised when the same options would give other crops."""
SPLITS = ("train", "contaminants", "test")


def kth_cellvideos(options: KthOptions) -> Source:
    """Return crops of cells (normal) and debris (anomalous) from the sequences below ``root``.

    Crops are cut once, into a folder beside the root, and are memory-mapped from there. Ids are
    ``sequence/tFRAME/cell-TRACK`` (or ``debris-TRACK``), with ``/copy-K`` after a turned copy.

    Source: Berg et al., section 4.1. What the paper leaves open: angles are uniform in [0, 360);
    crops are interpolated by cubic splines, out of a neighbourhood large enough to fill the
    corners; the frame's edge is repeated where an object lies at it.

    Raises
    ------
    MissingDataError
        Where the root holds no experiment.
    DataError
        Where labels are missing or malformed, the objects cannot be divided, or the cache cannot be
        written.
    """
    root = Path(options.root)
    found = find_sequences(root, options.labels, options.version)
    cache = Path(options.cache) if options.cache else beside(root, "-crops")
    folder = cache / cache_key(options, found)
    if not folder.is_dir():
        advice = "set `cache` to a folder with room"
        with quiet(), appear_whole(folder, "the crops", advice) as temporary:
            write_crops(temporary, found, options)
    return read_crops(folder, options, found.notices)


def cache_key(options: KthOptions, found: Found) -> str:
    """Return a name that changes with everything the crops depend on."""
    settings = options.model_dump(
        mode="json",
        exclude={"root", "cache", "simulated_sequences", "simulated_frames", "simulation_seed"},
    )
    settings["cache_version"] = CACHE_VERSION
    settings["sequences"] = [sequence.name for sequence in found.sequences]
    return fingerprint(settings, (path for s in found.sequences for path in files_of(s)))


def files_of(sequence: CellSequence) -> Iterable[Path]:
    """Yield every file that the crops of a sequence depend on, in a fixed order."""
    yield from (sequence.frames[number] for number in sorted(sequence.frames))
    for labels in (sequence.cells, sequence.debris):
        if labels is not None:
            yield from (labels.images[number] for number in sorted(labels.images))
            yield from sorted(next(iter(labels.images.values())).parent.glob("*.txt"))


@dataclass(frozen=True)
class Plan:
    """The crops of one split: object and copy (0 = upright), by row of the array."""

    objects: npt.NDArray[np.int64]
    copies: npt.NDArray[np.int64]

    @classmethod
    def of(cls, objects: npt.NDArray[np.int64], copies: int) -> Plan:
        """Plan every object upright and in ``copies`` turned copies, side by side."""
        times = 1 + copies
        return cls(np.repeat(objects, times), np.tile(np.arange(times), len(objects)))

    def subset(self, places: npt.NDArray[np.int64]) -> Plan:
        """Return the rows at ``places``."""
        return Plan(self.objects[places], self.copies[places])


def write_crops(folder: Path, found: Found, options: KthOptions) -> None:
    """Find and divide the objects, cut all crops and write arrays and index into ``folder``."""
    objects, notices = find_objects(found.sequences)
    division = divide(objects, options)
    train = Plan.of(division.train, options.copies)
    train = train.subset(
        draw(len(train.objects), options.max_train, options.draw_seed, "kth", "train")
    )
    plans = {
        "train": train,
        "contaminants": Plan.of(division.contaminants, options.copies),
        "test": Plan.of(np.concatenate([division.test_normal, division.test_anomalous]), 0),
    }
    shape = (1, options.size, options.size)
    arrays = {
        name: create_array(folder / f"{name}.npy", (len(plan.objects), *shape))
        for name, plan in plans.items()
        if len(plan.objects)
    }
    names = [sequence.name for sequence in found.sequences]
    # A second number, so that the angles share no randomness with the split.
    angles = np.random.default_rng([options.draw_seed, 1])
    turns = angles.uniform(0, 360, (len(objects), options.copies)).astype(np.float32)
    cut(
        found.sequences,
        objects,
        {name: plans[name] for name in arrays},
        arrays,
        turns,
        options.field,
    )
    index = {
        "notices": [*notices, *division.notices],
        "labels": [0] * len(division.test_normal) + [1] * len(division.test_anomalous),
        "ids": {name: identifiers(objects, plans[name], names) for name in arrays},
        # None for training: the published set has half a million images, and they are unlabelled.
        "kinds": {name: kinds(objects[plans[name].objects]) for name in arrays if name != "train"},
    }
    (folder / "index.json").write_text(json.dumps(index), "utf-8")


def cut(
    sequences: Sequence[CellSequence],
    objects: Objects,
    plans: dict[str, Plan],
    arrays: dict[str, npt.NDArray[np.uint8]],
    turns: npt.NDArray[np.float32],
    field: int,
) -> None:
    """Cut all planned crops ``[field, field]`` and resize them, reading every frame once."""
    by_frame: dict[tuple[int, int], list[tuple[str, int, int, int]]] = {}
    for name, plan in plans.items():
        for row, (which, copy) in enumerate(zip(plan.objects, plan.copies, strict=True)):
            place = int(objects["sequence"][which]), int(objects["frame"][which])
            by_frame.setdefault(place, []).append((name, row, int(which), int(copy)))
    limits = {index: grey_limits(sequences[index].frames) for index in {key[0] for key in by_frame}}

    def work(key: tuple[int, int]) -> None:
        sequence, frame = key
        pixels = read_frame(sequences[sequence].frames[frame])
        cropper = Cropper(scale_grey(pixels, limits[sequence]), field)
        for name, row, which, copy in by_frame[key]:
            centre = int(objects["row"][which]), int(objects["column"][which])
            crop = (
                cropper.turned(*centre, turns[which, copy - 1])
                if copy
                else cropper.upright(*centre)
            )
            size = arrays[name].shape[-1]
            arrays[name][row] = bilinear(crop[None, None], size, size)[0]

    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(work, sorted(by_frame)):
            pass


def identifiers(objects: Objects, plan: Plan, names: Sequence[str]) -> list[str]:
    """Return an id for every row of a plan."""
    found = []
    for which, copy in zip(plan.objects, plan.copies, strict=True):
        thing = objects[which]
        what = "debris" if thing["debris"] else "cell"
        name = f"{names[thing['sequence']]}/t{thing['frame']:04d}/{what}-{thing['track']:04d}"
        found.append(f"{name}/copy-{copy}" if copy else name)
    return found


def kinds(objects: Objects) -> list[str]:
    """Return what each object is: cell, dying cell or debris."""
    return [
        "debris" if thing["debris"] else "dying cell" if thing["dying"] else "cell"
        for thing in objects
    ]


def read_crops(folder: Path, options: KthOptions, notices: Sequence[str]) -> Source:
    """Return the dataset out of a cache folder that `write_crops` has filled."""
    index = json.loads((folder / "index.json").read_text("utf-8"))

    def split(name: str) -> ArraySplit | None:
        if name not in index["ids"]:
            return None
        return ArraySplit(
            open_array(folder / f"{name}.npy"),
            index["ids"][name],
            labels=index["labels"] if name == "test" else None,
            kinds=index["kinds"].get(name),
        )

    train, contaminants, test = (split(name) for name in SPLITS)
    assert train is not None  # `divide` leaves at least one cell to train on
    return Source(
        spec=ImageSpec(1, options.size, options.size),
        train=train,
        contaminants=contaminants,
        test=test,
        protocol=f"debris against cells, split by {options.split}",
        notices=(*notices, *index["notices"]),
    )

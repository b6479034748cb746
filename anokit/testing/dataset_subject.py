"""What checks of datasets are about: a dataset over data that there are, or were made up."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from unittest import SkipTest

from anokit.data.contract import Items, items_of
from anokit.errors import DataError, MissingDataError
from anokit.plugin import Options
from anokit.registry.guard import guarded, telling
from anokit.testing.check import expect, fail
from anokit.testing.offline import offline
from anokit.testing.subject import Subject
from anokit.types import ImageSplit, Sample

LOOKED_AT = 20
"""Samples of each split that are looked at."""


class Opened(NamedTuple):
    """A dataset, and what opening it did beside."""

    source: Any
    tried: list[str]
    """hosts that it asked for"""
    told: list[str]
    """what it changed in the process"""


@dataclass(frozen=True)
class DatasetSubject(Subject):
    """A dataset, over data that the plugin supplies, its example's, or its simulation's."""

    @cached_property
    def folder(self) -> Path:
        """Return an empty folder that goes away with the checks."""
        path = tempfile.mkdtemp(prefix="anokit-check-")
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return Path(path)

    @cached_property
    def used(self) -> Options:
        """Return the options that the dataset is opened with."""
        if not self._given:
            return self.options
        return self.entry.component.options.model_validate({**self._example(), **self._given})

    @property
    def source(self) -> Any:
        """Return the dataset, or its simulated stand-in; skip where there are no data at all."""
        return self.opened.source

    @cached_property
    def opened(self) -> Opened:
        """Open the dataset once, watched: a simulation may take long."""
        component, told = self.entry.component, list[str]()
        with offline() as tried, telling(told.append):
            with guarded(self.entry, "being imported", draws="restored"):
                make, simulation = component.load(), component.load_simulation()
            try:
                with guarded(self.entry, "opening the data"):
                    return Opened(make(self.used), tried, told)
            except MissingDataError as error:
                why = str(error).splitlines()[0]
            if simulation is None:
                raise SkipTest(
                    f"no data: {why} (supply some: samples={{{component.name!r}: function}}, which "
                    "writes tiny data into a folder and returns options)"
                )
            with guarded(self.entry, "simulating data"):
                return Opened(simulation(self.used), tried, told)

    def splits(self) -> Iterator[tuple[str, ImageSplit]]:
        """Yield the splits that there are, by name."""
        for name in ("train", "contaminants", "test"):
            split = getattr(self.source, name)
            if split is not None:
                yield name, split

    def items(self, split: ImageSplit) -> Items:
        """Return a few samples of a split, spread over it."""
        return items_of(split, LOOKED_AT)

    def files(self) -> Iterator[tuple[Path, list[Sample]]]:
        """Yield a few files of the dataset, each with the samples that were made of it."""
        for _, split in self.splits():
            paths = getattr(split, "files", None)
            for index, sample in self.items(split):
                path = Path(paths[index]) if paths is not None else self._path(sample.id)
                if path is not None and path.is_file():
                    same = [i for i, other in enumerate(paths or ()) if Path(other) == path]
                    yield path, [split[i] for i in same] if same else [sample]

    def _path(self, name: str) -> Path | None:
        """Return the file that an id names: from here, or below the option ``root``."""
        root = getattr(self.used, "root", None)
        places = [Path(name), *([Path(root) / name] if isinstance(root, str) else [])]
        return next((path for path in places if path.is_file()), None)

    @cached_property
    def nowhere(self) -> tuple[Options, Path]:
        """Return options that send the dataset to data that are not there, and where that is.

        Every option of the sample that names a place below the folder is sent elsewhere; without a
        sample it is the option ``root``.
        """
        options, nowhere = self.entry.component.options, self.folder / "nowhere"
        given = self._given
        moved = {name: _moved(value, self.folder, nowhere) for name, value in given.items()}
        if not any(moved[name] != given[name] for name in given):
            if "root" not in options.model_fields:
                raise SkipTest(
                    "no option says where the data lie: neither one called root, nor one that a "
                    "sample sets to a place below its folder"
                )
            moved["root"] = str(nowhere)
        return options.model_validate({**self._example(), **moved}), nowhere

    def missing(self) -> str:
        """Open the dataset where nothing is, and return what it says."""
        options, nowhere = self.nowhere
        try:
            self.entry.component.load()(options)
        except MissingDataError as error:
            expect(str(nowhere) in str(error), f"the message does not name {nowhere}: {error}")
            return str(error)
        except DataError as error:
            fail(f"expected MissingDataError, got {type(error).__name__}: {error}")
        return fail(f"{nowhere} does not exist, and nothing was raised")

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        """Return what the sample, which writes its data once, says about reading them."""
        return self.sample(self.folder) if self.sample else {}

    def _example(self) -> dict[str, Any]:
        return dict(self.entry.component.example)


def _moved(value: Any, folder: Path, nowhere: Path) -> Any:
    """Return an option's value with every place below ``folder`` below ``nowhere`` instead."""
    if isinstance(value, str | Path):
        path = Path(value)
        moved = nowhere / path.relative_to(folder) if path.is_relative_to(folder) else value
        return str(moved) if isinstance(value, str) else moved
    if isinstance(value, Mapping):
        return {key: _moved(one, folder, nowhere) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(one, folder, nowhere) for one in value)
    return value

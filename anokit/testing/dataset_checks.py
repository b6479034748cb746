"""Checks of datasets: what a sample holds, and what is said where the data are missing."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from unittest import SkipTest

from anokit.data.contract import Items, image_faults, items_of, label_faults, repeat_faults
from anokit.errors import DataError, MissingDataError
from anokit.plugin import Options
from anokit.registry.guard import guarded, telling
from anokit.testing.check import expect, fail, promise
from anokit.testing.guarding import untouched
from anokit.testing.offline import offline
from anokit.testing.subject import Subject
from anokit.types import ImageSplit

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


def _none(faults: Iterator[str]) -> None:
    for fault in faults:
        fail(fault)


@promise("dataset", since="0.1")
def check_dataset_samples(subject: DatasetSubject) -> None:
    """Check that images are uint8 of the dataset's shape and use 0 to 255 rather than 0 to 1."""
    expect(len(subject.source.train), "the training set is empty")
    for name, split in subject.splits():
        _none(image_faults(subject.source.spec, name, subject.items(split)))


@promise("dataset", since="0.1")
def check_dataset_labels(subject: DatasetSubject) -> None:
    """Check that labels (0 or 1) and masks are in the test set alone; training is unlabelled."""
    for name, split in subject.splits():
        _none(label_faults(name, subject.items(split)))


@promise("dataset", since="0.1")
def check_dataset_repeats(subject: DatasetSubject) -> None:
    """Check that the same index gives the same sample every time, and in bulk as one by one."""
    for name, split in subject.splits():
        _none(repeat_faults(name, split, subject.items(split)))


@promise("dataset", since="0.1")
def check_dataset_disjoint(subject: DatasetSubject) -> None:
    """Check that no id occurs twice: not within a split, and not in two of them."""
    seen: dict[str, str] = {}
    for name, split in subject.splits():
        ids = getattr(split, "ids", None)
        for key in ids if ids is not None else [split[i].id for i in range(len(split))]:
            expect(key not in seen, f"id {key!r} is in {seen.get(key)} and in {name}")
            seen[key] = name


@promise("dataset", since="0.1")
def check_dataset_words(subject: DatasetSubject) -> None:
    """Check that the dataset says in words how normal and anomalous were defined."""
    protocol, notices = subject.source.protocol, subject.source.notices
    expect(isinstance(protocol, str) and protocol.strip(), f"protocol is {protocol!r}")
    good = not isinstance(notices, str) and all(isinstance(text, str) for text in notices)
    expect(good, f"notices: expected a list of sentences, got {notices!r}")


@promise("dataset", since="0.1")
def check_dataset_planned_shape(subject: DatasetSubject) -> None:
    """Check that ``image_spec`` says what the images' shape turns out to be."""
    tell = subject.entry.component.image_spec
    planned = tell(subject.used) if tell else None
    if planned is None:
        raise SkipTest("the options do not tell the shape")
    spec = subject.source.spec
    expect(planned == spec, f"image_spec says {planned}, the images are {spec}")


@promise("dataset", since="0.1")
def check_dataset_missing(subject: DatasetSubject) -> None:
    """Check that data that are not there are a `MissingDataError` with path and expected tree."""
    message = subject.missing()
    expect("expected" in message, f"the message does not say what was expected: {message}")


@promise("dataset", since="0.1")
def check_dataset_downloads_nothing(subject: DatasetSubject) -> None:
    """Check that constructing a dataset asks nothing of the network, data or no data."""
    with offline() as tried, suppress(SkipTest, MissingDataError):
        subject.entry.component.load()(subject.nowhere[0])
    with suppress(SkipTest):
        tried += subject.opened.tried
    expect(not tried, f"asked for {', '.join(tried)}; tell the user how to get the data instead")


@promise("dataset", since="0.1")
def check_dataset_leaves_process(subject: DatasetSubject) -> None:
    """Check that opening and reading a dataset leave the state of the process as it was."""
    told = subject.opened.told
    expect(not told, "\n".join(told))
    calls = {"reading the data": lambda: [subject.items(split) for _, split in subject.splits()]}
    untouched(subject.entry, calls)

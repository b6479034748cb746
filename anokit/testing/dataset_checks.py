"""Checks of datasets: what a sample holds, and what is said where the data are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import SkipTest

import numpy as np

from anokit.data.contract import image_faults, label_faults, repeat_faults
from anokit.errors import DataError, MissingDataError
from anokit.testing.check import expect, fail, promise
from anokit.testing.dataset_subject import DatasetSubject
from anokit.testing.guarding import untouched
from anokit.testing.offline import offline


def _none(faults: Iterator[str]) -> None:
    for fault in faults:
        fail(fault)


@promise("dataset", since="0.1")
def check_dataset_samples(subject: DatasetSubject) -> None:
    """Check that images are uint8 of the dataset's shape and use 0 to 255 rather than 0 to 1."""
    expect(len(subject.source.train), "the training set is empty")
    for name, split in subject.splits():
        _none(image_faults(subject.source.spec, name, subject.items(split), split))


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
def check_dataset_reader(subject: DatasetSubject) -> None:
    """Check that ``reader`` reads a file of the dataset as the dataset itself has read it."""
    make, files = subject.entry.component.load_reader(), list(subject.files())
    if not files:
        raise SkipTest("its samples are no files that could be read again")
    if make is None:
        raise SkipTest(
            "its samples are files, and it has no reader: `anokit score` cannot read new images as "
            "this dataset does, and stretches them; state reader='package.module:Name'"
        )
    read = make(subject.used, subject.source.spec)
    for path, samples in files:
        cut = getattr(read, "pieces", None)
        with naming(path):
            found = list(cut(path).images) if cut else [read(path)]
        expected = [np.asarray(sample.image) for sample in samples]
        expect(
            len(found) == len(expected),
            f"reader made {len(found)} images of {path}, the dataset {len(expected)}",
        )
        for ours, own in zip(map(np.asarray, found), expected, strict=True):
            expect(
                ours.dtype == np.uint8 and ours.shape == own.shape,
                f"reader made {ours.dtype} {list(ours.shape)} of {path}, the dataset uint8 "
                f"{list(own.shape)}",
            )
            off = int(np.abs(ours.astype(int) - own.astype(int)).max(initial=0))
            expect(not off, f"reader and dataset differ by up to {off} of 255 in {path}")


@promise("dataset", since="0.1")
def check_dataset_reader_refuses(subject: DatasetSubject) -> None:
    """Check that ``reader`` answers a file that is no image with a `DataError` that names it."""
    make = subject.entry.component.load_reader()
    if make is None:
        raise SkipTest("this dataset has no reader")
    path = subject.folder / "no-image.png"
    path.write_text("no image")
    try:
        make(subject.used, subject.source.spec)(path)
    except DataError as error:
        expect(str(path) in str(error), f"the message does not name {path}: {error}")
    except Exception as error:
        fail(f"expected DataError, got {type(error).__name__}: {error}")
    else:
        fail(f"{path} holds text, and nothing was raised")
    finally:
        path.unlink()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what reading a file raises into a `CheckFailed` that names the file."""
    try:
        yield
    except Exception as error:
        fail(f"reader failed on {path}: {type(error).__name__}: {error}")


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

"""What this package offers to anokit. It imports no torch, so that every command stays fast."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from anokit import Component, Options, hookimpl


class DataOptions(Options):
    """Options of ``data``."""

    root: str = Field(description="Folder with train.npy, test.npy and labels.npy.")


@hookimpl
def anokit_datasets() -> Iterable[Component]:
    """Offer the dataset."""
    yield Component(
        name="data",
        summary="Images in NumPy files",
        factory="acme_data.data:Data",
        options=DataOptions,
        example={"root": "data/data"},
    )

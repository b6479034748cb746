"""``--dry-run``: what a run would cost, without reading or simulating more than it must."""

from __future__ import annotations

from anokit.datasets import open_dataset
from anokit.device import describe_device, resolve_device
from anokit.errors import MissingDataError
from anokit.estimate import estimate
from anokit.plugin import Component
from anokit.recipe import Dataset, Recipe
from anokit.types import ImageSpec

ASSUMED_TRAIN_IMAGES = 1000
"""Size of a training set that is not there to be counted."""


def plan(recipe: Recipe, device: str) -> str:
    """Return what training would cost, in one or two sentences.

    Raises
    ------
    MissingDataError
        Where the data are missing, nothing stands in for them, and the options do not tell the
        shape of the images.
    """
    target = resolve_device(device)
    spec, count, remark = _shape_and_count(recipe.dataset)
    cost = estimate(recipe, spec, count, target)
    text = f"Training on {describe_device(target, recipe.training.threads)}: {cost}."
    if not recipe.quick and recipe.path.exists() and "[quick]" in recipe.text:
        text += f" A small version: anokit run {recipe.path} --quick"
    return f"{text}{remark}"


def _shape_and_count(dataset: Dataset) -> tuple[ImageSpec, int, str]:
    """Return the images' shape, the size of the training set and what to say about them."""
    component: Component = dataset.entry.component
    without_simulation = Dataset(dataset.entry, dataset.options)
    try:
        source, _ = open_dataset(without_simulation)
    except MissingDataError:
        spec = component.image_spec(dataset.options) if component.image_spec else None
        if spec is None or dataset.when_missing != "simulate":
            raise
        remark = f"\nThe data are not on this machine: the run would simulate them ({spec})."
        return spec, ASSUMED_TRAIN_IMAGES, remark
    return source.spec, len(source.train), ""

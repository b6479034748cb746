"""What a run directory records of how it was made: recipe, plugins, versions, data.

A run may be resumed by another recipe, as far as that leaves its weights as they are, and by other
plugins. What is recorded is what made its results: it is written with them, not before.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anokit.data.sets import RunData
from anokit.errors import CheckpointError
from anokit.recipe.parts import Recipe
from anokit.registry.entries import FoundPlugin
from anokit.registry.lookup import Registry
from anokit.runs.before import keep_list
from anokit.store.documents import read_object
from anokit.store.records import EARLIER, FOLDER, PLUGIN_FILES, TRAINS
from anokit.store.run_directory import RunDirectory
from anokit.training.device import describe_device
from anokit.version import __version__


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Return what resolved.json says of a recipe."""
    return {**recipe.as_dict(), "quick": recipe.quick}


def write_start(
    directory: RunDirectory,
    recipe: Recipe,
    registry: Registry,
    data: RunData,
    device: torch.device,
) -> None:
    """Write what is known before training; split.json comes last, and then the run has begun."""
    known = {
        "started": dt.datetime.now(dt.UTC).isoformat(),
        "arguments": recipe.arguments,
        "recipe": recipe.name,
        "seed": recipe.seed,
        FOLDER: str(Path.cwd()),
        "data_fingerprint": data.fingerprint,
    }
    _write_recipe(directory, recipe, registry, _environment(recipe, registry, device) | known)
    keep_list(directory, recipe)
    train, tainted = data.train, data.train.is_contaminant
    held = train.held_out(recipe.training.validation, recipe.seed)
    directory.write_json(
        "split.json",
        {
            "fingerprint": data.fingerprint,
            "test_fingerprint": data.test_fingerprint,
            "spec": vars(data.spec),
            "train": len(train),
            "test": len(data.test) if data.test else 0,
            "contaminants": [train.ids[i] for i in tainted.nonzero()[0]],
            "excluded": list(data.excluded),
            "validation": list(dict.fromkeys(train.names[i] for i in held)),
        },
    )


def note_resumption(
    directory: RunDirectory, recipe: Recipe, registry: Registry, device: torch.device
) -> None:
    """Write into environment.json where a run goes on, and keep where it was before, if elsewhere.

    Nothing is kept of where nothing was learnt.
    """
    known = _known(directory)
    now = _environment(recipe, registry, device)
    before = {key: known.get(key) for key in (*now, TRAINS)}
    if all(before[key] == now[key] for key in now):
        return
    trained = directory.model.exists()
    learnt = trained or directory.checkpoint.exists()
    earlier = [*known.get(EARLIER, []), *([before] if learnt else [])]
    directory.write_json(
        "environment.json", {**known, **now, TRAINS: not trained, EARLIER: earlier}
    )


def of_two_versions(directory: RunDirectory, recipe: Recipe) -> list[str]:
    """Return a sentence on each plugin with another version of which training went on."""
    last = directory.environment()
    several = [one.plugins for one in (*last.earlier, last) if one.trains is not False]
    parts = (recipe.backbone, *recipe.encoder_losses)
    found = {}
    for name in sorted({part.entry.plugin for part in parts}):
        found[name] = list(dict.fromkeys(one[name] for one in several if name in one))
    return [
        f"the weights come from several versions of {name}, since training went on with another "
        f"than it began with: {', then '.join(versions)}"
        for name, versions in found.items()
        if len(versions) > 1
    ]


def record(directory: RunDirectory, recipe: Recipe, registry: Registry) -> None:
    """Write the recipe and the plugins that made results, just before the results are written."""
    known = {**_known(directory), FOLDER: str(Path.cwd())}
    if directory.resolved() != resolved(recipe):  # otherwise it may have been resumed by its copy
        known = {**known, "arguments": recipe.arguments}
    _write_recipe(directory, recipe, registry, known)


def _write_recipe(
    directory: RunDirectory, recipe: Recipe, registry: Registry, known: Mapping[str, Any]
) -> None:
    """Write a recipe and the plugins that it uses, beside what else is known of the run."""
    directory.write_text("recipe.toml", recipe.text)
    directory.write_json("resolved.json", resolved(recipe))
    kept = directory.keep_plugins(_used(recipe, registry))
    directory.write_json("environment.json", {**known, PLUGIN_FILES: kept})


def _known(directory: RunDirectory) -> dict[str, Any]:
    """Return environment.json; it stops no run, so a damaged one is written anew."""
    try:
        directory.environment()
        return read_object(directory.path / "environment.json")
    except CheckpointError:
        return {}


def _used(recipe: Recipe, registry: Registry) -> list[FoundPlugin]:
    return [plugin for plugin in registry.plugins if plugin.name in recipe.plugins]


def _environment(recipe: Recipe, registry: Registry, device: torch.device) -> dict[str, Any]:
    """Return what a run is made with, which another session of it may have otherwise."""
    packages = ("torch", "numpy", "scikit-learn", "safetensors")
    return {
        "anokit": __version__,
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": describe_device(device, recipe.training.threads),
        "threads": recipe.training.threads or torch.get_num_threads(),
        "plugins": {plugin.name: plugin.version for plugin in _used(recipe, registry)},
    }

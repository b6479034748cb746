"""anokit: find anomalous images when nobody has labelled the training set.

This module re-exports what authors of plugins and users of finished runs import. Importing it
imports neither torch nor any plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anokit.errors import (
    AnokitError,
    CheckpointError,
    DataError,
    MissingDataError,
    PluginError,
    RecipeError,
    TrainingError,
    UsageError,
)
from anokit.plugin import Component, Options, hookimpl
from anokit.types import Batch, EpochEnd, ImageSpec, Phase, RoundTrip, Sample, WeightedLoss
from anokit.version import __version__
from anokit.watching import Watcher

if TYPE_CHECKING:
    from anokit.runs.finished import FinishedRun, load

__all__ = [
    "AnokitError",
    "Batch",
    "CheckpointError",
    "Component",
    "DataError",
    "EpochEnd",
    "FinishedRun",
    "ImageSpec",
    "MissingDataError",
    "Options",
    "Phase",
    "PluginError",
    "RecipeError",
    "RoundTrip",
    "Sample",
    "TrainingError",
    "UsageError",
    "Watcher",
    "WeightedLoss",
    "__version__",
    "hookimpl",
    "load",
]


def __getattr__(name: str) -> Any:
    # These two need torch, which whoever only describes components must not pay for.
    if name in ("FinishedRun", "load"):
        from anokit.runs import finished

        return getattr(finished, name)
    raise AttributeError(f"module 'anokit' has no attribute {name!r}")

"""The component that this package offers, described without importing MLflow."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from anokit.plugin import Component, Options, hookimpl

__all__ = ["MlflowOptions", "anokit_watchers"]


class MlflowOptions(Options):
    """Options of ``mlflow``."""

    uri: str | None = Field(
        default=None,
        description="Where MLflow keeps runs: a server's address, or a folder; unset = what "
        "MLFLOW_TRACKING_URI says, or MLflow's own default.",
    )
    experiment: str | None = Field(
        default=None,
        description="Experiment that the run belongs to, made where there is none; unset = what "
        "MLFLOW_EXPERIMENT_NAME says, or 'anokit'.",
    )
    artifacts: bool = Field(
        default=True,
        description="Whether recipe, resolved recipe, results.json and report.html are uploaded.",
    )


@hookimpl
def anokit_watchers() -> Iterable[Component]:
    """Offer the watcher."""
    yield Component(
        name="mlflow",
        summary="Writes a run's recipe, metrics, results and report to MLflow",
        factory="anokit_mlflow.watcher:MlflowWatcher",
        options=MlflowOptions,
        example={"experiment": "cells"},
    )

"""The watcher: one run of MLflow for each run directory. Importing this imports MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

# MLflow reports its use to its makers unless it is told not to before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from anokit import PluginError, Watcher
from anokit_mlflow.names import figures, metric_name, parameters
from anokit_mlflow.plugin import MlflowOptions

FILES = ("recipe.toml", "resolved.json", "environment.json", "split.json", "results.json")
REPORT = "report.html"
EXPERIMENT = "anokit"

T = TypeVar("T")


class MlflowWatcher(Watcher):
    """Writes a run to MLflow; a resumed run goes on in the same run of MLflow.

    No state of MLflow's own is touched: there is no active run, and no tracking address is set.
    """

    def __init__(self, options: MlflowOptions) -> None:
        self.options = options
        if options.uri and _is_folder(options.uri):
            # Whoever names a folder means it; MLflow asks to be told so a second time.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            self.client = MlflowClient(tracking_uri=options.uri)
        except MlflowException as error:
            raise PluginError(
                f"MLflow cannot keep runs in {options.uri or 'its default place'}: "
                f"{str(error).partition('. ')[0].strip()}. Name a server or a folder with --watch "
                "mlflow.uri=… or MLFLOW_TRACKING_URI, or install the whole mlflow for a database"
            ) from error
        self.run = ""
        self.shown = 0
        self.warnings: list[str] = []

    def begun(
        self, directory: Path, recipe: Mapping[str, Any], kept: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Begin a run of MLflow, or go on with the one whose id was kept."""
        self.run = self._resumed(str(kept.get("run", ""))) or self._new(directory, recipe)
        return {"run": self.run}

    def _resumed(self, run: str) -> str:
        """Return the id of a run that is there to go on with, or nothing."""
        if not run:
            return ""
        try:
            if self.client.get_run(run).info.lifecycle_stage != "active":
                return ""
        except MlflowException:
            return ""  # it is in another store, or gone
        self.client.update_run(run, status="RUNNING")
        return run

    def _new(self, directory: Path, recipe: Mapping[str, Any]) -> str:
        """Begin a run of MLflow with the recipe as its parameters; return its id."""
        name = self.options.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        tags = {"anokit.directory": str(directory.resolve()), "anokit.title": str(recipe["title"])}
        called = f"{directory.resolve().parent.name}/{directory.name}"
        run = self.client.create_run(experiment, run_name=called, tags=tags)
        for some in _batches(parameters(recipe).items(), 100):
            self.client.log_batch(run.info.run_id, params=[Param(*pair) for pair in some])
        return str(run.info.run_id)

    def warning(self, text: str) -> None:
        """Keep a warning as a tag."""
        self.warnings.append(text)
        if self.run:
            self.client.set_tag(self.run, "anokit.warnings", "\n".join(self.warnings)[:5000])

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Log a line of metrics.jsonl; a step of MLflow is an image that was shown."""
        self.shown = int(line["images"])
        values = {metric_name("training", k): float(v) for k, v in line["metrics"].items()}
        for key in ("resolution", "images_per_second"):
            if line.get(key) is not None:
                values[f"training/{key}"] = float(line[key])
        self._log(values)

    def finished(self, directory: Path, results: Mapping[str, Any]) -> None:
        """Log every figure with its interval, upload the report, and end the run."""
        self._log(figures(results))
        tags = {
            "anokit.version": results.get("anokit", ""),
            "anokit.data": results.get("data", ""),
            "anokit.interval": results.get("interval", ""),
            "anokit.epoch": results.get("selection", {}).get("epoch", ""),
            "anokit.threshold": results.get("selection", {}).get("threshold", ""),
            "anokit.warnings": "\n".join(results.get("warnings", [])),
        }
        said = [RunTag(key, str(text)[:5000]) for key, text in tags.items() if text]
        self.client.log_batch(self.run, tags=said)
        self._upload(directory, (*FILES, REPORT))
        self.client.set_terminated(self.run, "FINISHED")

    def stopped(self, why: str, *, interrupted: bool) -> None:
        """End the run as killed or failed; it is taken up again when the run is resumed."""
        self.client.set_tag(self.run, "anokit.stopped", why[:5000])
        self.client.set_terminated(self.run, "KILLED" if interrupted else "FAILED")

    def _log(self, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        for some in _batches(values.items(), 1000):
            metrics = [Metric(name, value, now, self.shown) for name, value in some]
            self.client.log_batch(self.run, metrics=metrics)

    def _upload(self, directory: Path, names: tuple[str, ...]) -> None:
        for name in names if self.options.artifacts else ():
            if (directory / name).exists():
                self.client.log_artifact(self.run, str(directory / name))


def _is_folder(uri: str) -> bool:
    """Return whether an address is that of a folder."""
    return "://" not in uri or uri.startswith("file:")


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of ``size`` items and, at the end, of what is left."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some

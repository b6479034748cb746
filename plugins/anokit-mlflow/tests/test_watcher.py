"""Whole runs of toys into a local store of MLflow, by the command line."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from anokit.cli.app import main
from anokit.errors import PluginError
from anokit_mlflow.plugin import MlflowOptions

RECIPE = """
title = "Toys in MLflow"
seed = 3

[dataset]
use = "blobs"

[backbone]
use = "linear"
{more}

[[scores]]
use = "error"

[[scores]]
use = "far"

[training]
log_every = 2

[evaluation]
resamples = 20
gallery = 3
"""
TOYS = Path(__file__).parents[3] / "tests" / "toys.py"

pytestmark = pytest.mark.skipif(not TOYS.is_file(), reason="the toys are in anokit's checkout")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the toys by the command line in this process, with MLflow's variables away."""
    monkeypatch.chdir(tmp_path)

    def start(*arguments, more="", **environment):
        (tmp_path / "toys.toml").write_text(RECIPE.format(more=more))
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("MLFLOW_", "ANOKIT_"))]:
                patch.delenv(name)
            for name, value in {"ANOKIT_PLUGINS": "anokit-mlflow", **environment}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as caught:
                main(["run", "toys.toml", "--plugin", str(TOYS), *arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=caught.value.code, stdout=out, stderr=err)

    return start


def client(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=str(folder))


def runs_of(store, name="anokit"):
    return store.search_runs([store.get_experiment_by_name(name).experiment_id])


def test_an_interrupted_and_resumed_run_is_one_run_with_all_figures(run, tmp_path, monkeypatch):
    watch = ("--watch", "mlflow.uri=mlruns", "--watch", "mlflow.experiment=toys")
    first = run(*watch, "--out", "out", more="stop_at = 4")
    assert first.returncode == 130, first.stderr
    store = client(tmp_path / "mlruns", monkeypatch)
    (found,) = runs_of(store, "toys")
    assert found.info.status == "KILLED"
    assert found.data.tags["anokit.stopped"].startswith("interrupted: checkpoint saved")
    kept = json.loads((tmp_path / "out" / "watch-mlflow.json").read_text())
    assert kept == {"watcher": "anokit-mlflow/mlflow", "kept": {"run": found.info.run_id}}

    again = run(*watch, "--resume", "out", more="stop_at = 4")
    assert again.returncode == 0, again.stderr
    (found,) = runs_of(store, "toys")
    assert found.info.status == "FINISHED"
    assert found.data.params["backbone.use"] == "toys/linear"
    assert found.data.params["scores.far.terms.0.use"] == "toys/far"
    assert found.data.tags["anokit.data"] == "real"
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    for row in results["rows"]:
        auroc = row["metrics"]["auroc"]
        for end, which in (("", "value"), ("_low", "low"), ("_high", "high")):
            assert found.data.metrics[f"{row['name']}/auroc{end}"] == auroc[which]
        assert found.data.metrics[f"{row['name']}/threshold"] == row["threshold"]
    lines = map(json.loads, (tmp_path / "out" / "metrics.jsonl").read_text().splitlines())
    shown = {line["images"]: line["metrics"]["loss"] for line in lines}
    history = store.get_metric_history(found.info.run_id, "training/loss")
    assert {metric.step: metric.value for metric in history} == shown
    names = {item.path for item in store.list_artifacts(found.info.run_id)}
    assert {"report.html", "results.json", "resolved.json", "recipe.toml"} <= names


def test_a_run_that_fails_is_failed_and_the_variables_of_mlflow_count(run, tmp_path, monkeypatch):
    done = run(
        *("--out", "out"),
        more="nan_at = 3",
        ANOKIT_WATCH="mlflow,mlflow.artifacts=false",
        MLFLOW_TRACKING_URI=str(tmp_path / "there"),
        MLFLOW_EXPERIMENT_NAME="others",
        MLFLOW_ALLOW_FILE_STORE="true",
    )
    assert done.returncode == 1
    (found,) = runs_of(client(tmp_path / "there", monkeypatch), "others")
    assert found.info.status == "FAILED"
    assert "nan" in found.data.tags["anokit.stopped"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///x.db", "MLflow cannot keep runs in sqlite:///x.db"),
        ("http://127.0.0.1:9", "failed while being told of the beginning"),
    ],
)
def test_where_mlflow_cannot_write_the_run_goes_on(run, tmp_path, uri, expected):
    arguments = ("--watch", f"mlflow.uri={uri}", "--out", "out")
    done = run(*arguments, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert done.returncode == 0
    assert (tmp_path / "out" / "results.json").exists()
    (line,) = [line for line in done.stdout.splitlines() if "warning: watcher" in line]
    assert line.startswith("warning: watcher 'mlflow' of anokit-mlflow 0.1.0")
    assert expected in line
    assert line.endswith("the run goes on without it")
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_that_is_gone_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from anokit_mlflow.watcher import MlflowWatcher

    watcher = MlflowWatcher(MlflowOptions(uri=str(tmp_path / "mlruns")))
    recipe = {"title": "T", "seed": 1}
    first = watcher.begun(tmp_path, recipe, {"run": "0" * 32})
    assert watcher.begun(tmp_path, recipe, first) == first
    watcher.client.delete_run(first["run"])
    assert watcher.begun(tmp_path, recipe, first) != first
    with pytest.raises(PluginError, match="install the whole mlflow"):
        MlflowWatcher(MlflowOptions(uri="postgresql://nowhere/x"))

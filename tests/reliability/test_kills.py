"""Whenever a run is killed, the same command again or --resume leaves what it would have left.

A slice of all attempts by default; every one with ``ANOKIT_ATTEMPTS=all``.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anokit.store.run_directory import RunDirectory, RunState
from anokit.store.tensors import load_tensors

SLICE = 4
EXTRA = '[[scores]]\nname = "near"\nuse = "far"\nmost = 30\n'
TIMES = ("seconds", "images_per_second", "ms_per_image")


@pytest.fixture(scope="module")
def attempt(tmp_path_factory):
    """Carry out a command, killed at its N-th file operation below a folder."""
    folder = tmp_path_factory.mktemp("attempts")
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("attempts.py"), folder / "counter"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ANOKIT_PLUGINS": "", "OMP_NUM_THREADS": "1"},
    )

    def call(below, *arguments, kill_at=0):
        line = {"arguments": [str(one) for one in arguments], "folder": str(below)}
        line |= {"kill_at": kill_at, "log": str(folder / "log")}
        server.stdin.write(json.dumps(line) + "\n")
        server.stdin.flush()
        found = json.loads(server.stdout.readline())
        return {**found, "log": (folder / "log").read_text()}

    yield call
    server.stdin.close()
    server.stdout.close()
    server.wait()


def without_times(value):
    if isinstance(value, dict):
        return {name: without_times(one) for name, one in value.items() if name not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def left(run):
    """Return all that must be the same after a kill."""
    found = {name: (run / name).read_bytes() for name in ("scores.csv", "training_scores.csv")}
    for path in (run / "model.safetensors", *sorted((run / "scores").glob("*.safetensors"))):
        found[path.name] = {k: v.tolist() for k, v in load_tensors(path).items()}
    for name in ("results.json", "report.html"):
        found[name] = without_times(json.loads((run / name).read_text()))
    lines = (run / "metrics.jsonl").read_text().splitlines()
    found["metrics.jsonl"] = [without_times(json.loads(line)) for line in lines]
    found["names"] = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    return found


def chosen(count):
    """Return at which of ``count`` operations to kill: all, or a seeded slice of them."""
    if os.environ.get("ANOKIT_ATTEMPTS") == "all":
        return range(1, count + 1)
    return sorted(random.Random(0).sample(range(1, count + 1), min(SLICE, count)))


def test_a_run_killed_at_any_file_operation_loses_nothing(
    attempt, recipe_file, tmp_path, toys_file
):
    recipe = recipe_file("training.checkpoint_minutes=0.0001", "training.log_every=5")
    command = ("run", recipe, "--plugin", toys_file)
    whole, out = tmp_path / "whole", tmp_path / "out"
    done = attempt(whole, *command, "--out", whole)
    assert done["code"] == 0, done["log"]
    wanted = left(whole)
    for number in chosen(done["operations"]):
        shutil.rmtree(out, ignore_errors=True)
        assert attempt(out, *command, "--out", out, kill_at=number)["code"] is None
        state = RunDirectory(out).state
        where = ("--out", out) if state is RunState.BEGUN else ("--resume", out)
        again = attempt(out, *command, *where)
        tidy = state is RunState.FINISHED and "this run is finished" in again["log"]
        assert again["code"] == 0 or tidy, (number, again["log"])
        assert left(out) == wanted, number


def test_scores_whose_adding_was_killed_are_added_by_the_same_command(
    attempt, finished, tmp_path, toys_file
):
    scores = tmp_path / "extra.toml"
    scores.write_text(EXTRA)
    whole, out = shutil.copytree(finished, tmp_path / "whole"), tmp_path / "out"
    command = ("--scores", scores, "--plugin", toys_file, "--device", "cpu")
    done = attempt(whole, "add-scores", whole, *command)
    assert done["code"] == 0, done["log"]
    wanted = left(whole)
    for number in chosen(done["operations"]):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(finished, out)
        assert attempt(out, "add-scores", out, *command, kill_at=number)["code"] is None
        if "near" not in [
            row["name"] for row in json.loads((out / "results.json").read_text())["rows"]
        ]:
            again = attempt(out, "add-scores", out, *command)
            assert again["code"] == 0, (number, again["log"])
        assert left(out) == wanted, number


def test_an_explanation_that_was_killed_is_made_by_the_same_command(
    attempt, finished, tmp_path, toys_file
):
    whole, out = shutil.copytree(finished, tmp_path / "whole"), tmp_path / "out"
    command = ("--score", "far", "--plugin", toys_file, "--device", "cpu")
    done = attempt(whole, "explain", whole, *command)
    assert done["code"] == 0, done["log"]
    wanted = left(whole)
    for number in chosen(done["operations"]):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(finished, out)
        assert attempt(out, "explain", out, *command, kill_at=number)["code"] is None
        again = attempt(out, "explain", out, *command)
        assert again["code"] == 0, (number, again["log"])
        assert left(out) == wanted, number

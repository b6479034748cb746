"""Sweeps: cells as processes, what a restart goes on with, what a failure leaves."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from PIL import Image

from anokit.errors import UsageError
from anokit.recipe.sweeps import load_sweep
from anokit.results.rows import read_results
from anokit.runs.cells import CellJob, Outcome, carry_out, read_record
from anokit.runs.engines import connect
from anokit.runs.sweep import SweepWatcher, run_sweep, shard_of
from anokit.runs.sweep_cost import SweepCost, check_room
from anokit.runs.sweep_folder import CellState, Overview, of_other_versions, open_folder
from anokit.store.run_directory import RunDirectory

TEXT = '[matrix]\nrecipe = ["toys.toml"]\nseed = [1, 2, 3]\n'


@pytest.fixture
def sweep(tmp_path, recipe_file, registry, monkeypatch):
    """Read a sweep of the toys, in whose folder the process then is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANOKIT_PLUGINS", "")

    def load(text=TEXT, *settings):
        recipe_file(*settings)
        (tmp_path / "s.toml").write_text(text)
        return load_sweep(Path("s.toml"), registry)

    return load


class Stub:
    """Carries out nothing: writes what a run leaves, or fails, as it is told."""

    jobs = 2

    def __init__(self, fail=(), interrupt=None):
        self.fail, self.interrupt, self.seen, self.stopped = fail, interrupt, [], False

    def submit(self, job: CellJob):
        self.seen.append(job.name)
        future = Future()
        if self.interrupt == job.name:
            future.set_exception(KeyboardInterrupt())
        elif any(word in job.name for word in self.fail):
            future.set_result(Outcome(job.name, 1, 2.0, "the toy was told to fail"))
            Path(job.record).parent.mkdir(parents=True, exist_ok=True)
            Path(job.record).write_text(
                json.dumps({"name": job.name, "exit_code": 1, "seconds": 2.0, "reason": "told"})
            )
        else:
            run = Path(job.run)
            run.mkdir(parents=True)
            (run / "results.json").write_text("{}")
            future.set_result(Outcome(job.name, 0, 1.5))
        return future

    def stop(self):
        self.stopped = True

    def close(self):
        pass


class Seen(SweepWatcher):
    def __init__(self):
        self.changes = []

    def changed(self, state, overview):
        self.changes.append((state.cell.name, state.status))


def go(sweep, engine, cells=None, out=None):
    folder = open_folder(sweep, out)
    watcher = Seen()
    chosen = sweep.cells if cells is None else cells
    found = run_sweep(sweep, folder, chosen, engine, threads=1, estimates={}, watcher=watcher)
    return found, folder, watcher


def test_a_failed_cell_does_not_stop_the_rest_and_is_tried_again(sweep):
    loaded = sweep()
    found, folder, watcher = go(loaded, Stub(fail=["seed-2"]))
    assert [state.status for state in found.states] == ["finished", "failed", "finished"]
    assert ("toys_seed-2", "failed") in watcher.changes
    index = json.loads(folder.index.read_text())
    assert [cell["status"] for cell in index["cells"]] == ["finished", "failed", "finished"]
    assert index["cells"][1] == {
        "name": "toys_seed-2",
        "recipe": "toys",
        "settings": {"seed": 2},
        "run": "cells/toys_seed-2",
        "status": "failed",
        "reason": "the toy was told to fail",
    }
    engine = Stub()
    found, *_ = go(loaded, engine)
    assert engine.seen == ["toys_seed-2"]  # what is finished is left alone
    assert found.count("finished") == 3


def test_whoever_mends_a_recipe_of_failed_cells_is_told_which_file_is_read(
    sweep, toykit, monkeypatch
):
    sweep()
    plan = SimpleNamespace(seconds={})
    monkeypatch.setattr("anokit.runs.sweep_cost.sweep_cost", lambda *_, **__: plan)
    monkeypatch.setattr("anokit.runs.sweep_cost.check_room", lambda *_: None)
    monkeypatch.setattr("anokit.cli.sweeping._engine", lambda *_: Stub(fail=["seed"]))
    found = toykit("sweep", "s.toml", "--out", "folder")
    assert found.code == 1
    said = found.out + found.err
    (folder,) = re.findall(r"their recipes are read from (.+)\): anokit sweep folder ", said)
    assert (Path(folder) / "toys.toml").is_file()


def test_the_folder_stands_alone(sweep, registry):
    loaded = sweep()
    _, folder, _ = go(loaded, Stub())
    Path("s.toml").unlink()
    Path("toys.toml").unlink()
    again = load_sweep(folder.file, registry)
    assert [cell.name for cell in again.cells] == [cell.name for cell in loaded.cells]
    assert open_folder(again, folder.path).path == folder.path


def test_shards_share_the_cells_out(sweep):
    cells = sweep().cells
    parts = [shard_of(cells, f"{k}/2") for k in (1, 2)]
    assert sorted(cell.name for part in parts for cell in part) == [cell.name for cell in cells]
    assert shard_of(cells, None) == list(cells)
    for wrong in ("0/2", "3/2", "1", "a/b", "1/0"):
        with pytest.raises(UsageError, match="expected K/N"):
            shard_of(cells, wrong)


def test_a_cell_of_another_recipe_is_refused_before_anything_runs(sweep):
    loaded = sweep()
    run = Path("sweeps/s/cells/toys_seed-2")
    run.mkdir(parents=True)
    Path("sweeps/s/sweep.toml").write_text(TEXT)
    stored = {**loaded.cells[1].recipe.as_dict(), "quick": False}
    (run / "split.json").write_text("{}")
    (run / "resolved.json").write_text(json.dumps(stored))
    open_folder(loaded, None)
    stored["backbone"]["latent"] = 99
    (run / "resolved.json").write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=r"another recipe .*backbone\.latent"):
        open_folder(loaded, None)


def test_cells_that_another_version_of_a_plugin_began_are_told(sweep, registry):
    loaded = sweep()
    folder = open_folder(loaded, None)
    (toys,) = registry.plugins
    for name, version in (("toys_seed-1", toys.version), ("toys_seed-2", "sha256:before")):
        folder.run(name).path.mkdir(parents=True)
        made = {"plugins": {"toys": version, "gone": "1.0"}}
        (folder.run(name).path / "environment.json").write_text(json.dumps(made))
    (told,) = of_other_versions(loaded, folder, registry)
    assert told.startswith(
        f"1 of 3 cells began with toys sha256:before, and {toys.version} computes the rest"
    )


def test_a_folder_of_something_else_is_refused(sweep):
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("")
    with pytest.raises(UsageError, match="holds no sweep"):
        open_folder(sweep(), Path("mine"))


def test_time_left_follows_from_what_alike_cells_took(sweep):
    loaded = sweep()
    states = [CellState(cell, RunDirectory(Path("x")), "waiting") for cell in loaded.cells]
    overview = Overview("", False, states, jobs=1)
    assert overview.seconds_left is None
    states[0].status, states[0].seconds = "finished", 30.0
    assert overview.seconds_left == pytest.approx(60.0)
    states[1].status, states[1].began = "running", time.monotonic() - 5
    states[1].progress = 0.25
    assert overview.seconds_left == pytest.approx(45.0, abs=0.5)  # 15 of it, and 30 more
    states[2].status = "failed"
    assert overview.seconds_left == pytest.approx(15.0, abs=0.5)
    estimated = Overview("", False, states[1:2], 1, {loaded.cells[1].name: 100.0})
    states[1].progress = None
    assert estimated.seconds_left == pytest.approx(95.0, abs=0.5)


def test_what_does_not_fit_is_refused_with_what_would(tmp_path, monkeypatch):
    import psutil

    gib = 2**30
    memory = type("Memory", (), {"available": 5 * gib})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    cost = SweepCost(3, {}, {}, memory=[3 * gib, 2 * gib, gib], kept=0, busy=0)
    check_room(cost, 2, tmp_path)
    with pytest.raises(UsageError, match=r"6\.0 GiB .* 5\.0 GiB are free; --jobs 2 fits"):
        check_room(cost, 3, tmp_path)
    memory.available = gib
    with pytest.raises(UsageError, match="not even one fits"):
        check_room(cost, 3, tmp_path)
    memory.available = 100 * gib
    full = SweepCost(1, {}, {}, memory=[gib], kept=2**60, busy=0)
    with pytest.raises(UsageError, match="of disk"):
        check_room(full, 1, tmp_path / "not" / "there")


# With processes


def job_of(cell, tmp_path, *more):
    folder = tmp_path / "cells" / cell.name
    return CellJob(
        cell.name,
        (*cell.recipe.argument_words, *more),
        str(folder),
        str(tmp_path / "logs" / "log.txt"),
        str(tmp_path / "logs" / "log.json"),
        str(tmp_path),
        threads=1,
    )


def test_a_cell_fails_with_its_own_words_and_goes_on_from_its_checkpoint(
    sweep, tmp_path, warm_python, monkeypatch
):
    monkeypatch.setattr(sys, "executable", str(warm_python))
    stopping = sweep(TEXT, "backbone.stop_at=3").cells[0]
    job = job_of(stopping, tmp_path)
    run = RunDirectory(Path(job.run))
    assert carry_out(job).exit_code == 130  # SIGTERM in the midst of training
    assert run.begun
    assert run.checkpoint.exists()
    assert not run.finished
    assert read_record(Path(job.record)) is None
    # The same again stops at once, for the toy's step is the same; it resumed, as its log says.
    carry_out(job)
    assert "--resume" in Path(job.log).read_text()

    failing = sweep(TEXT, "backbone.fail_at=3").cells[1]
    found = carry_out(job_of(failing, tmp_path))
    assert found.exit_code == 1
    assert "the toy was told to fail" in found.reason
    assert read_record(tmp_path / "logs" / "log.json") == found


FOLDER = """
title = "A folder"
[dataset]
use = "image-folder"
root = "photos"
size = 8
[backbone]
use = "linear"
images = 16
[[scores]]
use = "error"
"""


def test_a_cell_whose_data_hold_a_broken_file_is_finished(
    tmp_path, toys_file, warm_python, monkeypatch
):
    monkeypatch.setattr(sys, "executable", str(warm_python))
    monkeypatch.setenv("ANOKIT_PLUGINS", "anokit-datasets")
    monkeypatch.chdir(tmp_path)
    Path("folder.toml").write_text(FOLDER)
    Path("photos").mkdir()
    for number in range(9):
        Image.new("L", (8, 8), 20 * number + 10).save(f"photos/{number}.png")
    Path("photos/cut.png").write_bytes(Path("photos/0.png").read_bytes()[:40])
    words = ("folder.toml", "--plugin", str(toys_file))
    job = CellJob("one", words, "run", "log.txt", "log.json", str(tmp_path), threads=1)
    found = carry_out(job)
    assert found.finished
    assert found.reason == ""
    log = Path("log.txt").read_text()
    assert "\nwarning: cut.png is left out: " in log
    assert log.endswith("1 file could not be read; all else is done.\n")
    assert list(read_results(RunDirectory(Path("run"))).unread) == ["cut.png"]


@pytest.fixture
def start(tmp_path, toys_file):
    """Start ``anokit sweep`` in a process of its own."""

    def run(*arguments, python=sys.executable):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ANOKIT_PLUGINS": ""}
        return subprocess.Popen(
            [python, "-m", "anokit", "sweep", *arguments, "--plugin", str(toys_file)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


def test_a_sweep_that_is_interrupted_ends_as_one_that_is_not(
    sweep, start, finish_plainly, tmp_path, toys_file, warm_python
):
    slow = ("backbone.images=2400", "training.checkpoint_minutes=0.02")
    sweep('[matrix]\nrecipe = ["toys.toml"]\nseed = [1]\n', *slow)
    first = start("s.toml", python=warm_python)
    metrics = tmp_path / "sweeps/s/cells/toys_seed-1/metrics.jsonl"
    wait_for(metrics, first)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=60)[0]
    assert first.returncode == 130, said
    assert f"go on with: anokit sweep sweeps/s --plugin {toys_file}" in said
    index = json.loads((tmp_path / "sweeps/s/sweep.json").read_text())
    assert [cell["status"] for cell in index["cells"]] == ["interrupted"]
    second = start("sweeps/s", python=warm_python)
    said = second.communicate(timeout=120)[0]
    assert second.returncode == 0, said
    alone = finish_plainly(tmp_path / "alone", *slow, "seed=1")
    for name in ("model.safetensors", "scores.csv", "results.json"):
        one, other = alone / name, tmp_path / "sweeps/s/cells/toys_seed-1" / name
        if name == "results.json":
            rows = [json.loads(path.read_text())["rows"] for path in (one, other)]
            for row in (*rows[0], *rows[1]):
                row.pop("ms_per_image")
            assert rows[0] == rows[1]
        else:
            assert one.read_bytes() == other.read_bytes()


def wait_for(path, process, seconds=120):
    """Wait until a file is there, or fail with what the process said."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} is not there after {seconds} s"
        time.sleep(0.05)


def test_a_lost_worker_of_a_cluster_loses_nothing(sweep, start, finish_plainly, tmp_path):
    """A Ray worker and its run are killed; the cell goes on elsewhere and ends as without Ray."""
    slow = ("backbone.images=4000", "training.checkpoint_minutes=0.01", "training.threads=1")
    sweep('[matrix]\nrecipe = ["toys.toml"]\nseed = [1]\n', *slow)
    process = start("s.toml", "--ray")
    run = tmp_path / "sweeps/s/cells/toys_seed-1"
    wait_for(run / "checkpoint" / "last.safetensors", process)
    (child,) = [
        one
        for one in psutil.Process(process.pid).children(recursive=True)
        if str(run) in one.cmdline() and "run" in one.cmdline()
    ]
    worker = child.parent()
    assert "ray" in " ".join(worker.cmdline())
    worker.kill()
    child.kill()
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    log = (tmp_path / "sweeps/s/logs/toys_seed-1.txt").read_text()
    assert log.count("$ anokit run") == 2
    assert "--resume" in log
    alone = finish_plainly(tmp_path / "alone", *slow, "seed=1")
    for name in ("model.safetensors", "scores.csv"):
        assert (run / name).read_bytes() == (alone / name).read_bytes()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_without_a_cluster_ray_says_what_to_do(address):
    with pytest.raises(UsageError, match="no Ray cluster answers there"):
        connect(None, address)


def test_one_reason_for_many_cells_is_told_once():
    unknown = {"a_1": "no data", "a_2": "no data", "b_1": "no plugin"}
    words = SweepCost(3, unknown, {}, [], 0, 0).text(1).splitlines()
    assert words[-2:] == ["a_1 and 1 more: unknown: no data", "b_1: unknown: no plugin"]


def test_a_plan_lists_what_is_left_and_counts_what_is_finished(
    sweep, toys_file, anokit, monkeypatch
):
    loaded = sweep()
    go(loaded, Stub(fail=["seed-2"]))
    cost = SimpleNamespace(text=lambda jobs: "one hour")
    monkeypatch.setattr("anokit.runs.sweep_cost.sweep_cost", lambda *_: cost)
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    found = anokit("sweep", "s.toml", "--dry-run", "--plugin", toys_file)
    assert found.code == 0, found.err
    assert "3 cells, 2 finished" in found.out
    assert "toys_seed-2: waiting" in found.out
    assert "toys_seed-1" not in found.out
    assert "one hour" in found.out

"""Several processes, as torchrun starts them, on the CPU."""

import os
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from anokit.errors import UsageError
from anokit.training.processes import World


def run(path, out, toys_file, python):
    """Run a recipe in two processes; return its weights and what was printed."""
    command = [
        *(python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "anokit", "run", str(path), "--plugin", str(toys_file)),
        *("--out", str(out), "--device", "cpu"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ANOKIT_PLUGINS": ""}
    environment["PYTHON_EXEC"] = str(python)  # by which torchrun starts processes
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_file(out / "model.safetensors"), done.stdout


def test_two_processes_train_like_one(
    recipe_file, toys_file, finish_plainly, tmp_path, warm_python
):
    # Without noise the mean gradient of two half batches is the gradient of the whole one.
    settings = ("backbone.noise=0", "training.snapshots=0")
    one = load_file(finish_plainly(tmp_path / "one", *settings) / "model.safetensors")
    two, printed = run(recipe_file(*settings), tmp_path / "two", toys_file, warm_python)
    assert printed.count("Report:") == 1
    assert (tmp_path / "two" / "report.html").exists()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_a_batch_that_cannot_be_shared_is_refused():
    assert World(1, 4).share(64) == 16
    with pytest.raises(UsageError, match="64 images cannot be shared by 3"):
        World(0, 3).share(64)

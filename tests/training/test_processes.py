"""Several processes, as torchrun starts them, on the CPU."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from anokit.errors import UsageError
from anokit.training.processes import World


def run(path, out, toys_file, *, processes):
    """Run a recipe in one or several processes and return its weights."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [
        sys.executable,
        *(launcher if processes > 1 else []),
        *("-m", "anokit", "run", str(path), "--plugin", str(toys_file)),
        *("--out", str(out), "--device", "cpu"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ANOKIT_PLUGINS": ""}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_file(out / "model.safetensors"), done.stdout


def test_two_processes_train_like_one(recipe_file, toys_file, tmp_path):
    # Without noise the mean gradient of two half batches is the gradient of the whole one.
    path = recipe_file("backbone.noise=0", "training.snapshots=0")
    one, _ = run(path, tmp_path / "one", toys_file, processes=1)
    two, printed = run(path, tmp_path / "two", toys_file, processes=2)
    assert printed.count("Report:") == 1
    assert (tmp_path / "two" / "report.html").exists()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_a_batch_that_cannot_be_shared_is_refused():
    assert World(1, 4).share(64) == 16
    with pytest.raises(UsageError, match="64 images cannot be shared by 3"):
        World(0, 3).share(64)

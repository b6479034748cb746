"""What a recipe asks for and no memory has is told in a sentence, with what would fit."""

import sys

import numpy as np
import pytest
import torch

from anokit.errors import TrainingError
from anokit.registry.blame import memory_ran_out
from anokit.runs import room


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("backbone.latent=10000000000", "backbone.latent = 10,000,000,000"),
        ("backbone.latent=1000000000000000000", "backbone.latent = 1,000,000,000,000,000,000"),
        ("dataset.train=1000000000000", "dataset.train = 1,000,000,000,000"),
        ("backbone.batch_size=1000000000000", "shows 1,000,000,000,000 images at once"),
    ],
)
def test_what_does_not_fit_is_told_with_the_option_and_what_is_free(
    toykit, recipe_file, tmp_path, setting, told
):
    found = toykit("run", recipe_file(), "--set", setting, "--out", tmp_path / "run")
    assert found.code == 1
    (line,) = found.err.splitlines()[-1:]
    assert line.startswith("error: ")
    assert told in line
    assert "GiB" in line
    assert "Traceback" not in found.err


@pytest.mark.parametrize("setting", ["training.threads=1000000", "evaluation.resamples=1000000000"])
def test_numbers_that_would_take_for_ever_are_out_of_range(toykit, recipe_file, setting):
    found = toykit("check", recipe_file(setting))
    assert found.code == 2
    assert "less than or equal to" in found.err


@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.empty(2**50),
        lambda: torch.empty(2**62, 2**62),
        lambda: torch.nn.Linear(2**40, 2**40),
        lambda: np.zeros(2**55, np.uint8),
        lambda: np.zeros((2**40, 2**40)),
        lambda: float(10**400),
        lambda: bytearray(2**60),
    ],
)
def test_whoever_says_that_memory_ran_out_is_understood(ask):
    with pytest.raises(Exception) as caught:  # noqa: PT011 (of several libraries, each its own)
        ask()
    assert memory_ran_out(caught.value)


@pytest.mark.parametrize("error", [ValueError("too few images"), RuntimeError("shapes differ")])
def test_other_errors_are_not_taken_for_it(make, error):
    assert not memory_ran_out(error)
    with (
        pytest.raises(type(error), match=str(error)),
        room.within_memory(make(), torch.device("cpu")),
    ):
        raise error


def test_a_batch_that_fits_exactly_is_let_pass(monkeypatch, make, job_of):
    job = job_of(make())
    phases, spec = job.backbone.phases(), job.data.spec
    monkeypatch.setattr(room, "available_bytes", lambda _: 8 * (5 * 64 + 24))
    room.check_batches(phases, spec, job.device)
    monkeypatch.setattr(room, "available_bytes", lambda _: 8 * (5 * 64 + 24) - 1)
    with pytest.raises(TrainingError, match="for 7 of them at the very most"):
        room.check_batches(phases, spec, job.device)
    monkeypatch.setattr(room, "available_bytes", lambda _: None)
    room.check_batches(phases, spec, job.device)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems cannot be asked")
def test_a_run_is_held_to_the_memory_that_is_free(python):
    code = """
import torch
from anokit.runs.room import _held_to
with _held_to(2**28):
    torch.empty(2**26, dtype=torch.uint8).fill_(1)
    try:
        torch.empty(2**29, dtype=torch.uint8)
        print("had")
    except RuntimeError as error:
        print("refused")
torch.empty(2**29, dtype=torch.uint8)
print("had")
"""
    assert python("-c", code).stdout.split() == ["refused", "had"]

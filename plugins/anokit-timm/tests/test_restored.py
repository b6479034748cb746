"""A finished run holds its weights: where they once came from is not looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

import anokit
from anokit.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """
[dataset]
use = "digits"
normal = [0]

[backbone]
use = "timm-features"
model = "test_efficientnet"
weights = "{weights}"
input_size = 32

[[scores]]
use = "knn"
on = "features"

[evaluation]
resamples = 10
"""


def called(*arguments: object) -> None:
    """Carry out a command, which must end well."""
    with pytest.raises(SystemExit) as done:
        main([str(one) for one in arguments])
    assert not done.value.code


def test_a_run_scores_without_the_file_that_its_weights_came_from(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), weights)
    recipe, run = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(RECIPE.format(weights=weights), encoding="utf-8")
    called("run", recipe, "--out", run)
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    before = anokit.load(run).score(images)["knn"]
    weights.unlink()
    after = anokit.load(run).score(images)["knn"]
    assert np.array_equal(before, after)
    assert len(set(after.tolist())) == 5
    more = tmp_path / "more.toml"
    more.write_text('[[scores]]\nuse = "mahalanobis"\n', encoding="utf-8")
    called("add-scores", run, "--scores", more)

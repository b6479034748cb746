"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit_geom.plugin import DirichletOptions, GeomOptions, anokit_backbones, anokit_scores

(BACKBONE,) = anokit_backbones()
SCORES = {component.name: component for component in anokit_scores()}


def test_describing_the_package_does_not_import_torch():
    code = (
        "import sys; from anokit_geom.plugin import *;"
        "[*anokit_backbones(), *anokit_scores(), *anokit_recipes()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_read_what_the_backbone_provides():
    assert BACKBONE.weighs_images
    assert set(SCORES) == {"geom-softmax", "geom-dirichlet"}
    assert all(component.needs <= BACKBONE.provides for component in SCORES.values())


def test_defaults_are_the_published_ones():
    options = GeomOptions()
    assert (options.depth, options.widen, options.share, options.shift) == (10, 4, 1, 0.25)
    assert (options.batch_size, options.learning_rate, options.weight_decay) == (128, 1e-3, 5e-4)
    assert (options.epochs, options.images) == (None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth": 4},
        {"depth": 12},
        {"widen": 0},
        {"share": 0.02},
        {"share": 1.1},
        {"shift": 0},
        {"shift": 0.6},
        {"epochs": 0},
        {"images": 0},
        {"learning_rate": 0},
        {"weight_decay": -1},
        {"precision": "fp16"},
        {"dropout": 0.1},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        GeomOptions(**wrong)


def test_a_dirichlet_is_not_fitted_to_one_image():
    with pytest.raises(ValidationError):
        DirichletOptions(max_fit_images=1)

"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit.plugin import resolve_fields
from anokit_memory.plugin import (
    KNNOptions,
    MahalanobisOptions,
    PadimOptions,
    PixelKNNOptions,
    anokit_scores,
)

COMPONENTS = {component.name: component for component in anokit_scores()}


def test_public_names():
    assert set(COMPONENTS) == {
        "knn",
        "mahalanobis",
        "mutual",
        "padim",
        "patch-knn",
        "pixel-knn",
        "reach-knn",
        "sparse-knn",
        "trimmed-knn",
    }


def test_describing_the_scores_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from anokit_memory.plugin import anokit_scores; list(anokit_scores());"
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("component", COMPONENTS.values(), ids=lambda component: component.name)
def test_examples_build_and_every_option_is_described(component):
    score = component.load()(component.options(**component.example))
    assert callable(score)
    assert all(field.description for field in component.options.model_fields.values())


@pytest.mark.parametrize("on", ["features", "latent", "patches", "image"])
def test_what_a_score_reads_depends_on_its_field(on):
    options = KNNOptions(on=on)
    assert resolve_fields(COMPONENTS["knn"].needs, options) == {on}
    mapped = {"patches", "image"} if on == "patches" else set()
    assert resolve_fields(COMPONENTS["knn"].map_needs, options) == mapped


def test_options_out_of_range_are_refused():
    for wrong in ({"k": 0}, {"metric": "l1"}, {"on": "critic"}, {"max_fit_images": 0}):
        with pytest.raises(ValidationError):
            KNNOptions(**wrong)
    with pytest.raises(ValidationError):
        PixelKNNOptions(on="features")
    for wrong in (-0.1, 1.1, "oas"):
        with pytest.raises(ValidationError):
            MahalanobisOptions(shrinkage=wrong)
    for wrong in (0.4, 1.1):
        with pytest.raises(ValidationError):
            MahalanobisOptions(trim=wrong)
    with pytest.raises(ValidationError):
        PadimOptions(channels=0)

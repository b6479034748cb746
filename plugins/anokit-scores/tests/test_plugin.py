"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit.plugin import resolve_fields
from anokit_scores.plugin import (
    AOptions,
    LnOptions,
    MapMeanOptions,
    PatchResidualOptions,
    anokit_scores,
)

COMPONENTS = {component.name: component for component in anokit_scores()}


def test_public_names():
    names = "ln lo lr a residual feature-residual latent-residual norm-typicality"
    names += " norm-residual pixel-contrast map-max map-mean patch-residual"
    assert set(COMPONENTS) == set(names.split())


def test_describing_the_scores_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from anokit_scores.plugin import anokit_scores; list(anokit_scores());"
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("component", COMPONENTS.values(), ids=lambda component: component.name)
def test_examples_build_and_every_option_is_described(component):
    score = component.load()(component.options(**component.example))
    assert callable(score)
    assert all(field.description for field in component.options.model_fields.values())


def test_what_a_reads_depends_on_its_mode():
    needs = COMPONENTS["a"].needs
    images = {"image", "image_hat"}
    assert resolve_fields(needs, AOptions()) == images | {"features", "features_hat"}
    assert resolve_fields(needs, AOptions(mode="critic")) == images | {"critic"}


def test_a_is_fitted_in_critic_mode_alone():
    load = COMPONENTS["a"].load()
    assert not hasattr(load(AOptions()), "fit")
    assert hasattr(load(AOptions(mode="critic")), "fit")


def test_patch_residual_reads_one_pair_or_that_of_every_scale():
    component = COMPONENTS["patch-residual"]
    assert resolve_fields(component.needs, PatchResidualOptions()) == {"patches", "patches_hat"}
    two = PatchResidualOptions(scales=("a", "b"))
    needs = {"patches.a", "patches_hat.a", "patches.b", "patches_hat.b"}
    assert resolve_fields(component.needs, two) == needs
    assert resolve_fields(component.map_needs, two) == needs | {"image"}


def test_options_out_of_range_are_refused():
    for top in (0, 1.1):
        with pytest.raises(ValidationError):
            MapMeanOptions(top=top)
    with pytest.raises(ValidationError, match="names a scale twice"):
        PatchResidualOptions(scales=("a", "a"))
    with pytest.raises(ValidationError):
        AOptions(kappa=-1)
    with pytest.raises(ValidationError):
        LnOptions(mode="l2")

"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit.plugin import resolve_fields
from anokit_density.plugin import (
    KDEOptions,
    OCSVMOptions,
    PCAOptions,
    RXOptions,
    anokit_scores,
)

COMPONENTS = {component.name: component for component in anokit_scores()}


def test_public_names():
    assert set(COMPONENTS) == {"kde", "rx", "pca", "isolation-forest", "ocsvm", "pixel-pca"}


def test_describing_the_package_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from anokit_density.plugin import anokit_scores; list(anokit_scores());"
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
    for name in ("kde", "rx", "pca", "isolation-forest", "ocsvm"):
        component = COMPONENTS[name]
        options = component.options(on=on)
        assert resolve_fields(component.needs, options) == {on}
        mapped = {"patches": {"patches", "image"}}.get(on, set())
        if (name, on) == ("pca", "image"):
            mapped = {"image"}
        assert resolve_fields(component.map_needs, options) == mapped
    assert resolve_fields(COMPONENTS["rx"].map_needs, RXOptions(local=True)) == {"image"}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (PCAOptions, {"components": -0.1}),
        (PCAOptions, {"components": 0}),
        (PCAOptions, {"components": 1.5}),
        (KDEOptions, {"bandwidth": 0}),
        (KDEOptions, {"bandwidth": "scott"}),
        (RXOptions, {"ridge": -1}),
        (RXOptions, {"window": 4}),
        (RXOptions, {"local": True, "on": "features"}),
        (OCSVMOptions, {"nu": 0}),
    ],
)
def test_options_out_of_range_are_refused(options, wrong):
    with pytest.raises(ValidationError):
        options(**wrong)


def test_components_is_a_share_or_a_count():
    assert isinstance(PCAOptions(components=12).components, int)
    assert isinstance(PCAOptions(components=0.5).components, float)

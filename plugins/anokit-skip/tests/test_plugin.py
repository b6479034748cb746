"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit.types import ImageSpec
from anokit_skip.plugin import GanomalyOptions, SkipGanomalyOptions, anokit_backbones

COMPONENT, GANOMALY = anokit_backbones()


def test_describing_the_backbone_does_not_import_torch():
    code = (
        "import sys; from anokit_skip.plugin import anokit_backbones; list(anokit_backbones());"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_trains_no_encoder_and_has_no_sampled_latent():
    assert COMPONENT.name == "skip-ganomaly"
    assert COMPONENT.trips == frozenset()
    assert not {"latent", "latent_hat"} & set(COMPONENT.provides)
    assert not hasattr(COMPONENT.load(), "samples")


def test_ganomaly_encodes_twice_but_by_its_own_losses():
    assert GANOMALY.name == "ganomaly"
    assert GANOMALY.trips == frozenset()
    assert {"latent", "latent_hat"} <= set(GANOMALY.provides)


@pytest.mark.parametrize("component", [COMPONENT, GANOMALY], ids=lambda component: component.name)
def test_example_builds_and_every_option_is_described(component):
    options = component.options(**component.example)
    backbone = component.load()(options, ImageSpec(1, 32, 32), [])
    assert backbone.phases()[0].images == 8
    assert all(field.description for field in component.options.model_fields.values())


def test_defaults_are_those_of_the_released_code():
    options = SkipGanomalyOptions()
    assert (options.w_adv, options.w_con, options.w_lat) == (1, 50, 1)
    assert (options.batch_size, options.epochs, options.learning_rate) == (64, 25, 2e-4)
    assert (options.nz, options.ngf, options.ndf, options.noise) == (100, 64, 64, 0)
    options = GanomalyOptions()
    assert (options.w_adv, options.w_con, options.w_enc) == (1, 50, 1)
    assert (options.batch_size, options.epochs, options.learning_rate) == (64, 15, 2e-4)
    assert (options.nz, options.ngf, options.ndf, options.reinit_below) == (100, 64, 64, 1e-5)


@pytest.mark.parametrize(
    "wrong", [{"w_con": -1}, {"ngf": 0}, {"batch_norm": "train"}, {"epochs": 0}, {"lr": 1e-3}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        SkipGanomalyOptions(**wrong)

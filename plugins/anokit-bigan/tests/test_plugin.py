"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit_bigan.plugin import (
    ALADOptions,
    BiGANOptions,
    EGBADOptions,
    anokit_backbones,
    anokit_recipes,
)


def test_describing_the_package_does_not_import_torch():
    code = (
        "import sys; from anokit_bigan import plugin; list(plugin.anokit_backbones());"
        "list(plugin.anokit_scores()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_offered():
    assert [component.name for component in anokit_backbones()] == ["bigan", "egbad", "alad"]
    assert {"bigan_cifar_car", "ali_cifar_car", "egbad_cifar_car", "alad_cifar_car"} <= {
        path.stem for path in anokit_recipes()
    }


def test_defaults_are_those_of_the_released_codes():
    options = EGBADOptions()
    assert (options.batch_size, options.learning_rate, options.ema) == (100, 1e-5, 0.999)
    options = ALADOptions()
    assert (options.batch_size, options.learning_rate, options.ema) == (32, 2e-4, 0.999)
    assert (options.spectral_norm, options.dzz, options.latent_size) == (True, True, 100)
    assert BiGANOptions().ema == 0


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (BiGANOptions, {"networks": "mnist"}),
        (BiGANOptions, {"width": 0}),
        (BiGANOptions, {"batch_size": 1}),
        (EGBADOptions, {"ema": 1.0}),
        (EGBADOptions, {"ema_rampup": 0}),
        (EGBADOptions, {"spectral_norm": True}),
        (ALADOptions, {"join": "width"}),
        (ALADOptions, {"patience": -1}),
        (ALADOptions, {"stop_every": 0}),
        (ALADOptions, {"networks": "ali"}),
        (ALADOptions, {"calibrate_images": -1}),
    ],
)
def test_options_out_of_range_are_refused(options, wrong):
    with pytest.raises(ValidationError):
        options(**wrong)

import sys
from dataclasses import replace
from types import ModuleType

import pytest

import anokit_stfpm.plugin
from anokit.plugin import hookimpl
from anokit.testing import collect_checks, parametrize_checks

SMALL = {"weights": "random", "input_size": 32, "batch_size": 4, "epochs": 2}
OPTION_SETS = {
    "one-stage": {**SMALL, "model": "test_efficientnet", "stages": [2]},
    "resnet": {**SMALL, "model": "test_resnet", "stages": [1, 2, 3]},
    "chosen": {**SMALL, "model": "test_efficientnet", "stages": [1], "selection": "validation"},
    "own-size": {**SMALL, "model": "test_efficientnet", "input_size": None, "stages": [0, 1]},
}


@parametrize_checks(anokit_stfpm.plugin)
def test_conformance(check):
    check()


def option_sets():
    """Return what the kit checks of the backbone with examples other than its own."""
    (component,) = anokit_stfpm.plugin.anokit_backbones()
    module = ModuleType("stfpm_option_sets")
    module.anokit_backbones = hookimpl(
        lambda: [replace(component, name=name, example=e) for name, e in OPTION_SETS.items()]
    )
    sys.modules[module.__name__] = module
    try:
        checks = collect_checks(module)
    finally:
        del sys.modules[module.__name__]
    return [check for check in checks if check.name.startswith("check_backbone_")]


@pytest.mark.parametrize("check", option_sets(), ids=lambda check: check.id)
def test_conformance_of_other_options(check):
    check()


def test_every_option_set_is_checked():
    assert {check.subject for check in option_sets()} == set(OPTION_SETS)

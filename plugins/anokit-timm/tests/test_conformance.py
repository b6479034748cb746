import sys
from dataclasses import replace
from types import ModuleType

import pytest

import anokit_timm.plugin
from anokit.plugin import hookimpl
from anokit.testing import collect_checks, parametrize_checks

SMALL = {"model": "test_efficientnet", "weights": "random", "input_size": 32}
OPTION_SETS = {
    "one-block": {**SMALL, "pooled": ["stage2"]},
    "stages-only": {**SMALL, "pooled": ["stage1", "stage2-std", "stage3-max"]},
    "own-size": {**SMALL, "input_size": None, "pooled": ["head", "stage3"]},
    "stride": {**SMALL, "patch_stages": [1, 2, 3], "patch_stride": 8, "neighbourhood": 3},
    "transformer": {
        **SMALL,
        "model": "test_vit",
        "pooled": ["head", "stage0-std"],
        "patch_stages": [1],
        "neighbourhood": 5,
    },
}


@parametrize_checks(anokit_timm.plugin)
def test_conformance(check):
    check()


def option_sets():
    """Return what the kit checks of the backbone with examples other than its own."""
    (component,) = anokit_timm.plugin.anokit_backbones()
    module = ModuleType("timm_option_sets")
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

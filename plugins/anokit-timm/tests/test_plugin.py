"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from anokit.plugin import resolve_fields
from anokit.types import ImageSpec
from anokit_timm.plugin import TimmFeaturesOptions, anokit_backbones

(COMPONENT,) = anokit_backbones()


def test_describing_the_backbone_imports_neither_torch_nor_timm():
    code = (
        "import sys; from anokit_timm.plugin import anokit_backbones; list(anokit_backbones());"
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'huggingface_hub')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_backbone_module_itself_does_not_import_timm():
    code = "import sys, anokit_timm.backbone; sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_example_builds_and_fills_what_it_says():
    options = COMPONENT.options(**COMPONENT.example)
    backbone = COMPONENT.load()(options, ImageSpec(1, 16, 16), ())
    provides = resolve_fields(COMPONENT.provides, options)
    assert provides == {"image", "features", "patches"}
    assert backbone.round_trip(torch.zeros(2, 1, 16, 16), provides).filled() == provides


def test_patches_are_offered_only_where_stages_are_given():
    assert resolve_fields(COMPONENT.provides, TimmFeaturesOptions()) == {"image", "features"}


def test_every_option_is_described():
    assert all(field.description for field in TimmFeaturesOptions.model_fields.values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": "imagenet"}, "neither one of 'pretrained', 'random', 'package:eff"),
        ({"model": "resnet18"}, "are those of model 'tf_efficientnet_lite0', not of 'resnet18'"),
        ({"patch_stages": (1, 1)}, "names a stage twice"),
        ({"patch_stages": (-1,)}, "greater than or equal to 0"),
        ({"std": (0.5, 0.0, 0.5)}, "greater than 0"),
        ({"weights": "package:efficientnet-lite2"}, "set model = 'tf_efficientnet_lite2', or"),
        ({"pooled": ()}, "at least 1 item"),
        ({"pooled": ("head", "stage-1")}, "pooled names 'stage-1': expected 'head', or 'stageK'"),
        ({"pooled": ("stage3-min",)}, "pooled names 'stage3-min'"),
        ({"pooled": ("stage3", "stage03")}, "pooled names 'stage03'"),
        ({"pooled": ("stage3", "head", "stage3")}, "pooled names a block twice"),
        ({"patch_stride": 16}, "patch_stride = 16 without patch_stages"),
        ({"neighbourhood": 3}, "neighbourhood = 3 without patch_stages"),
        ({"patch_stages": (1,), "neighbourhood": 2}, "1, 3 or 5"),
        ({"patch_stages": (1,), "patch_stride": 0}, "greater than or equal to 1"),
        ({"input_size": 4}, "greater than or equal to 8"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        TimmFeaturesOptions(**wrong)


def test_a_model_may_carry_the_tag_of_its_weights():
    assert TimmFeaturesOptions(model="tf_efficientnet_lite0.in1k")

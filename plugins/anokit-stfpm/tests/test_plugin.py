"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit.plugin import resolve_fields
from anokit_stfpm.plugin import StfpmOptions, anokit_backbones

(COMPONENT,) = anokit_backbones()


def test_describing_the_backbone_imports_neither_torch_nor_timm():
    code = (
        "import sys; from anokit_stfpm.plugin import anokit_backbones; list(anokit_backbones());"
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'huggingface_hub')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_stage_is_a_scale():
    provides = resolve_fields(COMPONENT.provides, StfpmOptions(stages=(3, 1)))
    scales = {"patches.stage1", "patches_hat.stage1", "patches.stage3", "patches_hat.stage3"}
    whole = {"image", "features", "patches", "patches_hat", "anomaly_map"}
    assert provides == scales | whole


def test_the_defaults_are_those_of_the_paper():
    options = StfpmOptions()
    assert (options.batch_size, options.epochs, options.learning_rate) == (32, 100, 0.4)
    assert (options.momentum, options.weight_decay) == (0.9, 1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stages": ()}, "at least 1 item"),
        ({"stages": (1, 1)}, "names a stage twice"),
        ({"batch_size": 1}, "greater than or equal to 2"),
        ({"momentum": 1.0}, "less than 1"),
        ({"model": "resnet18"}, "are those of model 'tf_efficientnet_lite0', not of 'resnet18'"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        StfpmOptions(**wrong)

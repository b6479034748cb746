"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit_critic.plugin import (
    ALOCCOptions,
    CriticRejectionOptions,
    FenceGANOptions,
    anokit_backbones,
)

BACKBONES = list(anokit_backbones())


def test_describing_the_package_imports_no_torch():
    code = (
        "import sys; from anokit_critic import plugin; list(plugin.anokit_backbones());"
        "list(plugin.anokit_scores()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("component", BACKBONES, ids=lambda component: component.name)
def test_they_train_no_encoder_and_let_recipes_weigh_images(component):
    assert component.trips == frozenset()
    assert component.weighs_images
    assert "critic" in component.provides


def test_defaults_are_those_of_the_released_codes():
    alocc = ALOCCOptions()
    assert (alocc.width, alocc.noise, alocc.refiner_steps) == (16, 0.155, 2)
    assert (alocc.batch_size, alocc.epochs, alocc.learning_rate) == (128, 40, 2e-3)
    assert (alocc.reconstruction, alocc.w_rec, alocc.stop_below) == ("squared", None, None)
    fence = FenceGANOptions()
    assert (fence.target, fence.dispersion, fence.fake_weight) == (0.5, 10, 0.5)
    assert (fence.batch_size, fence.pretrain_epochs, fence.epochs) == (128, 15, 150)
    assert (fence.learning_rate_d, fence.learning_rate_g, fence.decay) == (1e-4, 1e-3, 1e-5)
    assert (fence.width, fence.latent_size, fence.dropout) == (32, 256, 0.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise": -0.1},
        {"w_rec": -1},
        {"stop_below": 0},
        {"stop_window": 0},
        {"refiner_steps": 0},
        {"reconstruction": "l1"},
        {"batch_norm": "train"},
        {"lr": 1e-3},
    ],
)
def test_alocc_refuses_options_out_of_range(wrong):
    with pytest.raises(ValidationError):
        ALOCCOptions(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": 0},
        {"target": 1},
        {"dropout": 1},
        {"batch_size": 1},
        {"dispersion": -1},
        {"fake_weight": -1},
        {"decay": -1e-5},
        {"pretrain_epochs": -1},
    ],
)
def test_fence_gan_refuses_options_out_of_range(wrong):
    with pytest.raises(ValidationError):
        FenceGANOptions(**wrong)


def test_the_score_refuses_another_field():
    with pytest.raises(ValidationError):
        CriticRejectionOptions(on="latent")

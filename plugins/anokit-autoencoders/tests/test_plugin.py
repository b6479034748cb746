"""The torch-free description of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from anokit_autoencoders.plugin import (
    AaeOptions,
    AeOptions,
    ElboOptions,
    VaeOptions,
    anokit_backbones,
    anokit_scores,
)


def test_describing_the_components_does_not_import_torch():
    code = (
        "import sys; from anokit_autoencoders.plugin import anokit_backbones, anokit_scores;"
        "list(anokit_backbones()); list(anokit_scores()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_backbones_have_a_loss_of_each_image_and_train_no_encoder_of_a_recipe():
    for component in anokit_backbones():
        assert component.weighs_images
        assert component.trips == frozenset()


def test_the_summary_of_the_latent_likelihood_warns_of_its_sign():
    (_, likelihood) = anokit_scores()
    assert "opposite sign of Lo" in likelihood.summary


def test_defaults_of_the_strided_autoencoder_are_the_published_ones():
    options = AeOptions()
    assert options.networks == "strided"
    assert (options.width, options.latent_size) == (64, 256)
    assert (options.batch_size, options.epochs, options.learning_rate) == (128, 200, 1e-3)
    assert (options.learning_rate_drop, options.weight_decay) == (1, 0)


def test_defaults_of_deep_svdds_autoencoder_are_the_published_ones():
    options = AeOptions(networks="lenet")
    assert (options.width, options.latent_size) == (32, 128)
    assert (options.batch_size, options.epochs, options.learning_rate) == (200, 350, 1e-4)
    assert options.epochs * options.learning_rate_drop == pytest.approx(250)
    assert options.weight_decay == 0.5e-6


def test_defaults_of_the_networks_give_way_to_what_is_said_and_survive_being_written_down():
    options = AeOptions(networks="lenet", epochs=200, width=64)
    assert (options.epochs, options.width, options.batch_size) == (200, 64, 200)
    assert AeOptions(**options.model_dump()) == options
    for other in (VaeOptions, AaeOptions):
        assert other(networks="lenet").width == 32
        assert other(networks="lenet").learning_rate == 1e-3


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (AeOptions, {"width": 0}),
        (AeOptions, {"batch_size": 1}),
        (AeOptions, {"epochs": 0}),
        (AeOptions, {"learning_rate_drop": 1.5}),
        (AeOptions, {"learning_rate_drop": 0}),
        (AeOptions, {"weight_decay": -1}),
        (AeOptions, {"networks": "resnet"}),
        (AeOptions, {"networks": "lenet", "latent_size": 100}),
        (VaeOptions, {"variance": 0}),
        (VaeOptions, {"beta": -1}),
        (VaeOptions, {"draws": 65}),
        (AaeOptions, {"adversarial_learning_rate": 0}),
        (AaeOptions, {"critic_width": 0}),
        (ElboOptions, {"beta": -1}),
    ],
)
def test_options_out_of_range_are_refused(options, wrong):
    with pytest.raises(ValidationError):
        options(**wrong)


def test_a_latent_that_lenet_cannot_lay_out_is_refused_with_a_reason():
    with pytest.raises(ValidationError, match="multiple of 16, got 100"):
        AeOptions(networks="lenet", latent_size=100)
    assert AeOptions(networks="strided", latent_size=100).latent_size == 100

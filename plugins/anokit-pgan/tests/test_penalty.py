"""The gradient penalty while the networks grow: of the critic on images of full size."""

import copy
import math

import pytest
import torch

from anokit.nn import box_downscale, gradient_penalty, upscale_nearest
from anokit.types import Batch, ImageSpec, WeightedLoss
from anokit_pgan.backbone import ProgressiveGAN
from anokit_pgan.plugin import PganOptions
from anokit_pgan.steps import blend_with_coarser

SIZE = 32
IMAGES = 8


@pytest.fixture
def build():
    """Return a function that builds a 32-pixel backbone."""

    def make(**options):
        loss = WeightedLoss(
            "di", 1.0, lambda t: t.image_hat.mean(), frozenset({"image_hat"}), "latent"
        )
        small = {"latent_size": 6, "base_channels": 64, "max_channels": 4, "batch_size": IMAGES}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return ProgressiveGAN(
                PganOptions.model_validate(small | options), ImageSpec(1, SIZE, SIZE), [loss]
            )

    return make


def at_full_size(backbone, real, state, target):
    """Return the penalty of the authors' networks for the draws that a step makes from ``state``.

    Their images are of full size at any time: upscaled by nearest neighbours, and downscaled again
    by the critic.
    """
    networks = backbone._networks()
    factor = SIZE // networks.resolution
    random = torch.Generator()
    random.set_state(state)
    z = torch.randn(len(real), backbone.options.latent_size, generator=random)
    with torch.no_grad():
        fake = networks.generate(z)
    return gradient_penalty(
        lambda images: networks.criticise(box_downscale(images, factor)),
        upscale_nearest(blend_with_coarser(real, networks.fade), factor),
        upscale_nearest(fake, factor),
        random,
        target,
    ).mean()


@pytest.mark.parametrize("target", [1.0, 750.0])
@pytest.mark.parametrize("name", ["4", "fade 8", "8", "fade 16", "16", "32"])
def test_the_penalty_is_that_of_the_critic_on_upscaled_images(build, name, target):
    backbone = build(wgan_target=target)
    (phase,) = [phase for phase in backbone.phases() if phase.name == name]
    phase.optimisers()
    random = torch.Generator().manual_seed(1)
    shape = (IMAGES, 1, phase.resolution, phase.resolution)
    real = torch.rand(shape, generator=random) * 2 - 1
    before = copy.deepcopy(backbone)
    before._resolution, before._fade = phase.resolution, 0.5 if "fade" in name else 1.0
    state = random.get_state()
    found = phase.step(Batch(real, torch.arange(IMAGES), 0, 0.5, random))["penalty"]
    torch.testing.assert_close(found, at_full_size(before, real, state, target).detach())


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
def test_the_run_away_limit_is_what_the_penalised_slope_allows(build, resolution):
    backbone = build(wgan_target=3.0)
    slope = 3.0 * SIZE / resolution
    limit = slope * 2 * math.sqrt(resolution**2)  # of the cube of images [-1, 1] at this resolution
    assert not backbone.warnings({"critic_real": 0.99 * limit})
    assert backbone.warnings({"critic_real": 1.01 * limit})

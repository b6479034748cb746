"""What every backbone of the package promises."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from anokit.errors import DataError, PluginError, RecipeError
from anokit.types import Backbone, ImageSpec, Phase, RoundTrip
from anokit_anogan.plugin import (
    ADGANOptions,
    AnoGANOptions,
    FAnoGANOptions,
    anokit_backbones,
    anokit_scores,
)

COMPONENTS = {component.name: component for component in anokit_backbones()}
(SCORE,) = anokit_scores()


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@torch.no_grad()
def trip(backbone, images, needs):
    return backbone.round_trip(images, frozenset(needs))


def test_describing_the_package_does_not_import_torch():
    code = (
        "import sys; from anokit_anogan.plugin import anokit_backbones, anokit_scores;"
        "list(anokit_backbones()), list(anokit_scores()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_phases_are_what_the_core_expects(name, build):
    backbone = build(name)
    assert isinstance(backbone, Backbone)
    assert all(isinstance(phase, Phase) for phase in backbone.phases())
    assert all((phase.images is None) != (phase.epochs is None) for phase in backbone.phases())
    assert all(f.description for f in COMPONENTS[name].options.model_fields.values())


def test_training_is_finite_moves_every_weight_and_is_seeded(name, build, train):
    finals = []
    for seed in (0, 0, 1):
        backbone = build(name)
        before = state(backbone)
        torch_state = torch.get_rng_state()
        metrics = [m for phase in backbone.phases() for m in train(backbone, phase, 4, seed)]
        assert torch.equal(torch.get_rng_state(), torch_state), "draws come from the batch alone"
        assert all(math.isfinite(value) for step in metrics for value in step.values())
        # A Wasserstein loss is a difference: a bias before it, or before batch norm, cancels.
        weights = {k: v for k, v in backbone.named_parameters() if not k.endswith("bias")}
        assert not any(
            torch.equal(before[key], value.detach())
            for key, value in weights.items()
            if value.requires_grad
        )
        finals.append(state(backbone))
    assert all(torch.equal(finals[0][key], finals[1][key]) for key in finals[0])
    assert not all(torch.equal(finals[0][key], finals[2][key]) for key in finals[0])


def test_provides_what_it_declares_and_only_what_is_asked_for(name, trained, draw):
    backbone, provides = trained(name), COMPONENTS[name].provides
    for asked in [provides, *(frozenset({field}) for field in provides)]:
        found = trip(backbone, draw(2), asked)
        assert found.filled() == asked
        assert all(found.get(f).dtype == torch.float32 for f in asked)
        assert all(found.get(f).isfinite().all() for f in asked)
        assert all(len(found.get(f)) == 2 for f in asked)


@pytest.mark.parametrize("sizes", [[1] * 5, [4, 1]])
def test_no_field_depends_on_the_batch(name, trained, draw, sizes):
    backbone, images = trained(name), draw(5)
    assert not getattr(backbone, "batch_dependence", "")
    order = torch.randperm(5, generator=torch.Generator().manual_seed(0))
    provides = COMPONENTS[name].provides
    whole = trip(backbone, images, provides)
    parts = [trip(backbone, part, provides) for part in images[order].split(sizes)]
    for field in provides:
        found = torch.cat([part.get(field) for part in parts])
        torch.testing.assert_close(found, whole.get(field)[order], rtol=1e-4, atol=1e-5)


def test_a_saved_backbone_scores_alike(name, trained, build, draw):
    backbone, other = trained(name), build(name, seed=9).eval()
    other.load_state_dict(backbone.state_dict())
    provides = COMPONENTS[name].provides
    one, two = (trip(b, draw(2), provides) for b in (backbone, other))
    assert all(torch.equal(one.get(field), two.get(field)) for field in provides)


def test_scoring_changes_neither_weights_nor_images(name, trained, draw):
    backbone, images = trained(name), draw(2)
    before = state(backbone)
    trip(backbone, images, COMPONENTS[name].provides)
    assert all(torch.equal(value, before[key]) for key, value in state(backbone).items())
    assert torch.equal(images, draw(2))
    assert all(p.grad is None or p.grad.isfinite().all() for p in backbone.parameters())


def test_samples_are_comparable_over_time(name, trained):
    backbone = trained(name)
    with torch.no_grad():
        one, two = (backbone.samples(3, torch.Generator().manual_seed(4)) for _ in range(2))
    assert one.shape == (3, 3, 32, 32)
    assert torch.equal(one, two)


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 16, 16), (1, 32, 64), (1, 48, 48)])
def test_shapes_that_cannot_be_halved_to_four_pixels_are_refused(name, build, shape):
    with pytest.raises(DataError, match=rf"'{name}' takes square images .* set \[dataset\] size"):
        build(name, spec=ImageSpec(*shape))


def test_images_of_another_shape_are_refused(name, build, draw):
    with pytest.raises(DataError, match=r"built for images 3×32×32, got a batch \[1, 1, 32, 32\]"):
        trip(build(name).eval(), draw(1, channels=1), {"image_hat"})


@pytest.mark.parametrize("searching", ["anogan", "adgan"])
def test_searches_tell_how_far_they_are_and_begin_alike_for_equal_images(
    searching, trained, build, draw
):
    backbone, shares = trained(searching, search_batch=2), []
    backbone.progress = shares.append
    trip(backbone, draw(5), {"image_hat"})
    assert len(shares) > 3
    assert sum(shares) == pytest.approx(1)
    assert "starts.seed" in backbone.state_dict()
    assert not torch.equal(backbone.starts(draw(2)), build(searching, seed=1).starts(draw(2)))
    twins = trip(backbone, draw(1).expand(3, -1, -1, -1), {"latent"}).latent
    torch.testing.assert_close(twins[0], twins[2])


def test_what_can_be_said_without_a_search_needs_none(trained, draw):
    anogan, adgan = trained("anogan"), trained("adgan")
    anogan.progress = adgan.progress = pytest.fail
    assert trip(anogan, draw(2), {"features", "critic"}).critic.shape == (2,)
    assert trip(adgan, draw(2), {"image"}).filled() == {"image"}


def test_warnings_are_about_a_discriminator_that_won_or_ran_away(build):
    sound = {"critic_real": 0.6, "critic_fake": 0.4}
    for name in COMPONENTS:
        assert build(name).warnings({}) == build(name).warnings(sound) == []
    (won,) = build("anogan").warnings({"critic_real": 0.999, "critic_fake": 0.001})
    assert "no longer guides" in won
    # 2·√3072 = 110.9
    for name in ("f-anogan", "adgan"):
        (away,) = build(name).warnings({"critic_real": 500.0, "critic_fake": 300.0})
        assert "runs away" in away
        assert "differ by 200, more than the 111" in away
        assert not build(name).warnings({"critic_real": 500.0, "critic_fake": 400.0})


def test_fanogan_without_encoder_losses_is_refused(build):
    with pytest.raises(RecipeError, match=r"'f-anogan' trains its encoder.*use = \"izi-f\""):
        build("f-anogan", losses=[])


def test_defaults_are_the_published_ones():
    fanogan, anogan, adgan = FAnoGANOptions(), AnoGANOptions(), ADGANOptions()
    assert (fanogan.batch_size, fanogan.epochs, fanogan.critic_steps) == (64, 7, 5)
    assert (fanogan.learning_rate, fanogan.gradient_penalty) == (1e-4, 10)
    assert (fanogan.encoder_learning_rate, fanogan.encoder_steps) == (5e-5, 50_000)
    assert fanogan.encoder_output == "tanh"
    assert (anogan.search_steps, anogan.feature_weight, anogan.search_starts) == (500, 0.1, 1)
    assert (anogan.batch_size, anogan.learning_rate, anogan.ema) == (32, 2e-4, 0.999)
    assert (adgan.search_starts, adgan.search_steps, adgan.critic_steps) == (8, 5, 2)
    assert (adgan.latent_learning_rate, adgan.generator_learning_rate) == (0.25, 5e-5)
    assert (adgan.gradient_penalty, adgan.batch_size, adgan.latent_size) == (20, 128, 256)
    for wrong in ({"encoder_output": "relu"}, {"batch_size": 1}, {"flips": True}):
        with pytest.raises(ValidationError):
            FAnoGANOptions(**wrong)


def test_the_score_of_adgan_is_a_mean_over_starts_and_higher_for_worse(draw):
    score = SCORE.load()(SCORE.options())
    losses = torch.tensor([[1.0, 3.0], [0.5, 0.5]])
    found = RoundTrip(image=draw(2), image_hat=draw(2, seed=1), extra={"search_loss": losses})
    assert score(found).tolist() == [2.0, 0.5]
    heat = score.map(found)
    torch.testing.assert_close(heat, (found.image - found.image_hat).abs().mean(dim=1))
    assert (heat >= 0).all()
    for wrong in ({}, {"search_loss": losses[0]}):
        with pytest.raises(PluginError, match=r"reads search_loss \[B, starts\]"):
            score(RoundTrip(image=draw(2), extra=wrong))

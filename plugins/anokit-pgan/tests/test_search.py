"""``inference = "search"``: no encoder, latents found by descent through the generator."""

from pathlib import Path

import pytest
import torch

from anokit.errors import RecipeError
from anokit.nn import residual_objective
from anokit.plugin import resolve_fields
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.types import ImageSpec, WeightedLoss
from anokit_pgan.backbone import ProgressiveGAN
from anokit_pgan.plugin import PganOptions, anokit_backbones

(COMPONENT,) = anokit_backbones()
OPTIONS = PganOptions(
    latent_size=6,
    base_channels=32,
    max_channels=4,
    images=100,
    batch_size=8,
    inference="search",
    search_steps=12,
    search_learning_rate=0.1,
    search_starts=2,
)
FIELDS = resolve_fields(COMPONENT.provides, OPTIONS)
SPEC = ImageSpec(1, 16, 16)


def build(seed=0, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ProgressiveGAN(OPTIONS.model_copy(update=changes), SPEC, [])


@pytest.fixture
def images():
    return torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(5)) * 2 - 1


@torch.no_grad()
def trip(backbone, images, needs=FIELDS):
    return backbone.eval().round_trip(images, needs)


def test_everything_but_a_second_encoding_is_provided(images):
    assert "latent_hat" not in FIELDS
    assert "latent_hat" in resolve_fields(COMPONENT.provides, PganOptions())
    assert trip(build(), images).filled() == FIELDS


def test_no_encoder_is_built_or_trained(phase, train):
    backbone = build()
    assert not any(name.startswith("encoder") for name in backbone.state_dict())
    last = phase(backbone, "16")
    assert set(last.optimisers()) == {"discriminator", "generator"}
    assert {"loss_d", "loss_g"} <= set(train(last, steps=2))
    calibration = backbone.phases()[-1]
    calibration.optimisers()
    assert set(train(calibration)) == {"stddev_discriminator"}


def test_the_search_lowers_its_objective(images):
    backbone = build(search_steps=60)
    found = trip(backbone, images)

    def features(x):
        return backbone.discriminator.features(x).flatten(1)

    with torch.no_grad():
        objective = residual_objective(images, backbone.generator_ema, features)
        first = torch.stack([objective(z) for z in backbone.starts(images).unbind(dim=1)])
        assert (objective(found.latent) < first.min(dim=0).values).all()


@pytest.mark.parametrize("batches", [[1] * 6, [4, 2]])
def test_no_latent_depends_on_the_batch(batches, images):
    backbone = build(search_steps=100)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    whole = trip(backbone, images)
    parts = [trip(backbone, part) for part in images[order].split(batches)]
    assert torch.equal(torch.cat([part.latent for part in parts]), whole.latent[order])
    for name in FIELDS - {"latent"}:
        joined = torch.cat([part.get(name) for part in parts])
        torch.testing.assert_close(joined, whole.get(name)[order], rtol=1e-4, atol=1e-4)


def test_a_search_of_several_queries_at_once_is_declared():
    assert build().batch_dependence == ""
    assert "64 queries are searched for at once" in build(search_batch=64).batch_dependence


def test_starts_are_uniform_seeded_and_saved(images):
    one, other = build(seed=1), build(seed=2)
    assert one.starts(images).shape == (6, 2, 6)
    assert one.starts(images).abs().max() <= 1
    assert not torch.equal(one.starts(images), other.starts(images))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.starts(images), other.starts(images))


def test_features_need_no_search(images):
    backbone = build()
    backbone.progress = pytest.fail
    assert trip(backbone, images, frozenset({"features", "critic"})).features.shape == (6, 64)


def test_encoder_losses_and_a_search_exclude_each_other():
    loss = WeightedLoss("di", 1.0, lambda trip: trip.image.mean(), frozenset({"image"}), "latent")
    with pytest.raises(RecipeError, match=r"has no encoder: expected no encoder losses, got di"):
        ProgressiveGAN(OPTIONS, SPEC, [loss])
    with pytest.raises(RecipeError, match=r'at least one, got none.*inference = "search"'):
        ProgressiveGAN(OPTIONS.model_copy(update={"inference": "encoder"}), SPEC, [])


def test_a_recipe_with_both_is_refused_before_anything_is_built():
    tables = {
        "dataset": {"use": "digits"},
        "backbone": {"use": "pgan", "inference": "search"},
        "encoder-losses": [{"use": "di"}],
        "scores": [{"use": "lo"}],
    }
    with pytest.raises(RecipeError, match="'pgan' with these options trains no encoder: remove"):
        resolve(tables, Registry.load(), Path("recipe.toml"))

"""What the backbones hand to scores, and the score of the package."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from anokit.errors import DataError, PluginError
from anokit.plugin import Options
from anokit.types import Backbone, RoundTrip
from anokit_bigan.plugin import TRIP, anokit_scores
from anokit_bigan.scores import CriticCrossEntropy


@pytest.fixture
def trained(build, train):
    """Train two steps, so that running statistics are not those of initialisation."""

    def make(name, **options):
        backbone = build(name, **options)
        train(backbone, 2)
        return backbone

    return make


@torch.no_grad()
def test_trips_are_those_of_the_averaged_networks(variant, trained, draw):
    backbone, x = trained(variant, ema=0.5, learning_rate=0.01), draw(3)
    assert isinstance(backbone, Backbone)
    trip = backbone.round_trip(x, TRIP)
    latent = backbone.encoder_ema(x)
    x_hat = backbone.generator_ema(latent)
    found = [trip.latent, trip.image_hat, trip.latent_hat]
    torch.testing.assert_close(found, [latent, x_hat, backbone.encoder_ema(x_hat)])
    assert not torch.allclose(latent, backbone.encoder(x), rtol=1e-3), "would prove nothing"
    if variant == "alad":
        real, fake = backbone.d_xx_ema(x, x), backbone.d_xx_ema(x, x_hat)
    else:
        real = backbone.discriminator_ema(x, latent)
        fake = backbone.discriminator_ema(x_hat, latent)
    expected = [real.features, fake.features, real.logits, fake.logits]
    found = [trip.features, trip.features_hat, trip.critic, trip.critic_hat]
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(real.features, fake.features, rtol=1e-3)


@torch.no_grad()
def test_only_what_is_asked_for_is_computed(variant, trained, draw):
    backbone, ran = trained(variant), []
    for name in ("encoder_ema", "generator_ema"):
        getattr(backbone, name).register_forward_hook(lambda *_, name=name: ran.append(name))

    def runs(*needs):
        ran.clear()
        assert backbone.round_trip(draw(1), frozenset(needs)).filled() == set(needs)
        return ran

    assert runs("image") == []
    assert runs("latent") == ["encoder_ema"]
    assert runs("features", "critic") == ([] if variant == "alad" else ["encoder_ema"])
    assert runs("image_hat") == ["encoder_ema", "generator_ema"]
    assert runs("features_hat", "critic_hat", "logit_hat") == ["encoder_ema", "generator_ema"]
    assert runs("latent_hat") == ["encoder_ema", "generator_ema", "encoder_ema"]


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 3])
def test_no_field_depends_on_the_batch(variant, trained, draw, size):
    backbone, images = trained(variant), draw(6)
    whole = backbone.round_trip(images, TRIP)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    parts = [backbone.round_trip(images[i], TRIP) for i in order.split(size)]
    for field in TRIP:
        found = torch.cat([part.get(field) for part in parts])
        torch.testing.assert_close(found, whole.get(field)[order], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_scoring_draws_nothing_and_changes_nothing(variant, trained, draw):
    backbone, state = trained(variant), torch.get_rng_state()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    first, second = (backbone.round_trip(draw(2), TRIP) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first.get(name), second.get(name)) for name in TRIP)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@torch.no_grad()
def test_weights_survive_a_file(variant, trained, build, draw, tmp_path):
    backbone, other = trained(variant), build(variant, seed=1)
    save_file(backbone.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    one, two = backbone.round_trip(draw(2), TRIP), other.eval().round_trip(draw(2), TRIP)
    assert all(torch.equal(one.get(field), two.get(field)) for field in TRIP)


@torch.no_grad()
def test_the_encoder_of_ali_is_stochastic_in_training_and_its_mean_at_scoring(build, draw):
    encoder = build("ali").encoder.eval()
    moments = encoder.layers(draw(2))
    mean, deviation = moments[:, :4], moments[:, 4:].exp()
    torch.testing.assert_close(encoder(draw(2)), mean)
    noise = torch.randn(2, 4, generator=torch.Generator().manual_seed(5))
    drawn = encoder.sample(draw(2), torch.Generator().manual_seed(5))
    torch.testing.assert_close(drawn, mean + deviation * noise)


def test_samples_are_equal_for_equal_generators(variant, trained):
    backbone = trained(variant)
    one, two = (backbone.samples(3, torch.Generator().manual_seed(0)) for _ in range(2))
    assert one.shape == (3, 3, 32, 32)
    assert torch.equal(one, two)


@pytest.mark.parametrize("shape", [{"channels": 1}, {"size": 64}])
def test_other_images_are_refused(variant, build, draw, shape):
    with pytest.raises(DataError, match=r"built for images 3×32×32, got a batch \[1, "):
        build(variant).round_trip(draw(1, **shape), frozenset({"image_hat"}))


def test_cross_entropy_is_that_of_the_logit_with_real():
    score = CriticCrossEntropy(Options())
    logits = [-2.0, 0.0, 3.0]
    found = score(RoundTrip(extra={"logit_hat": torch.tensor(logits)}))
    expected = [-math.log(1 / (1 + math.exp(-logit))) for logit in logits]
    assert found.tolist() == pytest.approx(expected)
    assert found[0] > found[1] > found[2], "what looks less real is more anomalous"
    far = score(RoundTrip(extra={"logit_hat": torch.tensor([-1e4, 1e4])}))
    assert far.tolist() == [1e4, 0.0]


def test_cross_entropy_names_what_it_misses():
    (component,) = anokit_scores()
    score = component.load()(component.options())
    with pytest.raises(PluginError, match="reads logit_hat"):
        score(RoundTrip(critic=torch.zeros(2)))
    with pytest.raises(PluginError, match=r"got \[2, 1\]"):
        score(RoundTrip(extra={"logit_hat": torch.zeros(2, 1)}))

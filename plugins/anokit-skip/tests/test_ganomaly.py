"""GANomaly: training step, round trips, and the artefact of its published figures."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy, l1_loss, mse_loss

from anokit.errors import DataError
from anokit.types import Backbone, Batch, ImageSpec
from anokit_skip import saturation
from anokit_skip.ganomaly import Ganomaly
from anokit_skip.plugin import GanomalyOptions, anokit_backbones

_, COMPONENT = anokit_backbones()
SPEC = ImageSpec(3, 32, 32)
SMALL = {"ngf": 4, "ndf": 4, "nz": 8, "batch_size": 4}


@pytest.fixture
def build():
    def make(seed=0, spec=SPEC, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Ganomaly(GanomalyOptions(**SMALL | options), spec)

    return make


@pytest.fixture
def trained(build, train):
    def make(**options):
        backbone = build(**options)
        train(backbone, 2)
        return backbone

    return make


def weights(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def test_training_is_finite_seeded_and_moves_every_parameter(build, train):
    one, other = build(), build()
    before = weights(one)
    metrics = train(one, 4)
    train(other, 4)
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    assert not any(map(torch.equal, before, weights(one)))
    assert all(map(torch.equal, weights(one), weights(other)))


def test_gradients_are_those_of_the_equations(build, draw, monkeypatch):
    options = {"w_adv": 0.7, "w_con": 3.0, "w_enc": 0.4}
    one, other, images = build(**options), build(**options), draw(4)
    (phase,) = one.phases()
    for optimiser in phase.optimisers().values():
        monkeypatch.setattr(optimiser, "step", lambda: None)
    metrics = phase.step(Batch(images, torch.arange(4), 0, 0.0, torch.Generator()))

    latent = other.encoder(images)
    image_hat = other.decoder(latent)
    latent_hat = other.encoder_again(image_hat)
    real, fake = other.discriminator(images), other.discriminator(image_hat)
    loss_g = (
        0.7 * mse_loss(fake.features, real.features.detach())
        + 3 * l1_loss(image_hat, images)
        + 0.4 * mse_loss(latent, latent_hat)
    )
    loss_g.backward()
    for name in ("encoder", "decoder", "encoder_again"):
        expected = [p.grad for p in getattr(other, name).parameters()]
        found = [p.grad for p in getattr(one, name).parameters()]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(metrics["loss_g"], loss_g.detach())

    other.discriminator.zero_grad()
    real = other.discriminator(images).logits.sigmoid()
    fake = other.discriminator(image_hat.detach()).logits.sigmoid()
    loss_d = binary_cross_entropy(real, torch.ones(4)) + binary_cross_entropy(fake, torch.zeros(4))
    (loss_d / 2).backward()
    expected = [p.grad for p in other.discriminator.parameters()]
    found = [p.grad for p in one.discriminator.parameters()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(metrics["loss_d"], loss_d.detach() / 2)


def test_a_discriminator_that_won_is_drawn_anew(build, train, monkeypatch):
    monkeypatch.setattr(saturation, "LOOK_EVERY", 3)
    backbone = build(reinit_below=1e9, learning_rate=1e-12)
    before = weights(backbone.discriminator)[0], weights(backbone.encoder)[0]
    assert [step["reinit"] for step in train(backbone, 3)] == [0, 0, 1]
    assert (weights(backbone.discriminator)[0] - before[0]).abs().max() > 0.01
    torch.testing.assert_close(weights(backbone.encoder)[0], before[1], rtol=0, atol=1e-6)
    assert not any(step["reinit"] for step in train(build(reinit_below=0.0), 3))
    (sentence,) = backbone.warnings({"reinit": 0.3})
    assert "drawn anew" in sentence


@torch.no_grad()
def test_provides_what_it_declares_and_only_what_is_asked_for(trained, draw):
    backbone = trained()
    assert isinstance(backbone, Backbone)
    for asked in [COMPONENT.provides, *(frozenset({name}) for name in COMPONENT.provides)]:
        found = backbone.round_trip(draw(2), asked)
        assert found.filled() == asked
        assert all(found.get(f).isfinite().all() for f in asked)
        assert all(found.get(f).dtype == torch.float32 for f in asked)


@torch.no_grad()
def test_the_second_encoding_is_of_the_reconstruction_by_weights_of_its_own(trained, draw):
    backbone = trained()
    found = backbone.round_trip(draw(3), COMPONENT.provides)
    torch.testing.assert_close(found.latent_hat, backbone.encoder_again(found.image_hat))
    assert not torch.allclose(found.latent_hat, backbone.encoder(found.image_hat), rtol=1e-2)
    assert found.latent.shape == found.latent_hat.shape == (3, 8)


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 3])
def test_no_field_depends_on_the_batch(trained, draw, size):
    backbone, images = trained(), draw(6)
    assert backbone.batch_dependence == ""
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    whole = backbone.round_trip(images, COMPONENT.provides)
    parts = [backbone.round_trip(images[i], COMPONENT.provides) for i in order.split(size)]
    for field in COMPONENT.provides:
        found = torch.cat([part.get(field) for part in parts])
        torch.testing.assert_close(found, whole.get(field)[order], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_published_batch_norm_depends_on_the_batch_and_keeps_its_own_statistics(trained, draw):
    backbone, images = trained(batch_norm="batch"), draw(8)
    assert "as published" in backbone.batch_dependence
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    whole = backbone.round_trip(images, frozenset({"latent"})).latent
    half = backbone.round_trip(images[:4], frozenset({"latent"})).latent
    assert not torch.allclose(half, whole[:4], rtol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert not any(module.training for module in backbone.modules())


def residual(trip):
    return (trip.latent - trip.latent_hat).square().mean(dim=1)


def test_class_pure_batches_change_the_ranking_and_running_statistics_do_not(trained, draw):
    """The artefact of the published figures, on weights that have hardly learnt anything."""
    normal = draw(16)
    odd = (draw(16, seed=1) * 0.3 + 0.5).clamp(-1, 1)
    images, needs = torch.cat([normal, odd]), frozenset({"latent", "latent_hat"})
    mixed = torch.randperm(32, generator=torch.Generator().manual_seed(0))

    def scores(backbone, order):
        with torch.no_grad():
            parts = [residual(backbone.round_trip(images[i], needs)) for i in order.split(8)]
        return torch.cat(parts)[order.argsort()]

    honest, published = trained(), trained(batch_norm="batch")
    torch.testing.assert_close(
        scores(honest, torch.arange(32)), scores(honest, mixed), rtol=1e-4, atol=1e-6
    )
    by_class, shuffled = scores(published, torch.arange(32)), scores(published, mixed)
    assert ((by_class - shuffled).abs() / shuffled).max() > 0.01


def test_a_latent_that_moves_scores_higher(trained, draw):
    with torch.no_grad():
        found = trained().round_trip(draw(3), frozenset({"latent", "latent_hat"}))
    further = type(found)(latent=found.latent, latent_hat=found.latent_hat + 10)
    assert (residual(further) > residual(found)).all(), "higher = more anomalous"


def test_weights_survive_a_file_of_tensors(trained, build, draw):
    backbone, other = trained(), build(seed=1).eval()
    other.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        one, two = (b.round_trip(draw(2), COMPONENT.provides) for b in (backbone, other))
    assert all(torch.equal(one.get(field), two.get(field)) for field in COMPONENT.provides)


def test_other_shapes_are_refused(build, draw):
    with pytest.raises(DataError, match=r"'ganomaly' takes square images"):
        build(spec=ImageSpec(1, 28, 28))
    with pytest.raises(DataError, match=r"'ganomaly' was built for images 3×32×32"):
        build().round_trip(draw(1, channels=1), frozenset({"image_hat"}))

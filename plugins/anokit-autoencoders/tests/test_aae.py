"""The adversarial autoencoder: its three steps, its critic, its samples."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import softplus

OPTIONS = {"width": 3, "latent_size": 5, "critic_width": 6}


def test_two_steps_are_those_of_the_equations(build, draw, step, by_hand, enter):
    rates = {"learning_rate": 0.01, "adversarial_learning_rate": 0.003, "weight_decay": 0.1}
    backbone = build("aae", **OPTIONS, **rates).double()
    encoder, decoder = by_hand.of(backbone.encoder), by_hand.of(backbone.decoder)
    discriminator = by_hand.of(backbone.discriminator)
    reconstructing = by_hand.Adam([*encoder, *decoder], rate=0.01, decay=0.1)
    telling = by_hand.Adam(discriminator, rate=0.003)
    hiding = by_hand.Adam(encoder, rate=0.003)
    enter(backbone)
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    for number in range(2):
        images = draw(4, seed=number).double()
        found = step(backbone, images, generator=ours)

        image_hat = by_hand.decode_strided(decoder, by_hand.encode_strided(encoder, images))
        error = (images - image_hat).square().mean()
        reconstructing.descend(error)

        prior = torch.randn(4, 5, generator=theirs, dtype=torch.float64)
        latent = by_hand.encode_strided(encoder, images).detach()
        real, fake = by_hand.judge(discriminator, prior), by_hand.judge(discriminator, latent)
        loss_d = softplus(-real).mean() + softplus(fake).mean()
        telling.descend(loss_d)

        code = by_hand.encode_strided(encoder, images)
        loss_e = softplus(-by_hand.judge(discriminator, code)).mean()
        hiding.descend(loss_e)

        assert found == {
            "reconstruction": pytest.approx(error.item()),
            "loss_d": pytest.approx(loss_d.item()),
            "loss_e": pytest.approx(loss_e.item()),
            "critic_prior": pytest.approx(real.sigmoid().mean().item()),
            "critic_code": pytest.approx(fake.sigmoid().mean().item()),
        }
    by_hand.assert_same([backbone.encoder, backbone.decoder], [*encoder, *decoder])
    by_hand.assert_same(backbone.discriminator, discriminator)


def test_each_step_has_an_optimiser_of_its_own(build, draw, step):
    (phase,) = (backbone := build("aae", learning_rate_drop=0.5)).phases()
    optimisers = phase.optimisers()
    assert set(optimisers) == {"autoencoder", "discriminator", "encoder"}
    step(backbone, draw(4), progress=0.5)
    rates = {name: o.param_groups[0]["lr"] for name, o in optimisers.items()}
    assert rates == pytest.approx({"autoencoder": 1e-4, "discriminator": 1e-5, "encoder": 1e-5})


def test_critic_is_the_probability_that_a_code_is_drawn_from_the_prior(build, draw, by_hand):
    backbone, images = build("aae"), draw(3)
    needs = frozenset({"latent", "latent_hat", "critic", "critic_hat"})
    with torch.no_grad():
        trip = backbone.round_trip(images, needs)
        for latent, critic in ((trip.latent, trip.critic), (trip.latent_hat, trip.critic_hat)):
            logits = by_hand.judge(by_hand.of(backbone.discriminator), latent.double())
            torch.testing.assert_close(critic.double(), torch.sigmoid(logits))
    assert trip.critic.shape == (3,)


def test_samples_are_decoded_draws_of_the_prior(build):
    backbone = build("aae")
    with torch.no_grad():
        found = backbone.samples(3, torch.Generator().manual_seed(1))
        noise = torch.randn(
            3, backbone.options.latent_size, generator=torch.Generator().manual_seed(1)
        )
        torch.testing.assert_close(found, backbone.decoder(noise))


def test_a_discriminator_that_cannot_be_deceived_is_told(build):
    backbone = build("aae")
    assert backbone.warnings({"critic_prior": 0.6, "critic_code": 0.4}) == []
    assert backbone.warnings({}) == []
    (told,) = backbone.warnings({"critic_prior": 0.999, "critic_code": 0.001})
    assert "without fail" in told

"""The variational autoencoder: its bound, its draws, its trips."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from anokit_autoencoders.gaussians import drawn, kl_to_standard, log_variance_of, mean_of

EXTRAS = frozenset({"reconstruction_error", "kl_divergence", "latent_log_variance"})


def test_two_steps_are_those_of_the_equations(build, draw, step, by_hand, enter):
    options = {"width": 3, "latent_size": 5, "learning_rate": 0.01}
    backbone = build("vae", variance=0.3, beta=2.0, **options).double()
    encoder, decoder = by_hand.of(backbone.encoder), by_hand.of(backbone.decoder)
    adam = by_hand.Adam([*encoder, *decoder], rate=0.01)
    enter(backbone)
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    for number in range(2):
        images = draw(4, seed=number).double()
        found = step(backbone, images, generator=ours)
        code = by_hand.encode_strided(encoder, images)
        mean, log_variance = code[:, :5], code[:, 5:]
        noise = torch.randn(4, 5, generator=theirs, dtype=torch.float64)
        image_hat = by_hand.decode_strided(decoder, mean + (log_variance / 2).exp() * noise)
        error = (images - image_hat).square().sum(dim=(1, 2, 3)) / 2 / 0.3
        kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
        loss = (error + 2 * kl).mean()
        adam.descend(loss)
        assert found == {
            "loss": pytest.approx(loss.item()),
            "reconstruction": pytest.approx(error.mean().item()),
            "kl": pytest.approx(kl.mean().item()),
        }
    by_hand.assert_same([backbone.encoder, backbone.decoder], [*encoder, *decoder])


def test_the_kl_is_that_of_two_gaussians():
    code = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    mean, deviation = mean_of(code), (log_variance_of(code) / 2).exp()
    here, prior = Normal(mean, deviation), Normal(torch.zeros(4, 6), torch.ones(4, 6))
    expected = kl_divergence(Independent(here, 1), Independent(prior, 1))
    torch.testing.assert_close(kl_to_standard(code), expected)
    assert kl_to_standard(torch.zeros(1, 12)).item() == 0


def test_draws_have_the_mean_and_the_spread_of_the_code():
    code = torch.tensor([[2.0, -1.0, math.log(4.0), math.log(0.25)]]).expand(20_000, 4)
    values = drawn(code, torch.Generator().manual_seed(0))
    torch.testing.assert_close(values.mean(dim=0), torch.tensor([2.0, -1.0]), rtol=0, atol=0.05)
    torch.testing.assert_close(values.std(dim=0), torch.tensor([2.0, 0.5]), rtol=0.03, atol=0)


def test_codes_of_an_image_like_no_other_stay_finite():
    code = torch.tensor([[0.0, 1e6], [0.0, -1e6]])
    assert kl_to_standard(code).isfinite().all()
    assert drawn(code, torch.Generator()).isfinite().all()


def test_without_draws_the_error_is_that_at_the_mean(build, draw):
    backbone, images = build("vae", draws=0, variance=0.5), draw(3)
    with torch.no_grad():
        trip = backbone.round_trip(images, EXTRAS | {"latent", "image_hat"})
        code = backbone.encoder(images)
    latent_size = backbone.options.latent_size
    torch.testing.assert_close(trip.latent, code[:, :latent_size])
    torch.testing.assert_close(trip.extra["latent_log_variance"], code[:, latent_size:])
    torch.testing.assert_close(trip.extra["kl_divergence"], kl_to_standard(code))
    error = (images - trip.image_hat).square().sum(dim=(1, 2, 3))  # ½ / 0.5 = 1
    torch.testing.assert_close(trip.extra["reconstruction_error"], error)


def test_with_draws_the_error_is_their_mean_with_one_noise_for_every_image(build, draw):
    backbone, images = build("vae", draws=3, variance=0.5), draw(2)
    assert backbone.noises.shape == (3, backbone.options.latent_size)
    with torch.no_grad():
        trip = backbone.round_trip(images, EXTRAS | {"latent"})
        deviation = (trip.extra["latent_log_variance"] / 2).exp()
        expected = torch.zeros(2)
        for noise in backbone.noises:
            image_hat = backbone.decoder(trip.latent + deviation * noise)
            expected += (images - image_hat).square().sum(dim=(1, 2, 3)) / 3
        twice = backbone.round_trip(torch.cat([images, images]), EXTRAS)
    torch.testing.assert_close(trip.extra["reconstruction_error"], expected)
    torch.testing.assert_close(twice.extra["reconstruction_error"], expected.repeat(2))


def test_the_noises_of_the_draws_are_state_that_leaves_the_weights_as_they_were(build):
    few, many = build("vae", draws=1), build("vae", draws=8)
    assert "noises" in many.state_dict()
    assert all(map(torch.equal, few.parameters(), many.parameters()))
    torch.testing.assert_close(build("vae", draws=64).noises.std().item(), 1.0, rtol=0.1, atol=0)


def test_samples_are_decoded_draws_of_the_prior(build):
    backbone = build("vae")
    with torch.no_grad():
        first = backbone.samples(3, torch.Generator().manual_seed(1))
        again = backbone.samples(3, torch.Generator().manual_seed(1))
        noise = torch.randn(
            3, backbone.options.latent_size, generator=torch.Generator().manual_seed(1)
        )
        torch.testing.assert_close(first, backbone.decoder(noise))
    assert first.shape == (3, 3, 16, 16)
    assert torch.equal(first, again)


def test_collapsed_codes_are_told(build):
    backbone = build("vae")
    assert backbone.warnings({"kl": 3.0}) == []
    assert backbone.warnings({}) == []
    (told,) = backbone.warnings({"kl": 0.01})
    assert "collapsed" in told

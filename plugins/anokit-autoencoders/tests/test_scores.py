"""Scores against formulas written out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch.distributions import MultivariateNormal

from anokit.plugin import Options
from anokit.testing import random_trip
from anokit_autoencoders.plugin import ElboOptions
from anokit_autoencoders.scores import Elbo, LatentLikelihood

EXTRA = {
    "reconstruction_error": torch.tensor([3.0, 1.0, 2.0]),
    "kl_divergence": torch.tensor([0.5, 4.0, 0.0]),
}


def test_elbo_is_the_error_and_the_weighted_kl():
    trip = replace(random_trip(3), extra=EXTRA)
    assert Elbo(ElboOptions())(trip).tolist() == [3.5, 5.0, 2.0]
    assert Elbo(ElboOptions(beta=0.5))(trip).tolist() == [3.25, 3.0, 2.0]
    assert Elbo(ElboOptions(beta=0))(trip).tolist() == [3.0, 1.0, 2.0]


def test_elbo_orders_images_as_the_bound_with_its_constant_does(build, draw):
    """Of a whole trip: −E log N(x; x̂, σ²) + KL, the constant added, is −ELBO."""
    backbone, images = build("vae", draws=0, variance=0.2), draw(4)
    needs = frozenset({"image_hat", *EXTRA})
    with torch.no_grad():
        trip = backbone.round_trip(images, needs)
    density = torch.distributions.Normal(trip.image_hat, math.sqrt(0.2)).log_prob(images)
    bound = density.sum(dim=(1, 2, 3)) - trip.extra["kl_divergence"]
    values = images[0].numel()
    constant = values * math.log(2 * math.pi * 0.2) / 2
    torch.testing.assert_close(Elbo(ElboOptions())(trip) + constant, -bound)


def test_map_of_elbo_is_where_the_image_changed():
    trip = random_trip(2)
    moved = trip.image.clone()
    moved[0, :, 3, 5] += 1
    found = Elbo(ElboOptions()).map(replace(trip, image_hat=moved))
    assert found.shape == (2, *trip.image.shape[2:])
    assert found[0, 3, 5].item() == torch.tensor(1.0)
    assert found.sum().item() == 1.0


def test_latent_likelihood_is_minus_the_log_density_of_the_prior():
    trip = random_trip(5)
    size = trip.latent.shape[1]
    prior = MultivariateNormal(torch.zeros(size), torch.eye(size))
    found = LatentLikelihood(Options())(trip)
    torch.testing.assert_close(found, -prior.log_prob(trip.latent))


def test_long_codes_are_the_anomalous_ones():
    trip = random_trip(5)
    score = LatentLikelihood(Options())
    assert (score(replace(trip, latent=2 * trip.latent)) > score(trip)).all()

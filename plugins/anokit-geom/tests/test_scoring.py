"""Round trips and the two scores."""

from __future__ import annotations

import math

import pytest
import torch
from torch.special import digamma

from anokit.errors import DataError
from anokit.plugin import Options
from anokit.types import RoundTrip
from anokit_geom import geom
from anokit_geom.dirichlet import TransformationDirichlet
from anokit_geom.dirichlet_fit import fit_dirichlets, inverse_digamma, shift_of_fit
from anokit_geom.plugin import DirichletOptions
from anokit_geom.softmax import TransformationSoftmax

NEEDS = frozenset({"transformations"})


def trip_of(logs):
    return RoundTrip(extra={"transformations": logs})


def dirichlet_logs(count, alpha, seed=0):
    """Draw log p ``[count, T, T]`` from one Dirichlet per row of ``alpha``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.distributions.Dirichlet(alpha.double()).sample((count,)).log()


ALPHA = torch.tensor([[6.0, 0.8, 1.5], [0.7, 4.0, 0.9], [1.2, 2.0, 9.0]])


@torch.no_grad()
def test_row_t_holds_what_the_network_says_of_transformation_t(build, draw):
    backbone, images = build(), draw(3)
    logs = backbone.round_trip(images, NEEDS).extra["transformations"]
    assert logs.shape == (3, 4, 4)
    torch.testing.assert_close(logs.exp().sum(dim=2), torch.ones(3, 4))
    for turns in range(4):
        logits = backbone.network(images.rot90(turns, (2, 3)))
        torch.testing.assert_close(logs[:, turns], logits.log_softmax(dim=1), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_features_are_those_of_the_image_as_it_is(build, draw):
    backbone, images = build(), draw(3)
    features = backbone.round_trip(images, frozenset({"features"})).features
    torch.testing.assert_close(features, backbone.network.features(images))


@torch.no_grad()
def test_an_image_is_classified_alike_in_any_company(build, draw, monkeypatch):
    backbone, images = build(share=1 / 9), draw(5)
    whole = backbone.round_trip(images, NEEDS).extra["transformations"]
    monkeypatch.setattr(geom, "AT_ONCE_ON_CPU", 12)  # an image and a half
    parts = backbone.round_trip(images, NEEDS).extra["transformations"]
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)
    alone = backbone.round_trip(images[3:4], NEEDS).extra["transformations"]
    torch.testing.assert_close(alone[0], whole[3], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_progress_sums_to_one(build, draw, monkeypatch):
    monkeypatch.setattr(geom, "AT_ONCE_ON_CPU", 8)
    backbone, told = build(), []
    backbone.progress = told.append
    backbone.round_trip(draw(5), NEEDS)
    assert len(told) == 3
    assert sum(told) == pytest.approx(1)


def test_other_images_than_built_for_are_refused(build, draw):
    with pytest.raises(DataError, match="geom"):
        build().round_trip(draw(2, side=16), NEEDS)


def test_softmax_score_is_the_mean_probability_of_the_right_answer():
    shares = torch.tensor([[[0.7, 0.3], [0.9, 0.1]], [[1.0, 0.0], [0.0, 1.0]]])
    score = TransformationSoftmax(Options())
    torch.testing.assert_close(score(trip_of(shares.log())), torch.tensor([-0.4, -1.0]))


def test_inverse_digamma():
    x = torch.tensor([1e-4, 0.01, 0.3, 0.5, 1, 2.5, 40, 1e4], dtype=torch.float64)
    torch.testing.assert_close(inverse_digamma(digamma(x)), x, rtol=1e-9, atol=0)


def test_fit_finds_the_dirichlets_that_made_the_observations():
    logs = dirichlet_logs(20_000, ALPHA)
    alpha = fit_dirichlets(logs.exp().mean(dim=0), logs.mean(dim=0))
    torch.testing.assert_close(alpha, ALPHA.double(), rtol=0.05, atol=0)


def test_fit_is_where_the_likelihood_has_its_maximum():
    logs = dirichlet_logs(30, ALPHA)
    alpha = fit_dirichlets(logs.exp().mean(dim=0), logs.mean(dim=0))
    alpha = alpha.clone().requires_grad_()
    likelihood = torch.distributions.Dirichlet(alpha).log_prob(logs.exp()).mean(dim=0)
    (slope,) = torch.autograd.grad(likelihood.sum(), alpha)
    assert slope.abs().max() < 1e-6
    for factor in (0.9, 1.1):
        other = torch.distributions.Dirichlet(alpha * factor).log_prob(logs.exp()).mean(dim=0)
        assert (other < likelihood).all()


def test_fit_begins_at_the_approximation(monkeypatch):
    monkeypatch.setattr("anokit_geom.dirichlet_fit.MOST_ITERATIONS", 0)
    shares = torch.tensor([[0.2, 0.8], [0.4, 0.6]], dtype=torch.float64)
    spread = 0.3 * (math.log(0.3) - (math.log(0.2) + math.log(0.4)) / 2) + 0.7 * (
        math.log(0.7) - (math.log(0.8) + math.log(0.6)) / 2
    )
    alpha = fit_dirichlets(shares.mean(dim=0)[None], shares.log().mean(dim=0)[None])
    expected = 0.5772156649 / spread
    torch.testing.assert_close(
        alpha, torch.tensor([[0.3 * expected, 0.7 * expected]], dtype=torch.float64)
    )


def test_equal_observations_give_a_finite_fit():
    shares = torch.tensor([[0.2, 0.8]], dtype=torch.float64)
    assert fit_dirichlets(shares, shares.log()).isfinite().all()


def test_shift_of_fit_is_the_derivative_of_the_fit():
    logs = dirichlet_logs(50, ALPHA)
    mean, mean_log = logs.exp().mean(dim=0), logs.mean(dim=0)
    alpha = fit_dirichlets(mean, mean_log)
    change = 1e-4 * torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    for step, moved in zip(change, shift_of_fit(alpha, change), strict=True):
        torch.testing.assert_close(
            fit_dirichlets(mean, mean_log + step), alpha + moved, rtol=1e-4, atol=1e-7
        )


def fitted(logs, batch=7):
    score = TransformationDirichlet(DirichletOptions())
    score.fit([trip_of(part) for part in torch.split(logs, batch)])
    return score


def test_dirichlet_score_is_the_mean_unlikelihood_without_its_constant():
    train, test = dirichlet_logs(40, ALPHA).float(), dirichlet_logs(5, ALPHA.flip(1), 1).float()
    score = fitted(train)
    shares = train.double().exp()
    alpha = fit_dirichlets(shares.mean(dim=0), train.double().mean(dim=0))
    expected = []
    for image in test.double():
        terms = [((alpha[t] - 1) * image[t]).sum() for t in range(3)]
        expected.append(-sum(terms) / 3)
    torch.testing.assert_close(score(trip_of(test)), torch.stack(expected).float())
    assert score(trip_of(test)).mean() > score(trip_of(train)).mean()


def test_batches_of_fitting_and_their_order_do_not_matter():
    logs = dirichlet_logs(20, ALPHA).float()
    one, other = fitted(logs, 3), fitted(logs.flip(0), 20)
    torch.testing.assert_close(one.alpha, other.alpha, rtol=1e-5, atol=0)


def test_probabilities_count_from_1e_12():
    score = fitted(dirichlet_logs(40, ALPHA).float())
    low = torch.full((1, 3, 3), -1000.0)
    least = torch.full((1, 3, 3), math.log(1e-12))
    torch.testing.assert_close(score(trip_of(low)), score(trip_of(least)))


def test_leaving_one_out_is_nearly_a_fit_without_it():
    logs = dirichlet_logs(60, ALPHA).float()
    score = fitted(logs)
    quick = score.leave_one_out(trip_of(logs[:15]), torch.arange(15))
    exact = torch.cat(
        [
            fitted(torch.cat([logs[:place], logs[place + 1 :]]))(trip_of(logs[place : place + 1]))
            for place in range(15)
        ]
    )
    plain = score(trip_of(logs[:15]))
    assert (exact - plain).abs().max() > 0.1, "leaving out makes a difference here"
    assert (quick - exact).abs().mean() < 0.1 * (plain - exact).abs().mean()


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="at least 2, got 1"):
        fitted(dirichlet_logs(1, ALPHA).float())


def test_state_is_in_buffers():
    score = TransformationDirichlet(DirichletOptions(max_fit_images=50))
    assert score.max_fit_images == 50
    assert set(score.state_dict()) == {"alpha", "mean_log", "count"}
    assert not any(value.numel() for value in score.state_dict().values())

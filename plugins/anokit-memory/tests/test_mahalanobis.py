"""Shrinkage, trimming and leaving out of ``mahalanobis``, against refits and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from anokit.errors import DataError
from anokit.types import RoundTrip
from anokit_memory.gaussian import Factor, pack, unpack
from anokit_memory.mahalanobis import Mahalanobis


def stretched(count: int, width: int, seed: int = 0) -> torch.Tensor:
    """Draw rows whose directions vary by factors of up to 300, far from the origin."""
    source = np.random.default_rng(seed)
    rows = source.standard_normal((count, width)) * np.geomspace(1, 300, width) + 20
    return torch.from_numpy(rows).float()


def fitted(rows: torch.Tensor, shrinkage="ledoit-wolf", trim: float = 1.0) -> Mahalanobis:
    detector = Mahalanobis("mahalanobis", shrinkage, trim)
    detector.fit(rows)
    return detector


@pytest.mark.parametrize(("count", "width"), [(25, 60), (200, 12), (30, 1)])
def test_ledoit_wolf_equals_scikit_learn(count, width):
    rows, queries = stretched(count, width), stretched(9, width, 1)
    detector, reference = fitted(rows), LedoitWolf().fit(rows.double().numpy())
    np.testing.assert_allclose(detector.alpha.item(), reference.shrinkage_, rtol=1e-5, atol=1e-7)
    factor = unpack(detector.triangle, width).double().numpy()
    np.testing.assert_allclose(factor @ factor.T, reference.covariance_, rtol=1e-5, atol=1e-5)
    squared = reference.mahalanobis(queries.double().numpy())
    np.testing.assert_allclose(detector(queries).square(), squared, rtol=1e-5)


def test_the_packed_triangle_is_half_the_matrix_and_comes_back():
    factors = torch.rand(3, 5, 5).tril()
    packed = pack(factors)
    assert packed.shape == (3, 15)
    assert torch.equal(unpack(packed, 5), factors)


def test_a_factor_is_unpacked_once_and_again_when_its_triangle_is_filled_anew():
    factor, packed = Factor(), torch.rand(15)
    first = factor(packed, 5)
    assert factor(packed, 5) is first
    packed.copy_(torch.rand(15))
    assert torch.equal(factor(packed, 5), unpack(packed, 5))
    other = torch.rand(6)
    assert torch.equal(factor(other, 3), unpack(other, 3))
    with torch.inference_mode():
        lent = torch.rand(6)
        factor(lent, 3)
        lent.copy_(torch.rand(6))
        assert torch.equal(factor(lent, 3), unpack(lent, 3))


def test_another_state_that_is_loaded_is_what_judges():
    rows, others, queries = stretched(60, 4), stretched(60, 4, 1), stretched(5, 4, 2)
    detector = fitted(rows)
    detector(queries)
    other = fitted(others)
    detector.load_state_dict(other.state_dict())
    assert torch.equal(detector(queries), other(queries))


@pytest.mark.parametrize("shrinkage", ["ledoit-wolf", 0.0, 0.3, 1.0])
@pytest.mark.parametrize(("count", "width"), [(20, 6), (90, 30)])
def test_leaving_a_row_out_equals_fitting_without_it(shrinkage, count, width):
    rows = stretched(count, width)
    detector = fitted(rows, shrinkage)
    alpha, mu = detector.alpha.double(), detector.mu.double()
    expected = []
    for place in range(count):
        others = np.delete(rows.double().numpy(), place, axis=0)
        covariance = np.cov(others.T, bias=True) * (1 - alpha.item())
        covariance += (alpha * mu).item() * np.eye(width)
        apart = rows[place].double().numpy() - others.mean(axis=0)
        expected.append(np.sqrt(apart @ np.linalg.solve(covariance, apart)))
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    found = detector.leave_one_out(rows[chosen], chosen)
    np.testing.assert_allclose(found, np.array(expected)[chosen], rtol=1e-4)
    assert (found > detector(rows[chosen])).all()
    assert found.dtype == torch.float32


def test_more_values_than_rows_leave_finite_distances():
    rows = stretched(24, 50)
    found = fitted(rows).leave_one_out(rows, torch.arange(24))
    assert found.isfinite().all()
    assert fitted(rows[:, :5], 0.0).leave_one_out(rows[:, :5], torch.arange(24)).isfinite().all()


def test_trimming_fits_the_nearest_rows_again_and_again():
    rows = stretched(100, 4)
    rows[:12] = 20 + torch.tensor([9.0, 60.0, 400.0, 2000.0]) + 0.01 * rows[:12]
    detector = fitted(rows, trim=0.85)
    assert int(detector.kept.sum()) == 85
    assert not detector.kept[:12].any()
    kept = torch.arange(100)
    for _ in range(3):
        plain = fitted(rows[kept])
        kept = plain(rows).argsort(stable=True)[:85].sort().values
    assert torch.equal(detector.kept.nonzero()[:, 0], kept)
    torch.testing.assert_close(detector(rows), fitted(rows[kept])(rows))


def test_rows_that_were_trimmed_away_keep_their_score_when_left_out():
    rows = stretched(60, 5)
    detector, places = fitted(rows, trim=0.6), torch.arange(60)
    found, gone = detector.leave_one_out(rows, places), ~detector.kept
    assert int(gone.sum()) == 24
    assert torch.equal(found[gone], detector(rows)[gone])
    alone = fitted(rows[detector.kept])
    expected = alone.leave_one_out(rows[detector.kept], torch.arange(36))
    torch.testing.assert_close(found[detector.kept], expected)


def test_the_score_passes_on_who_is_left_out(build, make_trip):
    score, trip = build("mahalanobis", trim=0.9), make_trip(40)
    score.fit([trip])
    part = torch.tensor([7, 3, 30])
    every = score.leave_one_out(trip, torch.arange(40))
    some = score.leave_one_out(trip.map(lambda t: t[part]), part)
    torch.testing.assert_close(some, every[part])
    assert not hasattr(build("mahalanobis", on="patches"), "leave_one_out")


@pytest.mark.parametrize(("trim", "text"), [(1.0, "got 19: add"), (0.5, "trim = 0.5 leaves 19")])
def test_fewer_than_twenty_rows_are_refused(build, make_trip, trim, text):
    with pytest.raises(DataError, match=rf"'mahalanobis': expected at least 20 .*{text}"):
        build("mahalanobis", trim=trim).fit([make_trip(19 if trim == 1 else 39)])


def test_equal_rows_are_refused(build):
    trip = RoundTrip(features=torch.full((30, 4), 0.1))
    with pytest.raises(DataError, match="all 30 training vectors are equal"):
        build("mahalanobis").fit([trip])


def test_few_rows_are_warned_about(build, make_trip):
    score = build("mahalanobis")
    score.fit([make_trip(99)])
    (text,) = score.warnings()
    assert "fitted to 99 training vectors" in text
    score.fit([make_trip(100)])
    assert score.warnings() == []

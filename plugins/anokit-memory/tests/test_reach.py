"""Reachability against its definition, and what it does to clumps and rare modes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anokit.types import RoundTrip
from anokit_memory import pairs


def cloud(count: int, seed: int, centre: float = 0, spread: float = 1) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return centre + spread * torch.randn(count, 8, generator=source)


def fitted(build, rows: torch.Tensor, **options):
    score = build("reach-knn", **{"metric": "euclidean", **options})
    score.fit([RoundTrip(features=rows)])
    return score


def by_definition(row: np.ndarray, rows: np.ndarray, k: int, reach: int) -> float:
    """Return the mean of max(d(x, o), r(o)) over the k nearest o."""
    distances = np.linalg.norm(rows - row, axis=1)
    found = []
    for place in np.argsort(distances, kind="stable")[:k]:
        others = np.sort(np.linalg.norm(np.delete(rows, place, axis=0) - rows[place], axis=1))
        found.append(max(distances[place], others[reach - 1]))
    return float(np.mean(found))


@pytest.mark.parametrize(("k", "reach"), [(1, 1), (5, 3), (4, 30)])
def test_the_score_is_its_definition(build, k, reach):
    rows, queries = torch.cat([cloud(40, 0), cloud(12, 1, 5)]), cloud(6, 2, 2)
    expected = [by_definition(q.double().numpy(), rows.double().numpy(), k, reach) for q in queries]
    got = fitted(build, rows, k=k, reach=reach)(RoundTrip(features=queries))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("reach", [1, 7])
def test_the_cosine_of_any_lengths_is_half_the_square_at_unit_length(build, reach):
    rows, queries = cloud(50, 0, 2), cloud(5, 1, 2)
    score = fitted(build, rows, metric="cosine", k=1, reach=reach)
    of_units = [
        torch.nn.functional.normalize(part.double(), dim=1).numpy() for part in (queries, rows)
    ]
    expected = [by_definition(query, of_units[1], 1, reach) ** 2 / 2 for query in of_units[0]]
    np.testing.assert_allclose(score(RoundTrip(features=3 * queries)), expected, rtol=1e-4)


@pytest.mark.parametrize(("k", "reach"), [(1, 1), (3, 8), (200, 300)])
def test_leaving_one_out_equals_fitting_without_it(build, k, reach):
    rows = torch.cat([cloud(40, 0), cloud(6, 1, 5, 0.1)])
    score = fitted(build, rows, k=k, reach=reach)
    got = score.leave_one_out(RoundTrip(features=rows), torch.arange(46))
    for place in range(46):
        others = torch.cat([rows[:place], rows[place + 1 :]])
        expected = fitted(build, others, k=k, reach=reach)(RoundTrip(features=rows[[place]]))
        torch.testing.assert_close(got[[place]], expected, rtol=1e-5, atol=1e-6)


def test_shares_are_of_the_training_rows_and_at_least_five(build):
    rows, query = cloud(200, 0), RoundTrip(features=cloud(3, 1))
    for share, count in ((0.1, 20), (0.001, 5)):
        shared, counted = (fitted(build, rows, k=n, reach=n) for n in (share, count))
        assert torch.equal(shared(query), counted(query))


def test_what_is_like_a_small_clump_is_far_and_with_knn_near(build):
    rows = torch.cat([cloud(190, 0), cloud(8, 1, 6, 0.05)])
    usual, strange = RoundTrip(features=cloud(50, 2)), RoundTrip(features=cloud(1, 3, 6, 0.05))
    plain = build("knn", metric="euclidean")
    plain.fit([RoundTrip(features=rows)])
    assert plain(strange) < plain(usual).min()
    assert (
        fitted(build, rows, k=5, reach=20)(strange)
        > fitted(build, rows, k=5, reach=20)(usual).max()
    )
    assert fitted(build, rows, k=5, reach=7)(strange) < plain(usual).min()  # it has seven others


def test_of_many_rows_a_subset_says_how_isolated_each_is(build, monkeypatch):
    rows, queries = cloud(600, 0), RoundTrip(features=cloud(20, 1))
    whole = fitted(build, rows, reach=60)
    monkeypatch.setattr(pairs, "MAX_PAIRS", 600 * 200)
    part = fitted(build, rows, reach=60)
    assert part.detector.around.shape == (600, 2)
    np.testing.assert_allclose(part(queries), whole(queries), rtol=0.1)
    assert torch.equal(part(queries), fitted(build, rows, reach=60)(queries))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_rows_are_no_error(build, count):
    rows = cloud(count, 0)
    score = fitted(build, rows)
    assert torch.isfinite(score(RoundTrip(features=cloud(4, 1)))).all()
    assert score.warnings()


def test_all_equal_rows_are_no_error(build):
    score = fitted(build, torch.ones(30, 8))
    assert torch.equal(score(RoundTrip(features=torch.ones(2, 8))), torch.zeros(2))


@pytest.mark.parametrize("options", [{"k": 0}, {"reach": 0}, {"reach": 1.5}, {"k": -0.1}])
def test_no_other_number_of_neighbours_is_taken(build, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build("reach-knn", **options)

"""Sparse memories against memories that are really drawn, and leaving one out."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from anokit.errors import DataError
from anokit_memory.neighbour_components import SparseKNNOptions


def test_it_is_the_mean_over_drawn_memories(build, make_trip):
    score, train, test = build("sparse-knn", metric="euclidean"), make_trip(200), make_trip(4, 1)
    score.fit([train])
    source = torch.Generator().manual_seed(0)
    distances = torch.cdist(test.features, train.features)
    drawn = torch.rand(4000, 200, generator=source) < 0.1
    least = torch.stack([distances[:, memory].amin(dim=1) for memory in drawn if memory.any()])
    torch.testing.assert_close(score(test), least.mean(dim=0), rtol=0.02, atol=0)


@pytest.mark.parametrize("count", [3, 400])
def test_it_is_the_geometrically_weighted_sum(build, make_trip, count):
    score, train, test = build("sparse-knn", metric="euclidean"), make_trip(count), make_trip(4, 1)
    score.fit([train])
    most = min(66, count)
    near = torch.cdist(test.features.double(), train.features.double()).sort(dim=1).values
    weights = 0.1 * 0.9 ** torch.arange(most).double()
    expected = (near[:, :most] * weights).sum(dim=1) / weights.sum()
    torch.testing.assert_close(score(test), expected.float())


def test_a_share_of_one_is_the_nearest(build, fit, make_trip):
    trip = make_trip(5)
    assert torch.equal(fit(build("sparse-knn", share=1.0))(trip), fit(build("knn", k=1))(trip))


@pytest.mark.parametrize("count", [2, 90])
def test_leaving_one_out_is_fitting_without_it(build, make_trip, count):
    train = make_trip(count)
    score = build("sparse-knn")
    score.fit([train])
    got = score.leave_one_out(train, torch.arange(count))
    for place in (0, count - 1):
        again = build("sparse-knn")
        again.fit([train.map(lambda t, p=place: torch.cat([t[:p], t[p + 1 :]]))])
        assert torch.equal(again(train.map(lambda t, p=place: t[[p]]))[0], got[place])


def test_one_image_is_enough_to_fit_and_not_to_leave_out(build, make_trip):
    score, train = build("sparse-knn"), make_trip(1)
    score.fit([train])
    assert score(make_trip(3, 1)).isfinite().all()
    with pytest.raises(DataError, match=r"'sparse-knn'.* expected two or more, got 1: add images"):
        score.leave_one_out(train, torch.zeros(1, dtype=torch.int64))


def test_a_clump_of_alike_anomalies_is_found_by_sparse_memories_and_not_by_five_neighbours(
    build, make_trip
):
    train, odd = make_trip(200), make_trip(7, 1)
    odd = odd.map(lambda t: 0.01 * t + 2)
    both = train.map(lambda t: t)
    mixed = [both, odd.map(lambda t: t[:6])]
    query, normal = odd.map(lambda t: t[6:]), make_trip(50, 2)
    found = {}
    for name, options in (("knn", {"k": 5}), ("sparse-knn", {})):
        score = build(name, metric="euclidean", **options)
        score.fit(mixed)
        found[name] = bool(score(query) > score(normal).max())
    assert found == {"knn": False, "sparse-knn": True}


@pytest.mark.parametrize("share", [0, 0.0001, 1.1])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(ValidationError):
        SparseKNNOptions(share=share)

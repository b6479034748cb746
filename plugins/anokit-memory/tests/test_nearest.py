"""The search for nearest rows against brute force, also where rounding is at its worst."""

from __future__ import annotations

import pytest
import torch

from anokit.errors import DataError
from anokit_memory import exact, nearest
from anokit_memory.exact import squared_distances, tree_mean, tree_sum, unit
from anokit_memory.nearest import NearestRows


def draw(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def every_square(queries: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return torch.stack([squared_distances(query.expand_as(rows), rows) for query in queries])


def brute(queries: torch.Tensor, rows: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    squares, places = every_square(queries, rows).sort(dim=1, stable=True)
    return places[:, :k], squares[:, :k]


def assert_equals_brute_force(queries: torch.Tensor, rows: torch.Tensor, k: int) -> None:
    places, squares = NearestRows(rows).nearest(queries, k)
    expected_places, expected = brute(queries, rows, k)
    assert torch.equal(places, expected_places)
    assert torch.equal(squares, expected)


def far_away() -> tuple[torch.Tensor, torch.Tensor]:
    rows = draw(300, 12) * 1e-3 + 1000
    return rows[:9] + 1e-5, rows


def one_row_far_out() -> tuple[torch.Tensor, torch.Tensor]:
    rows = draw(300, 12)
    rows[17] *= 1e6
    return torch.cat([draw(8, 12, 1), rows[17:18] + 1]), rows


def two_clumps() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that differ by less than float32 products resolve."""
    rows = draw(2, 40).repeat(700, 1) + 1e-6 * draw(1400, 40, 1)
    return rows[:6] + 1e-7, rows


def all_equal() -> tuple[torch.Tensor, torch.Tensor]:
    return draw(4, 5, 1), draw(1, 5).repeat(900, 1)


def tiny() -> tuple[torch.Tensor, torch.Tensor]:
    """Squares that are zero in float32."""
    return draw(5, 7, 1) * 1e-25, draw(400, 7) * 1e-25


def huge() -> tuple[torch.Tensor, torch.Tensor]:
    """Squares that are infinite in float32."""
    return draw(5, 7, 1) * 1e25, draw(400, 7) * 1e25


def long() -> tuple[torch.Tensor, torch.Tensor]:
    return draw(5, 5000, 1), draw(40, 5000)


CASES = [far_away, one_row_far_out, two_clumps, all_equal, tiny, huge, long]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 7])
def test_the_search_equals_brute_force_to_the_bit(case, k):
    assert_equals_brute_force(*case(), k)


@pytest.mark.parametrize("spot", ["together", "at the end", "apart"])
def test_in_long_rows_the_nearest_may_lie_anywhere(spot):
    """Blocks of distances are bounded by their least: one block may hold all k, or none."""
    rows, k = draw(4000, 6), 7
    places = {
        "together": torch.arange(128, 135),
        "at the end": torch.arange(3990, 3997),  # beyond the last whole block
        "apart": torch.arange(10, 4000, 600),
    }[spot]
    rows[places] = draw(1, 6, 2) + 1e-3 * draw(7, 6, 3)
    assert_equals_brute_force(torch.cat([draw(1, 6, 2), draw(4, 6, 4)]), rows, k)
    found, _ = NearestRows(rows).nearest(draw(1, 6, 2), k)
    assert set(found[0].tolist()) == set(places.tolist())


def test_a_row_that_does_not_count_is_not_found_in_long_rows():
    rows = draw(4000, 6)
    left_out = torch.tensor([77, -1, 3999])
    found, _ = NearestRows(rows).nearest(rows[[77, 78, 3999]], 5, left_out)
    expected = [brute(rows[[place]], rows, 6)[0][0].tolist() for place in (77, 78, 3999)]
    assert found.tolist() == [expected[0][1:], expected[1][:5], expected[2][1:]]


@pytest.mark.parametrize("case", [far_away, two_clumps, long])
@pytest.mark.parametrize("error", [-1.0, 1.0])
def test_any_rounding_within_the_bound_changes_nothing(monkeypatch, case, error):
    """A product as wrong as a kernel may be, in the direction that hurts: by row, up or down."""
    queries, rows = case()
    expected = brute(queries, rows, 7)
    plain = nearest._products
    right = NearestRows(rows)
    width = rows.shape[1]

    def wrong(first, second):
        value = plain(first, second)
        if first.dtype == torch.float64:
            return value
        gamma = right._gamma(torch.float32)
        size = first[:, :width].norm(dim=1)[:, None] * second[:, :width].norm(dim=1)
        sign = torch.ones(len(second)) * error
        sign[::2] *= -1
        return value + 0.9 * gamma * size * sign

    monkeypatch.setattr(nearest, "_products", wrong)
    places, squares = right.nearest(queries, 7)
    assert torch.equal(places, expected[0])
    assert torch.equal(squares, expected[1])


def test_the_bound_is_needed(monkeypatch):
    """Without it, what differs by less than the products resolve is mixed up."""
    queries, rows = two_clumps()
    monkeypatch.setattr(nearest, "ROUNDING", {torch.float32: 0.0, torch.float64: 0.0})
    places, _ = NearestRows(rows).nearest(queries, 7)
    assert not torch.equal(places, brute(queries, rows, 7)[0])


@pytest.mark.parametrize("most", [1, 301, 5000])
def test_blocks_change_no_bit(monkeypatch, most):
    queries, rows = two_clumps()
    whole = NearestRows(rows).nearest(queries, 4)
    monkeypatch.setattr(nearest, "MAX_DISTANCES", most)
    monkeypatch.setattr(nearest, "MAX_WIDE", most)
    monkeypatch.setattr(exact, "MAX_VALUES", most)
    for a, b in zip(NearestRows(rows).nearest(queries, 4), whole, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("case", CASES)
def test_batches_change_no_bit(case):
    queries, rows = case()
    search = NearestRows(rows)
    _, whole = search.nearest(queries, 5)
    for row, query in enumerate(queries):
        assert torch.equal(search.nearest(query[None], 5)[1][0], whole[row])


def test_a_query_that_is_no_number_spoils_no_other():
    queries, rows = draw(4, 6, 1), draw(50, 6)
    expected = NearestRows(rows).nearest(queries, 3)[1]
    queries[2, 0] = torch.nan
    _, squares = NearestRows(rows).nearest(queries, 3)
    assert squares[2].isnan().all()
    assert torch.equal(squares[[0, 1, 3]], expected[[0, 1, 3]])


def test_sums_in_pairs_are_sums():
    values = draw(5, 37).double()
    torch.testing.assert_close(tree_sum(values), values.sum(dim=1))
    torch.testing.assert_close(tree_mean(values), values.mean(dim=1))
    assert torch.equal(tree_sum(values[:, :1]), values[:, 0])


def test_unit_rows_have_length_one_and_zeros_stay():
    rows = torch.cat([draw(4, 30), torch.zeros(1, 30)])
    torch.testing.assert_close(unit(rows).norm(dim=1), torch.tensor([1.0, 1, 1, 1, 0]))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 3])
def test_leaving_one_out_is_fitting_without_it(build, make_trip, metric, k):
    train = make_trip(12)
    train.features[5] = train.features[4]  # a copy, which must still count
    score = build("knn", metric=metric, k=k)
    score.fit([train])
    places = torch.tensor([3, 4, 5, 11, 0])
    got = score.leave_one_out(train.map(lambda t: t[places]), places)
    for place, value in zip(places.tolist(), got, strict=True):
        others = [other for other in range(12) if other != place]
        again = build("knn", metric=metric, k=k)
        again.fit([train.map(lambda t, others=others: t[others])])
        assert torch.equal(again(train.map(lambda t, p=place: t[[p]]))[0], value)
    assert (got > 0).tolist() == [True, k > 1, k > 1, True, True]


def test_leaving_one_of_few_out_takes_all_others(build, make_trip):
    score, train = build("knn", k=4), make_trip(4)
    score.fit([train])
    others = build("knn", k=4)
    others.fit([train.map(lambda t: t[1:])])
    first = train.map(lambda t: t[:1])
    assert torch.equal(score.leave_one_out(first, torch.tensor([0])), others(first))


def test_leaving_one_out_needs_another(build, make_trip):
    score, train = build("knn", k=1), make_trip(1)
    score.fit([train])
    with pytest.raises(DataError, match=r"'knn'.* expected two or more, got 1: add images"):
        score.leave_one_out(train, torch.arange(1))


def test_the_search_is_made_once_and_again_where_the_memory_changes(build, fit, make_trip):
    score, trip = fit(build("knn")), make_trip(3)
    first = score(trip)
    search = score.detector.search
    assert torch.equal(score(trip), first)
    assert score.detector.search is search
    state = {name: value.clone() for name, value in score.state_dict().items()}
    score.detector.memory.mul_(-1)
    assert not torch.equal(score(trip), first)
    score.load_state_dict(state)
    assert torch.equal(score(trip), first)


def test_scores_of_a_batch_are_those_of_its_images_to_the_bit(build, fit, make_trip):
    trip = make_trip(9)
    for on in ("image", "features", "patches"):
        score = fit(build("knn", on=on))
        alone = [score(trip.map(lambda t, row=row: t[[row]])) for row in range(9)]
        assert torch.equal(torch.cat(alone), score(trip))

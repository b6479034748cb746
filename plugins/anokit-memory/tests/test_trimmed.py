"""Trimming against its definition, row by row, and what it does to clumps and rare modes."""

from __future__ import annotations

import pytest
import torch

from anokit.errors import DataError
from anokit.types import RoundTrip
from anokit_memory import pairs


def cloud(count: int, seed: int, centre: float = 0, spread: float = 1) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return centre + spread * torch.randn(count, 8, generator=source)


def fitted(build, rows: torch.Tensor, **options):
    score = build("trimmed-knn", metric="euclidean", **options)
    score.fit([RoundTrip(features=rows)])
    return score


def kept_by_definition(rows: torch.Tensor, share: float, clump: int) -> list[int]:
    distances = torch.cdist(rows.double(), rows.double())
    kept = list(range(len(rows)))
    for _ in range(10):
        means = []
        for row in range(len(rows)):
            others = sorted(float(distances[row, other]) for other in kept if other != row)
            means.append(sum(others[:clump]) / clump)
        order = sorted(range(len(rows)), key=means.__getitem__)
        now = sorted(order[: int(share * len(rows))])
        if now == kept:
            break
        kept = now
    return kept


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_what_is_kept_is_what_the_definition_keeps(build, share):
    rows = torch.cat([cloud(60, 0), cloud(20, 1, 1.5)])
    score = fitted(build, rows, share=share, clump=7)
    assert score.detector.kept.tolist() == kept_by_definition(rows, share, 7)
    assert torch.equal(score.detector.memory, rows[score.detector.kept])


def test_a_clump_smaller_than_its_option_is_dropped_and_a_larger_one_stays(build):
    rows = torch.cat([cloud(90, 0), cloud(8, 1, 6, 0.05)])
    for clump, stay in ((20, 0), (4, 8)):
        kept = fitted(build, rows, share=0.9, clump=clump).detector.kept
        assert int((kept >= 90).sum()) == stay


def test_dropped_anomalies_are_far_and_with_knn_near(build):
    rows = torch.cat([cloud(90, 0), cloud(8, 1, 6, 0.05)])
    query = RoundTrip(features=cloud(1, 2, 6, 0.05))
    plain = build("knn", metric="euclidean")
    plain.fit([RoundTrip(features=rows)])
    assert fitted(build, rows, share=0.9, clump=20)(query) > 10 * plain(query)


def test_without_trimming_it_is_knn(build, make_trip, fit):
    trip = make_trip(5)
    whole = fit(build("trimmed-knn", share=1.0, clump=3))
    assert torch.equal(whole(trip), fit(build("knn"))(trip))


def test_leaving_one_out_drops_a_kept_row_and_leaves_the_others(build):
    rows = torch.cat([cloud(60, 0), cloud(20, 1, 5)])
    score = fitted(build, rows, share=0.7, clump=7)
    kept = score.detector.kept
    places = torch.tensor([0, 79, int(kept[5]), 65])
    got = score.leave_one_out(RoundTrip(features=rows[places]), places)
    for value, place in zip(got, places.tolist(), strict=True):
        others = rows[kept[kept != place]].double()
        near = torch.cdist(rows[place : place + 1].double(), others).sort(dim=1).values
        torch.testing.assert_close(value, near[0, :5].mean().float())


def test_a_subset_to_compare_with_keeps_the_same_clouds(monkeypatch, build):
    rows = torch.cat([cloud(160, 0), cloud(40, 1, 6, 3)])
    monkeypatch.setattr(pairs, "MAX_PAIRS", 200 * 100)
    kept = fitted(build, rows, share=0.7, clump=20).detector.kept
    assert len(kept) == 140
    assert int((kept >= 160).sum()) == 0


def test_all_equal_rows_are_no_error(build):
    score = fitted(build, torch.ones(30, 8), clump=5)
    assert torch.equal(score(RoundTrip(features=torch.ones(2, 8))), torch.zeros(2))


@pytest.mark.parametrize(
    ("count", "advice"),
    [
        (1, "add"),
        (2, "set share higher, or add"),
        (10, "set these lower, or add"),
        (80, "set these lower, or add"),
    ],
)
def test_too_few_images_are_refused(build, count, advice):
    message = (
        rf"'trimmed-knn': share = 0.6 of {count} .* are {int(0.6 * count)}.* clump = 50: {advice}"
    )
    with pytest.raises(DataError, match=message):
        fitted(build, cloud(count, 0))

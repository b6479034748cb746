"""Mutual scoring against its definition in loops."""

from __future__ import annotations

import math

import pytest
import torch

from anokit.errors import DataError


def by_definition(queries: torch.Tensor, references: torch.Tensor, share: float) -> torch.Tensor:
    """Return the map ``[B, h, w]`` of feature maps ``[B, F, h, w]``, ``[M, F, h, w]``."""
    flat = references.double().flatten(2).movedim(1, -1)
    result = torch.empty(len(queries), *queries.shape[2:], dtype=torch.float64)
    for image in range(len(queries)):
        for y in range(queries.shape[2]):
            for x in range(queries.shape[3]):
                patch = queries[image, :, y, x].double()
                least = sorted(float((patches - patch).norm(dim=1).min()) for patches in flat)
                count = math.ceil(share * len(flat))
                result[image, y, x] = sum(least[:count]) / count
    return result.float()


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_it_equals_its_definition(build, make_trip, share):
    score, train, test = build("mutual", share=share), make_trip(11), make_trip(3, 1, size=3)
    score.fit([train.map(lambda t: t[:4]), train.map(lambda t: t[4:])])
    expected = by_definition(test.patches, train.patches, share)
    torch.testing.assert_close(score.map(test), expected)
    torch.testing.assert_close(score(test), expected.amax(dim=(1, 2)))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leaving_one_out_is_fitting_without_it(build, make_trip, metric):
    train = make_trip(8)
    train.patches[5] = train.patches[4]
    score = build("mutual", metric=metric)
    score.fit([train])
    got = score.leave_one_out(train, torch.arange(8))
    for place in range(8):
        again = build("mutual", metric=metric)
        again.fit([train.map(lambda t, p=place: torch.cat([t[:p], t[p + 1 :]]))])
        assert torch.equal(again(train.map(lambda t, p=place: t[[p]]))[0], got[place])


def test_an_image_that_is_no_reference_has_its_plain_score(build, make_trip):
    train = make_trip(20)
    score = build("mutual", references=6)
    score.fit([train])
    reference = torch.zeros(20, dtype=torch.bool)
    reference[score.detector.places] = True
    assert int(reference.sum()) == 6
    plain, without = score(train), score.leave_one_out(train, torch.arange(20))
    assert torch.equal(plain[~reference], without[~reference])
    assert (without[reference] > plain[reference]).all()


@pytest.mark.parametrize(("options", "count"), [({"references": 6}, 6), ({"max_patches": 40}, 4)])
def test_references_are_a_seeded_subset_whatever_the_batches(build, make_trip, options, count):
    train = make_trip(20)

    def places(seed: int, size: int) -> list[int]:
        score = build("mutual", seed=seed, **options)
        score.fit([train.map(lambda t, s=s: t[s : s + size]) for s in range(0, 20, size)])
        found = score.detector.places
        assert torch.equal(score.detector.memory, train.patches.flatten(2).mT[found])
        return found.tolist()

    assert len(places(0, 20)) == count
    assert places(0, 20) == places(0, 3) == places(0, 1)
    assert places(0, 20) != places(1, 20)


def test_no_bit_depends_on_the_batch(build, fit, make_trip):
    score, trip = fit(build("mutual")), make_trip(5)
    alone = [score(trip.map(lambda t, row=row: t[[row]])) for row in range(5)]
    assert torch.equal(torch.cat(alone), score(trip))


def test_most_references_may_be_anomalous(build, make_trip):
    """A patch that 60 % of the references share is found, since 30 % have nothing like it."""
    score, train = build("mutual"), make_trip(10)
    train.patches[:6, :, 1, 1] = 0.2 * train.patches[:6, :, 1, 1] + 4
    score.fit([train])
    knn = build("knn", on="patches", k=1, metric="euclidean")
    knn.fit([train])
    odd, normal = make_trip(1, 1), make_trip(6, 2)
    odd.patches[:, :, 1, 1] = train.patches[0, :, 1, 1] + 0.01
    assert score(odd) < score(normal).max()  # the nearest 30 % are those that have it
    few = build("mutual", share=1.0)
    few.fit([train])
    assert few(odd) > few(normal).max()
    assert knn(odd) < knn(normal).max()


def test_one_image_is_a_reference_and_cannot_be_left_out(build, make_trip):
    score, train = build("mutual"), make_trip(1)
    score.fit([train])
    assert torch.equal(score(train), torch.zeros(1))
    with pytest.raises(DataError, match=r"'mutual'.* expected two or more reference images, got 1"):
        score.leave_one_out(train, torch.zeros(1, dtype=torch.int64))


def test_what_cannot_be_fitted_is_refused(build, make_trip):
    with pytest.raises(DataError, match=r"'mutual' is fitted to training images: .* got none"):
        build("mutual").fit([])
    with pytest.raises(DataError, match=r"has 9 patches, expected at most max_patches = 8: set it"):
        build("mutual", max_patches=8).fit([make_trip(3)])

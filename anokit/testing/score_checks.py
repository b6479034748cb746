"""Checks of scores: a round trip in, one number per image out, each image for itself."""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

import torch
from torch import nn

from anokit.errors import AnokitError
from anokit.testing.check import expect, promise
from anokit.testing.closeness import SAME_BATCH, close, scores_differ
from anokit.testing.edge_trips import crowded
from anokit.testing.guarding import untouched
from anokit.testing.offline import asks_nothing
from anokit.testing.score_subject import ScoreSubject, without_fallout
from anokit.testing.trips import Batches, batch_of, changed_fields, keep, select
from anokit.types import RoundTrip


@promise("score", since="0.1")
def check_score_shape(subject: ScoreSubject) -> None:
    """Check that B images get B numbers: a tensor ``[B]``."""
    subject.values(subject.trip)


@promise("score", since="0.1")
def check_score_finite(subject: ScoreSubject) -> None:
    """Check that no score is NaN or infinite."""
    values = subject.values(subject.trip)
    expect(torch.isfinite(values).all(), f"not finite: {values.tolist()}")


@promise("score", since="0.1")
def check_score_float32(subject: ScoreSubject) -> None:
    """Check that scores are float32."""
    dtype = subject.values(subject.trip).dtype
    expect(dtype == torch.float32, f"expected float32, got {dtype}")


@promise("score", since="0.1")
def check_score_keeps_no_gradient(subject: ScoreSubject) -> None:
    """Check that neither scores nor fitted state hold on to a graph of gradients."""
    score = subject.fresh()
    values = subject.values(subject.trip, score)
    expect(not values.requires_grad, "the scores require a gradient; detach them")
    if isinstance(score, nn.Module):
        held = [name for name, value in score.named_buffers() if value.requires_grad]
        expect(not held, f"fitted state requires a gradient: {', '.join(held)}")


@promise("score", since="0.1")
def check_score_leaves_inputs(subject: ScoreSubject) -> None:
    """Check that neither scoring nor drawing a map changes the tensors that it is given."""
    trip = subject.trip
    subject.values(trip)
    changed = changed_fields(subject.trip, trip)
    if subject.has_map:
        trip = subject.trip
        subject.maps(trip)
        changed += changed_fields(subject.trip, trip)
    expect(not changed, f"changed in place: {', '.join(changed)}")


@promise("score", since="0.1")
def check_score_deterministic(subject: ScoreSubject) -> None:
    """Check that the same images get the same scores, whatever torch's global generator says."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = subject.values(subject.trip)
        torch.manual_seed(2)
        second = subject.values(subject.trip)
    expect(torch.equal(first, second), f"{first.tolist()} and then {second.tolist()}")


@promise("score", since="0.1")
def check_score_one_image(subject: ScoreSubject) -> None:
    """Check that a batch of one image is scored like any other."""
    with without_fallout("scoring a batch of one image"):
        value = subject.values(select(subject.trip, [0]))
    expect(torch.isfinite(value).all(), f"not finite: {value.tolist()}")


@promise("score", since="0.1")
def check_score_independent_of_batch(subject: ScoreSubject) -> None:
    """Check that the score of an image does not depend on which other images it is scored with."""
    whole = subject.values(subject.trip)
    half = len(whole) // 2
    parts = [range(half), range(half, len(whole))]
    halves = torch.cat([subject.values(select(subject.trip, rows)) for rows in parts])
    expect(
        close(whole, halves),
        f"{scores_differ(whole, halves)}, in one batch and in two; use statistics of each image "
        "or of the training set, never of the batch",
    )
    for row in (0, len(whole) - 1):
        try:
            among = subject.values(crowded(subject.trip, row))
        except AnokitError:
            return  # whoever refuses such companions does not listen to them
        among = torch.where(torch.arange(len(whole)) == row, among, whole)
        expect(
            close(whole, among, SAME_BATCH),
            f"{scores_differ(whole, among)}, among ordinary images and among white ones; use "
            "statistics of each image or of the training set, never of the batch",
        )


@promise("score", since="0.1")
def check_score_independent_of_order(subject: ScoreSubject) -> None:
    """Check that the score of an image does not depend on its place in the batch."""
    whole = subject.values(subject.trip)
    order = torch.arange(len(whole) - 1, -1, -1)
    turned = subject.values(select(subject.trip, order.tolist()))
    expect(close(whole[order], turned), scores_differ(whole[order], turned))


@promise("score", since="0.1")
def check_score_declares_needs(subject: ScoreSubject) -> None:
    """Check that the score reads no field of a trip that is not among its ``needs``."""
    needs = subject.needs
    with without_fallout(f"on trips with nothing but {', '.join(sorted(needs))}"):
        score = subject.fresh(Batches([keep(trip, needs) for trip in subject.training]))
        alone = subject.values(keep(subject.trip, needs), score)
    whole = subject.values(subject.trip)
    expect(close(whole, alone), f"reads other fields too: {scores_differ(whole, alone)}")


@promise("score", since="0.1")
def check_score_finds_planted(subject: ScoreSubject) -> None:
    """Check that planted anomalies score higher than the ordinary images beside them."""
    planted = subject.planted
    if planted is None:
        raise SkipTest("the plugin plants no anomaly for this score: samples={…}")
    ordinary, anomalous = planted
    held_out = select(ordinary, range(1, batch_of(ordinary), 2))
    low = float(subject.values(held_out).double().mean())
    high = float(subject.values(anomalous).double().mean())
    expect(
        high > low,
        f"mean score {high:.4g} of planted anomalies, {low:.4g} of ordinary images; expected "
        "higher = more anomalous",
    )


@promise("score", since="0.1")
def check_score_map(subject: ScoreSubject) -> None:
    """Check that a map is ``[B, H, W]``, finite, declared and independent of the batch."""
    has_map = callable(getattr(subject.score, "map", None))
    expect(has_map or not subject.map_needs, "states map_needs and has no method map")
    if not has_map or not (subject.map_needs or subject.entry.component.map_needs):
        expect(
            not has_map or callable(subject.entry.component.map_needs),
            "has a method map and states no map_needs, so nobody knows of it",
        )
        raise SkipTest("this score has no map")
    whole = subject.maps(subject.trip)
    expect(torch.isfinite(whole).all(), "the map is not finite")
    needs = subject.needs | subject.map_needs | {"image"}
    with without_fallout(f"a map of trips with nothing but {', '.join(sorted(needs))}"):
        alone = torch.cat(
            [subject.maps(keep(select(subject.trip, [row]), needs)) for row in range(len(whole))]
        )
    expect(close(whole, alone), "the map of an image depends on the other images of its batch")


@promise("score", since="0.1")
def check_score_leaves_process(subject: ScoreSubject) -> None:
    """Check that building, fitting, scoring and maps leave the state of the process as it was."""

    def draw(score: Callable[[RoundTrip], object]) -> object:
        with torch.no_grad():
            return score(subject.trip)

    score, new = subject.score, subject.make()
    untouched(subject.entry, {"being built": subject.make}, draws="restored")
    calls: dict[str, Callable[[], object]] = {
        "being fitted": lambda: subject.fresh(score=new),
        "scoring images": lambda: draw(score),
    }
    if subject.has_map:
        calls["drawing a map"] = lambda: draw(score.map)
    untouched(subject.entry, calls)


@promise("score", since="0.1")
def check_score_no_network(subject: ScoreSubject) -> None:
    """Check that building, fitting and scoring ask nothing of the network."""
    asks_nothing(lambda: subject.values(subject.trip, subject.fresh()))

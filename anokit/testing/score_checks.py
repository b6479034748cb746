"""Checks of scores: a round trip in, one number per image out, each image for itself."""

from __future__ import annotations

from unittest import SkipTest

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from anokit.scoring import probing
from anokit.store.tensors import fill_module
from anokit.testing.check import expect, promise
from anokit.testing.score_subject import ScoreSubject, without_fallout
from anokit.testing.trips import changed_fields, cloned, keep, select

RTOL = 1e-4
"""How far the score of an image may move with its batch, relative to the spread of the scores."""


def close(first: Tensor, second: Tensor) -> bool:
    """Return whether two results are equal but for the rounding of float32."""
    return probing.close(first, second, RTOL)


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
    values = subject.values(subject.trip)
    expect(not values.requires_grad, "the scores require a gradient; detach them")
    if isinstance(subject.score, nn.Module):
        held = [name for name, value in subject.score.named_buffers() if value.requires_grad]
        expect(not held, f"fitted state requires a gradient: {', '.join(held)}")


@promise("score", since="0.1")
def check_score_leaves_inputs(subject: ScoreSubject) -> None:
    """Check that scoring changes none of the tensors that it is given."""
    trip = cloned(subject.trip)
    subject.values(trip)
    changed = changed_fields(subject.trip, trip)
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
        f"in one batch {whole.tolist()}, in two {halves.tolist()}; use statistics of each image "
        "or of the training set, never of the batch",
    )


@promise("score", since="0.1")
def check_score_independent_of_order(subject: ScoreSubject) -> None:
    """Check that the score of an image does not depend on its place in the batch."""
    whole = subject.values(subject.trip)
    order = torch.arange(len(whole) - 1, -1, -1)
    turned = subject.values(select(subject.trip, order.tolist()))
    expect(close(whole[order], turned), f"{whole[order].tolist()}, turned {turned.tolist()}")


@promise("score", since="0.1")
def check_score_declares_needs(subject: ScoreSubject) -> None:
    """Check that the score reads no field of a trip that is not among its ``needs``."""
    needs = subject.needs
    with without_fallout(f"on trips with nothing but {', '.join(sorted(needs))}"):
        score = subject.make()
        if subject.learns(score):
            with torch.no_grad():
                score.fit([keep(trip, needs) for trip in subject.training])
        alone = subject.values(keep(subject.trip, needs), score)
    whole = subject.values(subject.trip)
    expect(close(whole, alone), f"reads other fields too: {whole.tolist()} or {alone.tolist()}")


@promise("score", since="0.1")
def check_score_finds_planted(subject: ScoreSubject) -> None:
    """Check that planted anomalies score higher than the ordinary images beside them."""
    if subject.planted is None:
        raise SkipTest("the plugin plants no anomaly for this score: samples={…}")
    ordinary, anomalous = subject.planted
    held_out = select(ordinary, range(1, len(ordinary.image), 2))
    low = float(subject.values(held_out).double().mean())
    high = float(subject.values(anomalous).double().mean())
    expect(
        high > low,
        f"mean score {high:.4g} of planted anomalies, {low:.4g} of ordinary images; expected "
        "higher = more anomalous",
    )


@promise("score", since="0.1")
def check_score_fit_repeats(subject: ScoreSubject) -> None:
    """Check that fitting again on the same images gives the same scores."""
    _skip_unless_fitted(subject)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = subject.values(subject.trip, subject.fresh())
        torch.manual_seed(4)
        second = subject.values(subject.trip, subject.fresh())
    expect(close(first, second), f"{first.tolist()} and then {second.tolist()}")


@promise("score", since="0.1")
def check_score_fit_leaves_inputs(subject: ScoreSubject) -> None:
    """Check that fitting changes none of the tensors that it is given."""
    _skip_unless_fitted(subject)
    trips = [cloned(trip) for trip in subject.training]
    score = subject.make()
    with torch.no_grad():
        score.fit(trips)
    changed = {
        n for a, b in zip(subject.training, trips, strict=True) for n in changed_fields(a, b)
    }
    expect(not changed, f"changed in place: {', '.join(sorted(changed))}")


@promise("score", since="0.1")
def check_score_state_survives(subject: ScoreSubject) -> None:
    """Check that what was fitted survives a safetensors file: equal scores after loading."""
    _skip_unless_fitted(subject)
    expect(
        isinstance(subject.score, nn.Module),
        "a score that is fitted must be a torch.nn.Module, or what it learned is not saved",
    )
    state = subject.score.state_dict()
    expect(state, "nothing was learned: register the state as buffers, empty in the constructor")
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    again = subject.make(seed=5)
    with without_fallout("loading the fitted state into a new score"):
        fill_module(again, load(save(plain)), "the saved state")
        loaded = subject.values(subject.trip, again)
    before = subject.values(subject.trip)
    expect(torch.equal(before, loaded), f"{before.tolist()}, loaded {loaded.tolist()}")


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


def _skip_unless_fitted(subject: ScoreSubject) -> None:
    if not subject.learns(subject.score):
        raise SkipTest("this score learns nothing")

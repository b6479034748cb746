"""Checks of scores that learn from the training set."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import torch
from safetensors.torch import load, save
from torch import nn

from anokit.store.tensors import fill_module
from anokit.testing.check import expect, promise
from anokit.testing.closeness import RTOL, close, scores_differ
from anokit.testing.score_subject import BATCH, TRAINING, ScoreSubject, without_fallout
from anokit.testing.trips import Batches, batch_of, changed_fields, select
from anokit.types import RoundTrip

LEFT_OUT = 5
"""Images that a score is fitted again without, one after the other."""

UNEXPLAINED = 0.25
"""How much of what it matters to an image to have been fitted on may be missed by a formula, on
average: some keep what one image hardly changes, such as a shrinkage, as it is."""


@promise("score", since="0.1")
def check_score_fit_repeats(subject: ScoreSubject) -> None:
    """Check that fitting again on the same images gives the same scores."""
    skip_unless_fitted(subject)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = subject.values(subject.trip, subject.fresh())
        torch.manual_seed(4)
        second = subject.values(subject.trip, subject.fresh())
    expect(close(first, second), scores_differ(first, second))


@promise("score", since="0.1")
def check_score_fit_starts_anew(subject: ScoreSubject) -> None:
    """Check that a score that was fitted before forgets it when it is fitted again."""
    skip_unless_fitted(subject)
    again = subject.fresh(Batches.of(_others(subject), BATCH))
    again = subject.fresh(score=again)
    first, second = subject.values(subject.trip), subject.values(subject.trip, again)
    expect(
        close(first, second),
        f"{scores_differ(first, second)}, fitted once and fitted after other images; begin every "
        "fit with nothing: a run fits a score several times, each time without some of the images",
    )


@promise("score", since="0.1")
def check_score_fit_independent_of_batches(subject: ScoreSubject) -> None:
    """Check that images teach the same however they are divided into batches."""
    skip_unless_fitted(subject)
    images = subject.learned_from
    count = batch_of(images)
    usual = subject.values(subject.trip)
    for size in (count, 1):
        found = subject.values(subject.trip, subject.fresh(Batches.of(images, size)))
        expect(
            close(usual, found),
            f"{scores_differ(usual, found)}, fitted in batches of {min(BATCH, count)} and of "
            f"{size}; gather sums or rows over all batches and divide once, in the end",
        )


@promise("score", since="0.1")
def check_score_fit_leaves_inputs(subject: ScoreSubject) -> None:
    """Check that fitting changes none of the tensors that it is given."""
    skip_unless_fitted(subject)
    trips = subject.training
    subject.fresh(trips)
    changed = {name for before, after in trips.lent for name in changed_fields(before, after)}
    expect(not changed, f"changed in place: {', '.join(sorted(changed))}")


@promise("score", since="0.1")
def check_score_state_survives(subject: ScoreSubject) -> None:
    """Check that what was fitted survives a safetensors file: equal scores after loading."""
    skip_unless_fitted(subject)
    again = reloaded(subject)
    with without_fallout("scoring with the fitted state loaded into a new score"):
        loaded = subject.values(subject.trip, again)
    before = subject.values(subject.trip)
    expect(close(before, loaded), f"{scores_differ(before, loaded)}, fitted and loaded")


@promise("score", since="0.1")
def check_score_leave_one_out(subject: ScoreSubject) -> None:
    """Check that ``leave_one_out`` gives about what fitting without that image gives."""
    skip_unless_fitted(subject)
    score, images = subject.score, subject.learned_from
    if not callable(getattr(score, "leave_one_out", None)):
        raise SkipTest("this score has no leave_one_out")
    count = batch_of(images)
    # Not in order: places are not those in the batch.
    places = [(7 * number + 3) % count for number in range(min(LEFT_OUT, count))]
    given = torch.tensor(places)
    with torch.no_grad():
        formula = score.leave_one_out(select(images, places), given)
    formula = subject.checked(formula, "leave_one_out", (len(places),))
    plain = subject.values(select(images, places))
    refitted = torch.cat([_without(subject, place) for place in places])
    room = UNEXPLAINED * (refitted - plain).abs().double().mean()
    room += RTOL * (refitted.max() - refitted.min())
    missed = (refitted - formula).abs().double().mean()
    expect(
        missed <= room,
        f"for images {places} of the training set it gives {_shown(formula)}, and a fit without "
        f"each gives {_shown(refitted)}; with them it is {_shown(plain)}",
    )


@promise("score", since="0.1")
def check_score_refit(subject: ScoreSubject) -> None:
    """Check that ``refit`` to the images of ``fit`` leaves the scores as they were."""
    skip_unless_fitted(subject)
    score = subject.score
    if not callable(getattr(score, "refit", None)):
        raise SkipTest("this score has no refit")
    before = subject.values(subject.trip)
    with torch.no_grad():
        score.refit(subject.training)
    after = subject.values(subject.trip, score)
    expect(
        close(before, after),
        f"{scores_differ(before, after)}, after fit and after refit to the same images; it must "
        "keep what fit chose, and learn all else as fit does",
    )


def skip_unless_fitted(subject: ScoreSubject) -> None:
    """Raise `SkipTest` where a score learns nothing."""
    if not subject.learns(subject.score):
        raise SkipTest("this score learns nothing")


def reloaded(subject: ScoreSubject) -> Any:
    """Return another score, filled with what was fitted, as from a file."""
    fitted = subject.score
    expect(
        isinstance(fitted, nn.Module),
        "a score that is fitted must be a torch.nn.Module, or what it learned is not saved",
    )
    state = fitted.state_dict()
    expect(state, "nothing was learned: register the state as buffers, empty in the constructor")
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    again = subject.make(seed=5)
    with without_fallout("loading the fitted state into a new score"):
        fill_module(again, load(save(plain)), "the saved state")
    return again


def _others(subject: ScoreSubject) -> RoundTrip:
    """Return images like those that a score is fitted on: a sample's own other half."""
    planted = subject.planted
    if planted is None:
        return subject.random(TRAINING, seed=6)
    return select(planted[0], range(1, batch_of(planted[0]), 2))


def _without(subject: ScoreSubject, place: int) -> torch.Tensor:
    images = subject.learned_from
    others = select(images, [row for row in range(batch_of(images)) if row != place])
    return subject.values(select(images, [place]), subject.fresh(Batches.of(others, BATCH)))


def _shown(values: torch.Tensor) -> str:
    return ", ".join(f"{value:.5g}" for value in values.tolist())

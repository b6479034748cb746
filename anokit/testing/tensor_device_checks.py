"""Checks that scores and encoder losses work where the images are, on a GPU too."""

from __future__ import annotations

from torch import nn

from anokit.testing.check import promise
from anokit.testing.devices import Elsewhere
from anokit.testing.loss_checks import LossSubject
from anokit.testing.score_fit_checks import reloaded
from anokit.testing.score_subject import ScoreSubject


@promise("score", since="0.1")
def check_score_device(subject: ScoreSubject) -> None:
    """Check that fit, score and map make no tensor on another device than that of their images."""
    there = Elsewhere(subject.entry)
    score = subject.score
    learns = subject.learns(score)
    score = there.module(reloaded(subject) if learns and isinstance(score, nn.Module) else score)
    trip = there.trip(subject.trip)
    there.attempt("scoring images", lambda: score(trip))
    if subject.has_map:
        there.attempt("drawing a map", lambda: score.map(trip))
    if learns:
        new = there.module(subject.make())
        batches = [there.trip(batch) for batch in subject.training]
        there.attempt("being fitted", lambda: new.fit(batches))
    there.conclude()


@promise("encoder-loss", since="0.1")
def check_loss_device(subject: LossSubject) -> None:
    """Check that a loss makes no tensor on another device than that of its images."""
    there = Elsewhere(subject.entry)
    loss, trip = there.module(subject.make()), there.trip(subject.trip)
    there.attempt("computing the loss", lambda: loss(trip))
    there.conclude()

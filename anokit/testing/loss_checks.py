"""Checks of encoder losses: a round trip in, one number out that an encoder can learn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from anokit.testing.check import expect, fail, promise
from anokit.testing.subject import Subject
from anokit.testing.trips import changed_fields, cloned, keep, random_trip
from anokit.types import RoundTrip

FROM_ENCODER = {
    "image": frozenset({"latent", "image_hat", "latent_hat", "features_hat", "critic_hat"}),
    "latent": frozenset({"latent_hat", "image_hat", "features_hat", "critic_hat"}),
}
"""Fields that depend on the encoder, by where the trip starts."""


@dataclass(frozen=True)
class LossSubject(Subject):
    """An encoder loss."""

    @cached_property
    def loss(self) -> Any:
        """Return the loss."""
        return self.make()

    @property
    def learnable(self) -> list[str]:
        """Return the fields that the loss reads and that depend on the encoder."""
        start = self.entry.component.trip_from or "image"
        return sorted(self.needs & FROM_ENCODER[start])

    def value(self, trip: RoundTrip) -> Tensor:
        """Return the loss of a trip, a scalar."""
        value = self.loss(trip)
        if not isinstance(value, Tensor):
            fail(f"the loss is a {type(value).__name__}, expected a tensor")
        return value


@promise("encoder-loss", since="0.1")
def check_loss_scalar(subject: LossSubject) -> None:
    """Check that a loss is one floating-point number."""
    value = subject.value(random_trip(4))
    expect(value.ndim == 0, f"expected a scalar, got {list(value.shape)}; take a mean")
    expect(value.is_floating_point(), f"expected a floating-point number, got {value.dtype}")


@promise("encoder-loss", since="0.1")
def check_loss_finite(subject: LossSubject) -> None:
    """Check that a loss is neither NaN nor infinite."""
    value = subject.value(random_trip(4))
    expect(torch.isfinite(value).all(), f"not finite: {value}")


@promise("encoder-loss", since="0.1")
def check_loss_leaves_inputs(subject: LossSubject) -> None:
    """Check that a loss changes none of the tensors that it is given."""
    before, trip = random_trip(4), random_trip(4)
    subject.value(trip)
    changed = changed_fields(before, trip)
    expect(not changed, f"changed in place: {', '.join(changed)}")


@promise("encoder-loss", since="0.1")
def check_loss_declares_needs(subject: LossSubject) -> None:
    """Check that a loss reads no field of a trip that is not among its ``needs``."""
    whole = random_trip(4)
    try:
        alone = subject.value(keep(whole, subject.needs))
    except Exception as error:
        given = ", ".join(sorted(subject.needs))
        fail(f"on a trip with nothing but {given}: {type(error).__name__}: {error}")
    expect(torch.equal(subject.value(whole), alone), "reads other fields too; name them in needs")


@promise("encoder-loss", since="0.1")
def check_loss_gradient(subject: LossSubject) -> None:
    """Check that a finite gradient reaches every field that is read and made by the encoder."""
    names = subject.learnable
    expect(names, f"reads nothing that depends on the encoder: {sorted(subject.needs)}")
    trip = cloned(random_trip(4))
    for name in names:
        given = trip.get(name)
        if given is not None:
            given.requires_grad_()
    value = subject.value(trip)
    expect(value.requires_grad, f"no gradient reaches {', '.join(names)}: is it detached?")
    torch.autograd.backward(value)
    for name in names:
        gradient = getattr(trip.get(name), "grad", None)
        if not isinstance(gradient, Tensor) or not bool(gradient.any()):
            fail(f"no gradient reaches {name}: is it detached, or not read at all?")
        expect(torch.isfinite(gradient).all(), f"the gradient of {name} is not finite")


@promise("encoder-loss", since="0.1")
def check_loss_zero_when_perfect(subject: LossSubject) -> None:
    """Check that the loss of a perfect trip, where everything comes back as it was, is zero."""
    trip = random_trip(4)
    perfect = RoundTrip(
        image=trip.image,
        latent=trip.latent,
        image_hat=trip.image,
        latent_hat=trip.latent,
        features=trip.features,
        features_hat=trip.features,
        patches=trip.patches,
        critic=trip.critic,
        critic_hat=trip.critic,
    )
    value = float(subject.value(perfect).detach())
    expect(abs(value) <= 1e-6, f"expected 0 on a perfect trip, got {value:.4g}")

"""Checks of encoder losses: a round trip in, one number out that an encoder can learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from anokit.testing.check import expect, fail, promise
from anokit.testing.edge_trips import EDGES, perfect
from anokit.testing.guarding import untouched
from anokit.testing.offline import asks_nothing
from anokit.testing.subject import Subject
from anokit.testing.trips import changed_fields, keep, random_trip
from anokit.types import RoundTrip

FROM_ENCODER = {
    "image": frozenset({"latent", "image_hat", "latent_hat", "features_hat", "critic_hat"}),
    "latent": frozenset({"latent_hat", "image_hat", "features_hat", "critic_hat"}),
}
"""Fields that depend on the encoder, by where the trip starts."""

ZERO = 1e-6
"""What counts as zero: rounding, as of 1 less a cosine."""


@dataclass(frozen=True)
class LossSubject(Subject):
    """An encoder loss. Whoever asks gets another trip and another loss, as for scores."""

    @property
    def loss(self) -> Any:
        """Return the loss, that nobody has called yet."""
        return self.make()

    @property
    def trip(self) -> RoundTrip:
        """Return a trip of four images, all its fields filled, that nobody has seen yet."""
        return random_trip(4)

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
    value = subject.value(subject.trip)
    expect(value.ndim == 0, f"expected a scalar, got {list(value.shape)}; take a mean")
    expect(value.is_floating_point(), f"expected a floating-point number, got {value.dtype}")


@promise("encoder-loss", since="0.1")
def check_loss_finite(subject: LossSubject) -> None:
    """Check that a loss is neither NaN nor infinite, also for flat images, zeros and copies."""
    value = subject.value(subject.trip)
    expect(torch.isfinite(value).all(), f"not finite: {value}")
    for name, made in EDGES.items():
        value = subject.value(made(subject.trip))
        expect(torch.isfinite(value).all(), f"not finite for {name}: {value}")


@promise("encoder-loss", since="0.1")
def check_loss_leaves_inputs(subject: LossSubject) -> None:
    """Check that a loss changes none of the tensors that it is given."""
    trip = subject.trip
    subject.value(trip)
    changed = changed_fields(subject.trip, trip)
    expect(not changed, f"changed in place: {', '.join(changed)}")


@promise("encoder-loss", since="0.1")
def check_loss_declares_needs(subject: LossSubject) -> None:
    """Check that a loss reads no field of a trip that is not among its ``needs``."""
    try:
        alone = subject.value(keep(subject.trip, subject.needs))
    except Exception as error:
        given = ", ".join(sorted(subject.needs))
        fail(f"on a trip with nothing but {given}: {type(error).__name__}: {error}")
    whole = subject.value(subject.trip)
    expect(torch.equal(whole, alone), "reads other fields too; name them in needs")


@promise("encoder-loss", since="0.1")
def check_loss_gradient(subject: LossSubject) -> None:
    """Check that a finite gradient reaches every field that is read and made by the encoder."""
    names = subject.learnable
    expect(names, f"reads nothing that depends on the encoder: {sorted(subject.needs)}")
    for name, gradient in _gradients(subject, subject.trip).items():
        if gradient is None or not bool(gradient.any()):
            fail(f"no gradient reaches {name}: is it detached, or not read at all?")
        expect(torch.isfinite(gradient).all(), f"the gradient of {name} is not finite")


@promise("encoder-loss", since="0.1")
def check_loss_gradient_when_perfect(subject: LossSubject) -> None:
    """Check that the gradient is finite on a perfect trip, where everything comes back."""
    for name, gradient in _gradients(subject, perfect(subject.trip)).items():
        expect(
            gradient is None or torch.isfinite(gradient).all(),
            f"the gradient of {name} is not finite where it comes back as it was; the root of a "
            "square has none at 0: add a small number under it",
        )


@promise("encoder-loss", since="0.1")
def check_loss_not_negative(subject: LossSubject) -> None:
    """Check that a loss is at least zero, on a perfect trip too."""
    for what, trip in (("random", subject.trip), ("perfect", perfect(subject.trip))):
        value = float(subject.value(trip).detach())
        expect(value >= -ZERO, f"expected 0 or more on a {what} trip, got {value:.4g}")


@promise("encoder-loss", since="0.1")
def check_loss_leaves_process(subject: LossSubject) -> None:
    """Check that building and calling a loss leave the state of the process as it was."""
    untouched(subject.entry, {"being built": subject.make}, draws="restored")
    untouched(subject.entry, {"computing the loss": lambda: subject.value(subject.trip)})


@promise("encoder-loss", since="0.1")
def check_loss_no_network(subject: LossSubject) -> None:
    """Check that building and calling a loss ask nothing of the network."""
    asks_nothing(lambda: subject.make()(subject.trip))


@promise("encoder-loss", since="0.1")
def check_loss_zero_when_perfect(subject: LossSubject) -> None:
    """Check that the loss of a perfect trip, where everything comes back as it was, is zero."""
    value = float(subject.value(perfect(subject.trip)).detach())
    expect(abs(value) <= ZERO, f"expected 0 on a perfect trip, got {value:.4g}")


def _gradients(subject: LossSubject, trip: RoundTrip) -> dict[str, Tensor | None]:
    """Return the gradient of every field that the loss reads and the encoder made."""
    names = subject.learnable
    for name in names:
        given = trip.get(name)
        if given is not None:
            given.requires_grad_()
    value = subject.value(trip)
    expect(value.requires_grad, f"no gradient reaches {', '.join(names)}: is it detached?")
    torch.autograd.backward(value)
    return {name: getattr(trip.get(name), "grad", None) for name in names}

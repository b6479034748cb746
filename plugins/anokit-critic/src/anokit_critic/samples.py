"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

import torch

from anokit.types import RoundTrip


def planted() -> tuple[RoundTrip, RoundTrip]:
    """Make a discriminator that rejects anomalous images."""
    images = torch.zeros(6, 1, 8, 8)
    accepted, rejected = torch.linspace(0.6, 0.9, 6), torch.full((6,), 0.3)
    return RoundTrip(image=images, critic=accepted), RoundTrip(image=images, critic=rejected)


SAMPLES = {"critic-rejection": planted}

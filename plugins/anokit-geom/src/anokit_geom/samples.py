"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

import torch

from anokit.types import RoundTrip


def planted() -> tuple[RoundTrip, RoundTrip]:
    """Return images whose transformations are told apart, and images whose are not."""
    return answers(120, 4.0, seed=0), answers(6, 0.0, seed=1)


def answers(count: int, sure: float, seed: int) -> RoundTrip:
    """Return log probabilities of 6 transformations, the right one ahead by ``sure``."""
    source = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 6, 6, generator=source) + sure * torch.eye(6)
    transformations = {"transformations": logits.log_softmax(dim=2)}
    return RoundTrip(image=torch.zeros(count, 1, 8, 8), extra=transformations)


SAMPLES = {"geom-dirichlet": planted, "geom-softmax": planted}

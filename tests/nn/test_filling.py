"""Trips are filled as far as they are asked for; encoder losses are summed with their weights."""

import pytest
import torch

from anokit.nn import fill, needs_of_losses, uses_bf16, weighted_losses
from anokit.types import RoundTrip, WeightedLoss


def test_a_field_is_computed_once_and_only_if_it_is_needed():
    calls = []

    def times(factor):
        def compute(x):
            calls.append(factor)
            return factor * x

        return compute

    sources = {
        "latent": (times(2), "image"),
        "on the way": (times(3), "latent"),
        "features": (times(5), "on the way"),
        "critic": (times(7), "on the way"),
        "image_hat": (times(11), "latent"),
    }
    image = torch.ones(2, 1)
    trip = fill({"image": image}, sources, frozenset({"features", "critic"}))
    assert sorted(calls) == [2, 3, 5, 7]
    assert trip.filled() == {"features", "critic"}
    assert trip.critic.tolist() == [[42.0], [42.0]]


def test_fields_are_float32_and_others_are_extra():
    sources = {"latent": (torch.Tensor.bfloat16, "image"), "mine": (torch.neg, "image")}
    trip = fill({"image": torch.ones(1)}, sources, frozenset({"latent", "mine"}))
    assert trip.latent.dtype == torch.float32
    assert trip.extra["mine"].tolist() == [-1.0]
    with pytest.raises(KeyError, match="patches"):
        fill({"image": torch.ones(1)}, sources, frozenset({"patches"}))


def loss(name, weight, field, start):
    def mean(trip):
        return trip.get(field).mean()

    return WeightedLoss(name, weight, mean, frozenset({field}), start)


def test_losses_are_summed_with_their_weights_whatever_their_trips():
    losses = [loss("a", 0.5, "latent", "image"), loss("b", 3.0, "image", "latent")]
    assert needs_of_losses(losses, "image") == {"latent"}
    assert needs_of_losses(losses, "latent") == {"image"}
    assert needs_of_losses(losses[:1], "latent") == frozenset()
    latent = torch.tensor([2.0], requires_grad=True)
    trips = {"image": RoundTrip(latent=latent), "latent": RoundTrip(image=torch.tensor([7.0]))}
    total, metrics = weighted_losses(losses, trips)
    assert total.item() == 22.0
    assert {name: value.item() for name, value in metrics.items()} == {"a": 2.0, "b": 7.0}
    total.backward()
    assert latent.grad.item() == 0.5
    with pytest.raises(ValueError, match="expected at least one"):
        weighted_losses([], trips)


@pytest.mark.parametrize(
    ("precision", "device", "expected"),
    [
        ("auto", "cpu", False),
        ("auto", "cuda", True),
        ("fp32", "cuda", False),
        ("bf16", "cpu", True),
    ],
)
def test_bf16_is_chosen_by_option_and_device(precision, device, expected):
    assert uses_bf16(torch.device(device), precision) == expected

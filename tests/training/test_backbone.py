"""The guarded backbone: whatever training had set, trips are made in the same arithmetic."""

import pytest
import torch

from anokit.training.backbone import build_losses
from anokit.types import RoundTrip

NEEDS = frozenset({"image", "latent"})


@pytest.fixture
def guarded(make, job_of, toys, monkeypatch):
    """The toy backbone, and a list of what held when its trips were made."""
    held = []

    def trip(self, images, needs):
        held.append(
            (
                images.dtype,
                torch.is_grad_enabled(),
                torch.is_autocast_enabled("cpu"),
                torch.backends.cuda.matmul.allow_tf32,
            )
        )
        wide = images.to(torch.float64).contiguous(memory_format=torch.channels_last)
        return RoundTrip(image=wide, latent=self.encoder(images.flatten(1)).t().contiguous().t())

    monkeypatch.setattr(toys.Linear, "round_trip", trip)
    return job_of(make()).backbone, held


def test_trips_are_exact_and_fields_plain_whatever_had_been_set(guarded):
    backbone, held = guarded
    images = torch.rand(3, 1, 8, 8)
    tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            trip = backbone.round_trip(images.to(torch.float16), NEEDS)
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tf32
    assert held == [(torch.float32, False, False, False)]
    for value in (trip.image, trip.latent):
        assert value.dtype == torch.float32
        assert value.is_contiguous()
        assert not value.requires_grad


def test_the_image_alone_asks_nothing_of_the_backbone(guarded):
    backbone, held = guarded
    images = torch.rand(2, 1, 8, 8)
    assert backbone.round_trip(images, frozenset({"image"})).image is images
    assert not held


def test_evaluating_puts_the_mode_back(guarded):
    backbone, _ = guarded
    backbone.module.train()
    with backbone.evaluating():
        assert not backbone.module.training
    assert backbone.module.training


def test_an_encoder_loss_that_is_a_module_goes_to_the_device_as_scores_do(make, monkeypatch):
    class Weighted(torch.nn.Module):
        def __init__(self, options):
            super().__init__()
            self.register_buffer("weights", torch.ones(4))

        def forward(self, trip):
            return (trip.latent * self.weights).square().mean()

    recipe = make()
    (part,) = recipe.encoder_losses
    monkeypatch.setattr(type(part.entry.component), "load", lambda component: Weighted)
    device = torch.device("meta")
    (loss,) = build_losses(recipe, device)
    trip = RoundTrip(latent=torch.ones(2, 4, device=device))
    assert loss.loss(trip).device == device

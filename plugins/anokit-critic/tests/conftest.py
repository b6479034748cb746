from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from anokit.types import Batch, ImageSpec
from anokit_critic.alocc import ALOCC
from anokit_critic.fence_gan import FenceGAN
from anokit_critic.plugin import ALOCCOptions, FenceGANOptions

SPEC = ImageSpec(3, 16, 16)
SMALL: dict[type, dict[str, Any]] = {
    ALOCC: {"width": 2, "batch_size": 4},
    FenceGAN: {"width": 2, "latent_size": 5, "batch_size": 4},
}


@pytest.fixture
def build() -> Callable[..., Any]:
    """Build a small backbone from a seed, in training mode."""

    def make(kind: type, *, seed: int = 0, **options: Any) -> Any:
        choose = {ALOCC: ALOCCOptions, FenceGAN: FenceGANOptions}[kind]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return kind(choose(**SMALL[kind] | options), SPEC).train()

    return make


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Draw images in [-1, 1]."""

    def images(count: int, seed: int = 0, *, size: int = 16, channels: int = 3) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, channels, size, size, generator=generator) * 2 - 1

    return images


@pytest.fixture
def train(draw: Callable[..., torch.Tensor]) -> Callable[..., list[dict[str, float]]]:
    """Take a few steps of every phase as the core's loop does; return the metrics of each."""

    @torch.enable_grad()
    def steps(backbone: Any, count: int, *, seed: int = 0, **more: Any) -> list[dict[str, float]]:
        generator = torch.Generator().manual_seed(seed)
        backbone.train()
        found = []
        for phase in backbone.phases():
            phase.optimisers()
            size = phase.batch_size
            for step in range(count):
                images = draw(size, seed=step)
                batch = Batch(images, torch.arange(size), step, step / count, generator, **more)
                found.append({name: value.item() for name, value in phase.step(batch).items()})
        backbone.eval()
        return found

    return steps


# What training steps are compared with: layers and optimisers once more, from their formulae.


def leaves(network):
    """Return copies of the parameters by name, with gradients."""
    return {
        name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()
    }


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def down(x, weights, name):
    return conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), stride=2, padding=2)


def up(x, weights, name):
    kernel, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    return conv_transpose2d(x, kernel, bias, stride=2, padding=2, output_padding=1)


def norm(x, weights, name, *, eps, mean=None, variance=None):
    """Normalise by the statistics of the batch, or by those that are given."""
    if mean is None:
        mean = x.mean(dim=(0, 2, 3))
        variance = (x - mean[:, None, None]).square().mean(dim=(0, 2, 3))
    scale = weights[f"{name}.weight"] / (variance + eps).sqrt()
    return (x - mean[:, None, None]) * scale[:, None, None] + weights[f"{name}.bias"][:, None, None]


def real_loss(logits):
    """−log D."""
    return -torch.log(1 / (1 + torch.exp(-logits)))


def fake_loss(logits):
    """−log (1 − D)."""
    return -torch.log(1 - 1 / (1 + torch.exp(-logits)))


class RMSProp:
    """m ← 0.9·m + 0.1·g², θ ← θ − lr·g/(√m + 1e-5), m = 1 at first."""

    def __init__(self, weights, rate):
        self.weights, self.rate = weights, rate
        self.square = {name: torch.ones_like(value) for name, value in weights.items()}

    def step(self, loss):
        slopes = torch.autograd.grad(loss, list(self.weights.values()))
        with torch.no_grad():
            for (name, value), slope in zip(self.weights.items(), slopes, strict=True):
                self.square[name] = 0.9 * self.square[name] + 0.1 * slope**2
                value -= self.rate * slope / (self.square[name].sqrt() + 1e-5)


class Adam:
    """Kingma and Ba's, with β = (0.5, 0.999) and ε = 1e-7."""

    def __init__(self, weights):
        self.weights, self.count = weights, 0
        self.mean = {name: torch.zeros_like(value) for name, value in weights.items()}
        self.square = {name: torch.zeros_like(value) for name, value in weights.items()}

    def step(self, loss, rate):
        self.count += 1
        slopes = torch.autograd.grad(loss, list(self.weights.values()))
        with torch.no_grad():
            for (name, value), slope in zip(self.weights.items(), slopes, strict=True):
                self.mean[name] = 0.5 * self.mean[name] + 0.5 * slope
                self.square[name] = 0.999 * self.square[name] + 0.001 * slope**2
                mean = self.mean[name] / (1 - 0.5**self.count)
                square = self.square[name] / (1 - 0.999**self.count)
                value -= rate * mean / (square.sqrt() + 1e-7)


@pytest.fixture
def by_hand() -> SimpleNamespace:
    """Return the layers, losses and optimisers above."""
    return SimpleNamespace(
        leaves=leaves,
        leaky=leaky,
        down=down,
        up=up,
        norm=norm,
        real_loss=real_loss,
        fake_loss=fake_loss,
        RMSProp=RMSProp,
        Adam=Adam,
    )

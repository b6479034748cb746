from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from anokit.types import Batch, ImageSpec
from anokit_autoencoders.plugin import anokit_backbones

COMPONENTS = {component.name: component for component in anokit_backbones()}
SPEC = ImageSpec(3, 16, 16)


@pytest.fixture
def build() -> Callable[..., Any]:
    """Build a small backbone from seed 0, by its public name."""

    def make(name: str, seed: int = 0, spec: ImageSpec = SPEC, **options: Any) -> Any:
        component = COMPONENTS[name]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return component.load()(component.options(**component.example | options), spec)

    return make


@pytest.fixture
def draw() -> Callable[..., Tensor]:
    """Draw images in [-1, 1]."""

    def images(count: int, seed: int = 0, channels: int = 3, size: int = 16) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, channels, size, size, generator=generator) * 2 - 1

    return images


@pytest.fixture(scope="session")
def by_hand() -> ModuleType:
    """Return the networks and Adam written out by hand, in the file of that name."""
    spec = importlib.util.spec_from_file_location("by_hand", Path(__file__).with_name("by_hand.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def step() -> Callable[..., dict[str, float]]:
    """Take one step of a backbone's only phase, entered before; return its metrics."""

    def one(backbone: nn.Module, images: Tensor, **fields: Any) -> dict[str, float]:
        (phase,) = backbone.phases()
        given = {
            "indices": torch.arange(len(images)),
            "step": 0,
            "progress": 0.0,
            "generator": torch.Generator().manual_seed(7),
        }
        backbone.train()
        metrics = phase.step(Batch(images, **given | fields))
        backbone.eval()
        return {name: value.item() for name, value in metrics.items()}

    return one


@pytest.fixture
def enter() -> Callable[[nn.Module], dict[str, Optimizer]]:
    """Enter a backbone's only phase; return its optimisers."""
    return lambda backbone: backbone.phases()[0].optimisers()

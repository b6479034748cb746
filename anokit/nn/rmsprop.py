"""RMSProp as TensorFlow has it, which some published networks were trained with."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import RMSprop

__all__ = ["tensorflow_rmsprop"]

DECAY = 0.9
EPS = 1e-10


def tensorflow_rmsprop(network: nn.Module, learning_rate: float) -> RMSprop:
    """Return RMSProp as in TensorFlow 1: m ← 0.9·m + 0.1·g², θ ← θ − lr·g/√(m + ε).

    Its mean square m begins at 1, not at 0, so that the first steps are small instead of the
    largest of all. PyTorch adds ε outside the root: √ε there is the same floor.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import tensorflow_rmsprop
    >>> optimiser = tensorflow_rmsprop(torch.nn.Linear(4, 4), learning_rate=1e-4)
    >>> optimiser.param_groups[0]["lr"]
    0.0001
    """
    optimiser = RMSprop(network.parameters(), lr=learning_rate, alpha=DECAY, eps=math.sqrt(EPS))
    for parameter in network.parameters():
        optimiser.state[parameter] = {
            "step": torch.zeros(()),
            "square_avg": torch.ones_like(parameter, memory_format=torch.preserve_format),
        }
    return optimiser

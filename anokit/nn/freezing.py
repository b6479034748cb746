"""Keep gradients from modules that a loss passes through but must not train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["frozen"]


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Turn off ``requires_grad`` of the modules' parameters inside the ``with`` block.

    Gradients still flow *through* the modules to their inputs; those of their weights are neither
    computed nor is anything kept for them. The backward pass may run after the block.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import frozen
    >>> generator, encoder = torch.nn.Linear(4, 8), torch.nn.Linear(8, 4)
    >>> with frozen(generator):
    ...     error = (encoder(generator(encoder(torch.rand(2, 8)))) - 1).square().mean()
    >>> error.backward()
    >>> generator.weight.grad is None, encoder.weight.grad is None
    (True, False)
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)

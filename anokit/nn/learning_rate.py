"""Learning rates that change while a phase is trained, as a function of how far it has come."""

from __future__ import annotations

from torch.optim import Optimizer

__all__ = ["set_learning_rate"]


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Set the learning rate of every group of parameters of an optimiser.

    A backbone's step calls it before the optimiser's, with a function of ``batch.progress``, such
    as ``0.1 * (1 - batch.progress)``. So the rate follows from the place in the training alone and
    a resumed run goes on with the same one. A scheduler of `torch.optim.lr_scheduler` counts steps
    where no checkpoint sees them.

    Parameters
    ----------
    optimiser
        Whose rate is set, before its ``step()``.
    rate
        Step size, ≥ 0.

    Raises
    ------
    ValueError
        Where the rate is negative or not a number.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import set_learning_rate
    >>> optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> set_learning_rate(optimiser, 0.1 * (1 - 0.5))
    >>> optimiser.param_groups[0]["lr"]
    0.05
    """
    if not rate >= 0:
        raise ValueError(f"set_learning_rate: expected a rate of at least 0, got {rate}")
    for group in optimiser.param_groups:
        group["lr"] = rate

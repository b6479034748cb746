"""Choose the arithmetic of a block of code: bfloat16 autocast, TensorFloat-32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

__all__ = ["Precision", "autocast", "tf32", "to_double", "uses_bf16"]

Precision = Literal["auto", "fp32", "bf16"]
"""Arithmetic of training, as options of backbones name it.

Examples
--------
>>> from typing import get_args
>>> from anokit.nn import Precision
>>> get_args(Precision)
('auto', 'fp32', 'bf16')
"""


def autocast(device: torch.device, enabled: bool) -> torch.autocast:
    """Return a context in which convolutions and matrix products run in bfloat16, if ``enabled``.

    Open it for one loss at a time and never around an optimiser step: inside one context autocast
    keeps the converted weights, and a step would leave those behind.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import autocast, uses_bf16
    >>> network, images = torch.nn.Conv2d(3, 8, 3), torch.rand(2, 3, 8, 8)
    >>> with autocast(images.device, uses_bf16(images.device, "bf16")):
    ...     out = network(images)
    >>> out.dtype
    torch.bfloat16
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def uses_bf16(device: torch.device, precision: Precision) -> bool:
    """Return whether forward passes of training run in bfloat16: ``auto`` means on CUDA.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import uses_bf16
    >>> uses_bf16(torch.device("cuda"), "auto"), uses_bf16(torch.device("cpu"), "auto")
    (True, False)
    """
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")


@contextmanager
def tf32(enabled: bool) -> Iterator[None]:
    """Allow or forbid TensorFloat-32 in float32 convolutions and matrix products on CUDA.

    TF32 keeps 10 bits of mantissa. The switches are the process's; they are put back on leaving.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import tf32
    >>> with tf32(False):
    ...     exact = torch.rand(4, 4) @ torch.rand(4, 4)
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = enabled
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def to_double(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor as float64, on the CPU where its device has no float64 (Apple's GPUs).

    For sums whose rounding would otherwise make a score depend on the batch.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import to_double
    >>> to_double(torch.ones(2))
    tensor([1., 1.], dtype=torch.float64)
    """
    return tensor.to("cpu" if tensor.is_mps else tensor.device, torch.float64)

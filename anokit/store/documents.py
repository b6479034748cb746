"""The one way in which JSON files are read: typed, bounded, and damaged ones told in a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from anokit.errors import CheckpointError, shortened

Model = TypeVar("Model", bound=BaseModel)

SWEPT = "cells/*/resolved.json"
"""Where the runs of a sweep lie in its folder."""

LARGEST = 512 * 2**20
"""Bytes of the largest file that is read; nothing that a run writes comes near it."""


def there(path: Path) -> bool:
    """Return whether something has this name, be it a file, a folder or a link to nowhere."""
    return os.path.lexists(path)


def read_document(path: Path, model: type[Model]) -> Model:
    """Read a JSON file into a model; a byte-order mark before it makes no difference.

    Raises
    ------
    CheckpointError
        Where it is missing, cannot be read, is no JSON object or does not fit the model.
    """
    return fitted(path, read_object(path), model)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; raise `CheckpointError` as `read_document` does."""
    content = parse(read_text(path), path)
    if not isinstance(content, dict):
        raise damaged(path, f"expected an object, got {_shown(content)}")
    return content


def read_text(path: Path) -> str:
    """Read a text file of a bounded size; raise `CheckpointError` where that fails."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise damaged(path, f"{size:,} bytes, more than the {LARGEST:,} that are read")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CheckpointError(no_run(path)) from None
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise damaged(path, f"no UTF-8 text: byte {error.start} is not") from None


def no_run(missing: Path) -> str:
    """Return what is said of a folder that lacks a file of every run, and where runs are in it.

    These are beside each other in a folder of runs, and below ``cells`` in a sweep.
    """
    said = f"{missing.parent}: has no {missing.name}; expected a run directory, as `anokit run` "
    below = sorted((*missing.parent.glob("*/resolved.json"), *missing.parent.glob(SWEPT)))
    return f"{said}leaves it" + (f", such as {below[0].parent}" if below else "")


def parse(text: str, path: Path) -> Any:
    """Return what JSON text says; raise `CheckpointError` where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise damaged(path, f"no JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise damaged(path, "no JSON of ours: nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits
        raise damaged(path, f"no JSON of ours: {error}") from None


def fitted(path: Path, content: Any, model: type[Model]) -> Model:
    """Return content as a model; raise `CheckpointError` with the first thing that does not fit."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        where = ".".join(map(str, first["loc"])) or "all of it"
        got = "" if first["type"] == "missing" else f", got {_shown(first['input'])}"
        more = f", and {len(others)} more" if others else ""
        raise damaged(path, f"{where}: {first['msg']}{got}{more}") from None
    except RecursionError:
        raise damaged(path, "nested too deeply") from None


def damaged(path: Path, why: str) -> CheckpointError:
    """Return the error that says that a file is not what was written."""
    return CheckpointError(f"{path}: damaged: {why}; take it from a backup, or run anew")


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return shortened(value)

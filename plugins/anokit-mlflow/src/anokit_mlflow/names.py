"""What a run's figures and settings are called in MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_VALUE = 500
"""Characters of a parameter's value that every server takes."""


def metric_name(*parts: str) -> str:
    """Return a name that MLflow takes: letters, digits and ``_-. /``; all else becomes ``_``.

    >>> metric_name("lr", "by_kind", "dent & scratch")
    'lr/by_kind/dent _ scratch'
    """
    return "/".join(re.sub(r"[^\w\-. ]", "_", part).strip(". ") or "_" for part in parts)


def parameters(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return a resolved recipe as flat parameters: ``backbone.images``, ``scores.lr.combine``.

    Items of a list of tables go by their ``name``, else by their place.
    """
    return {
        metric_name(name)[:250]: value[:MAX_VALUE] for name, value in _flat(recipe, "") if value
    }


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            yield from _flat(item, f"{name}.{item.get('name', place)}")
    elif isinstance(value, str):
        yield name, value
    elif value is not None:
        yield name, json.dumps(value, ensure_ascii=False)


def figures(results: Mapping[str, Any]) -> dict[str, float]:
    """Return every figure of results.json by name: ``lr/auroc``, ``lr/auroc_low``, and so on."""
    found: dict[str, float] = {}
    for row in results["rows"]:
        for key in ("threshold", "ms_per_image"):
            if row.get(key) is not None:
                found[metric_name(row["name"], key)] = float(row[key])
        for prefix, key in (("", "metrics"), ("pixel_", "pixel")):
            for metric, estimate in (row.get(key) or {}).items():
                for end, which in (("", "value"), ("_low", "low"), ("_high", "high")):
                    if estimate is not None and estimate.get(which) is not None:
                        name = metric_name(row["name"], f"{prefix}{metric}{end}")
                        found[name] = float(estimate[which])
        for kind, auroc in (row.get("by_kind") or {}).items():
            if auroc is not None:
                found[metric_name(row["name"], "by_kind", kind)] = float(auroc)
    return found

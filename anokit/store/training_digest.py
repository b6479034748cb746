"""What of a recipe decides the weights of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

TRAINING_KEYS = ("seed", "dataset", "backbone", "encoder-losses")


def training_digest(resolved: Mapping[str, Any]) -> str:
    """Return a hash over all of a resolved recipe that decides the weights."""
    content = {key: resolved[key] for key in TRAINING_KEYS}
    content |= {key: resolved["training"].get(key) for key in ("max_steps", "threads")}
    if validation := resolved["training"].get("validation"):
        content["validation"] = validation
    if refine := resolved["training"].get("refine"):
        named = {score["name"]: score for score in resolved["scores"]}
        judge = named.get(refine["score"], resolved["scores"][0])
        content["refine"] = [refine, judge, resolved["evaluation"]["folds"]]
    if resolved["training"].get("selection", "last") != "last":
        # The weights are then chosen by how the primary score does on the test set.
        content["selection"] = [resolved["scores"][0], resolved["evaluation"]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

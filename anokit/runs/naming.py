"""What systems are called where several runs follow recipes of one name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from anokit.recipe.toml import flat, label_of

MOST = 3
"""Keys that a name tells; systems that differ in more are numbered."""

LONGEST = 40
"""Characters of a value in a name."""


def told_apart(names: Sequence[str], contents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return names of systems, those that are alike with the keys of their recipes that differ.

    Parameters
    ----------
    names
        One for each system.
    contents
        What decides each system, as tables of a resolved recipe.
    """
    flats = [dict(flat(content)) for content in contents]
    found = list(names)
    for name in dict.fromkeys(names):
        places = [place for place, other in enumerate(names) if other == name]
        if len(places) == 1:
            continue
        own = [flats[place] for place in places]
        keys = [key for key in {k: None for one in own for k in one} if _differ(own, key)]
        telling = 0 < len(keys) <= MOST and all(
            len(_words(key, keys, one.get(key))) <= LONGEST for key in keys for one in own
        )
        for number, place in enumerate(places, start=1):
            words = [_words(key, keys, flats[place].get(key)) for key in keys]
            if telling:
                found[place] = ", ".join([name, *words])
            elif number > 1:
                found[place] = f"{name} ({number})"
    return found


def _differ(flats: Sequence[Mapping[str, Any]], key: str) -> bool:
    return len({json.dumps(one.get(key), sort_keys=True) for one in flats}) > 1


def _words(key: str, keys: Sequence[str], value: Any) -> str:
    """Return ``normal deer``: the last part of a key, where it tells, and a value."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = " ".join(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{label_of(key, keys)} {text}"

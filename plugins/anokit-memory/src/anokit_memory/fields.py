"""Which fields of a round trip the scores of this package read."""

from __future__ import annotations

from anokit.plugin import FittedOptions


def needs(options: FittedOptions) -> frozenset[str]:
    """Return the field that a score reads."""
    return frozenset({options.on})


def map_needs(options: FittedOptions) -> frozenset[str]:
    """Return the fields that a score's map reads: none where there is no map."""
    return frozenset({"patches", "image"}) if options.on == "patches" else frozenset()

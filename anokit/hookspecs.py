"""The four hooks. Each takes nothing and returns components; the hook is the components' kind.

No hook is ``firstresult`` or ``historic``: components are collected, never decided between. Plugins
are called one by one (`anokit.discovery`), so that one that raises costs nobody else's components.
"""

from __future__ import annotations

from collections.abc import Iterable

from anokit.plugin import Component, Kind, hookspec


@hookspec
def anokit_backbones() -> Iterable[Component]:
    """Offer models that reconstruct, encode or describe images."""
    return ()


@hookspec
def anokit_encoder_losses() -> Iterable[Component]:
    """Offer terms that train an encoder against a generator."""
    return ()


@hookspec
def anokit_scores() -> Iterable[Component]:
    """Offer anomaly scores: a round trip in, one number per image out, higher = more anomalous."""
    return ()


@hookspec
def anokit_datasets() -> Iterable[Component]:
    """Offer sources of training, contaminating and test images."""
    return ()


HOOK_KINDS: dict[str, Kind] = {
    "anokit_backbones": "backbone",
    "anokit_encoder_losses": "encoder-loss",
    "anokit_scores": "score",
    "anokit_datasets": "dataset",
}

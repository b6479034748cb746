"""The hooks. Each takes nothing. Five return components, whose kind the hook is; one, recipes.

No hook is ``firstresult`` or ``historic``: components are collected, never decided between. Plugins
are called one by one (`anokit.registry.discovery`), so that one that raises costs nobody else's
components.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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


@hookspec
def anokit_watchers() -> Iterable[Component]:
    """Offer what watches a run and keeps what it sees elsewhere; `--watch NAME` switches it on."""
    return ()


@hookspec
def anokit_recipes() -> Iterable[Path]:
    """Offer recipe files; `anokit run NAME` finds each by its file's name."""
    return ()


@dataclass(frozen=True)
class KindWords:
    """What a kind of component is called in the places where it turns up."""

    hook: str
    key: str
    """the recipe's key for components of the kind; empty where no recipe names them"""
    repeated: bool
    """whether a recipe has a list of them under that key"""
    heading: str


KIND_WORDS: dict[Kind, KindWords] = {
    "backbone": KindWords("anokit_backbones", "backbone", False, "Backbones"),
    "encoder-loss": KindWords("anokit_encoder_losses", "encoder-losses", True, "Encoder losses"),
    "score": KindWords("anokit_scores", "scores", True, "Scores"),
    "dataset": KindWords("anokit_datasets", "dataset", False, "Datasets"),
    "watcher": KindWords("anokit_watchers", "", False, "Watchers"),
}

RECIPE_KINDS: tuple[Kind, ...] = tuple(kind for kind, words in KIND_WORDS.items() if words.key)
"""Kinds of component that a recipe names."""

HOOK_KINDS: dict[str, Kind] = {words.hook: kind for kind, words in KIND_WORDS.items()}

RECIPES = "anokit_recipes"
HOOKS: tuple[str, ...] = (*HOOK_KINDS, RECIPES)
"""Every hook, in the order in which a plugin is asked."""

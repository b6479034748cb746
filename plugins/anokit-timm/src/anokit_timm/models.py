"""Models of timm by name: what they expect, and how they are built. timm is imported on use."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from anokit.errors import CheckpointError, RecipeError
from anokit_timm.hub import pretrained_file
from anokit_timm.weights import load_strictly, read_weights

if TYPE_CHECKING:
    from torch import nn


class Expectation(NamedTuple):
    """What a model was made for."""

    size: int
    """height and width of its images, in pixels"""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """of red, green and blue in [0, 1]"""
    fixed: bool
    """whether the size is built into the network, as in vision transformers"""


def describe(name: str) -> Expectation:
    """Return what the model ``name`` expects.

    Raises
    ------
    RecipeError
        Where timm has no such model, or it is not one for colour images.
    """
    config = _config(name)
    channels, size, _ = config.input_size
    if channels != 3:
        raise RecipeError(f"model {name!r} takes images of {channels} channels, expected 3")
    return Expectation(size, tuple(config.mean), tuple(config.std), bool(config.fixed_input_size))


def build_network(name: str, weights: str, size: tuple[int, int], pool: str) -> nn.Module:
    """Return a model with its weights, without its classifier, for images of ``size``.

    ``size`` is height and width in pixels. Random weights are drawn from torch's default generator.

    Raises
    ------
    RecipeError
        Where the model has no such pooling or cannot be built for the size.
    CheckpointError
        Where the weights cannot be had, or do not fit.
    """
    import timm

    # Where the size is part of the network, timm resamples pretrained position embeddings for it.
    given: dict[str, Any] = {"img_size": size} if describe(name).fixed else {}
    if weights == "pretrained":
        given |= {"pretrained": True, "pretrained_cfg_overlay": {"file": _pretrained(name)}}
    try:
        network: Any = timm.create_model(name, **given)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise RecipeError(
            f"backbone 'timm-features': model {name!r} cannot be built for images of "
            f"{size[0]}×{size[1]} pixels: {type(error).__name__}: {error}"
        ) from error
    if weights not in ("pretrained", "random"):
        load_strictly(network, read_weights(weights), f"weights = {weights!r}")
    try:
        if pool == "model":
            network.reset_classifier(0)
        else:
            network.reset_classifier(0, pool)
    except (RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(
            f"backbone 'timm-features': model {name!r} has no pool = {pool!r} "
            f"({type(error).__name__}: {error}); set pool = 'model'"
        ) from error
    return cast("nn.Module", network)


def _pretrained(name: str) -> str:
    config = _config(name)
    if not config.hf_hub_id:
        raise CheckpointError(
            f"weights = 'pretrained': timm has none of {name!r} on the Hugging Face hub; name a "
            "file of weights, or another model"
        )
    return str(pretrained_file(config.hf_hub_id, config.hf_hub_filename))


def _config(name: str) -> Any:
    """Return timm's description of a model and its pretrained weights."""
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3, 0.5)
        raise RecipeError(
            f"backbone 'timm-features': timm has no model {name!r}"
            + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")
        )
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # the model exists, the tag after the dot does not
        known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise RecipeError(
            f"backbone 'timm-features': {error}; pretrained are: {known or 'none'}"
        ) from error
    if config is None or not config.input_size:
        raise RecipeError(f"backbone 'timm-features': timm does not describe the model {name!r}")
    return config

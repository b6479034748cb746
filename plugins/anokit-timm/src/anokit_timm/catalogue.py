"""What timm knows of a model by its name. timm is imported on use."""

from __future__ import annotations

import difflib
from typing import Any, NamedTuple

from anokit.errors import CheckpointError, RecipeError
from anokit_timm.hub import pretrained_file


class Expectation(NamedTuple):
    """What a model was made for.

    Examples
    --------
    >>> from anokit_timm.networks import Expectation
    >>> own = Expectation(size=224, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), fixed=False)
    >>> own.size, own.fixed
    (224, False)
    """

    size: int
    """height and width of its images, in pixels"""
    mean: tuple[float, ...]
    """of red, green and blue, for values in [0, 1]; subtracted first"""
    std: tuple[float, ...]
    """standard deviation of red, green and blue, for values in [0, 1]; divided by then"""
    fixed: bool
    """whether the size is built into the network, as in vision transformers"""


def describe(name: str) -> Expectation:
    """Return what the model ``name`` of timm expects; its weights are neither read nor needed.

    Raises
    ------
    RecipeError
        Where timm has no such model, with the nearest names, or none with the weights that a tag
        names, or it is not one for colour images, or timm does not describe it.

    Examples
    --------
    >>> from anokit_timm.networks import describe
    >>> own = describe("test_vit")
    >>> own.size, own.mean, own.fixed
    (160, (0.5, 0.5, 0.5), True)
    >>> describe("resnet19")
    Traceback (most recent call last):
    anokit.errors.RecipeError: timm has no model 'resnet19'; did you mean ...?
    """
    config = timm_config(name)
    channels, size, _ = config.input_size
    if channels != 3:
        raise RecipeError(f"model {name!r} takes images of {channels} channels, expected 3")
    return Expectation(size, tuple(config.mean), tuple(config.std), bool(config.fixed_input_size))


def pretrained_weights(name: str) -> str:
    """Return the file of timm's own weights for a model, downloaded where the cache has none.

    Raises
    ------
    RecipeError
        As `timm_config` does.
    CheckpointError
        Where there are none, or they cannot be had.
    """
    config = timm_config(name)
    if not config.hf_hub_id:
        raise CheckpointError(
            f"weights = 'pretrained': timm has none of {name!r} on the Hugging Face hub; name a "
            "file of weights, or another model"
        )
    return str(pretrained_file(config.hf_hub_id, config.hf_hub_filename))


def timm_config(name: str) -> Any:
    """Return timm's description of a model and its pretrained weights.

    Raises
    ------
    RecipeError
        Where timm has no such model, or no such weights, or does not describe it.
    """
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3, 0.5)
        raise RecipeError(
            f"timm has no model {name!r}"
            + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")
        )
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # the model exists, the tag after the dot does not
        known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise RecipeError(f"{error}; pretrained are: {known or 'none'}") from error
    if config is None or not config.input_size:
        raise RecipeError(f"timm does not describe the model {name!r}")
    return config

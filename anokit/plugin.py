"""What a plugin's ``plugin.py`` imports: the hook marker, `Component` and `Options`. Torch-free."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import pluggy
from pydantic import BaseModel, ConfigDict, Field, field_validator

from anokit.errors import PluginError, out_of_range
from anokit.types import ImageSpec

__all__ = [
    "Component",
    "Fields",
    "FittedField",
    "FittedOptions",
    "Kind",
    "Options",
    "hookimpl",
    "hookspec",
]

hookspec = pluggy.HookspecMarker("anokit")
"""Marks a function of anokit itself as a hook; plugins have no use for it.

Examples
--------
>>> from anokit.plugin import hookspec
>>> @hookspec
... def anokit_things():
...     pass
"""
hookimpl = pluggy.HookimplMarker("anokit")
"""Marks a function of a plugin as the implementation of one of the hooks.

Examples
--------
>>> from anokit import Component, hookimpl
>>> @hookimpl
... def anokit_scores():
...     yield Component(name="mine", summary="A score of mine", factory="acme_mine.mine:Mine")
>>> [component.name for component in anokit_scores()]
['mine']
"""

Kind = Literal["backbone", "encoder-loss", "score", "dataset", "watcher"]
"""What a component is: the hook that offers it says so.

Examples
--------
>>> from anokit.plugin import Kind
>>> kind: Kind = "score"
"""
KINDS: tuple[Kind, ...] = get_args(Kind)

RESERVED_OPTIONS = frozenset(
    {"use", "name", "weight", "terms", "contamination", "contaminants_from_test", "when_missing"}
)
"""Keys of a recipe's component tables that belong to the core."""


class Options(BaseModel):
    """Base of every component's options.

    Unknown keys are errors, numbers are finite in float32 and whole ones have at most 64 bits
    wherever they stand (alone, in a list, in a union), values do not change after validation, and
    every field states its meaning, unit and range in ``Field(description=...)``: documentation is
    made from it.

    Examples
    --------
    >>> from pydantic import Field
    >>> from anokit import Options
    >>> class AngleOptions(Options):
    ...     k: int = Field(default=5, ge=1, description="Nearest training codes that count, ≥ 1.")
    >>> AngleOptions(k=3)
    AngleOptions(k=3)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _in_range(cls, value: Any, read: Callable[[Any], Any]) -> Any:
        # Before any rule of a field, whose bounds infinity may pass, and for fields of any type;
        # and after, for numbers that stand as text.
        if problem := out_of_range(value) or out_of_range(found := read(value)):
            raise ValueError(problem)
        return found


FittedField = Literal["features", "latent", "patches", "image"]
"""Fields of a round trip that `anokit.nn.field_score` can be fitted on.

Examples
--------
>>> from anokit.plugin import FittedField
>>> field: FittedField = "latent"
"""


class FittedOptions(Options):
    """Options of a score that is fitted on one field, as `anokit.nn.field_score` takes them.

    A score adds its own by a subclass, which may state other defaults.

    Examples
    --------
    >>> from pydantic import Field
    >>> from anokit.plugin import FittedField, FittedOptions
    >>> class DistanceOptions(FittedOptions):
    ...     on: FittedField = Field(default="latent", description="Field that is read.")
    >>> DistanceOptions(max_fit_images=500).on
    'latent'
    """

    on: FittedField = Field(
        default="features",
        description="Field of the round trip that is read, flattened to one vector per image; "
        "'patches' = one vector per position of the feature map, which gives an anomaly map too.",
    )
    max_fit_images: int = Field(
        default=10_000,
        ge=1,
        description="Most training images that are fitted on, ≥ 1; a larger set is cut to a "
        "seeded subset.",
    )
    patch_score: Literal["max", "mean"] = Field(
        default="max",
        description="With on = 'patches': how the positions of an image become its score.",
    )
    max_patches: int = Field(
        default=20_000,
        ge=1,
        description="With on = 'patches': most positions of all training images together that are "
        "fitted on, ≥ 1; a seeded random subset.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of every random choice in fitting, ≥ 0.")


Fields = frozenset[str] | Callable[[Any], frozenset[str]]
"""Names of round-trip fields, or a function of the options where these decide.

Examples
--------
>>> from anokit.plugin import Fields
>>> plain: Fields = frozenset({"image", "image_hat"})
>>> asked: Fields = lambda options: frozenset({options.on})
"""

_NAME = re.compile(r"^[a-z][a-z0-9-]*$")


@dataclass(frozen=True, kw_only=True)
class Component:
    """One named thing that a plugin offers, described without importing it.

    The hook that returns a component says its kind. ``PluginError`` is raised where the
    description itself is wrong: a name outside ``^[a-z][a-z0-9-]*$``, a summary of several
    lines, a factory that is not ``module:attribute``, options that use a reserved key.

    Examples
    --------
    >>> from anokit import Component
    >>> angle = Component(
    ...     name="angle",
    ...     summary="Angle of ẑ to its nearest training codes",
    ...     factory="acme_angle.angle:Angle",
    ...     needs=frozenset({"latent"}),
    ... )
    >>> angle.needs
    frozenset({'latent'})
    """

    name: str
    """what a recipe writes after ``use =``; of a watcher, what stands after ``--watch``"""
    summary: str
    """one line, no full stop; shown by ``list-plugins``"""
    factory: str | Callable[..., Any]
    """``"package.module:Name"``, imported on first use; a callable is for one-file plugins"""
    options: type[Options] = Options
    """what a recipe may write beside ``use``"""
    example: Mapping[str, Any] = field(default_factory=dict)
    """options small enough to test with on a CPU; shown in the generated docs"""
    needs: Fields = frozenset()
    """fields of a round trip that a score or an encoder loss reads"""
    map_needs: Fields = frozenset()
    """fields that a score's anomaly map reads, even those in ``needs``; empty where it has none"""
    provides: Fields = frozenset()
    """fields of a round trip that a backbone can fill"""
    trip_from: Literal["image", "latent"] | None = None
    """encoder loss: where its trip starts"""
    trips: Fields = frozenset()
    """backbone: the starts (``"image"``, ``"latent"``) that it can train an encoder on"""
    trained: bool = True
    """backbone: whether it has phases of training; False for a network that stays as it is"""
    weighs_images: bool = False
    """backbone: whether its training steps take the mean of per-image losses by `Batch.average`, so
    that a recipe may have suspects count less"""
    restored: Mapping[str, Any] = field(default_factory=dict)
    """backbone: options to change where a finished run's weights will be read into it, so that it
    does not look for weights elsewhere"""
    image_spec: Callable[[Any], ImageSpec | None] | None = None
    """dataset: the shape of its images where the options alone tell, so that a run can be planned
    without the data"""
    simulate: str | Callable[..., Any] | None = None
    """dataset: factory of a simulated stand-in, for ``when_missing = "simulate"``"""
    reader: str | Callable[..., Any] | None = None
    """dataset: how a new image is read: ``factory(options, spec)`` gives ``read(path)``, which
    returns uint8 ``[C, H, W]``; for files that a finished run scores. What it gives may have a
    method ``pieces(path)``, which returns `anokit.types.Pieces`: where in the file each image lies,
    so that maps can be painted on the file itself"""
    reference: str = ""
    """paper and equation"""

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise PluginError(f"component name {self.name!r} does not match {_NAME.pattern}")
        if not self.summary.strip() or "\n" in self.summary:
            raise PluginError(f"component {self.name!r}: summary must be one line")
        for target in (self.factory, self.simulate, self.reader):
            if isinstance(target, str) and not re.match(r"^[\w.]+:[\w.]+$", target):
                raise PluginError(
                    f"component {self.name!r}: factory {target!r} is not 'package.module:Name'"
                )
        if not (isinstance(self.options, type) and issubclass(self.options, Options)):
            raise PluginError(
                f"component {self.name!r}: options must be a subclass of anokit.Options"
            )
        if taken := RESERVED_OPTIONS & set(self.options.model_fields):
            raise PluginError(
                f"component {self.name!r}: option {min(taken)!r} is a key of the core; rename it"
            )
        if unknown := set(self.restored) - set(self.options.model_fields):
            raise PluginError(
                f"component {self.name!r}: restored names {min(unknown)!r}, which is no option"
            )

    def load(self) -> Callable[..., Any]:
        """Import and return the factory."""
        return _resolve(self.factory)

    def load_simulation(self) -> Callable[..., Any] | None:
        """Import and return the factory of the simulated stand-in, or None if there is none."""
        return None if self.simulate is None else _resolve(self.simulate)

    def load_reader(self) -> Callable[..., Any] | None:
        """Import and return the factory of the file reader, or None if there is none."""
        return None if self.reader is None else _resolve(self.reader)


def resolve_fields(fields: Fields, options: Options) -> frozenset[str]:
    """Return ``fields`` as names, asking the options where they decide.

    Raises
    ------
    PluginError
        Where the function that asks them fails.
    """
    if not callable(fields):
        return frozenset(fields)
    try:
        return frozenset(fields(options))
    except Exception as error:
        where = f"{fields.__module__}.{getattr(fields, '__qualname__', fields)}"
        raise PluginError(
            f"{where} failed to tell round-trip fields from the options {options!r}: "
            f"{type(error).__name__}: {error}; this is a fault of the plugin"
        ) from error


def _resolve(target: str | Callable[..., Any]) -> Callable[..., Any]:
    if callable(target):
        return target
    found: Callable[..., Any] = pkgutil.resolve_name(target)
    return found

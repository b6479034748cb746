"""What can be wrong with a recipe once its tables are read, and how all of it is told at once."""

from __future__ import annotations

import difflib
import importlib.metadata
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Union, get_args, get_origin

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, ValidationError

from anokit.errors import RecipeError, shortened
from anokit.plugin import resolve_fields
from anokit.recipe.parts import NamedScore, Part, WeightedPart
from anokit.recipe.tables import RefineSettings
from anokit.registry.lookup import Registry

A_TABLE = ("model_type", "model_attributes_type", "dict_type")
"""Errors of pydantic for what is no table, whose own words are those of Python."""


class Faults:
    """Collects what is wrong with a recipe, so that all of it is reported at once."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, where: str, what: str) -> None:
        """Note that ``what`` is wrong at the dotted path ``where``."""
        if (where, what) not in self.found:
            self.found.append((where, what))

    def add_validation(
        self, where: str, error: ValidationError, model: type[BaseModel], owner: str
    ) -> None:
        """Note every error of a pydantic model, unknown keys with what was probably meant.

        What a value of several types should have been is one error.
        """
        alternatives: dict[str, tuple[list[str], str]] = {}
        for item in error.errors(include_url=False):
            path = [str(part) for part in item["loc"]]
            choice = _takes_several_types(model, path[:-1])
            place = ".".join([where, *(path[:-1] if choice else path)]).strip(".")
            if item["type"] == "extra_forbidden":
                *tables, key = path
                table = _table_of(model, tables)
                self.add(
                    place, unknown_key(key, table, owner if table is model else f"{tables[-1]!r}")
                )
            elif item["type"] == "missing":
                self.add(place, "is missing")
            else:
                said = item["msg"].removeprefix("Value error, ")
                if item["type"] in A_TABLE:
                    said = "Input should be a table"
                    table = _table_of(model, path)
                    if table is not _table_of(model, path[:-1]):
                        said += f" that takes {', '.join(table.model_fields)}"
                told = isinstance(item["input"], dict) or ", got " in said
                got = "" if told else f", got {shortened(item['input'])}"
                alternatives.setdefault(place, ([], got))[0].append(said[0].lower() + said[1:])
        for place, (texts, got) in alternatives.items():
            self.add(place, ", or ".join(texts) + got)

    def raise_if_any(self, path: Path) -> None:
        """Raise one `RecipeError` that lists all faults, if there are any."""
        if not self.found:
            return
        width = min(34, max(len(where) for where, _ in self.found))
        count = "1 error" if len(self.found) == 1 else f"{len(self.found)} errors"
        lines = [f"  {where:<{width}}  {what}" for where, what in self.found]
        raise RecipeError("\n".join([f"{path}: {count}", *lines]))


def unknown_key(key: str, model: type[BaseModel], owner: str) -> str:
    """Return the message for a key that ``model`` does not have."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(key, names, 1)
    did = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown option; {owner} takes: {', '.join(sorted(names)) or 'no options'}{did}"


def _takes_several_types(model: type[BaseModel], path: Sequence[str]) -> bool:
    """Return whether the value at ``path`` below ``model`` may be of several types, no tables.

    Where it is wrong, pydantic tells so once for each type, named at the end of the path.
    """
    *tables, key = path or [""]
    field = _table_of(model, tables).model_fields.get(key)
    if field is None or get_origin(field.annotation) not in (Union, UnionType):
        return False
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    return len(kinds) > 1 and not any(
        isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds
    )


def _table_of(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """Return the model of the table at ``path`` below ``model``, as far as there are models."""
    for key in path:
        field = model.model_fields.get(key)
        annotation = None if field is None else field.annotation
        # A table that may be left out is written `Table | None`.
        optional = get_origin(annotation) in (Union, UnionType)
        kinds = get_args(annotation) if optional else (annotation,)
        tables = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not tables:
            break
        model = tables[0]
    return model


def check_requires(requires: Sequence[str], registry: Registry, faults: Faults) -> None:
    """Check that the distributions a recipe asks for are installed in versions that will do."""
    for text in requires:
        try:
            requirement = Requirement(text)
            version = importlib.metadata.version(requirement.name)
        except InvalidRequirement:
            faults.add("requires", f'{text!r} is not of the form "anokit-pgan>=0.1"')
        except importlib.metadata.PackageNotFoundError:
            faults.add("requires", f"{text} is not installed; pip install '{text}'")
        else:
            if not requirement.specifier.contains(version, prereleases=True):
                faults.add("requires", f"{text}: installed is {version}; pip install '{text}'")


RESERVED = frozenset(
    ("id", "label", "kind", "source", "image", "rank", "flagged", "p_value", "threshold", "differs")
) | {"con", "prn", "aux", "nul"}
"""What no score may be called: columns of tables of scores, keys beside the scores' own, and what
names no file on Windows."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
LONGEST_NAME = 64


def check_names(scores: Sequence[NamedScore], faults: Faults) -> None:
    """Check that names of scores differ and can name files and columns."""
    seen: set[str] = set()
    for score in scores:
        if score.name in seen:
            faults.add(
                f"scores.{score.name}", "this name is taken; give one of them another name = …"
            )
        if not NAME.fullmatch(score.name) or len(score.name) > LONGEST_NAME:
            faults.add(
                f"scores.{shortened(score.name)[1:-1]}",
                "a name is made of a to z, 0 to 9, - and _, begins with a letter or figure, and "
                f"has at most {LONGEST_NAME} characters, since it names files and columns",
            )
        if score.name in RESERVED:
            faults.add(f"scores.{score.name}", "this name is reserved; choose another")
        seen.add(score.name)


def check_terms(scores: Iterable[NamedScore], faults: Faults) -> None:
    """Check that only terms of standardised sums have what means nothing elsewhere."""
    for score in scores:
        first = score.terms[0].keys.alternative
        if first or (score.combine == "sum" and len(score.sums) > 1):
            faults.add(
                f"scores.{score.name}",
                "alternative = true begins a second or further sum of standardised terms"
                + (
                    ", which the first term cannot: remove it there"
                    if first
                    else ': write combine = "robust-z", or remove it'
                ),
            )
        for term in score.terms:
            if score.combine == "sum" and term.keys.full_weight_at > 1:
                faults.add(
                    f"scores.{score.name}",
                    f"full_weight_at = {term.keys.full_weight_at} of its term "
                    f"{term.entry.component.name!r} means something in a standardised sum alone: "
                    'write combine = "robust-z" and terms, or remove it',
                )


def check_published(
    published: Mapping[str, str | float], scores: Sequence[NamedScore], faults: Faults
) -> None:
    """Check that published figures are numbers of scores in the recipe, and have a source."""
    names = [score.name for score in scores]
    for key, value in published.items():
        if key == "differs" and not isinstance(value, str):
            faults.add("published.differs", f"must be text, got {value!r}")
        if key in ("source", "differs"):
            continue
        if isinstance(value, str):
            faults.add(f"published.{key}", f"must be a number, got {value!r}")
        elif key not in names:
            faults.add(f"published.{key}", f"no score of that name; there are: {', '.join(names)}")
    if published and not isinstance(published.get("source"), str):
        faults.add("published.source", "is missing: name the paper and table of the figures")


def check_fit(
    backbone: Part, losses: Sequence[WeightedPart], scores: Sequence[NamedScore], faults: Faults
) -> None:
    """Check what scores and losses need against what the backbone can fill and train."""
    component = backbone.entry.component
    provides = resolve_fields(component.provides, backbone.options) | {"image"}
    starts = resolve_fields(component.trips, backbone.options)
    offer = f"backbone {component.name!r} provides {', '.join(sorted(provides))}"
    for loss in losses:
        name = loss.entry.component.name
        where = f"encoder-losses.{name}"
        if not starts:
            with_options = " with these options" if component.trips else ""
            faults.add(
                where,
                f"backbone {component.name!r}{with_options} trains no encoder: "
                "remove [[encoder-losses]]",
            )
            continue
        if loss.entry.component.trip_from not in starts:
            faults.add(
                where,
                f"needs trips from {loss.entry.component.trip_from}; backbone {component.name!r} "
                f"trains an encoder on trips from {', '.join(sorted(starts))}",
            )
        missing = resolve_fields(loss.entry.component.needs, loss.options) - provides
        if missing:
            faults.add(where, f"needs {', '.join(sorted(missing))}; {offer}")
    for score in scores:
        for term in score.terms:
            missing = resolve_fields(term.entry.component.needs, term.options) - provides
            if missing:
                name = term.entry.component.name
                faults.add(
                    f"scores.{score.name}",
                    f"score {name!r} needs {', '.join(sorted(missing))}; {offer}",
                )


def check_refine(
    refine: RefineSettings | None,
    backbone: Part,
    scores: Sequence[NamedScore],
    selects: bool,
    faults: Faults,
) -> None:
    """Check that there is something to refine, something that judges, and that both go together.

    ``selects``: whether weights are chosen on the test set.
    """
    if refine is None:
        return
    component, where = backbone.entry.component, "training.refine"
    if not component.trained:
        faults.add(where, f"backbone {component.name!r} is never trained; remove it")
    elif not refine.rejects and not component.weighs_images:
        faults.add(
            f"{where}.strategy",
            f"backbone {component.name!r} has no loss of each image; use strategy = 'reject'",
        )
    names = [score.name for score in scores]
    if refine.score is not None and refine.score not in names:
        faults.add(
            f"{where}.score", f"no score {refine.score!r}; [[scores]] has: {', '.join(names)}"
        )
    if refine.afresh and selects:
        faults.add(
            f"{where}.afresh",
            'trains twice, and training.selection = "best-on-test" might choose weights of the '
            "first time; remove one of them",
        )


def check_baseline(score: NamedScore, faults: Faults) -> None:
    """Check that a baseline reads raw images alone."""
    for term in score.terms:
        extra = resolve_fields(term.entry.component.needs, term.options) - {"image"}
        if extra:
            faults.add(
                f"baselines.{score.name}",
                f"needs {', '.join(sorted(extra))}, yet a baseline sees raw images alone; "
                "list it under [[scores]]",
            )

"""Turn a recipe's tables into a `Recipe`: dispatch on ``use``, check that the parts fit."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, ValidationError

from anokit.errors import RecipeError
from anokit.plugin import RESERVED_OPTIONS, Kind, Options, resolve_fields
from anokit.recipe import (
    Dataset,
    NamedScore,
    Part,
    Recipe,
    RecipeTables,
    Weighted,
    change_tables,
    read_toml,
)
from anokit.registry import Registry, UnknownComponentError

P = TypeVar("P", bound=Part)


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
        """Note every error of a pydantic model, unknown keys with what was probably meant."""
        for item in error.errors(include_url=False):
            place = ".".join([where, *(str(part) for part in item["loc"])]).strip(".")
            if item["type"] == "extra_forbidden":
                *tables, key = (str(part) for part in item["loc"])
                table = _table_of(model, tables)
                self.add(
                    place, unknown_key(key, table, owner if table is model else f"{tables[-1]!r}")
                )
            elif item["type"] == "missing":
                self.add(place, "is missing")
            else:
                got = "" if isinstance(item["input"], dict) else f", got {item['input']!r}"
                self.add(place, item["msg"][0].lower() + item["msg"][1:] + got)

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


def _table_of(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """Return the model of the table at ``path`` below ``model``, as far as there are models."""
    for key in path:
        field = model.model_fields.get(key)
        if field is None or not isinstance(field.annotation, type):
            break
        if not issubclass(field.annotation, BaseModel):
            break
        model = field.annotation
    return model


def load_recipe(
    path: Path, registry: Registry, *, quick: bool = False, settings: Sequence[str] = ()
) -> Recipe:
    """Read, change and check a recipe file.

    Raises
    ------
    RecipeError, UsageError
        With all that is wrong.
    """
    text, data = read_toml(path)
    if quick and "quick" not in data:
        raise RecipeError(
            f"{path}: --quick: the recipe has no [quick] table; add one or run it whole"
        )
    tables = change_tables(data, quick=quick, settings=settings)
    recipe = resolve(tables, registry, path, text, quick)
    files = tuple(plugin.file for plugin in registry.plugins if plugin.file)
    return dataclasses.replace(recipe, settings=tuple(settings), plugin_files=files)


def resolve(
    data: Mapping[str, Any], registry: Registry, path: Path, text: str = "", quick: bool = False
) -> Recipe:
    """Check a recipe's tables against the registry.

    Raises
    ------
    RecipeError
        With all that is wrong.
    """
    faults = Faults()
    try:
        tables = RecipeTables.model_validate(dict(data))
    except ValidationError as error:
        faults.add_validation("", error, RecipeTables, "a recipe")
        faults.raise_if_any(path)
        raise
    reader = _Reader(registry, faults)
    _check_requires(tables.requires, registry, faults)
    dataset = reader.dataset(tables.dataset)
    backbone = reader.part("backbone", tables.backbone, "backbone", Part)
    losses = [
        reader.part("encoder-loss", table, f"encoder-losses.{table.get('use', i)}", Weighted)
        for i, table in enumerate(tables.encoder_losses)
    ]
    scores = [reader.score(table, i) for i, table in enumerate(tables.scores)]
    baselines, notices = reader.baselines(tables.baselines)
    found = [score for score in scores if score]
    _check_names([*found, *baselines], faults)
    _check_published(tables.published, [*found, *baselines], faults)
    if backbone:
        _check_fit(backbone, [loss for loss in losses if loss], found, faults)
    for baseline in baselines:
        _check_baseline(baseline, faults)
    faults.raise_if_any(path)
    if dataset is None or backbone is None:
        raise AssertionError("a part is missing, yet no fault was noted")
    published = {k: float(v) for k, v in tables.published.items() if not isinstance(v, str)}
    return Recipe(
        path=path,
        text=text,
        title=tables.title or path.stem,
        seed=tables.seed,
        requires=tuple(tables.requires),
        dataset=dataset,
        backbone=backbone,
        encoder_losses=tuple(loss for loss in losses if loss),
        scores=tuple(found),
        baselines=tuple(baselines),
        training=tables.training,
        evaluation=tables.evaluation,
        threshold=tables.threshold,
        published=published,
        published_source=str(tables.published.get("source", "")),
        quick=quick,
        notices=tuple(notices),
    )


class _Reader:
    """Reads component tables; what is wrong goes to ``faults`` and None comes back."""

    def __init__(self, registry: Registry, faults: Faults) -> None:
        self.registry = registry
        self.faults = faults

    def part(
        self,
        kind: Kind,
        table: Mapping[str, Any],
        where: str,
        build: type[P],
        core: Mapping[str, Any] | None = None,
    ) -> P | None:
        """Read one component table; ``core`` holds the keys of it that are the core's."""
        rest = dict(table)
        use = rest.pop("use", None)
        extra = dict(core or {})
        if build is Weighted:
            extra["weight"] = self._number(rest.pop("weight", 1.0), f"{where}.weight")
        if not isinstance(use, str):
            self.faults.add(f"{where}.use", f'names no {kind}: write use = "…"')
            return None
        try:
            entry = self.registry.get(kind, use)
        except UnknownComponentError as error:
            self.faults.add(f"{where}.use", str(error))
            return None
        model: type[Options] = entry.component.options
        for key in sorted(RESERVED_OPTIONS & set(rest)):
            self.faults.add(f"{where}.{key}", f"does not belong to a {kind}; remove it")
            del rest[key]
        try:
            return build(entry, model.model_validate(rest), **extra)
        except ValidationError as error:
            self.faults.add_validation(where, error, model, repr(entry.component.name))
            return None

    def dataset(self, table: Mapping[str, Any]) -> Dataset | None:
        """Read the dataset's table with the keys of it that belong to the core."""
        rest = dict(table)
        core: dict[str, Any] = {}
        for key in ("contamination", "contaminants_from_test"):
            core[key] = self._number(rest.pop(key, 0.0), f"dataset.{key}")
            if not 0 <= core[key] < 1:
                self.faults.add(
                    f"dataset.{key}", f"must be a share from 0 to below 1, got {core[key]:g}"
                )
        core["when_missing"] = rest.pop("when_missing", "error")
        if core["when_missing"] not in ("error", "simulate"):
            self.faults.add(
                "dataset.when_missing",
                f'must be "error" or "simulate", got {core["when_missing"]!r}',
            )
        part = self.part("dataset", rest, "dataset", Dataset, core)
        if part and part.when_missing == "simulate" and part.entry.component.simulate is None:
            self.faults.add(
                "dataset.when_missing", f"dataset {part.entry.component.name!r} has no simulation"
            )
        return part

    def score(self, table: Mapping[str, Any], index: int) -> NamedScore | None:
        """Read one of ``[[scores]]``: a component, or a name with terms."""
        rest = dict(table)
        name = rest.pop("name", None)
        label = name if isinstance(name, str) else rest.get("use")
        where = f"scores.{label}" if isinstance(label, str) else f"scores.{index}"
        if "terms" not in rest:
            term = self.part("score", rest, where, Weighted)
            return NamedScore(str(name or term.entry.component.name), (term,)) if term else None
        terms = rest.pop("terms")
        if not isinstance(name, str):
            self.faults.add(f"{where}.name", "a score with terms needs a name")
        if rest:
            self.faults.add(f"{where}.{min(rest)}", "a score with terms takes only name and terms")
        if not isinstance(terms, list) or not terms or not all(isinstance(t, dict) for t in terms):
            self.faults.add(
                f"{where}.terms", 'must be a list such as [{ use = "ln", weight = 0.05 }]'
            )
            return None
        read = [
            self.part("score", term, f"{where}.terms.{term.get('use', i)}", Weighted)
            for i, term in enumerate(terms)
        ]
        found = tuple(term for term in read if term)
        return NamedScore(str(name), found) if len(found) == len(read) else None

    def baselines(
        self, items: Sequence[str | dict[str, Any]]
    ) -> tuple[list[NamedScore], list[str]]:
        """Read the baselines; one whose plugin is absent is left out with a notice."""
        found: list[NamedScore] = []
        notices: list[str] = []
        for index, item in enumerate(items):
            table = {"use": item} if isinstance(item, str) else dict(item)
            if "terms" in table:  # as a resolved recipe writes it
                score = self.score(table, index)
                found += [NamedScore(score.name, score.terms, "baseline")] if score else []
                continue
            name = table.pop("name", None)
            use = str(table.get("use"))
            known = [e.component.name for e in self.registry.of_kind("score")]
            qualified = [e.qualified for e in self.registry.of_kind("score")]
            if use not in [*known, *qualified] and not difflib.get_close_matches(
                use, known, 1, 0.8
            ):
                notices.append(f"baseline {use!r} is left out: no installed plugin offers it")
                continue
            part = self.part("score", table, f"baselines.{use}", Weighted)
            if part:
                label = str(name or part.entry.component.name)
                found.append(NamedScore(label, (part,), "baseline"))
        return found, notices

    def _number(self, value: Any, where: str) -> float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            self.faults.add(where, f"must be a number, got {value!r}")
            return 0.0
        return float(value)


def _check_requires(requires: Sequence[str], registry: Registry, faults: Faults) -> None:
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


def _check_names(scores: Sequence[NamedScore], faults: Faults) -> None:
    seen: set[str] = set()
    for score in scores:
        if score.name in seen:
            faults.add(
                f"scores.{score.name}", "this name is taken; give one of them another name = …"
            )
        if not score.name or set(score.name) & set('./\\,\n"'):
            faults.add(f"scores.{score.name}", 'a name may not be empty or hold any of . / \\ , "')
        if score.name in ("id", "label", "kind", "source"):
            faults.add(f"scores.{score.name}", "this name is reserved; choose another")
        seen.add(score.name)


def _check_published(
    published: Mapping[str, str | float], scores: Sequence[NamedScore], faults: Faults
) -> None:
    names = [score.name for score in scores]
    for key, value in published.items():
        if key == "source":
            continue
        if isinstance(value, str):
            faults.add(f"published.{key}", f"must be a number, got {value!r}")
        elif key not in names:
            faults.add(f"published.{key}", f"no score of that name; there are: {', '.join(names)}")
    if published and not isinstance(published.get("source"), str):
        faults.add("published.source", "is missing: name the paper and table of the figures")


def _check_fit(
    backbone: Part, losses: Sequence[Weighted], scores: Sequence[NamedScore], faults: Faults
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


def _check_baseline(score: NamedScore, faults: Faults) -> None:
    for term in score.terms:
        extra = resolve_fields(term.entry.component.needs, term.options) - {"image"}
        if extra:
            faults.add(
                f"baselines.{score.name}",
                f"needs {', '.join(sorted(extra))}, yet a baseline sees raw images alone; "
                "list it under [[scores]]",
            )


def check_recipe(path: Path, registry: Registry, *, settings: Sequence[str] = ()) -> list[Recipe]:
    """Check a recipe as it stands and, if it has one, with its ``[quick]`` table; return both.

    Raises
    ------
    RecipeError, UsageError
        With all that is wrong.
    """
    _, data = read_toml(path)
    variants = [load_recipe(path, registry, settings=settings)]
    if "quick" in data:
        try:
            variants.append(load_recipe(path, registry, quick=True, settings=settings))
        except RecipeError as error:
            raise RecipeError(f"{error}\n  (with --quick)") from None
    return variants

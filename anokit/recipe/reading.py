"""Turn a recipe's tables into a `Recipe`: dispatch on ``use``, check that the parts fit."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from anokit.errors import RecipeError
from anokit.plugin import RESERVED_OPTIONS, Kind, Options
from anokit.recipe.changes import change_tables, read_toml
from anokit.recipe.checks import (
    Faults,
    check_baseline,
    check_fit,
    check_names,
    check_published,
    check_refine,
    check_requires,
    check_terms,
)
from anokit.recipe.finding import find_recipe
from anokit.recipe.parts import CORE_KEYS, DatasetPart, NamedScore, Part, Recipe, Term, WeightedPart
from anokit.recipe.tables import RecipeTables, Settings
from anokit.registry.lookup import Registry, UnknownComponentError, requirement_names

P = TypeVar("P", bound=Part)

COMBINE = ("sum", "robust-z")
"""How the terms of a score are added up: as they are, or standardised."""


def load_recipe(
    given: Path,
    registry: Registry,
    *,
    quick: bool = False,
    settings: Sequence[str] = (),
    recorded: frozenset[str] = frozenset(),
) -> Recipe:
    """Read, change and check a recipe: a file, or where there is none a shipped one's name.

    ``recorded``: the plugins that a run of it, which is to be resumed, was begun with.

    Raises
    ------
    RecipeError, UsageError
        With all that is wrong.
    """
    path = find_recipe(given, registry)
    text, data = read_toml(path)
    if quick and "quick" not in data:
        raise RecipeError(
            f"{path}: --quick: the recipe has no [quick] table; add one or run it whole"
        )
    tables = change_tables(data, quick=quick, settings=settings)
    notices = _drop_published(data, tables)
    recipe = resolve(tables, registry, path, text, quick, recorded)
    files = tuple(plugin.file for plugin in registry.plugins if plugin.file)
    return dataclasses.replace(
        recipe,
        given=str(given),
        settings=tuple(settings),
        plugin_files=files,
        notices=(*recipe.notices, *notices),
    )


def _drop_published(data: Mapping[str, Any], tables: dict[str, Any]) -> list[str]:
    """Take published figures out of changed tables of another contamination, and say so."""
    published = tables.get("published")
    stated, now = (_contamination(one) for one in (data, tables))
    if stated == now or not isinstance(published, dict):
        return []
    figures = [name for name, value in published.items() if not isinstance(value, str)]
    if not figures:
        return []
    tables["published"] = {k: v for k, v in published.items() if k not in figures}
    return [f"the published figures are left out: they are of contamination {stated}, not {now}"]


def _contamination(tables: Mapping[str, Any]) -> Any:
    """Return what tables of a recipe, right or wrong, state as contamination."""
    dataset = tables.get("dataset")
    return dataset.get("contamination", 0.0) if isinstance(dataset, Mapping) else None


def resolve(
    data: Mapping[str, Any],
    registry: Registry,
    path: Path,
    text: str = "",
    quick: bool = False,
    recorded: frozenset[str] = frozenset(),
) -> Recipe:
    """Check a recipe's tables against the registry.

    Where several plugins offer a bare name, one of ``recorded`` is meant, then one that the recipe
    ``requires``, then, for a shipped recipe, one that belongs to its plugin.

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
    prefer = [recorded, requirement_names(tables.requires), *registry.at_home(path)]
    reader = _Reader(registry, faults, prefer)
    check_requires(tables.requires, registry, faults)
    dataset = reader.dataset(tables.dataset)
    backbone = reader.part("backbone", tables.backbone, "backbone", Part)
    losses = [
        reader.part("encoder-loss", table, f"encoder-losses.{table.get('use', i)}", WeightedPart)
        for i, table in enumerate(tables.encoder_losses)
    ]
    scores = [reader.score(table, i) for i, table in enumerate(tables.scores)]
    baselines, notices = reader.baselines(tables.baselines)
    found = [score for score in scores if score]
    check_names([*found, *baselines], faults)
    check_terms([*found, *baselines], faults)
    check_published(tables.published, [*found, *baselines], faults)
    if backbone:
        check_fit(backbone, [loss for loss in losses if loss], found, faults)
        selects = tables.training.selection != "last"
        check_refine(tables.training.refine, backbone, found, selects, faults)
        if tables.training.validation and not backbone.entry.component.trained:
            name = backbone.entry.component.name
            faults.add("training.validation", f"backbone {name!r} is never trained; remove it")
    for baseline in baselines:
        check_baseline(baseline, faults)
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
        published_differs=str(tables.published.get("differs", "")).strip(),
        quick=quick,
        notices=tuple(notices),
    )


class _Reader:
    """Reads component tables; what is wrong goes to ``faults`` and None comes back."""

    def __init__(
        self, registry: Registry, faults: Faults, prefer: Sequence[frozenset[str]] = ()
    ) -> None:
        self.prefer = prefer
        self.registry = registry
        self.faults = faults

    def part(self, kind: Kind, table: Mapping[str, Any], where: str, build: type[P]) -> P | None:
        """Read one component table: the core's keys of it, and the component's options."""
        rest = dict(table)
        use = rest.pop("use", None)
        keys = self._keys(CORE_KEYS[kind], rest, where)
        if not isinstance(use, str):
            self.faults.add(f"{where}.use", f'names no {kind}: write use = "…"')
            return None
        try:
            entry = self.registry.get(kind, use, self.prefer)
        except UnknownComponentError as error:
            self.faults.add(f"{where}.use", str(error))
            return None
        model: type[Options] = entry.component.options
        for key in sorted(RESERVED_OPTIONS & set(rest)):
            self.faults.add(f"{where}.{key}", f"does not belong to a {kind}; remove it")
            del rest[key]
        try:
            return build(entry, model.model_validate(rest), keys)
        except ValidationError as error:
            self.faults.add_validation(where, error, model, repr(entry.component.name))
            return None

    def _keys(self, model: type[Settings], table: dict[str, Any], where: str) -> Settings:
        """Take the keys of ``model`` out of a table; the defaults where they are wrong."""
        mine = {name: table.pop(name) for name in model.model_fields if name in table}
        try:
            return model.model_validate(mine)
        except ValidationError as error:
            self.faults.add_validation(where, error, model, "a recipe")
            return model.model_validate({})

    def dataset(self, table: Mapping[str, Any]) -> DatasetPart | None:
        """Read the dataset's table."""
        part = self.part("dataset", table, "dataset", DatasetPart)
        if part and part.keys.when_missing == "simulate" and part.entry.component.simulate is None:
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
            term = self.part("score", rest, where, Term)
            own = "" if term is None else term.entry.component.name
            return NamedScore(own if name is None else str(name), (term,)) if term else None
        terms, combine = rest.pop("terms"), rest.pop("combine", "sum")
        if not isinstance(name, str):
            self.faults.add(f"{where}.name", "a score with terms needs a name")
        if combine not in COMBINE:
            self.faults.add(f"{where}.combine", f"expected one of {COMBINE}, got {combine!r}")
        if rest:
            self.faults.add(
                f"{where}.{min(rest)}", "a score with terms takes only name, combine and terms"
            )
        if not isinstance(terms, list) or not terms or not all(isinstance(t, dict) for t in terms):
            self.faults.add(
                f"{where}.terms", 'must be a list such as [{ use = "ln", weight = 0.05 }]'
            )
            return None
        read = [
            self.part("score", term, f"{where}.terms.{term.get('use', i)}", Term)
            for i, term in enumerate(terms)
        ]
        found = tuple(term for term in read if term)
        if len(found) != len(read) or combine not in COMBINE:
            return None
        return NamedScore(str(name), found, combine=combine)

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
                found += [dataclasses.replace(score, role="baseline")] if score else []
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
            part = self.part("score", table, f"baselines.{use}", Term)
            if part:
                label = part.entry.component.name if name is None else str(name)
                found.append(NamedScore(label, (part,), "baseline"))
        return found, notices


def check_recipe(given: Path, registry: Registry, *, settings: Sequence[str] = ()) -> list[Recipe]:
    """Check a recipe as it stands and, if it has one, with its ``[quick]`` table; return both.

    Raises
    ------
    RecipeError, UsageError
        With all that is wrong.
    """
    _, data = read_toml(find_recipe(given, registry))
    variants = [load_recipe(given, registry, settings=settings)]
    if "quick" in data:
        try:
            variants.append(load_recipe(given, registry, quick=True, settings=settings))
        except RecipeError as error:
            raise RecipeError(f"{error}\n  (with --quick)") from None
    return variants

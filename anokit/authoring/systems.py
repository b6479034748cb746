"""The page on all systems: recipes, published figures, and what was measured with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anokit.authoring.markdown import MADE, table
from anokit.authoring.measured import Measured, Shelf
from anokit.errors import AnokitError
from anokit.recipe.parts import Recipe
from anokit.recipe.reading import load_recipe
from anokit.registry.lookup import Registry
from anokit.results.metrics import Estimate
from anokit.results.rows import Row

ABOUT = """\
Every recipe that the packages bring, with the figure that its paper prints and what was measured
here. AUROC of the recipe's first score, with a 95 % bootstrap interval over test images, of one
training run: the spread between seeds is not in it. Whole: the recipe as it stands. Quick: with
`--quick`, which makes networks narrower and schedules shorter, so that it shows the path and says
little about the published figure. γ: share of unlabelled anomalies in the training set. A dash: not
measured. A star: measured before the recipe was changed to its present form."""

ABOUT_RUNS = """\
All scores of every run above, and of runs with other settings. `anokit run` with these arguments
makes it again."""

CONTAMINATION = "dataset.contamination="

MANY = 0.1
"""The contamination of the last column."""

UNVERIFIED = "unverified"
"""The word by which a source says that its figures were recalled and not looked up."""


def systems_page(registry: Registry, shelf: Shelf) -> str:
    """Return the page on all recipes that can be run here."""
    found = list(_recipes(registry))
    papers = [pair for pair in found if pair[1].published_source]
    others = [pair for pair in found if not pair[1].published_source]
    parts = ["# Systems", MADE, ABOUT]
    parts += ["## From papers", _overview(papers, registry, shelf)]
    differences = "\n".join(_difference(recipe, shelf) for _, recipe in papers)
    parts += ["## What differs from the publication, and why", differences]
    parts += ["## Not in a paper", _overview(others, registry, shelf)]
    parts += ["## Runs", ABOUT_RUNS, *_runs(found, registry, shelf)]
    return "\n\n".join(parts) + "\n"


def _recipes(registry: Registry) -> Iterator[tuple[str, Recipe]]:
    """Yield the package and the recipe of everything shipped that is whole here, by name."""
    for shipped in sorted(registry.recipes, key=lambda shipped: shipped.name):
        try:
            yield shipped.plugin, load_recipe(shipped.path, registry)
        except AnokitError:
            continue  # `anokit recipes` says what is missing


def _overview(pairs: Sequence[tuple[str, Recipe]], registry: Registry, shelf: Shelf) -> str:
    head = ("recipe", "system", "package", "published", "whole", "quick", "quick, γ = 10 %")
    rows = []
    for package, recipe in pairs:
        runs = shelf.of(recipe)
        own = recipe.dataset.keys.contamination
        whole = [m for m in runs if not m.results.quick and not m.settings]
        quick = [m for m in runs if m.results.quick and not m.settings]
        dirty = [
            m
            for m in runs
            if m.results.quick
            and m.results.contamination == MANY
            and all(setting.startswith(CONTAMINATION) for setting in m.settings)
        ]
        system = recipe.backbone.entry.component.name
        share = f" (γ = {100 * own:g} %)" if own else ""
        rows.append(
            (
                f"`{recipe.name}`{share}",
                f"[`{system}`](components.md#backbone-{system})",
                package,
                _published(recipe),
                *(_ours(found, registry) for found in (whole, quick, dirty)),
            )
        )
    return "\n".join(table(head, rows))


def _published(recipe: Recipe) -> str:
    figures = [f"{name} {value:g}" for name, value in recipe.published.items()]
    doubt = f" ({UNVERIFIED})" if figures and UNVERIFIED in recipe.published_source else ""
    return ", ".join(figures) + doubt or "–"


def _primary(measured: Measured) -> Estimate | None:
    """Return the AUROC of a run's first score."""
    row = measured.results.row(measured.results.primary)
    return None if row is None else row.metric("auroc")


def _ours(found: Sequence[Measured], registry: Registry) -> str:
    for measured in found:
        auroc = _primary(measured)
        if auroc is not None:
            return f"{auroc}{'' if measured.is_current(registry) else ' *'}"
    return "–"


def _figure(row: Row) -> str:
    return str(row.metric("auroc") or "–")


def _difference(recipe: Recipe, shelf: Shelf) -> str:
    """Return what the recipe says that differs, and whether its figure was reached."""
    words = [recipe.published_differs or "nothing is noted."]
    runs = [measured for measured in shelf.of(recipe) if not measured.settings]
    whole = [measured for measured in runs if not measured.results.quick]
    changed = [one for one in shelf.of(recipe) if one.settings and not one.results.quick]
    if not whole:
        words.append(f"The whole recipe was not run here{', its quick form was' * bool(runs)}.")
    for measured in whole:
        auroc, published = _primary(measured), recipe.published.get(recipe.primary.name)
        if auroc and published and auroc.high < published:
            words.append(f"Its figure was not reached: {auroc}, published {published:g}.")
    words += [f"With {', '.join(one.settings)}: {_primary(one) or 'none'}." for one in changed]
    return f"- `{recipe.name}` ({recipe.published_source}): {' '.join(words)}"


def _runs(pairs: Sequence[tuple[str, Recipe]], registry: Registry, shelf: Shelf) -> Iterator[str]:
    for _, recipe in pairs:
        for measured in shelf.of(recipe):
            results = measured.results
            star = "" if measured.is_current(registry) else " *"
            about = (
                f"Seed {results.seed}, {results.train_images:,} training images, test images: "
                f"{results.test_normal:,} normal, {results.test_anomalous:,} anomalous"
            )
            if results.contaminants:
                about += f", {results.contaminants:,} contaminants"
            if results.refined and results.refined.judgements:
                last = results.refined.judgements[-1]
                about += (
                    f"; left out of training in the end {last.rejected:,} images, "
                    f"{last.contaminants:,} contaminants among them"
                )
            scores = [
                (f"{row.name}{' (baseline)' if row.kind == 'baseline' else ''}", _figure(row))
                for row in results.rows
            ]
            yield f"### `{measured.arguments}`{star}"
            yield f"{about}. {results.protocol.capitalize()}."
            yield "\n".join(table(("score", "AUROC"), scores))

"""Look components up by kind and name; say what was meant where a name is wrong."""

from __future__ import annotations

import difflib
import importlib.metadata
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from anokit.errors import AnokitError
from anokit.plugin import KINDS, Kind
from anokit.registry.discovery import discover, normalise
from anokit.registry.entries import Entry, FoundPlugin, Loaded, Problem, ShippedRecipe, SlowImport


class UnknownComponentError(AnokitError):
    """No component of that kind and name is installed, or the bare name is offered twice."""

    exit_code = 2


def requirement_names(requirements: Iterable[str]) -> frozenset[str]:
    """Return the distributions that requirements such as ``acme>=1; extra == "all"`` name."""
    found = (re.match(r"[A-Za-z0-9._-]+", text.strip()) for text in requirements)
    return frozenset(normalise(match.group()) for match in found if match)


class Registry:
    """What all loaded plugins offer, and the problems of those that could not be loaded."""

    def __init__(self, loaded: Loaded) -> None:
        order = {kind: place for place, kind in enumerate(KINDS)}
        self.entries: list[Entry] = sorted(
            loaded.entries, key=lambda e: (order[e.kind], e.component.name, e.plugin)
        )
        self.problems: list[Problem] = list(loaded.problems)
        self.plugins: list[FoundPlugin] = list(loaded.plugins)
        self.slow: list[SlowImport] = list(loaded.slow)
        self.recipes: list[ShippedRecipe] = sorted(
            loaded.recipes, key=lambda recipe: (recipe.name, recipe.plugin)
        )
        self.problems += [
            Problem(
                entry.plugin,
                entry.version,
                f"{kind} {name!r} is offered by another plugin too",
                f'write use = "{entry.qualified}" in recipes',
            )
            for (kind, name), entries in self._by_name.items()
            if len(entries) > 1
            for entry in entries
        ]
        self.problems += [
            Problem(
                recipe.plugin,
                recipe.version,
                f"recipe {recipe.name!r} is shipped by another plugin too",
                f"call it {recipe.qualified}",
            )
            for recipe in self.recipes
            if len(self.recipes_called(recipe.name)) > 1
        ]

    @classmethod
    def load(
        cls,
        files: Sequence[Path] = (),
        kept: Sequence[FoundPlugin] = (),
        among: Collection[str] | None = None,
    ) -> Registry:
        """Discover the installed plugins and the given one-file plugins; see `discover`."""
        return cls(discover(files, kept, among))

    @cached_property
    def _by_name(self) -> dict[tuple[Kind, str], list[Entry]]:
        found: dict[tuple[Kind, str], list[Entry]] = {}
        for entry in self.entries:
            found.setdefault((entry.kind, entry.component.name), []).append(entry)
        return found

    def of_kind(self, kind: Kind) -> list[Entry]:
        """Return the components of one kind, sorted by name."""
        return [entry for entry in self.entries if entry.kind == kind]

    def ambiguous(self, entry: Entry) -> bool:
        """Return whether the bare name of ``entry`` is offered by several plugins."""
        return len(self._by_name[entry.kind, entry.component.name]) > 1

    def recipes_called(self, name: str) -> list[ShippedRecipe]:
        """Return the shipped recipes that ``name`` may mean; bare or as ``plugin/name``."""
        return [recipe for recipe in self.recipes if name in (recipe.name, recipe.qualified)]

    def at_home(self, recipe: Path) -> list[frozenset[str]]:
        """Return the plugins that bare names in a recipe file mean first, if a plugin ships it.

        They are that plugin, what it depends on, and, where anokit itself names it among its
        extras, all that anokit names: these belong together, whatever else is installed.
        """
        shipped = next((r for r in self.recipes if r.path.resolve() == recipe.resolve()), None)
        if shipped is None:
            return []
        found = next((p for p in self.plugins if p.name == shipped.plugin), None)
        needed = requirement_names(found.requires if found else ())
        try:
            named = requirement_names(importlib.metadata.requires("anokit") or ())
        except importlib.metadata.PackageNotFoundError:
            named = frozenset()
        own = [frozenset({shipped.plugin}), needed]
        return [*own, named] if shipped.plugin in named else own

    def get(self, kind: Kind, name: str, prefer: Sequence[frozenset[str]] = ()) -> Entry:
        """Return the component that ``use = name`` means; bare or as ``plugin/name``.

        Where several plugins offer a bare name, the first group of plugins in ``prefer`` of which
        just one offers it decides.

        Raises
        ------
        UnknownComponentError
            With the closest name, the installed ones, and the qualified names of an ambiguous one.
        """
        matches = [e for e in self.of_kind(kind) if name in (e.component.name, e.qualified)]
        if len(matches) == 1:
            return matches[0]
        for group in prefer:
            here = [entry for entry in matches if entry.plugin in group]
            if len(here) == 1:
                return here[0]
        if matches:
            names = " or ".join(f'"{e.qualified}"' for e in matches)
            plugins = " and ".join(e.plugin for e in matches)
            raise UnknownComponentError(
                f"{kind} {name!r} is offered by {plugins}; write {names}, or name the plugin that "
                f'is meant for all bare names: requires = ["{matches[0].plugin}"]'
            )
        raise UnknownComponentError(self._unknown(kind, name))

    def called(self, name: str) -> Entry:
        """Return the component of whatever kind that has a name, bare or as ``plugin/name``.

        Raises
        ------
        UnknownComponentError
            Where there is none, or several have it.
        """
        kinds = sorted({e.kind for e in self.entries if name in (e.component.name, e.qualified)})
        if len(kinds) > 1:
            raise UnknownComponentError(
                f"{name!r} is a {' and a '.join(kinds)}; say which is meant: {kinds[0]} {name}"
            )
        if not kinds:
            raise UnknownComponentError(self._unknown(None, name))
        return self.get(kinds[0], name)

    def _unknown(self, kind: Kind | None, name: str) -> str:
        here = self.entries if kind is None else self.of_kind(kind)
        names = [e.component.name for e in here]
        close = difflib.get_close_matches(name, [*names, *(e.qualified for e in here)], 1)
        parts = [f"unknown {kind or 'component'} {name!r}"]
        if close:
            parts[0] += f", did you mean {close[0]!r}?"
        other = [e.kind for e in self.entries if name in (e.component.name, e.qualified)]
        if other:
            parts.append(f"there is a {other[0]} of that name")
        plugin, slash, _ = name.rpartition("/")
        known = {found.name for found in self.plugins} | {found.plugin for found in self.problems}
        if slash and not close and plugin not in known:
            todo = "install it, or name its file with --plugin"
            parts.append(f"no plugin {plugin!r} is loaded, so {todo}")
        elif kind is None:
            parts.append("anokit list-plugins shows all that are installed")
        else:
            parts.append(f"installed: {', '.join(sorted(set(names))) or 'none'}")
        broken = sorted({p.plugin for p in self.problems if not p.of_file})
        if broken:
            parts.append(f"with problems: {', '.join(broken)} (see anokit list-plugins)")
        # A file is no installed plugin: anokit list-plugins would not speak of it.
        for problem in (p for p in self.problems if p.of_file):
            hint = f" ({problem.hint})" if problem.hint else ""
            parts.append(f"--plugin {problem.plugin}: {problem.message}{hint}")
        if not close:
            parts.append(f"in {sys.prefix}")
        return "; ".join(parts)

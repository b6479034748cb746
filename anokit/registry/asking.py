"""Ask one plugin's module for what it offers; whatever goes wrong becomes a problem of that plugin.

Each module is registered with a manager of its own, so that a hook that raises costs nobody else's
components.
"""

from __future__ import annotations

import difflib
import os
import re
import traceback
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

import pluggy

from anokit.plugin import Component, Kind
from anokit.registry import hookspecs
from anokit.registry.blame import asked_for, told
from anokit.registry.entries import Entry, FoundPlugin, Loaded, Problem, ShippedRecipe
from anokit.registry.hookspecs import HOOK_KINDS, HOOKS, RECIPES

GROUP = "anokit"
"""Group of entry points, and name of the hooks' project."""

HERE = Path(__file__).parent
RECIPE_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def ask(plugin: FoundPlugin, module: ModuleType, result: Loaded) -> None:
    """Register ``module`` with a manager of its own and collect what its hooks return."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
    except pluggy.PluginValidationError as error:
        text = " ".join(str(error).split())
        result.problems.append(Problem(plugin.name, plugin.version, f"not loaded: {text}"))
        return
    for name in sorted({impl.function.__name__ for impl in _unknown_hooks(manager)}):
        close = difflib.get_close_matches(name, HOOKS, 1)
        did = f"did you mean {close[0]}? or " if close else ""
        result.problems.append(
            Problem(
                plugin.name,
                plugin.version,
                f"unknown hook {name}",
                f"{did}the plugin needs a newer anokit; the hooks are {', '.join(HOOKS)}",
            )
        )
    for hook in HOOKS:
        try:
            answers = [list(answer) for answer in getattr(manager.hook, hook)()]
        except BaseException as error:
            if asked_for(error):
                raise
            result.problems.append(failure(plugin, f"{hook}() failed", error))
            continue
        for item in (item for answer in answers for item in answer):
            if hook == RECIPES:
                _accept_recipe(plugin, item, result)
            else:
                _accept(plugin, hook, HOOK_KINDS[hook], item, result)


def _unknown_hooks(manager: pluggy.PluginManager) -> list[pluggy.HookImpl]:
    callers = [
        getattr(manager.hook, name) for name in vars(manager.hook) if not name.startswith("_")
    ]
    return [
        impl
        for caller in callers
        if not caller.has_spec()
        for impl in caller.get_hookimpls()
        if not impl.optionalhook
    ]


def _accept(plugin: FoundPlugin, hook: str, kind: Kind, item: object, result: Loaded) -> None:
    if not isinstance(item, Component):
        message = f"{hook}() returned a {type(item).__name__}, expected anokit.Component"
        result.problems.append(Problem(plugin.name, plugin.version, message))
        return
    for field in ("needs", "map_needs", "provides", "trips"):
        if not _names_fields(given := getattr(item, field)):
            message = f"{kind} {item.name!r}: {field} is {given!r}, expected names of fields"
            hint = f'write {field}=frozenset({{"latent"}}), or a function of the options'
            result.problems.append(Problem(plugin.name, plugin.version, message, hint))
            return
    for field in ("factory", "simulate", "reader"):
        if plugin.file and _names_its_file(target := getattr(item, field), plugin.file):
            message = f"{kind} {item.name!r}: {field} is {target!r}, and {plugin.file} is no module"
            hint = f"give what it names itself: {field}={target.partition(':')[2]}, without quotes"
            result.problems.append(Problem(plugin.name, plugin.version, message, hint))
            return
    twice = any(e.kind == kind and e.component.name == item.name for e in result.entries)
    if twice:
        message = f"offers two components called {kind} {item.name!r}; the second is left out"
        result.problems.append(Problem(plugin.name, plugin.version, message))
        return
    result.entries.append(Entry(kind, item, plugin.name, plugin.version))


def _names_its_file(target: object, file: Path) -> TypeGuard[str]:
    """Return whether a factory names a one-file plugin as if it could be imported."""
    named = isinstance(target, str) and target.partition(":")[0] == file.stem
    return named and find_spec(file.stem) is None


def _names_fields(given: object) -> bool:
    # A lone string is a collection of strings too: of its letters.
    return callable(given) or (
        isinstance(given, Collection)
        and not isinstance(given, str)
        and all(isinstance(name, str) for name in given)
    )


def _accept_recipe(plugin: FoundPlugin, item: object, result: Loaded) -> None:
    """Note a recipe that lies where the plugin says; nothing is read."""
    message = ""
    if not isinstance(item, os.PathLike):
        message = f"{RECIPES}() returned a {type(item).__name__}, expected pathlib.Path"
    elif (path := Path(item)).suffix != ".toml" or not RECIPE_NAME.fullmatch(path.stem):
        message = f"{RECIPES}() returned {path}, expected a file NAME.toml, {RECIPE_NAME.pattern}"
    elif not path.is_file():
        message = f"{RECIPES}() returned {path}, which is not there"
    elif any(recipe.name == path.stem for recipe in result.recipes):
        message = f"ships two recipes called {path.stem!r}; the second is left out"
    else:
        result.recipes.append(ShippedRecipe(path.stem, path, plugin.name, plugin.version))
    if message:
        result.problems.append(Problem(plugin.name, plugin.version, message))


def failure(plugin: FoundPlugin, what: str, error: BaseException) -> Problem:
    """Return what went wrong in a plugin's code as a problem that names the plugin's own line."""
    frames = traceback.extract_tb(error.__traceback__)
    # The last frame outside Python's own import machinery and pluggy is the plugin's own line.
    own = [f for f in frames if "importlib" not in f.filename and "pluggy" not in f.filename]
    own = [f for f in own if Path(f.filename).parent != HERE]
    where = f"{own[-1].filename}:{own[-1].lineno} " if own else ""
    return Problem(
        plugin.name,
        plugin.version,
        f"{what}: {where}{told(error)}",
        f"reinstall or remove it: pip uninstall {plugin.name}" if plugin.file is None else "",
        "".join(traceback.format_exception(error)),
    )

"""Find plugins by their metadata, load them one by one, and turn every failure into a problem.

pluggy's own loader stops at the first broken plugin, silently keeps the first of two equal names,
and one raising hook loses everybody's results. So: `find` reads metadata alone, `load` handles one
plugin in isolation, and neither ever raises for a plugin's fault.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import CodeType, ModuleType

import pluggy
from packaging.requirements import InvalidRequirement, Requirement

from anokit.errors import UsageError
from anokit.plugin import Component, Kind
from anokit.registry import hookspecs
from anokit.registry.entries import Entry, FoundPlugin, Loaded, Problem
from anokit.registry.hookspecs import HOOK_KINDS
from anokit.version import __version__

GROUP = "anokit"


def discover(files: Sequence[Path] = (), kept: Sequence[FoundPlugin] = ()) -> Loaded:
    """Load the installed plugins that ``ANOKIT_PLUGINS`` admits, and the one-file plugins.

    ``files`` are read here; ``kept`` were read before, as `file_plugin` does.
    """
    found, problems = find()
    result = Loaded(problems=problems)
    # The same file given twice, or kept in a run directory as well, is one plugin.
    given = {(one.name, one.version): one for one in (*kept, *map(file_plugin, files))}
    for plugin in [*found, *given.values()]:
        one = load(plugin)
        result.entries += one.entries
        result.problems += one.problems
        result.plugins += one.plugins
    return result


def find(path: Iterable[str] | None = None) -> tuple[list[FoundPlugin], list[Problem]]:
    """Return the plugins that are installed, sorted by name, without importing any.

    ``path`` replaces `sys.path`. A distribution that lies twice on the path counts once, as Python
    itself would import it, with a problem that names the other place.
    """
    wanted = _wanted()
    found: dict[str, FoundPlugin] = {}
    places: dict[str, Path] = {}
    problems: list[Problem] = []
    source = importlib.metadata.distributions(path=sys.path if path is None else list(path))
    for dist in source:
        try:
            points = _entry_points(dist)
        except (TypeError, ValueError) as error:
            name = normalise(dist.metadata["Name"] or "unnamed")
            text = f"its entry_points.txt is damaged: {error}"
            problems.append(Problem(name, dist.version, text, f"reinstall {name}"))
            continue
        if not points:
            continue
        name = normalise(dist.metadata["Name"] or "unnamed")
        place = Path(str(dist.locate_file(""))).resolve()
        if wanted is not None and name not in wanted:
            continue
        if name in found:
            if place != places[name]:
                problems.append(
                    Problem(
                        name,
                        dist.version,
                        f"installed twice: {found[name].version} in {places[name]} is used, "
                        f"{dist.version} in {place} is not",
                        f"uninstall one: pip uninstall {name}",
                    )
                )
            continue
        places[name] = place
        found[name] = FoundPlugin(
            name,
            dist.version,
            tuple(sorted(set(points))),
            tuple(dist.requires or ()),
        )
    absent = "named in ANOKIT_PLUGINS but not installed"
    problems += [
        Problem(missing, "", absent, f"pip install {missing}")
        for missing in sorted((wanted or set()) - set(found))
    ]
    return sorted(found.values(), key=lambda plugin: plugin.name), problems


def file_plugin(path: Path) -> FoundPlugin:
    """Describe a one-file plugin given with ``--plugin``; its identity is the file's stem."""
    if not path.is_file():
        raise UsageError(f"--plugin {path}: no such file; give the path of a Python file")
    source = path.read_bytes()
    digest = hashlib.sha256(source).hexdigest()[:12]
    return FoundPlugin(path.stem, f"sha256:{digest}", (), file=path.resolve(), source=source)


def load(plugin: FoundPlugin) -> Loaded:
    """Check, import and ask one plugin; whatever goes wrong becomes a problem of that plugin."""
    if problem := _incompatible(plugin):
        return Loaded(problems=[problem])
    result = Loaded()
    torch_before = "torch" in sys.modules
    for name in plugin.modules or (str(plugin.file),):
        try:
            module = (
                _import_file(plugin.file, plugin.source)
                if plugin.file
                else importlib.import_module(name)
            )
        except (Exception, SystemExit) as error:
            result.problems.append(_failure(plugin, f"importing {name} failed", error))
            continue
        _ask(plugin, module, result)
    if not torch_before and "torch" in sys.modules and plugin.file is None:
        result.problems.append(
            Problem(
                plugin.name,
                plugin.version,
                "importing its plugin module imports torch, which makes every command slow",
                "name factories as 'package.module:Name' and import torch only there",
            )
        )
    if result.entries:
        result.plugins.append(plugin)
    return result


def normalise(name: str) -> str:
    """Return a distribution name as indexes compare it: lower case, runs of ``-_.`` as ``-``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _wanted() -> set[str] | None:
    value = os.environ.get("ANOKIT_PLUGINS")
    if value is None:
        return None
    return {normalise(name.strip()) for name in value.split(",") if name.strip()}


def _entry_points(dist: importlib.metadata.Distribution) -> list[str]:
    """Return the modules that a distribution names; ValueError or TypeError where it is damaged."""
    # Most of an environment has nothing to do with anokit: look at the one small file first.
    text = dist.read_text("entry_points.txt") or ""
    if f"[{GROUP}]" not in text.replace(" ", ""):
        return []
    return [point.value for point in dist.entry_points if point.group == GROUP]


def _incompatible(plugin: FoundPlugin) -> Problem | None:
    for text in plugin.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if normalise(requirement.name) != "anokit" or not applies:
            continue
        if not requirement.specifier.contains(__version__, prereleases=True):
            return Problem(
                plugin.name,
                plugin.version,
                f"not loaded: needs anokit{requirement.specifier}, this is {__version__}",
                f"install a version of {plugin.name} for anokit {__version__}, or another anokit",
            )
    return None


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs source that was read before. No byte code beside the file is looked at or written."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled source."""
        return compile(self.source, self.path, "exec", dont_inherit=True)


def _import_file(path: Path, source: bytes) -> ModuleType:
    name = f"anokit_file_plugin_{path.stem}"
    loader = _Loader(name, path, source)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or path.suffix != ".py":
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that dataclasses and pydantic models in it find their module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _ask(plugin: FoundPlugin, module: ModuleType, result: Loaded) -> None:
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
        close = difflib.get_close_matches(name, HOOK_KINDS, 1)
        did = f"did you mean {close[0]}? or " if close else ""
        result.problems.append(
            Problem(
                plugin.name,
                plugin.version,
                f"unknown hook {name}",
                f"{did}the plugin needs a newer anokit; the hooks are {', '.join(HOOK_KINDS)}",
            )
        )
    for hook, kind in HOOK_KINDS.items():
        try:
            answers = [list(answer) for answer in getattr(manager.hook, hook)()]
        except (Exception, SystemExit) as error:
            result.problems.append(_failure(plugin, f"{hook}() failed", error))
            continue
        for component in (item for answer in answers for item in answer):
            _accept(plugin, hook, kind, component, result)


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
    twice = any(e.kind == kind and e.component.name == item.name for e in result.entries)
    if twice:
        message = f"offers two components called {kind} {item.name!r}; the second is left out"
        result.problems.append(Problem(plugin.name, plugin.version, message))
        return
    result.entries.append(Entry(kind, item, plugin.name, plugin.version))


def _failure(plugin: FoundPlugin, what: str, error: BaseException) -> Problem:
    frames = traceback.extract_tb(error.__traceback__)
    # The last frame outside Python's own import machinery and pluggy is the plugin's own line.
    own = [f for f in frames if "importlib" not in f.filename and "pluggy" not in f.filename]
    own = [f for f in own if f.filename != inspect.getsourcefile(load)]
    where = f"{own[-1].filename}:{own[-1].lineno} " if own else ""
    return Problem(
        plugin.name,
        plugin.version,
        f"{what}: {where}{type(error).__name__}: {error}",
        f"reinstall or remove it: pip uninstall {plugin.name}" if plugin.file is None else "",
        "".join(traceback.format_exception(error)),
    )

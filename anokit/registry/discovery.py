"""Find plugins by their metadata, load them one by one, and turn every failure into a problem.

pluggy's own loader stops at the first broken plugin, silently keeps the first of two equal names,
and one raising hook loses everybody's results. So: `find` reads metadata alone, `load` handles one
plugin in isolation, and neither ever raises for a plugin's fault.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import re
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from types import CodeType, ModuleType

from packaging.requirements import InvalidRequirement, Requirement

from anokit.errors import UsageError
from anokit.registry.asking import GROUP, ask, failure
from anokit.registry.blame import asked_for
from anokit.registry.entries import FILE_VERSION, FoundPlugin, Loaded, Problem, SlowImport
from anokit.version import __version__

SLOW_IMPORT = 1.0
"""Seconds of an import of a plugin's module from which on `list-plugins` mentions it."""


def discover(
    files: Sequence[Path] = (),
    kept: Sequence[FoundPlugin] = (),
    among: Collection[str] | None = None,
) -> Loaded:
    """Load the installed plugins that ``ANOKIT_PLUGINS`` admits, and the one-file plugins.

    ``files`` are read here; ``kept`` were read before, as `file_plugin` does. Of the installed ones
    only those are imported whose distribution ``among`` names, where it is given.
    """
    found, problems = find()
    if among is not None:
        found = [plugin for plugin in found if plugin.name in among]
        problems = [problem for problem in problems if problem.plugin in among]
    result = Loaded(problems=problems)
    named = {path: file_plugin(path) for path in files}
    for path, late in named.items():
        first, early = next((p, one) for p, one in named.items() if one.name == late.name)
        if early.version != late.version:
            raise UsageError(
                f"--plugin {path}: has the name of --plugin {first}, by which recipes and runs "
                "know it; rename one of the files"
            )
    # The same file given twice, or kept in a run directory as well, is one plugin.
    given = {(one.name, one.version): one for one in (*kept, *named.values())}
    for plugin in [*found, *given.values()]:
        one = load(plugin)
        result.entries += one.entries
        result.recipes += one.recipes
        result.problems += one.problems
        result.plugins += one.plugins
        result.slow += one.slow
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
            name, version, _ = _facts(dist)
            text = f"its entry_points.txt is damaged: {error}"
            problems.append(Problem(name, version, text, f"reinstall {name}"))
            continue
        if not points:
            continue
        name, version, requires = _facts(dist)
        place = Path(str(dist.locate_file(""))).resolve()
        if wanted is not None and name not in wanted:
            continue
        if name in found:
            if place != places[name]:
                problems.append(
                    Problem(
                        name,
                        version,
                        f"installed twice: {found[name].version} in {places[name]} is used, "
                        f"{version} in {place} is not",
                        f"uninstall one: pip uninstall {name}",
                    )
                )
            continue
        places[name] = place
        found[name] = FoundPlugin(name, version, tuple(sorted(set(points))), requires)
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
    return FoundPlugin(path.stem, f"{FILE_VERSION}{digest}", (), file=path.resolve(), source=source)


def load(plugin: FoundPlugin) -> Loaded:
    """Check, import and ask one plugin; whatever goes wrong becomes a problem of that plugin."""
    if problem := _incompatible(plugin):
        return Loaded(problems=[problem])
    result = Loaded()
    torch_before = "torch" in sys.modules
    for name in plugin.modules or (str(plugin.file),):
        began = time.perf_counter()
        # What a plugin prints may not get among what a command prints for another program.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                module = (
                    _import_file(plugin.file, plugin.source)
                    if plugin.file
                    else importlib.import_module(name)
                )
            except BaseException as error:
                if asked_for(error):
                    raise
                result.problems.append(failure(plugin, f"importing {name} failed", error))
                continue
            finally:
                seconds = time.perf_counter() - began
                if seconds > SLOW_IMPORT and plugin.file is None:
                    result.slow.append(SlowImport(plugin.name, plugin.version, name, seconds))
            ask(plugin, module, result)
    if not torch_before and "torch" in sys.modules and plugin.file is None:
        result.problems.append(
            Problem(
                plugin.name,
                plugin.version,
                "importing its plugin module imports torch, which makes every command slow",
                "name factories as 'package.module:Name' and import torch only there",
            )
        )
    if result.entries or result.recipes:
        result.plugins.append(plugin)
    elif plugin.file and not result.problems:
        result.problems.append(
            Problem(
                plugin.name,
                plugin.version,
                "offers nothing",
                "expected a hook under @hookimpl, such as anokit_scores(), that yields components",
            )
        )
    return result


def normalise(name: str) -> str:
    """Return a distribution name as indexes compare it: lower case, runs of ``-_.`` as ``-``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _wanted() -> set[str] | None:
    value = os.environ.get("ANOKIT_PLUGINS")
    if value is None:
        return None
    return {normalise(name.strip()) for name in value.split(",") if name.strip()}


def _facts(dist: importlib.metadata.Distribution) -> tuple[str, str, tuple[str, ...]]:
    """Return name, version and requirements, also of a distribution that lost its metadata."""
    try:
        name = normalise(dist.metadata["Name"] or "unnamed")
        return name, dist.version or "unknown", tuple(dist.requires or ())
    except (FileNotFoundError, TypeError):  # the backport of importlib.metadata, and later Pythons
        return "unnamed", "unknown", ()


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

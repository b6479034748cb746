"""Checks of a plugin as a package: what its metadata say, and what its import does. Torch-free."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from unittest import SkipTest

from packaging.requirements import InvalidRequirement, Requirement

from anokit.registry.asking import GROUP
from anokit.registry.discovery import SLOW_IMPORT, discover, normalise
from anokit.registry.hookspecs import HOOKS
from anokit.testing.check import CheckWarning, expect, fail, promise
from anokit.testing.subject import Plugin
from anokit.version import __version__

HEAVY = ("torch", "torchvision", "timm", "sklearn", "matplotlib", "transformers", "jax")
"""What a plugin's module must not import: every command would wait for it."""

BOUNDS = (("a lower bound", (">", ">=", "==", "~=")), ("an upper bound", ("<", "<=", "==", "~=")))

PROBE = """
import importlib, json, sys, time
sys.path[:] = json.loads(sys.argv[2])
import anokit
began = time.perf_counter()
module = importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - began
imported = sorted(sys.modules)
for name in json.loads(sys.argv[3]):
    try:
        list(getattr(module, name)())
    except Exception:
        pass
print("\\n@@" + json.dumps([seconds, imported]))
"""


@dataclass(frozen=True)
class Imported:
    """What importing a plugin's module in a process of its own, and asking its hooks, did."""

    seconds: float
    """of the import of the module alone, anokit being there already"""
    modules: frozenset[str]
    """all that was imported by then"""
    printed: str


@cache
def imported(name: str) -> Imported | str:
    """Import a module in a process of its own and ask its hooks; return what was said if it fails.

    What Python itself warns of is not shown: that is no doing of the plugin's.
    """
    given = [name, json.dumps(sys.path), json.dumps(HOOKS)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE, *given],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=300,
    )
    printed, _, answer = done.stdout.rpartition("\n@@")
    if done.returncode or not answer:
        return done.stderr.strip()
    seconds, modules = json.loads(answer)
    return Imported(seconds, frozenset(modules), (printed + done.stderr).strip())


def importing(plugin: Plugin) -> Imported:
    """Return what the import of the plugin's module did; skip where it fails."""
    found = imported(plugin.module.__name__)
    if isinstance(found, str):
        raise SkipTest(f"{plugin.module.__name__} cannot be imported in a process of its own")
    return found


def installed(plugin: Plugin) -> Distribution:
    """Return the distribution that the plugin's module belongs to; skip where there is none."""
    name = plugin.module.__name__
    try:
        found = distribution(plugin.name)
    except PackageNotFoundError:
        found = None
    if found is None or name not in [p.value for p in found.entry_points if p.group == GROUP]:
        raise SkipTest(
            f"{name} is no entry point {GROUP!r} of an installed distribution: pip install -e ."
        )
    return found


@promise("plugin", since="0.1")
def check_plugin_import_is_light(plugin: Plugin) -> None:
    """Check that importing the plugin's module imports neither torch nor the like."""
    found = imported(plugin.module.__name__)
    if isinstance(found, str):
        fail(f"{plugin.module.__name__}: import failed:\n{found}")
    heavy = [name for name in HEAVY if name in found.modules]
    expect(
        not heavy,
        f"importing {plugin.module.__name__} imports {', '.join(heavy)}; name factories as "
        "'package.module:Name' and import it only there",
    )


@promise("plugin", since="0.1")
def check_plugin_import_is_quick(plugin: Plugin) -> None:
    """Check that the import of the plugin's module takes under a second (a warning)."""
    found = importing(plugin)
    if found.seconds > SLOW_IMPORT:
        # What one machine needs a second for, another does in a tenth.
        warnings.warn(
            f"importing {plugin.module.__name__} took {found.seconds:.1f} s here, which every "
            "command waits for; import what takes long where it is used",
            CheckWarning,
            stacklevel=2,
        )


@promise("plugin", since="0.1")
def check_plugin_prints_nothing(plugin: Plugin) -> None:
    """Check that neither import nor hooks print: what a command prints may be read by programs."""
    printed = importing(plugin).printed
    expect(not printed, f"importing {plugin.module.__name__} and asking its hooks prints {printed}")


@promise("plugin", since="0.1")
def check_plugin_names_free(plugin: Plugin) -> None:
    """Check that no other installed plugin offers the same names (a warning)."""
    own = {(entry.kind, entry.component.name) for entry in plugin.entries}
    others = [e for e in discover().entries if e.plugin != plugin.name]
    twice = [e for e in others if (e.kind, e.component.name) in own]
    if twice:
        told = ", ".join(f"{e.kind} {e.component.name!r} of {e.plugin} {e.version}" for e in twice)
        warnings.warn(
            f"other installed plugins offer the same names: {told}; recipes then have to say which "
            f'is meant, such as use = "{plugin.name}/{twice[0].component.name}"',
            CheckWarning,
            stacklevel=2,
        )


@promise("plugin", since="0.1")
def check_plugin_version_range(plugin: Plugin) -> None:
    """Check that the package depends on a range of versions of anokit that holds this one."""
    found = list(map(_requirement, installed(plugin).requires or ()))
    ranges = [r.specifier for r in found if r and normalise(r.name) == "anokit"]
    expect(ranges, f'depends on no anokit; write dependencies = ["anokit>={_minor()}"]')
    for one in ranges:
        operators = {specifier.operator for specifier in one}
        lacking = [what for what, ones in BOUNDS if not operators & set(ones)]
        expect(
            not lacking,
            f"anokit{one}: has no {' and no '.join(w.partition(' ')[2] for w in lacking)}; write "
            f'"anokit>={_minor()}", since a minor version may break something',
        )
        holds = one.contains(__version__, prereleases=True)
        expect(holds, f"anokit{one} does not hold {__version__}, which it is checked with")


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _minor() -> str:
    major, minor, *_ = (int(part) for part in __version__.split(".")[:2])
    return f"{major}.{minor},<{major}.{minor + 1}"


@promise("plugin", since="0.1")
def check_plugin_metadata(plugin: Plugin) -> None:
    """Check that the package says what it is: summary, README, Python; licence, keyword anokit."""
    said = installed(plugin).metadata.json
    # Python splits them at spaces, and packages write commas.
    words = ",".join(said.get("keywords") or []).split(",")
    fields = ("license_expression", "license", "license_file")
    licensed = any(said.get(name) for name in fields) or any(
        text.startswith("License ::") for text in said.get("classifier", ())
    )
    needed = {
        "a summary: description = …": said.get("summary"),
        'a README: readme = "README.md"': said.get("description"),
        'the versions of Python: requires-python = ">=3.11"': said.get("requires_python"),
    }
    # Without these it installs and is understood; whether others may use and can find it is open.
    wanted = {
        "a licence: license = …": licensed,
        'a keyword to be found by: keywords = ["anokit"]': "anokit" in words,
    }
    lacking = [text for text, there in needed.items() if not there]
    expect(not lacking, "pyproject.toml, [project]: lacks " + "; ".join(lacking))
    if absent := [text for text, there in wanted.items() if not there]:
        told = "pyproject.toml, [project]: lacks " + "; ".join(absent)
        warnings.warn(told, CheckWarning, stacklevel=2)

"""A component of an installed plugin as the beginning of a new one: what it needs, renamed."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import FunctionType
from typing import Any

from packaging.requirements import Requirement

from anokit.authoring.scaffold.literals import literal
from anokit.authoring.scaffold.names import Names
from anokit.authoring.scaffold.renaming import renamed
from anokit.authoring.scaffold.shaking import ALL, Import, Shaken, Source, shake, written
from anokit.errors import UsageError
from anokit.plugin import Component
from anokit.registry import discovery
from anokit.registry.entries import Entry
from anokit.registry.hookspecs import KIND_WORDS

OFFER = '''

@hookimpl
def {hook}() -> Iterable[Component]:
    """Offer the {kind}."""
    yield Component(
{fields}    )
'''
OFFERING = (
    Import("collections.abc", "Iterable", "Iterable"),
    Import("anokit", "Component", "Component"),
    Import("anokit", "hookimpl", "hookimpl"),
)
FACTORIES = ("factory", "simulate", "reader")
LICENSE = "Apache-2.0"
"""Licence of a new plugin, as anokit's own; its text is among the templates."""
SAMPLES = "samples"
"""The module in which a package has what the conformance checks test with."""


@dataclass(frozen=True)
class Copied:
    """What a new plugin takes from an installed one."""

    files: Mapping[str, str]
    """the text of every file of the package, by its path in it"""
    needs: list[str]
    """requirements of the plugin that it was taken from, but for anokit"""
    license: str
    """SPDX expression"""
    license_text: str
    """text of the licence where the plugin brings one"""
    notice: str
    """where it was taken from, in one sentence"""


class Original:
    """An installed component, and the source that it is made of.

    Raises
    ------
    UsageError
        Where something that the component needs cannot be copied, or may not be.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.plugin_module = self._module()
        self.package = self.plugin_module.partition(".")[0]
        if self.package == self.plugin_module:
            raise self._refused(f"its plugin is one module, {self.package}, and no package")
        self.home = Path(inspect.getfile(importlib.import_module(self.package))).parent
        self.wanted: dict[str, set[str]] = {self.plugin_module: set()}
        self.borrowed: list[Import] = []
        self.lines = self._described()
        self.sample = self._sampled()
        self.shaken = self._closed()

    def copied(self, names: Names) -> Copied:
        """Return the files of a plugin called ``names`` that offers a copy of the component."""
        expression, text = self._license()
        by = f"{self.entry.plugin} {self.entry.version}"
        old = self.entry.component.name
        files = {}
        for module, one in self.shaken.items():
            body = self._whole(module, one, names)
            doc = one.source.docstring or f'"""A part of {old}."""'
            where = f"{self.package}/{one.source.path.relative_to(self.home).as_posix()}"
            origin = f"# From {where} of {by}, {expression}: what {self.entry.kind} {old} needs.\n"
            new = [renamed(part, self.entry, self.package, names) for part in (doc, body)]
            place = one.source.path.relative_to(self.home).as_posix()
            files["plugin.py" if module == self.plugin_module else place] = "\n".join(
                [new[0], "", origin, new[1]]
            )
        for place in list(files):
            for folder in list(Path(place).parents)[:-1]:
                files.setdefault(
                    f"{folder.as_posix()}/__init__.py", '"""A part of the package."""\n'
                )
        notice = (
            f"It began as a copy of the {self.entry.kind} `{old}` of {by}, whose licence is "
            f"{expression}; the files say what comes from where."
        )
        return Copied(files, self._needs(), expression, text, notice)

    def _module(self) -> str:
        """Return the module whose hook offers the component."""
        found, _ = discovery.find()
        known = next((one for one in found if one.name == self.entry.plugin), None)
        hook = KIND_WORDS[self.entry.kind].hook
        for name in known.modules if known else ():
            offer = getattr(importlib.import_module(name), hook, None)
            if offer and self.entry.component.name in [one.name for one in offer()]:
                return name
        raise self._refused("its plugin is no installed package, so that there is none to copy")

    def _described(self) -> list[tuple[str, str]]:
        """Return the fields of its description as source, noting what they name."""
        found = []
        for one in fields(Component):
            value = getattr(self.entry.component, one.name)
            unsaid = value == one.default or value == {}
            if one.name in FACTORIES and value is not None:
                found.append((one.name, literal(self._factory(value, one.name), 8, len(one.name))))
            elif one.name != "name" and not unsaid:
                named = isinstance(value, type | FunctionType)
                text = self._named(value, one.name) if named else literal(value, 8, len(one.name))
                found.append((one.name, text))
        return found

    def _factory(self, value: str | Callable[..., Any], what: str) -> str:
        """Return ``module:name`` of a factory, noting that it is wanted."""
        if not isinstance(value, str):
            value = f"{value.__module__}:{getattr(value, '__qualname__', '')}"
        module, _, name = value.partition(":")
        # What was made inside of a function has "<locals>" in its name.
        self._want(module, name if "<" in name else name.partition(".")[0], what)
        return value

    def _named(self, value: type | FunctionType, what: str) -> str:
        """Return what a class or function of the description is called, noting it as wanted."""
        module, name = value.__module__, value.__qualname__
        if module != "anokit.plugin":
            self._want(module, name, what)
        if module != self.plugin_module:
            self.borrowed.append(Import(module, name, name))
        return name

    def _sampled(self) -> str:
        """Return the function that makes the sample to test with, noting it; empty without one."""
        module = f"{self.package}.{SAMPLES}"
        if not (self.home / f"{SAMPLES}.py").is_file():
            return ""
        found = getattr(importlib.import_module(module), "SAMPLES", {})
        sample = found.get(self.entry.component.name)
        if sample is None:
            return ""
        self._want(sample.__module__, sample.__qualname__, "sample to test with")
        return str(sample.__qualname__)

    def _want(self, module: str, name: str, what: str) -> None:
        if not self._is_own(module):
            raise self._refused(f"its {what} lies in {module}, outside of {self.package}")
        if not name.isidentifier():
            raise self._refused(
                f"its {what} is {name or 'a value'} in {module}: it has no name there"
            )
        self.wanted.setdefault(module, set()).add(name)

    def _is_own(self, module: str) -> bool:
        return module == self.package or module.startswith(f"{self.package}.")

    def _closed(self) -> dict[str, Shaken]:
        """Return what is kept of every module, so that whatever one imports is in another."""
        found: dict[str, Shaken] = {}
        done: dict[str, set[str]] = {}
        while done != self.wanted:
            done = {module: set(names) for module, names in self.wanted.items()}
            for module, names in done.items():
                found[module] = shake(self._source(module), names)
                for target, name in self._asked(found[module]):
                    self.wanted.setdefault(target, set()).add(name)
        for module, one in found.items():
            if "__file__" in (text := written(one, self.package)) or "resources." in text:
                raise self._refused(f"{module} reads files that lie beside it")
        return found

    def _asked(self, shaken: Shaken) -> Iterator[tuple[str, str]]:
        """Yield modules of the package that a module imports, and which of their names."""
        for one in (*shaken.imports, *shaken.for_types, *shaken.inner):
            if self._is_own(one.module):
                below = f"{one.module}.{one.name}"
                whole = one.name and self._file(below)
                yield (below, ALL) if whole else (one.module, one.name or ALL)

    def _file(self, module: str) -> Path | None:
        path = self.home.joinpath(*module.split(".")[1:])
        for found in (path.with_suffix(".py"), path / "__init__.py"):
            if found.is_file() and (module != self.package or found.name == "__init__.py"):
                return found
        return None

    def _source(self, module: str) -> Source:
        path = self._file(module)
        if path is None:
            raise self._refused(f"it imports {module}, of which there is no Python source")
        return Source(module, path)

    def _whole(self, module: str, shaken: Shaken, names: Names) -> str:
        """Return a module's new source, before it is renamed but for its imports."""
        new = names.package

        def moved(imports: Iterable[Import]) -> list[Import]:
            own = re.compile(rf"^{self.package}\b")
            return [replace(one, module=own.sub(new, one.module)) for one in imports]

        imports, for_types = moved(shaken.imports), moved(shaken.for_types)
        shaken = replace(shaken, imports=imports, for_types=for_types)
        if module == self.plugin_module:
            shaken.imports += [*OFFERING, *moved(self.borrowed)]
            given = [("name", literal(names.component, 8)), *self.lines]
            lines = "".join(f"        {name}={text},\n" for name, text in given)
            hook, kind = KIND_WORDS[self.entry.kind].hook, self.entry.kind.replace("-", " ")
            return written(shaken, new) + OFFER.format(hook=hook, kind=kind, fields=lines)
        text = written(shaken, new)
        if self.sample and module == f"{self.package}.{SAMPLES}":
            text += f"\n\nSAMPLES = {{{literal(names.component, 0)}: {self.sample}}}\n"
        if shaken.source.path.name == "__init__.py" and shaken.imports:
            text += f"\n__all__ = {literal(sorted(one.bound for one in shaken.imports), 0, 10)}\n"
        return text

    def _license(self) -> tuple[str, str]:
        """Return the licence of the plugin, and its text if the plugin brings one."""
        about = importlib.metadata.metadata(self.entry.plugin)
        stated = about.json
        expression = str(stated.get("license_expression") or stated.get("license") or "").strip()
        if not expression or "\n" in expression:
            raise self._refused("its plugin does not say under which licence it may be copied")
        files = about.get_all("License-File") or []
        texts = [_read(self.entry.plugin, f"licenses/{name}") for name in files]
        text = "\n".join(text for text in texts if text)
        if expression != LICENSE and not text:
            raise self._refused(f"its plugin is under {expression}, and brings no text of that")
        return expression, text

    def _needs(self) -> list[str]:
        """Return what else the plugin requires, extras left out."""
        given = [Requirement(text) for text in importlib.metadata.requires(self.entry.plugin) or ()]
        return sorted(
            str(one) for one in given if one.name != "anokit" and "extra" not in str(one.marker)
        )

    def _refused(self, why: str) -> UsageError:
        name = f"{self.entry.kind}:{self.entry.component.name}"
        return UsageError(
            f"--from {name}: cannot be copied from {self.entry.plugin} {self.entry.version}: "
            f"{why}; begin with another component, or leave --from out"
        )


def _read(plugin: str, name: str) -> str:
    return importlib.metadata.distribution(plugin).read_text(name) or ""

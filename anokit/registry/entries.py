"""What discovery finds: plugins, their components, and the problems of those that failed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from anokit.plugin import Component, Kind

FILE_VERSION = "sha256:"
"""What the version of a one-file plugin begins with."""


@dataclass(frozen=True)
class FoundPlugin:
    """A plugin as its metadata describes it, or a file given with ``--plugin``."""

    name: str
    version: str
    modules: tuple[str, ...]
    requires: tuple[str, ...] = ()
    file: Path | None = None
    source: bytes = field(default=b"", repr=False)
    """what the file holds; this is run, whatever becomes of the file"""

    @property
    def sha256(self) -> str:
        """Return the hash of the file's content, by which a run records it."""
        return hashlib.sha256(self.source).hexdigest()


@dataclass(frozen=True)
class Problem:
    """Why a plugin, or a part of it, cannot be used, and what to do about it."""

    plugin: str
    version: str
    message: str
    hint: str = ""
    details: str = ""
    """the traceback, shown with ANOKIT_DEBUG=1"""

    @property
    def of_file(self) -> bool:
        """Return whether the plugin is a file given with ``--plugin``."""
        return self.version.startswith(FILE_VERSION)


@dataclass(frozen=True)
class Entry:
    """One component of a loaded plugin."""

    kind: Kind
    component: Component
    plugin: str
    version: str

    @property
    def qualified(self) -> str:
        """Return ``plugin/component``, the name that is always unambiguous."""
        return f"{self.plugin}/{self.component.name}"


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe file that a plugin brings along."""

    name: str
    """the file's stem; what `anokit run` finds it by"""
    path: Path
    plugin: str
    version: str

    @property
    def qualified(self) -> str:
        """Return ``plugin/name``, the name that is always unambiguous."""
        return f"{self.plugin}/{self.name}"


@dataclass(frozen=True)
class SlowImport:
    """A plugin's module whose import took long, which every command waits for."""

    plugin: str
    version: str
    module: str
    seconds: float


@dataclass
class Loaded:
    """What loading one or several plugins gave."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    plugins: list[FoundPlugin] = field(default_factory=list)
    """those that offered at least one component or recipe"""
    recipes: list[ShippedRecipe] = field(default_factory=list)
    slow: list[SlowImport] = field(default_factory=list)

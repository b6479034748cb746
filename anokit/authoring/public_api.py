"""The public API: which modules are, and every name in them as one line. All else is private.

From here comes the file that freezes the API in the tests; docs/api.md describes the same modules.
Public modules of the workspace's plugins are frozen in the same file, and have pages beside it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from anokit.authoring.workspace import public_modules

MODULES = (
    "anokit",
    "anokit.plugin",
    "anokit.types",
    "anokit.errors",
    "anokit.data",
    "anokit.nn",
    "anokit.testing",
)
"""What plugins and users may import, and nothing below it. The hooks are public too."""


def names(module: str) -> list[str]:
    """Return the public names of a module, sorted."""
    return sorted(importlib.import_module(module).__all__)


def get(module: str, name: str) -> Any:
    """Return what a public name stands for."""
    return getattr(importlib.import_module(module), name)


def public_home(module: str) -> str:
    """Return the public module that a module is a part of, or the module itself."""
    return next((room for room in MODULES[1:] if module.startswith(f"{room}.")), module)


def surface(more: Iterable[str] = ()) -> Iterator[str]:
    """Yield a line per public name, hook and public member of a class, with its signature.

    ``more``: public modules of plugins, after those of the core.
    """
    for module in (*MODULES, *more):
        for name in names(module):
            value = get(module, name)
            home = public_home(str(getattr(value, "__module__", module)))
            # `anokit` re-exports: a line for each place, details where the thing is at home.
            if module == "anokit" and home in MODULES and home != module:
                yield f"{module}.{name}  ->  {home}"
                continue
            yield f"{module}.{name}{signature(value)}"
            yield from (f"{module}.{name}.{member}" for member in members(value))
    hooks = importlib.import_module("anokit.registry.hookspecs")
    for name in hooks.HOOKS:
        yield f"hook {name}{signature(getattr(hooks, name))}"


def signature(value: Any) -> str:
    """Return the signature of a function or class of anokit's own; of an exception, its bases."""
    if inspect.isclass(value) and issubclass(value, BaseException):
        return f" ({', '.join(base.__name__ for base in value.__bases__)})"
    if inspect.isclass(value) and getattr(value, "_is_protocol", False):
        return " (protocol)"
    ours = str(getattr(value, "__module__", "")).startswith("anokit")
    if not ours or not (inspect.isclass(value) or inspect.isroutine(value)):
        return ""
    return _plain(str(inspect.signature(value)))


def members(value: Any) -> Iterator[str]:
    """Yield the public methods, properties and attributes that a class itself defines.

    Fields of dataclasses and named tuples are in the signature already.
    """
    if not inspect.isclass(value) or issubclass(value, BaseException):
        return
    found: dict[str, str] = {}
    if not dataclasses.is_dataclass(value) and not issubclass(value, tuple):
        for name, kind in vars(value).get("__annotations__", {}).items():
            found[name] = _plain(f": {kind}")
    for name, member in vars(value).items():
        plain = getattr(member, "__func__", member)
        if inspect.isfunction(plain):
            found[name] = signature(plain)
        elif isinstance(member, property) and member.fget:
            found[name] = signature(member.fget).replace("(self)", "")
    for name in sorted(found):
        if (not name.startswith("_") and name != "extra_repr") or name == "__call__":
            yield f"{name}{found[name]}"


def _plain(text: str) -> str:
    """Return a signature as it was written, whatever Python makes of annotations and defaults."""
    text = re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text)
    text = re.sub(r"<function (\w+) at 0x\w+>", r"\1", text)
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text)
    return re.sub(r"(: |-> )(['\"])(.*?)\2(?=[,)]| = |$)", r"\1\3", text)


if __name__ == "__main__":
    print("\n".join(surface(public_modules(Path()))))

"""Of a module's source, what some of its names need: the rest is left out.

Whole statements of the top level are kept, with the comments above them, and imports are written
anew. Nothing is imported or executed.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

ALL = "*"
"""Stands for every name of a module."""

WIDTH = 100


@dataclass(frozen=True)
class Import:
    """One name that an import statement brings."""

    module: str
    """what is imported, or imported from"""
    name: str
    """empty where the module itself is"""
    bound: str
    """what it is called here"""

    def names_another(self) -> str:
        """Return ``as NAME`` where it is called otherwise than it is."""
        own = self.name or self.module.partition(".")[0]
        return "" if self.bound == own else f" as {self.bound}"


@dataclass(frozen=True)
class Source:
    """A module's source."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        """Return the source as it was written."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def body(self) -> list[ast.stmt]:
        """Return the statements of the top level, but for the docstring."""
        tree = ast.parse(self.text)
        return tree.body[1:] if ast.get_docstring(tree, clean=False) is not None else tree.body

    @cached_property
    def docstring(self) -> str:
        """Return the module's docstring as it was written; empty where it has none."""
        tree = ast.parse(self.text)
        first = tree.body[0] if tree.body else None
        has_one = ast.get_docstring(tree, clean=False) is not None
        return ast.get_source_segment(self.text, first) or "" if has_one and first else ""

    def base(self, node: ast.ImportFrom) -> str:
        """Return the module that names are imported from, relative ones resolved."""
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        drop = node.level - (self.path.name == "__init__.py")
        parts = package[: len(package) - drop] if drop else package
        return ".".join([*parts, *([node.module] if node.module else [])])

    def imports(self, node: ast.AST) -> Iterator[Import]:
        """Yield what an import statement brings; nothing for any other node."""
        if isinstance(node, ast.Import):
            for one in node.names:
                yield Import(one.name, "", one.asname or one.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for one in node.names:
                yield Import(self.base(node), one.name, one.asname or one.name)


@dataclass
class Shaken:
    """What is kept of a module."""

    source: Source
    kept: list[ast.stmt] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    for_types: list[Import] = field(default_factory=list)
    """those that only a type checker follows"""
    typed: list[ast.stmt] = field(default_factory=list)
    """what is kept beside those"""
    inner: list[Import] = field(default_factory=list)
    """those inside of functions"""


def shake(source: Source, wanted: Iterable[str]) -> Shaken:
    """Return what ``wanted`` names of a module need of it."""
    groups = list(_groups(source.body))
    typed = [group for one in source.body if _is_for_types(one) for group in _groups(one.body)]
    defined = {name: group for group in (*groups, *typed) for name in _defined(group[0])}
    names = set(wanted)
    if ALL in names:
        names |= set(defined)
    # What is no definition is there for its effect, and stays.
    kept = {id(group[0]): group for group in groups if not _defined(group[0])}
    waiting = [*names, *(name for group in kept.values() for name in _used(group))]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        group = defined.get(name)
        if group and id(group[0]) not in kept:
            kept[id(group[0])] = group
            waiting += _used(group)
    result = Shaken(source)
    result.kept = [part for group in groups if id(group[0]) in kept for part in group]
    result.typed = [part for group in typed if id(group[0]) in kept for part in group]
    everything = ALL in names
    for node, types_only in _imports(source.body):
        chosen = [one for one in source.imports(node) if everything or one.bound in seen]
        (result.for_types if types_only else result.imports).extend(chosen)
    for statement in (*result.kept, *result.typed):
        result.inner += [one for node in ast.walk(statement) for one in source.imports(node)]
    return result


def written(shaken: Shaken, package: str) -> str:
    """Return imports and statements as source, in which ``package`` counts as the file's own."""
    lines = shaken.source.text.splitlines()
    types = [import_lines(shaken.for_types, package, indent="    ")] if shaken.for_types else []
    types += ["\n".join(lines[one.lineno - 1 : one.end_lineno]) + "\n" for one in shaken.typed]
    checked = [Import("typing", "TYPE_CHECKING", "TYPE_CHECKING")] if types else []
    parts = ["from __future__ import annotations\n"]
    parts.append(import_lines([*shaken.imports, *checked], package))
    if types:
        parts.append("if TYPE_CHECKING:\n" + "\n".join(types))
    text = "\n".join(part for part in parts if part)
    previous: ast.stmt | None = None
    for statement in shaken.kept:
        first = min(
            [statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))]
        )
        start = first - 1
        while start and lines[start - 1].startswith("#"):
            start -= 1
        blank = 0
        while start - blank and not lines[start - blank - 1].strip():
            blank += 1
        is_long = isinstance(statement, ast.FunctionDef | ast.ClassDef)
        if previous is None:
            blank = 2 if is_long else 1
        elif isinstance(previous, ast.FunctionDef | ast.ClassDef):
            blank = 2
        text += "\n" * blank + "\n".join(lines[start : statement.end_lineno]) + "\n"
        previous = statement
    return text


def import_lines(imports: Iterable[Import], package: str, indent: str = "") -> str:
    """Return import statements, sorted: the standard library, other packages, the own one."""
    plain = {one for one in imports if not one.name}
    by_module: dict[tuple[str, str], set[str]] = {}
    for one in imports:
        if one.name:
            # What is renamed has a statement of its own.
            apart = one.name if one.names_another() else ""
            by_module.setdefault((one.module, apart), set()).add(one.name + one.names_another())
    places: list[list[str]] = [[], [], []]
    for one in sorted(plain, key=lambda one: one.module.lower()):
        places[_place(one.module, package)].append(
            f"{indent}import {one.module}{one.names_another()}\n"
        )
    renamed_first = sorted(by_module, key=lambda key: (key[0].lower(), not key[1], key[1]))
    for module, apart in renamed_first:
        names = sorted(by_module[module, apart], key=_rank)
        head = f"{indent}from {module} import "
        line = head + ", ".join(names)
        if len(line) > WIDTH:
            inner = "".join(f"{indent}    {name},\n" for name in names)
            line = f"{head}(\n{inner}{indent})"
        places[_place(module, package)].append(f"{line}\n")
    return "\n".join("".join(lines) for lines in places if lines)


def _rank(name: str) -> tuple[int, str]:
    """Return the place of a name in an import: constants, then classes, then the rest."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


def _place(module: str, package: str) -> int:
    root = module.partition(".")[0]
    return 2 if root == package else 0 if root in sys.stdlib_module_names else 1


def _groups(body: Iterable[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield statements that belong together: a string explains what stands above it."""
    group: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom) or _is_for_types(statement):
            continue
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if is_text and group:
            group.append(statement)
            continue
        if group:
            yield group
        group = [statement]
    if group:
        yield group


def _imports(body: Iterable[ast.stmt]) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield import statements of the top level, and whether they are for a type checker alone."""
    for statement in body:
        if _is_for_types(statement):
            yield from ((inner, True) for inner in statement.body)
        else:
            yield statement, False


def _is_for_types(statement: ast.stmt) -> TypeGuard[ast.If]:
    """Return whether a statement is for a type checker alone."""
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Name)
        and statement.test.id == "TYPE_CHECKING"
        and not statement.orelse
    )


def _defined(statement: ast.stmt) -> set[str]:
    """Return the names that a statement of the top level defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.If | ast.Try):
        stores = (n for n in ast.walk(statement) if isinstance(n, ast.Name))
        return {n.id for n in stores if isinstance(n.ctx, ast.Store)}
    return set()


def _used(group: Iterable[ast.stmt]) -> set[str]:
    """Return the names that statements read, those in quoted types too."""
    found = set()
    for statement in group:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "cast":
                quoted = node.args[0] if node.args else None
                if isinstance(quoted, ast.Constant) and isinstance(quoted.value, str):
                    found |= set(re.findall(r"\w+", quoted.value))
    return found

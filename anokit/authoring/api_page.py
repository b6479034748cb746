"""The pages on the public API: every name with signature, fields, errors and examples.

Made from the source alone: what a docstring says there, the page says.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import dedent

import griffe

from anokit.authoring import sources
from anokit.authoring.markdown import MADE, table
from anokit.authoring.public_api import MODULES, public_home
from anokit.authoring.workspace import Package
from anokit.registry import hookspecs

ABOUT = (
    "What plugins and other programs may rely on; everything else in anokit is private and may "
    "change at any time. How these change is in [plugins.md](plugins.md#versions). Examples are "
    "run by anokit's own tests."
)
ABOUT_PACKAGE = (
    "What packages that depend on {name} may rely on; everything else in it is private. How these "
    "change is in [plugins.md](plugins.md#versions). Examples are run by tests."
)
ABOUT_HOOKS = "Functions of these names, marked with `@hookimpl`, in a plugin's module."
WIDTH = 100
"""Characters of a signature in one line."""


def api_page(packages: Iterable[Package] = ()) -> str:
    """Return the page on the core, with links to those on packages that have public modules."""
    others = " · ".join(f"[{package.name}]({package_file(package)})" for package in packages)
    links = [f"Public modules of plugins: {others}"] if others else []
    parts = ["# Public API", MADE, ABOUT, *links, _contents((*MODULES, "Hooks"))]
    for place in MODULES:
        parts += _module(place, MODULES)
    hooks = [(f"`{n}()`", inspect.getdoc(getattr(hookspecs, n)) or "") for n in hookspecs.HOOKS]
    parts += ["## Hooks", ABOUT_HOOKS, "\n".join(table(("hook", "what"), hooks))]
    return "\n\n".join(parts) + "\n"


def package_page(package: Package) -> str:
    """Return the page on the public modules of a plugin."""
    about = ABOUT_PACKAGE.format(name=package.name)
    parts = [f"# Public API of {package.name}", MADE, about, _contents(package.public)]
    for place in package.public:
        parts += _module(place, package.public)
    return "\n\n".join(parts) + "\n"


def package_file(package: Package) -> str:
    """Return the file name of that page."""
    return f"api-{package.name}.md"


def _contents(headings: Iterable[str]) -> str:
    return " · ".join(f"[{heading}](#{anchor(heading)})" for heading in headings)


def anchor(heading: str) -> str:
    """Return what a link to a heading ends with."""
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def home(of: sources.Named, places: Sequence[str] = MODULES) -> str:
    """Return which module of a page describes a name: where it is defined, or else is first had."""
    found = public_home(of.module.path)
    return found if found in places else next(p for p in places if of.name in sources.names(p))


def _module(place: str, places: Sequence[str]) -> Iterator[str]:
    yield f"## {place}"
    yield " ".join(_text(sources.text_of(sources.module(place)).partition("\n\n")[0]).split())
    found = {name: sources.find(place, name) for name in sources.names(place)}
    rows = [(f"[`{n}`](#{anchor(n)})", _text(sources.first_sentence(o))) for n, o in found.items()]
    yield "\n".join(table(("name", "what"), rows))
    for name, of in found.items():
        if home(of, places) == place:
            yield from _entry(name, of)


def _entry(name: str, of: sources.Named) -> Iterator[str]:
    yield f"### `{name}`"
    yield from _told(name, of)
    if isinstance(of, griffe.Class):
        for method in sources.methods(of):
            yield f"#### `{name}.{method.name}`"
            yield from _told(method.name, method)


def signature(name: str, of: sources.Named) -> str:
    """Return how a name is declared, as in the source, broken into lines where it is long."""
    if isinstance(of, griffe.Attribute):
        return f"{name} = {of.value}"
    marks = [f"@{mark.value}\n" for mark in of.decorators]
    if isinstance(of, griffe.Class):
        bases = ", ".join(str(base) for base in of.bases)
        made = of.members.get("__init__")
        given = list(made.parameters) if isinstance(made, griffe.Function) else []
        head = f"class {name}({bases})" if bases else f"class {name}"
        called = _call(name, given, "")
        return "".join([*marks, head, f"\n\n{called}" if given else ""])
    returned = f" -> {of.returns}" if of.returns else ""
    return "".join([*marks, _call(f"def {name}", list(of.parameters), returned)])


def _call(head: str, parameters: Iterable[griffe.Parameter], returned: str) -> str:
    """Return a signature in one line or, where that is long, in one line for each parameter."""
    parts: list[str] = []
    for parameter in parameters:
        if parameter.name == "self":
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and "*" not in "".join(
            part[0] for part in parts
        ):
            parts.append("*")
        parts.append(_parameter(parameter))
    line = f"{head}({', '.join(parts)}){returned}"
    if len(line) <= WIDTH:
        return line
    body = "".join(f"    {part},\n" for part in parts)
    return f"{head}(\n{body}){returned}"


def _parameter(parameter: griffe.Parameter) -> str:
    stars = {"variadic positional": "*", "variadic keyword": "**"}
    name = stars.get(parameter.kind.value if parameter.kind else "", "") + parameter.name
    typed = f"{name}: {parameter.annotation}" if parameter.annotation else name
    if parameter.default is None or name != parameter.name:
        return typed
    return f"{typed} = {parameter.default}"


def field_row(of: griffe.Attribute) -> tuple[str, str, str, str]:
    """Return name, type, default and meaning of a field of a class."""
    told = sources.text_of(of)
    default = "" if of.value is None or sources.is_assigned(of) else str(of.value)
    if isinstance(of.value, griffe.ExprCall) and str(of.value.function) in ("Field", "field"):
        given = {
            str(argument.name): str(argument.value)
            for argument in of.value.arguments
            if isinstance(argument, griffe.ExprKeyword)
        }
        default = given.get("default", given.get("default_factory", "") + "()")
        told = told or sources.evaluated(given.get("description", "''"), of.module.path)
    # What stands for None in the eyes of a type checker is None to everybody else.
    default = "None" if default == "UNFILLED" else default
    typed = f"`{of.annotation}`" if of.annotation else ""
    return f"`{of.name}`", typed, f"`{default}`" if default else "", _text(told)


def _told(name: str, of: sources.Named) -> Iterator[str]:
    """Yield signature, what the docstring says, section by section, and fields; examples last."""
    yield f"```python\n{signature(name, of)}\n```"
    shown: list[str] = []
    for section in sources.sections(of):
        if isinstance(section, griffe.DocstringSectionText):
            yield _text(section.value)
        elif isinstance(section, griffe.DocstringSectionParameters):
            yield "\n".join(table(("parameter", "what"), _merged(section.value)))
        elif isinstance(section, griffe.DocstringSectionReturns):
            yield "\n\n".join(
                f"Returns `{one.annotation}`: {_text(one.description)}" for one in section.value
            )
        elif isinstance(section, griffe.DocstringSectionRaises):
            rows = [(f"`{one.annotation}`", _text(one.description)) for one in section.value]
            yield "\n".join(table(("raises", "when"), rows))
        elif isinstance(section, griffe.DocstringSectionExamples):
            shown += [_example(kind, text) for kind, text in section.value]
        else:
            raise TypeError(f"{of.path}: a section {section.kind.value!r}, which no page shows")
    if isinstance(of, griffe.Class) and (fields := list(map(field_row, sources.fields(of)))):
        yield "\n".join(table(("field", "type", "default", "what"), fields))
    yield from shown


def _merged(parameters: Iterable[griffe.DocstringParameter]) -> Iterator[tuple[str, str]]:
    """Yield names and meaning; those that are explained together stay together."""
    for told, group in groupby(parameters, key=lambda one: one.description):
        yield ", ".join(f"`{one.name}`" for one in group), _text(told)


def _example(kind: griffe.DocstringSectionKind, text: str) -> str:
    if kind is griffe.DocstringSectionKind.text:
        return _text(text)
    return f"```pycon\n{text}\n```"


def _text(text: str) -> str:
    """Return a docstring's text as Markdown: blocks in fences, definitions as a list."""
    text = _BLOCK.sub(lambda found: f"```\n{dedent(found[1]).strip()}\n```\n\n", text)
    text = _DEFINITION.sub(lambda found: f"- {found[1]}: {' '.join(found[2].split())}\n", text)
    return _CODE.sub("`", text).strip()


_BLOCK = re.compile(r"^::\n\n((?:    .*(?:\n|$)|\n)+)", re.MULTILINE)
_DEFINITION = re.compile(r"^(``.+``)\n((?:    .+(?:\n|$))+)", re.MULTILINE)
_CODE = re.compile(r"(?<!`)``(?!`)")

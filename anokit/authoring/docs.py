"""``anokit docs``: the pages that are made from what is installed, so that they cannot go stale."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from anokit.authoring.api_page import api_page, package_file, package_page
from anokit.authoring.markdown import MADE, table
from anokit.authoring.measured import FOLDER, Shelf
from anokit.authoring.systems import systems_page
from anokit.authoring.words import facts, option_rows, snippet
from anokit.authoring.workspace import packages
from anokit.errors import UsageError
from anokit.plugin import KINDS
from anokit.registry.entries import Entry
from anokit.registry.hookspecs import KIND_WORDS, RECIPE_KINDS
from anokit.registry.lookup import Registry
from anokit.store.files import why_refused, write_text

ABOUT_COMMANDS = (
    "`anokit COMMAND --help` shows the same. Exit codes: 0 done, 1 a run or a check failed, "
    "2 the recipe or the command line is wrong, 130 interrupted."
)

Commands = Mapping[str, Callable[..., Any]]
"""The functions of all commands by name; their signatures and docstrings are what is described."""


def described(folder: Path, files: Sequence[Path] = ()) -> Registry:
    """Return what the pages of a folder are about, with the one-file plugins that are given.

    In a workspace that is its own plugins, so that a page of a checkout does not depend on what
    else is installed; elsewhere everything that is installed.
    """
    own = [package.name for package in packages(folder)]
    return Registry.load(files, among=own or None)


def pages(registry: Registry, commands: Commands, folder: Path) -> dict[str, str]:
    """Return the text of every generated page, by file name.

    ``folder``: where the pages lie, and beside them what was measured.
    """
    public = [package for package in packages(folder) if package.public]
    return {
        "components.md": components_page(registry),
        "cli.md": cli_page(commands),
        "api.md": api_page(public),
        **{package_file(package): package_page(package) for package in public},
        "systems.md": systems_page(registry, Shelf.read(folder / FOLDER)),
    }


def write(made: Mapping[str, str], folder: Path) -> list[Path]:
    """Write pages into a folder and return their paths."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be made: {why_refused(error)}") from None
    for name, text in made.items():
        write_text(folder / name, text)
    return [folder / name for name in made]


def stale(made: Mapping[str, str], folder: Path) -> list[Path]:
    """Return the pages of a folder that differ from what they should be, or are missing."""
    paths = {folder / name: text for name, text in made.items()}
    return [
        path
        for path, text in paths.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def components_page(registry: Registry) -> str:
    """Return the page on all components: what each is, needs and takes, with an example."""
    parts = ["# Components", MADE, _intro(registry)]
    for kind in KINDS:
        entries = registry.of_kind(kind)
        if entries:
            parts.append(f"## {KIND_WORDS[kind].heading}")
            parts += [_component(entry) for entry in entries]
    return "\n\n".join(parts) + "\n"


def _intro(registry: Registry) -> str:
    about = (
        "Everything that a recipe can name after `use =`, by kind; and what `--watch` switches on."
    )
    lines = [about, ""]
    lines += ["| kind | components |", "|---|---|"]
    for kind in KINDS:
        links = [f"[`{e.component.name}`](#{_anchor(e)})" for e in registry.of_kind(kind)]
        lines.append(f"| {kind} | {', '.join(links) or '–'} |")
    return "\n".join(lines)


def _anchor(entry: Entry) -> str:
    return f"{entry.kind}-{entry.component.name}"


def _component(entry: Entry) -> str:
    component = entry.component
    lines = [f"### {entry.kind} `{component.name}`", "", f"{component.summary}."]
    known = " ".join(f"{label.capitalize()}: {text}." for label, text in facts(entry))
    fence = "```toml" if entry.kind in RECIPE_KINDS else "```"
    lines += ["", known, "", fence, snippet(entry).strip(), "```"]
    rows = option_rows(component.options)
    if rows:
        head = ("option", "type", "default", "meaning")
        code = [(f"`{n}`", kind, f"`{default}`", meaning) for n, kind, default, meaning in rows]
        lines += ["", *table(head, code)]
    else:
        lines += ["", "No options."]
    return "\n".join(lines)


def cli_page(commands: Commands) -> str:
    """Return the page on all commands, in their order."""
    parts = ["# Commands", MADE, ABOUT_COMMANDS]
    parts += [_command(name, function) for name, function in commands.items()]
    return "\n\n".join(parts) + "\n"


def _command(name: str, function: Callable[..., Any]) -> str:
    """Describe one command from the signature of its function."""
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    # What is not annotated is no argument but the parser's context.
    given = [p for p in parameters if get_origin(p.annotation) is Annotated]
    infos = {p.name: (p, get_args(p.annotation)[1]) for p in given}
    arguments = [
        _written(p, info) if p.default is inspect.Parameter.empty else f"[{_written(p, info)}]"
        for p, info in infos.values()
        if not _is_option(info)
    ]
    usage = " ".join(["anokit", name, *arguments, "[OPTIONS]"])
    rows = [(f"`{_written(p, info)}`", _default(p), info.help or "") for p, info in infos.values()]
    about = inspect.getdoc(function) or ""
    listed = table(("argument", "default", "meaning"), rows)
    return "\n".join([f"## anokit {name}", "", about, "", "```", usage, "```", "", *listed])


def _is_option(info: Any) -> bool:
    return type(info).__name__ == "OptionInfo"


def _written(parameter: inspect.Parameter, info: Any) -> str:
    """Return a parameter as it is typed."""
    if not _is_option(info):
        return str(info.metavar or parameter.name.upper())
    # In an annotation the first name of an option stands where its default would.
    names = [n for n in (info.default, *info.param_decls) if str(n).startswith("--")]
    name = names[0] if names else f"--{parameter.name.replace('_', '-')}"
    annotation = get_args(parameter.annotation)[0]
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    if kinds == [bool]:
        return str(name)
    choices = get_args(kinds[0]) if get_origin(kinds[0]) is Literal else kinds
    if all(isinstance(choice, str) for choice in choices):
        return f"{name} {'|'.join(map(str, choices))}"
    words = {Path: "PATH", int: "INTEGER", str: "TEXT"}
    return f"{name} {info.metavar or words.get(kinds[0], str(kinds[0]))}"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    value = parameter.default
    return "" if value is None or value is False else f"`{value}`"

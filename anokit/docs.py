"""``anokit docs``: the pages that are made from what is installed, so that they cannot go stale."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from anokit.discovery import Entry
from anokit.errors import UsageError
from anokit.listing import option_rows, recipe_snippet
from anokit.plugin import KINDS, Fields, resolve_fields
from anokit.registry import Registry

MADE = "<!-- Made by `anokit docs`: change the descriptions in the code, not this page. -->"
ABOUT_COMMANDS = (
    "`anokit COMMAND --help` shows the same. Exit codes: 0 done, 1 a run or a check failed, "
    "2 the recipe or the command line is wrong, 130 interrupted."
)
ABOUT_API = (
    "What plugins and other programs may rely on; everything else in anokit is private and may "
    "change at any time. How these change is in [plugins.md](plugins.md#versions)."
)
ABOUT_HOOKS = "Functions of these names, marked with `@hookimpl`, in a plugin's module."
HEADINGS = {
    "backbone": "Backbones",
    "encoder-loss": "Encoder losses",
    "score": "Scores",
    "dataset": "Datasets",
}


def pages(registry: Registry) -> dict[str, str]:
    """Return the text of every generated page, by file name."""
    return {
        "components.md": components_page(registry),
        "cli.md": cli_page(),
        "api.md": api_page(),
    }


def write(made: Mapping[str, str], folder: Path) -> list[Path]:
    """Write pages into a folder and return their paths."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be written: {error.strerror}") from None
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
            parts.append(f"## {HEADINGS[kind]}")
            parts += [_component(entry) for entry in entries]
    return "\n\n".join(parts) + "\n"


def _intro(registry: Registry) -> str:
    lines = ["Everything that a recipe can name after `use =`, by kind.", ""]
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
    facts = [f"From `{entry.plugin}`."]
    example = component.options.model_validate(dict(component.example))
    for word, fields in (
        ("Needs", component.needs),
        ("Map needs", component.map_needs),
        ("Provides", component.provides),
        ("Trains an encoder on trips from", component.trips),
    ):
        if text := _fields(fields, example):
            facts.append(f"{word} {text}.")
    if component.trip_from:
        facts.append(f"Trips start at: {component.trip_from}.")
    if component.simulate:
        facts.append('Offers `when_missing = "simulate"`.')
    if component.reference:
        facts.append(f"Reference: {component.reference}.")
    lines += ["", " ".join(facts), "", "```toml", recipe_snippet(entry).strip(), "```"]
    rows = option_rows(component.options)
    if rows:
        head = ("option", "type", "default", "meaning")
        code = [(f"`{n}`", kind, f"`{default}`", meaning) for n, kind, default, meaning in rows]
        lines += ["", *_table(head, code)]
    else:
        lines += ["", "No options."]
    return "\n".join(lines)


def _fields(fields: Fields, example: Any) -> str:
    """Return names of fields; where options decide, those of the example."""
    names = ", ".join(f"`{name}`" for name in sorted(resolve_fields(fields, example)))
    return f"{names} in this example; the options decide" if names and callable(fields) else names


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(_cell(text) for text in row) + " |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def api_page() -> str:
    """Return the page on the public API: every name and what it is. Imports torch."""
    from anokit import hookspecs, public

    parts = ["# Public API", MADE, ABOUT_API]
    for module in public.MODULES:
        rows = [(f"`{n}`", public.about(n, public.get(module, n))) for n in public.names(module)]
        about = (inspect.getdoc(importlib.import_module(module)) or "").partition("\n\n")[0]
        table = "\n".join(_table(("name", "what"), rows))
        parts += [f"## {module}", " ".join(about.split()), table]
    hooks = [(f"`{n}()`", public.about(n, getattr(hookspecs, n))) for n in hookspecs.HOOK_KINDS]
    parts += ["## Hooks", ABOUT_HOOKS, "\n".join(_table(("hook", "what"), hooks))]
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """Return the page on all commands, in the order of ``anokit --help``."""
    from anokit.cli import app
    from anokit.cli_plugins import commands

    parts = [
        "# Commands",
        MADE,
        ABOUT_COMMANDS,
    ]
    parts += [
        _command(command.name, command.callback)
        for command in [*app.registered_commands, *commands.registered_commands]
        if command.name and command.callback
    ]
    return "\n\n".join(parts) + "\n"


def _command(name: str, function: Callable[..., Any]) -> str:
    """Describe one command from the signature of its function."""
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    infos = {p.name: (p, get_args(p.annotation)[1]) for p in parameters}
    arguments = [_written(p, info) for p, info in infos.values() if not _is_option(info)]
    usage = " ".join(["anokit", name, *arguments, "[OPTIONS]"])
    rows = [(f"`{_written(p, info)}`", _default(p), info.help or "") for p, info in infos.values()]
    about = inspect.getdoc(function) or ""
    table = _table(("argument", "default", "meaning"), rows)
    return "\n".join([f"## anokit {name}", "", about, "", "```", usage, "```", "", *table])


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
    if isinstance(kinds[0], type) and issubclass(kinds[0], Enum):
        return f"{name} {'|'.join(str(choice.value) for choice in kinds[0])}"
    words = {Path: "PATH", int: "INTEGER", str: "TEXT"}
    return f"{name} {info.metavar or words.get(kinds[0], str(kinds[0]))}"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    value = getattr(parameter.default, "value", parameter.default)
    return "" if value is None or value is False else f"`{value}`"

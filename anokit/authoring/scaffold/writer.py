"""Fill the templates and write them. Templates are plain files; `string.Template` fills them."""

from __future__ import annotations

import json
import subprocess
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from anokit.authoring.scaffold.copying import LICENSE, Original
from anokit.authoring.scaffold.names import Names, names_for
from anokit.authoring.scaffold.shown import use_of
from anokit.errors import UsageError
from anokit.plugin import KINDS, Kind
from anokit.registry.entries import Entry
from anokit.registry.lookup import Registry, UnknownComponentError
from anokit.store.files import why_refused, write_text
from anokit.store.targets import check_folder
from anokit.version import __version__

SOURCE = """\
# Where no package index has anokit yet, uv takes it from a checkout, or from a repository:
# [tool.uv.sources]
# anokit = { path = "../anokit" }  # or: { git = "…" }
"""

SUFFIX = ".tmpl"
"""Ends every template's name, so that no tool takes it for what it will become."""


def write_plugin(
    name: str,
    kind: Kind,
    out: Path | None = None,
    anokit: Path | None = None,
    start: Entry | None = None,
) -> list[Path]:
    """Write a plugin's package and return the files, its folder first.

    Parameters
    ----------
    name
        Name of the distribution, such as ``acme-angle``.
    kind
        What the plugin offers: one component of this kind.
    out
        The folder to make; by default ``name``.
    anokit
        A checkout of anokit that uv is to use instead of the published package.
    start
        An installed component of that kind to copy, in place of a small example.

    Raises
    ------
    UsageError
        Where the name cannot be used, the folder is there already and not empty, ``anokit`` is
        no checkout, or ``start`` cannot be copied.
    """
    names = names_for(name)
    folder = out or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is there already and not empty; choose another with --out")
    check_folder("--out", folder)
    if anokit is not None and not (anokit / "anokit" / "plugin.py").is_file():
        raise UsageError(f"--anokit {anokit}: expected a checkout of anokit, with anokit/ in it")
    texts = package_texts(names, kind, anokit, start)
    written = [folder]
    for place, text in texts.items():
        target = folder / place
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{target.parent}: cannot be made: {why_refused(error)}") from None
        write_text(target, text)
        written.append(target)
    return written


def component_called(start: str, kind: Kind | None) -> Entry:
    """Return the installed component that ``KIND:NAME`` means.

    Raises
    ------
    UsageError
        Where it is not of that form, is of another ``kind``, or there is no such component.
    """
    given, _, name = start.partition(":")
    found = next((one for one in KINDS if one == given), None)
    if found is None or not name:
        raise UsageError(
            f"--from {start}: expected KIND:NAME, such as score:residual; "
            f"kinds are {', '.join(KINDS)}"
        )
    if kind is not None and kind != found:
        raise UsageError(f"--from {start}: is a {found}, and --kind says {kind}; leave --kind out")
    try:
        return Registry.load().get(found, name)
    except UnknownComponentError as error:
        raise UsageError(f"--from {start}: {error}") from None


def package_texts(
    names: Names, kind: Kind, anokit: Path | None, start: Entry | None
) -> dict[str, str]:
    """Return the text of every file of a plugin, by its path."""
    values = _values(names, kind, anokit)
    copy = None
    if start is not None:
        copy = Original(start).copied(names)
        values |= {
            "dependencies": json.dumps([values["anokit"], *copy.needs]),
            "kind": kind,
            "license": copy.license,
            "notice": copy.notice,
            "summary": start.component.summary,
            "use": use_of(start, names, Registry.load()),
        }
    templates = resources.files("anokit.authoring.scaffold") / "templates"
    texts = {}
    for source in (templates / "common", templates / ("copied" if copy else kind)):
        for parts, text in _walk(source):
            place = Template("/".join(parts)).substitute(values).removesuffix(SUFFIX)
            texts[place] = Template(text).substitute(values)
    for place, text in (copy.files if copy else {}).items():
        texts[f"src/{names.package}/{place}"] = text
    if copy and copy.license != LICENSE:
        texts["LICENSE"] = copy.license_text
    return texts


def _walk(folder: Traversable, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Return every template below a folder: the parts of its path, its text."""
    found = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found += _walk(item, (*above, item.name))
        elif item.name.endswith(SUFFIX):
            found.append(((*above, item.name), item.read_text(encoding="utf-8")))
    return found


def _values(names: Names, kind: Kind, anokit: Path | None) -> dict[str, str]:
    words = kind.replace("-", " ")
    own = f"anokit{version_range(__version__)}"
    needs = [own, "numpy>=1.26", "pydantic>=2.11", "torch>=2.7"]
    return {
        **vars(names),
        "anokit": own,
        "author": author(),
        "dependencies": json.dumps(needs),
        "description": f"The {words} {names.component} for anokit",
        "license": LICENSE,
        "source": source_of(anokit),
        "words": words,
    }


def author() -> str:
    """Return who writes the plugin, as pyproject.toml names authors: whom git knows."""
    found = {"name": git_setting("user.name") or "Your Name", "email": git_setting("user.email")}
    given = (f"{key} = {json.dumps(value)}" for key, value in found.items() if value)
    return f"{{ {', '.join(given)} }}"


def git_setting(key: str) -> str:
    """Return what git is configured with; empty where there is no git, or nothing of that name."""
    try:
        done = subprocess.run(["git", "config", key], capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip()


def source_of(anokit: Path | None) -> str:
    """Return where uv takes anokit from: a checkout, or how to say so."""
    if anokit is None:
        return SOURCE
    path = json.dumps(str(anokit.resolve()))
    return f"[tool.uv.sources]\nanokit = {{ path = {path}, editable = true }}\n"


def version_range(version: str) -> str:
    """Return the versions of anokit that a plugin made today fits: before 1.0 the minor one counts.

    >>> version_range("0.1.3"), version_range("2.4.0")
    ('>=0.1,<0.2', '>=2.4,<3')
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    following = f"0.{minor + 1}" if major == 0 else str(major + 1)
    return f">={major}.{minor},<{following}"

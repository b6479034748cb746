"""Fill the templates and write them. Templates are plain files; `string.Template` fills them."""

from __future__ import annotations

import json
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from anokit.authoring.scaffold.names import Names, names_for
from anokit.errors import UsageError
from anokit.plugin import Kind
from anokit.version import __version__

SUFFIX = ".tmpl"
"""Ends every template's name, so that no tool takes it for what it will become."""


def write_plugin(
    name: str, kind: Kind, out: Path | None = None, anokit: Path | None = None
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

    Raises
    ------
    UsageError
        Where the name cannot be used, the folder is there already and not empty, or ``anokit`` is
        no checkout.
    """
    names = names_for(name)
    folder = out or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is there already and not empty; choose another with --out")
    if anokit is not None and not (anokit / "anokit" / "plugin.py").is_file():
        raise UsageError(f"--anokit {anokit}: expected a checkout of anokit, with anokit/ in it")
    values = _values(names, anokit)
    templates = resources.files("anokit.authoring.scaffold") / "templates"
    written = [folder]
    for source in (templates / "common", templates / kind):
        for parts, text in _walk(source):
            filled = [Template(part).substitute(values) for part in parts]
            target = folder.joinpath(*filled[:-1], filled[-1].removesuffix(SUFFIX))
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(Template(text).substitute(values), encoding="utf-8")
            except OSError as error:
                raise UsageError(f"{target}: cannot be written: {error.strerror}") from None
            written.append(target)
    return written


def _walk(folder: Traversable, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Return every template below a folder: the parts of its path, its text."""
    found = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found += _walk(item, (*above, item.name))
        elif item.name.endswith(SUFFIX):
            found.append(((*above, item.name), item.read_text(encoding="utf-8")))
    return found


def _values(names: Names, anokit: Path | None) -> dict[str, str]:
    source = ""
    if anokit is not None:
        path = json.dumps(str(anokit.resolve()))
        source = f"\n[tool.uv.sources]\nanokit = {{ path = {path}, editable = true }}\n"
    return {**vars(names), "range": version_range(__version__), "source": source}


def version_range(version: str) -> str:
    """Return the versions of anokit that a plugin made today fits: before 1.0 the minor one counts.

    >>> version_range("0.1.3"), version_range("2.4.0")
    ('>=0.1,<0.2', '>=2.4,<3')
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    following = f"0.{minor + 1}" if major == 0 else str(major + 1)
    return f">={major}.{minor},<{following}"

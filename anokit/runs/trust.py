"""Which one-file plugins of a run directory may be executed.

Trusted are installed plugins and files that the user names. Nothing inside a run directory is: it
may be somebody else's. The run records the hashes of the one-file plugins that it was made with; a
copy that it keeps is executed only if the user says so, and only if it is still what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from anokit.errors import CheckpointError, UsageError
from anokit.registry.discovery import file_plugin
from anokit.registry.entries import FoundPlugin
from anokit.store.records import AddedScore
from anokit.store.run_directory import RunDirectory


def kept_plugins(
    directory: RunDirectory,
    tables: Mapping[str, Any],
    needed: Mapping[str, Any],
    added: Mapping[str, AddedScore],
    given: Sequence[Path],
    trusted: bool,
) -> list[FoundPlugin]:
    """Return the one-file plugins that a run keeps, was made with, and is trusted with.

    Parameters
    ----------
    tables
        The run's resolved recipe with all its scores and baselines.
    needed
        What of it is built anew: of baselines that are not scored again no plugin is needed.
    added
        What added.json says of scores that were added later.
    given
        Files that the user names. One of them stands for the run's own of the same file name.
    trusted
        Whether the user trusts what the run keeps.

    Raises
    ------
    UsageError
        Where the run needs plugins that are neither given nor trusted.
    CheckpointError
        Where a trusted one is gone, or is not what the run recorded.
    """
    used, must = set(used_plugins(tables)), set(used_plugins(needed))
    names = {path.name for path in given}
    kept = {
        name: digest
        for name, digest in recorded_plugins(directory, added).items()
        if Path(name).stem in used and name not in names
    }
    missing = [name for name in kept if Path(name).stem in must]
    if missing and not trusted:
        listed = ", ".join(missing)
        raise UsageError(
            f"{directory.path}: was made with one-file plugins ({listed}), and nothing inside a "
            "run directory is executed unless you trust it. Look at them, then add "
            "--trust-plugins (in Python: trust_plugins=True), or name your own copies with "
            "--plugin"
        )
    there = [name for name in kept if name in missing or (directory.path / name).is_file()]
    return [_checked(directory.path / name, kept[name]) for name in there if trusted]


def recorded_plugins(directory: RunDirectory, added: Mapping[str, AddedScore]) -> dict[str, str]:
    """Return the SHA-256 of each one-file plugin that a run was made with, by file name."""
    found = dict(directory.environment().plugin_files)
    for entry in added.values():
        found |= entry.plugin_files
    # A record is a file too: a name in it may not lead out of the directory.
    return {name: digest for name, digest in found.items() if Path(name).name == name}


def _checked(path: Path, digest: str) -> FoundPlugin:
    """Return a plugin as it was read just now, if that is what the run recorded."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: is gone, and the run needs this plugin; name your own copy of it with "
            "--plugin"
        )
    plugin = file_plugin(path)
    if plugin.sha256 != digest:
        raise CheckpointError(
            f"{path}: is not the plugin that this run was made with (SHA-256 "
            f"{plugin.sha256[:12]}, recorded {digest[:12]}), so it is not executed; name the right "
            "one with --plugin"
        )
    return plugin


def used_plugins(value: Any) -> Iterator[str]:
    """Yield the plugin of every component that a resolved recipe names."""
    if isinstance(value, Mapping):
        if isinstance(value.get("use"), str):
            yield value["use"].partition("/")[0]
        for item in value.values():
            yield from used_plugins(item)
    elif isinstance(value, list):
        for item in value:
            yield from used_plugins(item)

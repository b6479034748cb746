"""A finished run directory, read: what every command on a finished run begins with."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anokit.errors import CheckpointError, UsageError
from anokit.recipe.parts import Recipe
from anokit.recipe.reading import resolve
from anokit.registry.guard import tell
from anokit.registry.lookup import Registry
from anokit.results.rows import Results, read_results
from anokit.runs.plugins_now import changed, check_there
from anokit.runs.trust import kept_plugins, used_plugins
from anokit.store.fitted_files import FittedFiles
from anokit.store.records import AddedScore
from anokit.store.run_directory import RunDirectory
from anokit.store.undo import put_back
from anokit.types import ImageSpec

__all__ = ["OpenedRun", "open_run"]


@dataclass(frozen=True)
class OpenedRun:
    """A finished run directory and what was read of it."""

    directory: RunDirectory
    tables: Mapping[str, Any]
    """the resolved recipe; added scores are among its own"""
    quick: bool
    added: Mapping[str, AddedScore]
    """what is recorded of scores that were added later, by name"""
    registry: Registry
    results: Results

    @property
    def spec(self) -> ImageSpec:
        """Return the shape of the run's images."""
        found = self.directory.split().spec
        return ImageSpec(found.channels, found.height, found.width)

    @property
    def fitted(self) -> FittedFiles:
        """Return the files of what the run's scores learnt."""
        folder = self.directory.scores
        found = FittedFiles.of(folder, self.results.fitted_files)
        # A run that was made before rows told of them has one file a component.
        return found if found.names else FittedFiles.of(folder, (p.name for p in folder.glob("*")))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone, as it was read.

        Raises
        ------
        UsageError
            Where another process holds it, or has changed its results since they were read.
        CheckpointError
            Where the lock cannot be made, or results.json has been damaged.
        """
        put_back(self.directory)
        with self.directory.locked():
            now = read_results(self.directory)
            if now.model_dump_json() != self.results.model_dump_json():
                raise UsageError(
                    f"{self.directory.path}: another anokit has changed its results since this "
                    "command began; give the command again"
                )
            yield

    def recipe(self, path: Path | None = None, **changes: Any) -> Recipe:
        """Return the run's recipe with top-level tables changed, as if read from ``path``.

        Where a plugin has another version now than the run was made with, that is told.

        Raises
        ------
        RecipeError
            Where a component that the recipe needs is not installed, or a change is wrong.
        """
        source = path or self.directory.path / "resolved.json"
        tables, used = {**self.tables, **changes}, frozenset(used_plugins(self.tables))
        own = self.directory.environment().plugins
        made = {name: v for one in self.added.values() for name, v in one.plugins.items()} | own
        run = self.directory.path
        check_there(run, made, [*used_plugins(tables)], self.registry)
        recipe = resolve(tables, self.registry, source, quick=self.quick, recorded=used)
        # Scores from elsewhere are new, whatever was called so before.
        by = {row.name: own for row in self.results.rows if not row.added} if path is None else {}
        by |= {name: one.plugins for name, one in self.added.items()} if path is None else {}
        for text in changed(run, recipe, own, by):
            tell(text)
        return recipe


def open_run(
    run: Path,
    *,
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
    baselines: Container[str] = (),
) -> OpenedRun:
    """Open a finished run directory.

    Parameters
    ----------
    run
        The directory.
    plugins
        One-file plugins, as ``--plugin`` takes them; they take the place of those of the same name
        that the run keeps.
    trust_plugins
        Whether the one-file plugins that the run keeps may be executed.
    baselines
        Names of the baselines that are scored anew, if the run has them.

    Raises
    ------
    CheckpointError
        Where the run is not finished or a file in it is damaged.
    UsageError
        Where the run needs one-file plugins that are neither given nor trusted, or another process
        has been changing it for long.
    """
    directory = RunDirectory(run)
    tables = directory.resolved()
    directory.check_finished()
    if directory.exclude.exists():
        # The list that it was made from may have been changed since, for a further run.
        tables["dataset"] = {**tables["dataset"], "exclude": str(directory.exclude)}
    results = read_results(directory)
    directory.check_hashes(results.files)
    quick = bool(tables.pop("quick", False))
    own = {row.name for row in results.rows if not row.added}
    named = [one["name"] for kind in ("scores", "baselines") for one in tables.get(kind, [])]
    if new := [name for name in named if name not in own]:
        raise CheckpointError(
            f"{run}: was stopped while it was scored by another recipe, and has no results of "
            f"{', '.join(new)} yet; go on with: {directory.resume_command}"
        )
    # One without a row was being added when the process was killed; the recipe may since have taken
    # the name of another.
    rows = {row.name for row in results.rows if row.added and not row.failed}
    added = {name: entry for name, entry in directory.added().items() if name in rows}
    tables["scores"] = [*tables["scores"], *(entry.score for entry in added.values())]
    failed = results.failed
    for kind in ("scores", "baselines"):
        tables[kind] = [one for one in tables.get(kind, []) if one["name"] not in failed]
    anew = [one for one in tables["baselines"] if one["name"] in baselines]
    needed = {**tables, "baselines": anew}
    kept = kept_plugins(directory, tables, needed, added, plugins, trust_plugins)
    return OpenedRun(directory, tables, quick, added, Registry.load(plugins, kept), results)

"""Which directory a run is made in, or goes on in."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path

from anokit.errors import CheckpointError, UsageError
from anokit.recipe.parts import Recipe
from anokit.store.files import why_refused
from anokit.store.run_directory import LOCK, RunDirectory, RunState
from anokit.store.training_digest import TRAINING_KEYS, training_digest

START = frozenset({LOCK, "recipe.toml", "resolved.json", "exclude.txt", "environment.json"})
"""Files that a run writes before split.json, beside its one-file plugins."""


def new_path(name: str) -> Path:
    """Return a path for a run directory that nobody has yet: ``runs/<name>/<time>-<id>``."""
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / name / f"{stamp}-{secrets.token_hex(2)}"


def create(recipe: Recipe, out: Path | None) -> RunDirectory:
    """Make a new run directory: ``out``, or ``runs/<recipe>/<time>-<id>``.

    One that is begun and no more (`RunState.BEGUN`) is begun anew.

    Raises
    ------
    UsageError
        Where ``out`` holds anything else or no directory can be made there.
    """
    path = out or new_path(recipe.name)
    directory = RunDirectory(path, recipe)
    try:
        if path.exists() and (not path.is_dir() or (held := _first_kept(directory))):
            raise UsageError(f"--out {path}: {_refusal(directory, held if path.is_dir() else '')}")
        path.mkdir(parents=True, exist_ok=True)
        (path / LOCK).touch()
    except OSError as error:
        option = "--out " if out else ""
        raise UsageError(
            f"{option}{path}: the run directory cannot be made: {why_refused(error)}; or choose "
            "another with --out"
        ) from None
    return directory


def _first_kept(directory: RunDirectory) -> str:
    """Return the name of something in a directory that a new run may not write over, or nothing."""
    names = sorted(path.name for path in directory.path.iterdir())
    if LOCK not in names or directory.state is not RunState.BEGUN:
        return next((name for name in names if name != LOCK), "")
    return next((name for name in names if not _of_start(name)), "")


def _of_start(name: str) -> bool:
    """Return whether a file is one that a run writes before anything could be lost."""
    return name in START or name.endswith(".py") or (name[0] == "." and name.endswith(".new"))


def _refusal(directory: RunDirectory, held: str) -> str:
    """Return why no run can be begun in a directory, and what to do."""
    if not held:
        return "is there already and a file; name a new directory"
    if directory.finished:
        return f"holds a finished run, see {directory.report}; name a new directory"
    if directory.state is RunState.INTERRUPTED:
        begun = RunDirectory(directory.path)  # by its own recipe, which may be another
        return (
            "is there already and not empty; name a new directory, or go on with the interrupted "
            f"run in it: {begun.resume_command}"
        )
    return f"is there already and not empty; name a new directory (this one holds {held})"


def find_resumable(recipe: Recipe, given: Path | None) -> RunDirectory:
    """Return the run directory that ``--resume [DIR]`` means: the newest unfinished one by default.

    The newest is the one that began last by its own record, whatever its name. One that is begun
    and no more (`RunState.BEGUN`) is taken up too: nothing is lost, and its first files are written
    anew. So is a finished one that was killed while it cleared up.

    Raises
    ------
    UsageError
        Where there is none, or the run is finished.
    CheckpointError
        Where it belongs to another recipe.
    """
    if given is None:
        runs = Path("runs") / recipe.name
        found = [RunDirectory(path) for path in sorted(runs.glob("*")) if (path / LOCK).exists()]
        unfinished = [one for one in found if one.state is not RunState.FINISHED]
        if not unfinished:
            kind = "unfinished run" if found else "run"
            raise UsageError(f"--resume: there is no {kind} in {runs}; run without --resume")
        given = max(unfinished, key=_age).path
    directory = RunDirectory(given, recipe)
    if not given.is_dir():
        raise UsageError(f"--resume {given}: no such run directory")
    if directory.finished and directory.tidy:
        raise UsageError(f"--resume {given}: this run is finished: see {directory.report}")
    if (given / LOCK).exists() and directory.state is RunState.BEGUN:
        return directory
    stored = directory.resolved()
    now = recipe.as_dict()
    if training_digest(stored) != directory.training_digest:
        changed = [key for key in TRAINING_KEYS if stored.get(key) != now[key]]
        raise CheckpointError(
            f"--resume {given}: was made by another recipe; {', '.join(changed or ['training'])} "
            "differ. Resume with the recipe, --quick and --set that it was made by: "
            f"{given / 'resolved.json'}"
        )
    return directory


def recorded_plugins(name: str, given: Path | None) -> tuple[Path, dict[str, str]] | None:
    """Return the run that is to be resumed, and the versions of plugins that it was begun with.

    ``name`` is the recipe's; ``given`` as in `find_resumable`. None where that is not known.
    """
    paths = [given] if given else sorted((Path("runs") / name).glob("*"))
    found = [RunDirectory(path) for path in paths if (path / "environment.json").exists()]
    unfinished = [one for one in found if given or one.state is not RunState.FINISHED]
    if not unfinished:
        return None
    newest = max(unfinished, key=_age)
    try:
        return newest.path, newest.environment().plugins
    except CheckpointError:
        return None


def _age(directory: RunDirectory) -> tuple[bool, str, str]:
    """Return what sorts runs by when they began: those first in which nothing can be lost."""
    try:
        started = directory.environment().started
    except CheckpointError:
        started = ""
    return directory.state is RunState.INTERRUPTED, started, directory.path.name

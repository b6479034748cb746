"""The run directory: what a run leaves, written atomically, locked while somebody works in it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anokit.errors import CheckpointError, UsageError, writing
from anokit.recipe import Recipe

TRAINING_KEYS = ("seed", "dataset", "backbone", "encoder-losses")


class RunDirectory:
    """Paths of one run directory and the small files in it."""

    def __init__(self, path: Path, recipe: Recipe | None = None) -> None:
        self.path = path
        self.resume_command = (
            f"anokit run {recipe.arguments if recipe else '…'} --resume {shlex.quote(str(path))}"
        )
        self.training_digest = training_digest(recipe.as_dict()) if recipe else ""
        self.checkpoint = path / "checkpoint" / "last.safetensors"
        self.best = path / "checkpoint" / "best-on-test.safetensors"
        self.model = path / "model.safetensors"
        self.scores = path / "scores"
        self.samples = path / "samples"
        self.metrics = path / "metrics.jsonl"
        self.results = path / "results.json"
        self.report = path / "report.html"
        self._lines: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.results.exists()

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one JSON file of the directory, atomically."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one JSON file of the directory.

        Raises
        ------
        CheckpointError
            Where it is missing or damaged.
        """
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
            return content
        except FileNotFoundError:
            raise CheckpointError(
                f"{self.path}: has no {name}; expected a run directory, as `anokit run` leaves it"
            ) from None
        except ValueError as error:
            raise CheckpointError(f"{self.path / name}: damaged: {error}") from None

    def write_text(self, name: str, text: str) -> None:
        """Write one text file of the directory, atomically."""
        new = self.path / f".{name}.new"
        with writing(self.path / name):
            new.write_text(text, encoding="utf-8")
            new.replace(self.path / name)

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl; lines reach the disk a few at a time."""
        self._lines.append(json.dumps(line))
        if len(self._lines) >= 20:
            self.flush_metrics()

    def flush_metrics(self) -> None:
        """Write the lines that are still in memory."""
        if self._lines:
            with writing(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
                file.write("\n".join(self._lines) + "\n")
            self._lines = []

    def cut_metrics(self, shown: int) -> None:
        """Drop the lines written after the checkpoint that a run is resumed from."""
        self._lines = []
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["images"] <= shown:
                    kept.append(line)
            except (ValueError, KeyError):
                break  # the end of a file that a crash cut short
        self.write_text(self.metrics.name, "".join(f"{line}\n" for line in kept))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone.

        Raises
        ------
        UsageError
            Where another process holds it.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UsageError(
                f"{self.path}: another anokit is at work in it; wait for it or stop it"
            ) from None
        try:
            yield
        finally:
            lock.release()


def training_digest(resolved: Mapping[str, Any]) -> str:
    """Return a hash over all of a resolved recipe that decides the weights."""
    content = {key: resolved[key] for key in TRAINING_KEYS}
    content |= {key: resolved["training"].get(key) for key in ("max_steps", "threads")}
    if resolved["training"].get("selection", "last") != "last":
        # The weights are then chosen by how the primary score does on the test set.
        content["selection"] = [resolved["scores"][0], resolved["evaluation"]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def create(recipe: Recipe, out: Path | None) -> RunDirectory:
    """Make a new run directory: ``out``, or ``runs/<recipe>/<time>-<id>``.

    Raises
    ------
    UsageError
        Where ``out`` is not empty or no directory can be made there.
    """
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = out or Path("runs") / recipe.name / f"{stamp}-{secrets.token_hex(2)}"
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"--out {path}: is there already and not empty; name a new directory, or go on with "
            f"--resume {path}"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / ".lock").touch()
    except OSError as error:
        raise UsageError(
            f"{path}: the run directory cannot be made: {error.strerror}; choose another with --out"
        ) from None
    return RunDirectory(path, recipe)


def find_resumable(recipe: Recipe, given: Path | None) -> RunDirectory:
    """Return the run directory that ``--resume [DIR]`` means: the newest unfinished one by default.

    Raises
    ------
    UsageError
        Where there is none, or the run is finished.
    CheckpointError
        Where it belongs to another recipe.
    """
    if given is None:
        runs = Path("runs") / recipe.name
        found = sorted(p for p in runs.glob("*") if (p / "resolved.json").exists())
        unfinished = [p for p in found if not RunDirectory(p).finished]
        if not unfinished:
            kind = "unfinished run" if found else "run"
            raise UsageError(f"--resume: there is no {kind} in {runs}; run without --resume")
        given = unfinished[-1]
    directory = RunDirectory(given, recipe)
    if not given.is_dir():
        raise UsageError(f"--resume {given}: no such run directory")
    stored = directory.read_json("resolved.json")
    if directory.finished:
        raise UsageError(f"--resume {given}: this run is finished: see {directory.report}")
    now = recipe.as_dict()
    if training_digest(stored) != directory.training_digest:
        changed = [key for key in TRAINING_KEYS if stored.get(key) != now[key]]
        raise CheckpointError(
            f"--resume {given}: was made by another recipe; {', '.join(changed or ['training'])} "
            "differ. Resume with the recipe, --quick and --set that it was made by: "
            f"{given / 'resolved.json'}"
        )
    return directory

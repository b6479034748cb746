"""The run directory: what a run leaves, written atomically, locked while somebody works in it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from anokit.errors import CheckpointError
from anokit.recipe.parts import Recipe
from anokit.registry.entries import FoundPlugin
from anokit.store.documents import damaged, fitted, read_document, read_object, there
from anokit.store.files import append_text, sha256_of, write_json, write_text
from anokit.store.fitted_files import SUFFIX
from anokit.store.locks import held, is_held
from anokit.store.records import Added, AddedScore, Environment, Resolved, Split, Terms
from anokit.store.score_table import Ranking, ScoreTable, read_ranking, read_scores
from anokit.store.training_digest import training_digest

LOCK = ".lock"


class RunState(StrEnum):
    """What a run directory is, and so what can be done with it."""

    BEGUN = "begun"
    """Nothing can be lost, since training has not begun: the directory may also be empty, or not be
    there. Taken up by ``--resume`` or begun anew by ``--out``, by any recipe."""
    INTERRUPTED = "interrupted"
    """What was done is kept; ``--resume`` goes on with it."""
    FINISHED = "finished"
    """Results and report are whole."""


class RunDirectory:
    """Paths of one run directory and the small files in it."""

    def __init__(self, path: Path, recipe: Recipe | None = None) -> None:
        self.path = path
        self._arguments = recipe.arguments if recipe else None
        self.training_digest = training_digest(recipe.as_dict()) if recipe else ""
        self.checkpoint = path / "checkpoint" / "last.safetensors"
        self.best = path / "checkpoint" / "best-on-test.safetensors"
        self.model = path / "model.safetensors"
        self.scores = path / "scores"
        self.samples = path / "samples"
        self.metrics = path / "metrics.jsonl"
        self.table = path / "scores.csv"
        self.ranking = path / "training_scores.csv"
        self.rejected = path / "rejected.csv"
        self.overlays = path / "overlays"
        self.suspects = path / "suspects"
        self.exclude = path / "exclude.txt"
        self.before = path / "before.json"
        self.exhibits = path / "report.safetensors"
        self.results = path / "results.json"
        self.report = path / "report.html"
        self._lines: list[str] = []

    @property
    def resume_command(self) -> str:
        """The command that goes on with it, as it was begun where nobody says otherwise."""
        arguments = self._arguments
        if arguments is None:
            with suppress(CheckpointError):
                arguments = self.environment().arguments
        return f"anokit run {arguments or 'RECIPE'} --resume {shlex.quote(str(self.path))}"

    @property
    def state(self) -> RunState:
        """What the directory is: begun, interrupted or finished."""
        if self.finished:
            return RunState.FINISHED
        kept = (self.metrics, self.checkpoint, self.model)
        if self.begun or any(path.exists() for path in kept):
            return RunState.INTERRUPTED
        return RunState.BEGUN

    @property
    def begun(self) -> bool:
        """Whether all is written that is known before training; until then nothing can be lost."""
        return (self.path / "split.json").exists()

    @property
    def finished(self) -> bool:
        """Whether the run came to its end: results.json is the last file that it writes."""
        return self.results.exists()

    def check_finished(self) -> None:
        """Raise `CheckpointError` where the run is not finished, with what goes on with it."""
        if not self.finished and (self.path / "resolved.json").exists():
            raise CheckpointError(
                f"{self.path}: this run is not finished; go on with: {self.resume_command}"
            )

    @property
    def busy(self) -> bool:
        """Whether a process is at work in it."""
        return is_held(self.path / LOCK)

    @property
    def tidy(self) -> bool:
        """Whether nothing is left of what a run keeps only until it is finished."""
        whole = self.report.exists() and not self.checkpoint.parent.exists()
        return whole and not self.some_failed

    @property
    def some_failed(self) -> bool:
        """Whether the run came to its end, and some of its own scores failed on the way."""
        if not self.finished:
            return False
        rows = read_object(self.results).get("rows")
        return isinstance(rows, list) and any(
            isinstance(row, dict) and row.get("failed") and not row.get("added") for row in rows
        )

    def let_go(self) -> None:
        """Make it one that is begun and no more, if nothing was trained in it."""
        if not (self.finished or self.metrics.exists() or self.checkpoint.exists()):
            with suppress(OSError):
                self.model.unlink(missing_ok=True)
                (self.path / "split.json").unlink(missing_ok=True)

    def remove_checkpoints(self) -> None:
        """Remove what only training needs; raise `CheckpointError` where that is not allowed."""
        try:
            self.checkpoint.unlink(missing_ok=True)
            self.best.unlink(missing_ok=True)
            for left in self.checkpoint.parent.glob(".*.new"):  # of a killed process
                left.unlink(missing_ok=True)
            if self.checkpoint.parent.is_dir():
                self.checkpoint.parent.rmdir()
        except OSError as error:
            raise CheckpointError(
                f"{error.filename or self.checkpoint.parent}: could not be removed: "
                f"{error.strerror}; the run is finished, and this folder may be deleted"
            ) from None

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one JSON file of the directory, atomically."""
        write_json(self.path / name, content)

    def merge_json(self, name: str, new: Mapping[str, Any]) -> None:
        """Lay entries over a JSON file of the directory, which need not be there."""
        path = self.path / name
        old = read_object(path) if there(path) else {}
        self.write_json(name, {**old, **new})

    def hashes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of the weights and of these files in scores/, by relative path."""
        paths = [self.model, *(self.scores / name for name in sorted(names))]
        return {path.relative_to(self.path).as_posix(): sha256_of(path) for path in paths}

    def check_hashes(self, recorded: Mapping[str, str]) -> None:
        """Raise `CheckpointError` where weights or a fitted score are not what was recorded.

        A run that was made before hashes were recorded passes.
        """
        if not recorded:
            return
        names = [path.name for path in self.scores.glob(f"*{SUFFIX}")]
        for name, found in self.hashes(names).items():
            if recorded.get(name, found) != found:
                raise damaged(
                    self.path / name,
                    f"its SHA-256 is {found[:12]}, and the run recorded {recorded[name][:12]}",
                )

    def remove_unrecorded(self) -> None:
        """Remove files of fitted scores that results.json does not know, all while there is none.

        They were left by scores that failed, were stopped or were replaced, and nobody reads them.
        """
        recorded: Mapping[str, Any] = {}
        if self.finished and not (recorded := read_object(self.results).get("files") or {}):
            return  # made before files were recorded
        for path in self.scores.glob(f"*{SUFFIX}"):
            if path.relative_to(self.path).as_posix() not in recorded:
                with suppress(OSError):
                    path.unlink()

    # What is read raises `CheckpointError` where the file is missing or damaged.

    def resolved(self) -> dict[str, Any]:
        """Read resolved.json: the recipe with all defaults filled, and ``quick``."""
        path = self.path / "resolved.json"
        content = read_object(path)
        fitted(path, content, Resolved)
        return content

    def split(self) -> Split:
        """Read split.json."""
        return read_document(self.path / "split.json", Split)

    def environment(self) -> Environment:
        """Read environment.json."""
        return read_document(self.path / "environment.json", Environment)

    def added(self) -> dict[str, AddedScore]:
        """Read added.json, by the names of scores; empty where none was ever added."""
        path = self.path / "added.json"
        return read_document(path, Added).root if there(path) else {}

    def terms(self) -> dict[str, list[tuple[str, float]]]:
        """Read terms.json: the labels and weights of each score's terms."""
        return read_document(self.path / "terms.json", Terms).root

    def write_text(self, name: str, text: str) -> None:
        """Write one text file of the directory, atomically."""
        write_text(self.path / name, text)

    def write_scores(self, table: ScoreTable) -> None:
        """Write scores.csv, atomically."""
        write_text(self.table, table.text())

    def read_scores(self) -> ScoreTable:
        """Read scores.csv; raise `CheckpointError` where it is missing or damaged."""
        return read_scores(self.table)

    def write_ranking(self, ranking: Ranking) -> None:
        """Write training_scores.csv, atomically."""
        write_text(self.ranking, ranking.text())

    def read_ranking(self) -> Ranking:
        """Read training_scores.csv; raise `CheckpointError` where it is missing or damaged."""
        return read_ranking(self.ranking)

    def keep_plugins(self, plugins: Iterable[FoundPlugin]) -> dict[str, str]:
        """Keep copies of one-file plugins; return their SHA-256 by file name, for the record."""
        kept = {}
        for plugin in plugins:
            if plugin.file:
                write_text(self.path / plugin.file.name, plugin.source.decode("utf-8"))
                kept[plugin.file.name] = plugin.sha256
        return kept

    def check_same_data(self, fingerprint: str) -> None:
        """Raise `CheckpointError` where the data are no longer those that the run began with."""
        stored = self.split().fingerprint
        if stored != fingerprint:
            raise CheckpointError(
                f"{self.path}: the data changed since this run began (fingerprint {stored[:12]}, "
                f"now {fingerprint[:12]}), so its figures could not be compared; restore them or "
                "run anew"
            )

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl; lines reach the disk a few at a time."""
        self._lines.append(json.dumps(line))
        if len(self._lines) >= 20:
            self.flush_metrics()

    def flush_metrics(self) -> None:
        """Write the lines that are still in memory."""
        if self._lines:
            append_text(self.metrics, "\n".join(self._lines) + "\n")
            self._lines = []

    def cut_metrics(self, shown: int) -> None:
        """Drop the lines written after the checkpoint that a run is resumed from."""
        self._lines = []
        if not self.metrics.is_file():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                if json.loads(line)["images"] <= shown:
                    kept.append(line)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # cut short by a crash, or damaged: a log never stops a run
        self.write_text(self.metrics.name, "".join(f"{line}\n" for line in kept))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone.

        Raises
        ------
        UsageError
            Where another process holds it.
        CheckpointError
            Where the lock cannot be made.
        """
        busy = f"{self.path}: another anokit is at work in it; wait for it or stop it"
        with held(self.path / LOCK, busy):
            yield


OWN_NAMES = frozenset(
    {
        *("recipe.toml", "resolved.json", "environment.json", "split.json"),
        *("terms.json", "added.json"),
        *(path.name for path in vars(RunDirectory(Path("run"))).values() if isinstance(path, Path)),
    }
) - {"suspects", "run"}
"""Names of what only a run itself writes into its directory, and commands that add to it."""

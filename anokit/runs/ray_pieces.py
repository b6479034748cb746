"""Pieces of many files on a Ray cluster, whose machines see files and pieces under one path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import torch

from anokit.errors import AnokitError, PluginError
from anokit.runs.engines import RETRIES, connect, import_ray
from anokit.runs.finished import FinishedRun, load
from anokit.runs.pieces import PieceJob, score_pieces
from anokit.watching import Advance

AHEAD = 2
"""Pieces for every place that are handed over before one comes back."""

Source = tuple[Path, Sequence[Path], bool]
"""A run's directory, one-file plugins, and whether those that it keeps are trusted."""


class RayPieces:
    """Scores pieces on a Ray cluster; one whose worker is lost is scored by another.

    Parameters
    ----------
    address
        Of the cluster; "local" starts one on this machine.
    source
        How every worker loads the run.
    device
        ``cpu`` or ``cuda``, which takes one GPU for each worker. On the CPU every worker computes
        with as many threads as this process would, since bits may depend on that.

    Raises
    ------
    UsageError
        Where Ray is not installed or there is no such cluster.
    """

    def __init__(self, address: str, source: Source, device: str) -> None:
        self._ray = import_ray()
        connect(self._ray, address)
        run, plugins, trusted = source
        threads = torch.get_num_threads()
        resources = self._ray.cluster_resources()
        cores, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
        self._places = max(1, gpus if device == "cuda" else cores // threads)
        files = tuple(path.absolute() for path in plugins)
        self._arguments = ((run, files, trusted), device, threads)
        self._task = self._ray.remote(
            num_cpus=min(threads, cores),
            num_gpus=1 if device == "cuda" else 0,
            max_retries=RETRIES,
        )(score_piece)

    def score_pieces(self, jobs: Iterable[PieceJob], advance: Advance) -> int:
        """Score pieces that are not there; return the number of files in those that were."""
        running: dict[object, PieceJob] = {}
        resumed = 0
        waiting = iter(jobs)
        try:
            while True:
                while len(running) < AHEAD * self._places and (job := next(waiting, None)):
                    running[self._task.remote(job, *self._arguments)] = job
                if not running:
                    return resumed
                (done,), _ = self._ray.wait(list(running), num_returns=1)
                try:
                    resumed += self._ray.get(done)
                except self._ray.exceptions.RayTaskError as error:
                    raise _told(error) from None
                except self._ray.exceptions.RayError as error:
                    raise AnokitError(
                        f"--ray: a worker was lost {RETRIES} times: {str(error).splitlines()[0]}; "
                        "what was done is kept, and the same command goes on"
                    ) from None
                advance(running.pop(done).count)
        finally:
            self._ray.shutdown()


def score_piece(job: PieceJob, source: Source, device: str, threads: int) -> int:
    """Score one piece in a worker, unless it is there; return how many files were."""
    torch.set_num_threads(threads)
    return score_pieces(_loaded(*source, device), [job], lambda count: None)


@cache
def _loaded(run: Path, plugins: tuple[Path, ...], trusted: bool, device: str) -> FinishedRun:
    """Load the run, once in every worker."""
    return load(run, device=device, plugins=plugins, trust_plugins=trusted)


def _told(error: Exception) -> Exception:
    """Return the error of a worker as it would have been here."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, AnokitError):
        return cause
    return PluginError(f"--ray: a worker failed: {str(error).strip().splitlines()[-1]}")

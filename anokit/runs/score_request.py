"""What ``anokit score`` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anokit.errors import UsageError
from anokit.runs.finished import FinishedRun, check_share, load
from anokit.runs.score_place import check_maps, check_out
from anokit.runs.sweep import shard_numbers


@dataclass(frozen=True)
class ScoreRequest:
    """What is to be scored by which run, and where it is written."""

    run: Path
    paths: Sequence[str | Path]
    out: Path | None = None
    """the CSV file with all"""
    maps: Path | None = None
    """the folder of overlays"""
    score: str = ""
    """the score whose maps are painted, in whose order; empty for the primary one"""
    top: int = 20
    """files that are kept to be shown"""
    false_alarms: float | None = None
    """share of normal images to be flagged at most, in the place of the recipe's"""
    false_discoveries: float | None = None
    """share of normal images *among those flagged*, by Benjamini and Hochberg: what is flagged then
    depends on the other files of the call, though no score or p-value does"""
    force: bool = False
    """whether a file that is no table of scores may be replaced"""
    shard: str | None = None
    """``k/n``: score every n-th piece from the k-th on, and write nothing else"""
    ray: str | None = None
    """address of a Ray cluster"""
    device: str = "auto"
    plugins: Sequence[Path] = ()
    trust_plugins: bool = False

    @property
    def kept_for(self) -> Path | None:
        """Return beside what pieces are kept until it is written; None where nothing is."""
        return self.out or self.maps

    def check(self) -> None:
        """Raise `UsageError` where it cannot be; nothing is read but what is in the way."""
        if self.false_alarms is not None and self.false_discoveries is not None:
            raise UsageError("give --false-alarms or --false-discoveries, not both")
        if self.false_discoveries is not None:
            check_share("--false-discoveries", self.false_discoveries)
        if self.false_alarms is not None:
            check_share("--false-alarms", self.false_alarms)
        if self.score and self.maps is None:
            raise UsageError(
                "--score: says whose maps are painted, and --maps DIR where; --out FILE has every "
                "score without it"
            )
        for option, given in (("--shard", self.shard), ("--ray", self.ray)):
            if given is not None and self.out is None:
                raise UsageError(f"{option}: needs --out FILE, beside which pieces are kept")
        if self.shard is not None:
            shard_numbers(self.shard)
            if self.ray is not None:
                raise UsageError("give --shard or --ray, not both")
            if self.maps is not None:
                raise UsageError("--maps: not with --shard; give it once all shards are done")
        if self.out is not None:
            check_out(self.out, force=self.force)
        if self.maps is not None:
            check_maps(self.maps)

    def load(self) -> FinishedRun:
        """Load the run; raise `UsageError` where the score that is named has no map in it."""
        run = load(
            self.run, device=self.device, plugins=self.plugins, trust_plugins=self.trust_plugins
        )
        if self.score:
            check_mapped(run, self.score)
        return run


def check_mapped(run: FinishedRun, name: str) -> None:
    """Raise `UsageError` where a run has no score of that name, or none with a map."""
    names = [score.name for score in run.recipe.scores]
    mapped = [row.name for row in run.results.rows if row.map_scale and row.name in names]
    if name in mapped:
        return
    what = "has no map" if name in names else f"{run.directory.path} has no such score"
    there = f"scores with a map: {', '.join(mapped)}" if mapped else "no score of this run has one"
    raise UsageError(f"--score {name}: {what}; {there}")

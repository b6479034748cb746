"""What figures show of finished runs: which runs stand in them, and what each one gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anokit.errors import AnokitError, MissingDataError, UsageError
from anokit.report.captions import PanelWords
from anokit.report.panel_grid import Place
from anokit.runs.gathering import APART, GatheredRun
from anokit.runs.naming import told_apart
from anokit.runs.trips_again import Floats, Images, TripsAgain, by_hash
from anokit.store.run_directory import RunDirectory
from anokit.store.score_table import ScoreTable
from anokit.store.tensors import load_tensors

Ints = npt.NDArray[np.int64]

NEEDS = {
    "latents": ("latent",),
    "losses": ("image_hat", "latent", "latent_hat"),
    "pictures": ("image_hat",),
}
"""What figures draw of a run, and which fields of a round trip that needs."""

LACKS = {
    "image_hat": "reconstructs no image",
    "latent": "has no latent",
    "latent_hat": "does not encode its reconstructions",
}
"""What a backbone that does not fill a field lacks."""

STORED = "as the run stored them"
AGAIN = "computed again from the stored weights"


@dataclass(frozen=True)
class Shown:
    """A run that stands for its system at its contamination."""

    place: Place
    run: GatheredRun

    @property
    def table(self) -> ScoreTable:
        """Return its test images; none where it had no test set."""
        return self.run.table or ScoreTable([], np.zeros(0, np.int64), [], {})

    def labels(self, ids: Sequence[str]) -> Ints:
        """Return the labels of some of its test images, −1 where there is none."""
        known = dict(zip(self.table.ids, self.table.labels.tolist(), strict=True))
        return np.array([known[name] for name in ids], dtype=np.int64)

    def words(self, ids: Sequence[str], panel: str, values: str, *more: str) -> PanelWords:
        """Return what a caption says of a panel that shows some of its test images."""
        labels = self.labels(ids)
        return words_of(self.run, self.place.system).model_copy(
            update={
                "panel": panel,
                "normal": int((labels == 0).sum()),
                "anomalous": int((labels == 1).sum()),
                "unlabelled": int((labels < 0).sum()),
                "values": values,
                "remarks": [*more, *_remarks(self.run)],
            }
        )


@dataclass
class Material:
    """What a run gives, as far as it could be had."""

    shown: Shown
    ids: Mapping[str, Sequence[str]]
    """the test images, by what is given of them"""
    given: dict[str, Any] = field(default_factory=dict)
    """by a key of `NEEDS`: latents ``[N, Z]``, losses ``[N, 2]``, pictures and reconstructions"""
    sources: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """why something is not given"""


def words_of(run: GatheredRun, system: str) -> PanelWords:
    """Return what a caption says of a run, all its test images shown."""
    results = run.results
    entries = run.resolved.get("encoder-losses", [])
    return PanelWords(
        system=system,
        contamination=results.contamination,
        run=run.path.as_posix(),
        recipe=results.recipe,
        seed=results.seed,
        protocol=results.protocol,
        backbone=_bare(run.resolved.get("backbone", {})),
        encoder_losses=[_bare(entry) for entry in entries],
        normal=results.test_normal,
        anomalous=results.test_anomalous,
        of=len(run.table.ids) if run.table else 0,
        remarks=_remarks(run),
    )


def _bare(entry: Mapping[str, Any]) -> str:
    return str(entry.get("use", "")).rpartition("/")[2]


def _remarks(run: GatheredRun) -> list[str]:
    try:
        return run.scored().remarks
    except UsageError:  # without labels or scores there are still these
        results = run.results
        found = ["simulated data"] if results.data == "simulated" else []
        return found + (["quick run"] if results.quick else [])


def shown_runs(
    runs: Sequence[GatheredRun], names: Mapping[str, str], gammas: Sequence[float]
) -> list[Shown]:
    """Return the runs that figures show: of each system and contamination that of the lowest seed.

    A system is all of a recipe but its contamination, seed and scores.

    Parameters
    ----------
    names
        What systems are called, by recipe.
    gammas
        The contaminations to show; all where empty.

    Raises
    ------
    UsageError
        Where a name is of no recipe here, or no run has such a contamination.
    """
    there = sorted({run.results.contamination for run in runs})
    for gamma in gammas:
        if gamma not in there:
            listed = ", ".join(f"{one:g}" for one in there)
            raise UsageError(f"--contamination {gamma:g}: no run here has it; there are: {listed}")
    systems = system_names(runs, names)
    cells: dict[Place, GatheredRun] = {}
    for run in sorted(runs, key=_order):
        cells.setdefault(Place(systems[run.path], run.results.contamination), run)
    return [
        Shown(place, run) for place, run in cells.items() if not gammas or place.gamma in gammas
    ]


def system_names(runs: Sequence[GatheredRun], names: Mapping[str, str]) -> dict[Path, str]:
    """Return what the system of each run is called: as ``names`` has it, or by a recipe of it.

    That is the recipe of its lowest contamination; others of that name say what differs.

    Raises
    ------
    UsageError
        Where a name is of no recipe here.
    """
    recipes = list(dict.fromkeys(run.results.recipe for run in runs))
    for recipe in names:
        if recipe not in recipes:
            raise UsageError(
                f"--name {recipe}=…: no run here follows a recipe of that name; there are: "
                f"{', '.join(recipes)}"
            )
    members: dict[str, list[GatheredRun]] = {}
    for run in sorted(runs, key=_order):
        members.setdefault(_system(run), []).append(run)
    called = []
    for alike in members.values():
        own = [run.results.recipe for run in alike]
        called.append(next((names[recipe] for recipe in own if recipe in names), own[0]))
    called = told_apart(called, [json.loads(key) for key in members])
    return {
        run.path: name
        for name, alike in zip(called, members.values(), strict=True)
        for run in alike
    }


def _order(run: GatheredRun) -> tuple[float, bool, int, str]:
    """Return by what runs are sorted: contamination, seed, path."""
    seed = run.results.seed
    return run.results.contamination, seed is None, seed or 0, str(run.path)


def _system(run: GatheredRun) -> str:
    """Return what runs of one system share."""
    beside = (*APART, "scores", "evaluation", "threshold", "quick")
    content = {key: value for key, value in run.resolved.items() if key not in beside}
    dataset = {k: v for k, v in content.get("dataset", {}).items() if k != "contamination"}
    return json.dumps({**content, "dataset": dataset}, sort_keys=True)


def gather(
    shown: Shown, wanted: Mapping[str, Sequence[str]], reopen: Callable[[Path], TripsAgain]
) -> Material:
    """Return what a run gives of its test images: what it stored, or what its weights give again.

    Parameters
    ----------
    wanted
        Ids of test images by a key of `NEEDS`.
    reopen
        Makes of a run directory what its trips are made again by.
    """
    found = Material(shown, wanted)
    again: TripsAgain | None = None
    for what, ids in wanted.items():
        try:
            if not ids:
                raise UsageError("it scored no test image")
            given: Floats | tuple[Images, Images] | None = None
            if what == "latents":
                given = _stored_latents(shown, ids)
            found.sources[what] = AGAIN if given is None else STORED
            if given is None:
                again = again or reopen(shown.run.path)
                if lacks := again.lacks(NEEDS[what]):
                    backbone = _bare(shown.run.resolved["backbone"])
                    raise UsageError(f"its backbone {backbone} {LACKS[lacks[0]]}")
                given = _compute(again, what, ids)
            if not isinstance(given, tuple) and not np.isfinite(given).all():
                raise UsageError(f"some of its {what} are not finite")
            found.given[what] = given
        except AnokitError as error:
            found.missing[what] = _in_a_line(error)
    return found


def _in_a_line(error: AnokitError) -> str:
    """Return what is wrong, without what is listed below it."""
    first, *more = str(error).splitlines()
    text = (more and first.rpartition("; ")[0]) or first.rstrip(".:")
    if isinstance(error, MissingDataError):
        text += " (paths in a recipe are seen from where anokit is started)"
    return text


def _compute(again: TripsAgain, what: str, ids: Sequence[str]) -> Floats | tuple[Images, Images]:
    if what == "latents":
        return again.latents(ids)
    return again.losses(ids) if what == "losses" else again.pictures(ids)


def _stored_latents(shown: Shown, ids: Sequence[str]) -> Floats | None:
    """Return latents from report.safetensors, or None where they are not in it."""
    path = RunDirectory(shown.run.path).exhibits
    latents = load_tensors(path).get("test_latent") if path.exists() else None
    if latents is None or len(latents) != len(shown.table.ids):
        return None
    place = {name: row for row, name in enumerate(shown.table.ids)}
    return np.asarray(latents.double().numpy()[[place[name] for name in ids]])


def query_sets(shown: Sequence[Shown], count: int) -> list[tuple[list[str], list[Shown]]]:
    """Return which test images are shown as queries, and the runs that have them.

    Half of them normal, half anomalous, each half by `by_hash`; runs whose test sets have enough
    images in common share a set.
    """
    found: list[tuple[dict[str, int], list[Shown]]] = []
    for one in shown:
        own = dict(zip(one.table.ids, one.table.labels.tolist(), strict=True))
        if not own:
            continue
        for place, (labels, members) in enumerate(found):
            common = {k: v for k, v in own.items() if labels.get(k) == v}
            alike = _dataset(one) == _dataset(members[0])
            if alike and len(_queries(common, count)) == len(_queries(own, count)):
                found[place] = (common, [*members, one])
                break
        else:
            found.append((own, [one]))
    return [(_queries(labels, count), members) for labels, members in found]


def _dataset(shown: Shown) -> tuple[Any, ...]:
    dataset = shown.run.resolved.get("dataset", {})
    return tuple(dataset.get(key) for key in ("use", "root"))


def _queries(labels: Mapping[str, int], count: int) -> list[str]:
    order = by_hash(labels)
    if set(labels.values()) == {0, 1}:
        half = (count + 1) // 2
        normal = [name for name in order if labels[name] == 0][:half]
        anomalous = [name for name in order if labels[name] == 1][: count - half]
        return [*normal, *anomalous]
    return order[:count]

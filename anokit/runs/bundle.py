"""A sweep, or a run, as one archive with a model card, as the Hugging Face hub would take it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2

from anokit.errors import UsageError
from anokit.runs.gathering import GatheredRun, find_runs
from anokit.runs.table import make_table
from anokit.runs.table_formats import markdown
from anokit.store.files import replacing
from anokit.store.run_directory import LOCK
from anokit.store.targets import check_file
from anokit.version import __version__

CARD = "README.md"

LEFT_OUT = ("checkpoint", "samples")
"""Folders of a run that nobody needs who gets it."""

TIME = (1980, 1, 1, 0, 0, 0)
"""What all entries of the archive are dated, so that equal content makes an equal archive."""


def bundle(folder: Path, out: Path | None = None) -> Path:
    """Pack a sweep's folder, or a run directory, with a model card; return the archive.

    Everything that another person needs is in it: recipes as written and as resolved, weights and
    fitted scores, the environment, ids of contaminants, training and test images, every figure and
    report. The images themselves are not.

    Parameters
    ----------
    folder
        Of a sweep, or of finished runs.
    out
        The archive; ``FOLDER.zip`` by default.

    Raises
    ------
    UsageError
        Where there is no finished run, or ``out`` lies in the folder.
    CheckpointError
        Where a run is damaged or the archive cannot be written.
    """
    target = out or folder.with_name(f"{folder.name}.zip")
    if folder.resolve() in target.resolve().parents:
        raise UsageError(f"--out {target}: lies in the folder that is packed; name another place")
    check_file("--out", target)
    runs = find_runs([folder])
    card = model_card(folder, runs)
    with replacing(target) as new, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry(CARD), card)
        for path in sorted(_files(folder)):
            name = path.relative_to(folder).as_posix()
            if name != CARD:
                with path.open("rb") as source, archive.open(_entry(name), "w") as file:
                    while block := source.read(1 << 20):
                        file.write(block)
    return target


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, TIME)
    # Weights hardly shrink, and packing them takes longest.
    stored = name.endswith(".safetensors")
    entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = path.name == LOCK or path.name.endswith(".new")
        if path.is_file() and not hidden and not set(parts) & set(LEFT_OUT):
            yield path


def model_card(folder: Path, runs: Sequence[GatheredRun]) -> str:
    """Return what a stranger must know of some runs, as the README of a model on the hub."""
    results = [run.results for run in runs]
    measured = any(row.metrics for one in results for row in one.rows)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("anokit.runs", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # Strings of JSON, which the template writes, are strings of YAML, too.
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return environment.get_template("model_card.md.j2").render(
        title=_title(folder, runs),
        version=__version__,
        runs=runs,
        figures=list(_figures(runs)),
        table=markdown(make_table([folder])) if measured else "",
        gammas=_unique(f"{100 * gamma:g} %" for gamma in sorted(r.contamination for r in results)),
        seeds=sorted({one.seed for one in results if one.seed is not None}),
        epochs=_unique(one.selection.epoch for one in results),
        thresholds=_unique(one.selection.threshold for one in results),
        simulated=any(one.data == "simulated" for one in results),
        quick=any(one.quick for one in results),
        example="." if runs[0].path == folder else runs[0].path.relative_to(folder).as_posix(),
    )


def _figures(runs: Sequence[GatheredRun]) -> Iterator[dict[str, Any]]:
    """Yield the AUROC of each run's primary score, and of what it is."""
    for run in runs:
        row = run.results.row(run.results.primary)
        auroc = row.metric("auroc") if row else None
        if row and auroc is not None:
            yield {
                "run": run.path.name,
                "score": row.name,
                "auroc": auroc,
                "dataset": str(run.resolved.get("dataset", {}).get("use", "images")),
                "protocol": run.results.protocol or "test set",
            }


def _title(folder: Path, runs: Sequence[GatheredRun]) -> str:
    try:
        found = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["title"]
    except (OSError, ValueError, KeyError, TypeError):
        found = runs[0].results.title
    return str(found).replace("\n", " ")


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))

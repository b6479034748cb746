"""``anokit score``: image files through a finished run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.markup import escape
from rich.table import Table

from anokit.console import Console
from anokit.errors import DataError, UsageError
from anokit.trained import TrainedRun, load

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)


def score_files(
    run: Path,
    paths: Sequence[Path],
    console: Console,
    *,
    out: Path | None,
    maps: Path | None,
    top: int,
    device: str,
    plugins: Sequence[Path],
) -> None:
    """Score files and folders, print the most anomalous, write CSV and overlays where asked.

    Raises
    ------
    UsageError
        Where a path does not exist or no image is found.
    DataError
        Where no file can be read.
    """
    files = collect(paths)
    trained = load(run, device=device, plugins=plugins)
    images, kept, unreadable = read_all(trained, files)
    for path, reason in unreadable[:5]:
        console.warning(f"{path} is left out: {reason}")
    if len(unreadable) > 5:
        console.warning(f"… and {len(unreadable) - 5} more files that cannot be read")
    if not kept:
        raise DataError(f"none of {len(files)} files can be read as an image")
    scores = trained.score(images, console.track("scoring", len(kept)))
    console.track_done()
    primary = trained.recipe.primary.name
    order = np.argsort(-scores[primary], kind="stable")
    if trained.results["data"] == "simulated":
        console.banner("This run was trained on SIMULATED images; its scores mean nothing here.")
    console.rich.print(_table(trained, kept, scores, order[:top]))
    rows = trained.results["rows"]
    for text in dict.fromkeys(row[key] for row in rows for key in ("selection", "batch")):
        if text not in ("", "none"):
            console.warning(text)
    flagged = int((scores[primary] > trained.thresholds[primary]).sum())
    console.rich.print(
        f"{flagged:,} of {len(kept):,} images lie above the threshold "
        f"{trained.thresholds[primary]:.4g} of {escape(primary)}, which was chosen on training "
        "images without labels."
    )
    if out:
        _write_csv(out, kept, scores, order)
        console.notice(f"all scores: {out}")
    if maps:
        _write_maps(maps, trained, images, kept, console)


def collect(paths: Sequence[Path]) -> list[Path]:
    """Return all image files among ``paths`` and below the folders among them, sorted.

    Raises
    ------
    UsageError
        Where a path does not exist or there is no image at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(f"{path}: no such file or folder")
    if not found:
        listed = ", ".join(str(path) for path in paths)
        raise UsageError(
            f"no images in {listed}; expected files such as {', '.join(sorted(SUFFIXES))}"
        )
    return list(dict.fromkeys(found))


def read_all(
    trained: TrainedRun, files: Sequence[Path]
) -> tuple[torch.Tensor, list[Path], list[tuple[Path, str]]]:
    """Return images ``[N, C, H, W]``, their files, and the files that cannot be read and why."""
    images: list[torch.Tensor] = []
    kept: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    for path in files:
        try:
            images.append(trained.read(path))
            kept.append(path)
        except DataError as error:
            unreadable.append((path, str(error)))
    shape = (0, trained.spec.channels, trained.spec.height, trained.spec.width)
    stacked = torch.stack(images) if images else torch.empty(shape, dtype=torch.uint8)
    return stacked, kept, unreadable


def _table(
    trained: TrainedRun,
    files: Sequence[Path],
    scores: dict[str, npt.NDArray[np.float64]],
    rows: npt.NDArray[np.int64],
) -> Table:
    table = Table(title="Most anomalous first", title_justify="left")
    table.add_column("image", overflow="fold")
    for name in scores:
        table.add_column(name, justify="right")
    table.add_column("above threshold")
    primary = trained.recipe.primary.name
    for row in rows:
        above = scores[primary][row] > trained.thresholds[primary]
        values = [f"{column[row]:.4g}" for column in scores.values()]
        table.add_row(escape(str(files[row])), *values, "yes" if above else "")
    return table


def _write_csv(
    out: Path,
    files: Sequence[Path],
    scores: dict[str, npt.NDArray[np.float64]],
    order: npt.NDArray[np.int64],
) -> None:
    try:
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *scores])
            for row in order:
                writer.writerow([str(files[row]), *(repr(float(c[row])) for c in scores.values())])
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from None


def _write_maps(
    folder: Path, trained: TrainedRun, images: torch.Tensor, files: Sequence[Path], console: Console
) -> None:
    maps = trained.maps(images)
    if maps is None:
        console.warning(f"{trained.recipe.primary.name} has no per-pixel map: no overlays written")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One scale for all, so that overlays can be compared; the brightest percent saturates.
        ceiling = float(np.quantile(maps, 0.999)) or 1.0
        for place, (path, values) in enumerate(zip(files, maps, strict=True)):
            picture = overlay(images[place].numpy(), values / ceiling)
            picture.save(folder / f"{place:05d}_{path.stem}.png")
    except OSError as error:
        raise UsageError(f"--maps {folder}: cannot be written: {error}") from None
    console.notice(f"{len(files):,} heat-map overlays: {folder}")


def overlay(image: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32]) -> Image.Image:
    """Draw a heat map ``[H, W]`` in [0, 1] over an image ``[C, H, W]``, enlarged to be seen."""
    from matplotlib import colormaps

    grey = image[:3].mean(axis=0) / 255
    level = np.clip(heat, 0, 1)[..., None]
    colour = colormaps["inferno"](level[..., 0])[..., :3]
    mixed = (1 - 0.7 * level) * grey[..., None] + 0.7 * level * colour
    picture = Image.fromarray((255 * mixed).astype(np.uint8))
    scale = max(1, 256 // max(picture.size))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)

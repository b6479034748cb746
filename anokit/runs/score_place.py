"""Where ``anokit score`` writes, checked before any work, and where it keeps what it has done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from anokit.errors import CheckpointError, UsageError
from anokit.report.ranked_gallery import check_gallery
from anokit.store.files import beside, make_folder, unwritable
from anokit.store.locks import held
from anokit.store.score_table import JUDGEMENT
from anokit.store.targets import check_file, check_folder

WHOLE = "whole.lock"

BEGIN = ",".join(("image", "rank", *JUDGEMENT)).encode()
"""How a table of ranked images begins."""


def check_out(out: Path, *, force: bool) -> None:
    """Raise `UsageError` where a CSV file cannot be written, or something else is in its place."""
    check_file("--out", out)
    if not os.path.lexists(out):
        return
    try:
        with out.open("rb") as file:
            ours = file.read(len(BEGIN)) == BEGIN
    except OSError:
        ours = False
    if not ours and not force:
        raise UsageError(
            f"--out {out}: is there already and no table of scores, and would be lost; name "
            "another file, or replace it with --force"
        )


def check_maps(maps: Path) -> None:
    """Raise `UsageError` where a folder of overlays cannot be written, or holds something else."""
    try:
        check_gallery(maps)
    except UsageError as error:
        raise UsageError(f"--maps {error}") from None
    check_folder("--maps", maps)
    if maps.exists():  # what takes its place is made beside it
        check_folder("--maps", maps.absolute().parent)


@contextmanager
def workplace(path: Path | None, shard: str | None) -> Iterator[Path]:
    """Yield the folder that keeps what is done for ``path``, which one process or its shards hold.

    It lies beside the file or folder at ``path`` and stays until `clear`. Without it, it is a
    temporary one.

    Raises
    ------
    UsageError
        Where another process is at work for the same path, or the folder cannot be made.
    """
    if path is None:
        with tempfile.TemporaryDirectory(prefix="anokit-score-") as folder:
            yield Path(folder)
        return
    place = place_of(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        make_folder(place)
    except (CheckpointError, OSError) as error:
        told = error if isinstance(error, CheckpointError) else unwritable(place, error)
        raise UsageError(f"{told}; pieces are kept beside {path}") from None
    name = f"{shard.replace('/', '-of-')}.lock" if shard else WHOLE
    with ExitStack() as stack:
        stack.enter_context(_held(place / name, path))
        others = [place / WHOLE] if shard else [p for p in place.glob("*.lock") if p.name != WHOLE]
        for other in others:
            if other.exists():
                with _held(other, path):
                    pass
        yield place


def place_of(path: Path) -> Path:
    """Return the folder that keeps what is done for ``path`` until that is written."""
    return beside(path.absolute(), "pieces")


def clear(path: Path | None) -> None:
    """Remove what was kept for ``path``."""
    if path is not None:
        shutil.rmtree(place_of(path), ignore_errors=True)


def _held(lock: Path, path: Path) -> AbstractContextManager[None]:
    return held(
        lock,
        f"{path}: another process is scoring for it ({lock.stem}); wait for it, or name another "
        "one",
    )

"""Folders that anokit itself wrote, told by the names of files in them.

Their pictures are of images that were looked at before. Whoever scans the folder that he works in
would otherwise learn from the overlays and figures of his last scan.
"""

from __future__ import annotations

from pathlib import Path

OF_RUN = ("resolved.json", "environment.json")
"""In every run directory that has begun."""

OF_GALLERY = ("index.html", "contact_sheet.png")
"""In every folder of ranked images to look through."""

ALONE = ".lock"
"""All that is in a run directory while its data are read for the first time."""


def is_output(folder: str | Path) -> bool:
    """Return whether a folder is a run directory or a gallery."""
    place = Path(folder)
    try:
        if any(all((place / one).is_file() for one in names) for names in (OF_RUN, OF_GALLERY)):
            return True
        return (place / ALONE).is_file() and [one.name for one in place.iterdir()] == [ALONE]
    except OSError:  # told where the folder is looked into
        return False

"""The watcher: one file that grows by a line for every score of every finished run."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anokit import Watcher

if TYPE_CHECKING:
    from acme_ledger.plugin import LedgerOptions


class Ledger(Watcher):
    """Writes run directory, title, score and AUROC. Override what else you care for."""

    def __init__(self, options: LedgerOptions) -> None:
        self.file = Path(options.file)

    def finished(self, directory: Path, results: Mapping[str, Any]) -> None:
        """Add the lines of a run."""
        with self.file.open("a", newline="", encoding="utf-8") as file:
            for row in results["rows"]:
                auroc = (row["metrics"] or {}).get("auroc") or {}
                line = (directory, results["title"], row["name"], auroc.get("value", ""))
                csv.writer(file).writerow(line)

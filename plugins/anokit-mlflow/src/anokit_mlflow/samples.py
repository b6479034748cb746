"""What the conformance checks test with: options that write nowhere else."""

from __future__ import annotations

from pathlib import Path


def folder_of(folder: Path) -> dict[str, str]:
    """Return options that write below a folder."""
    return {"uri": str(folder / "mlruns"), "experiment": "checks"}


SAMPLES = {"mlflow": folder_of}

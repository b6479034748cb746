"""The factory of the simulated stand-in: sequences drawn once, beside the root that is missing."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from anokit_datasets.kth import kth_cellvideos
from anokit_datasets.options import KthOptions
from anokit_datasets.simulation.sequence import Microwell
from anokit_datasets.simulation.writing import SequenceWriter
from anokit_datasets.source import Source
from anokit_datasets.storage import appear_whole, beside, fingerprint

SIMULATION_VERSION = 1
"""Raised when the same settings would draw other pictures."""
EXPLANATION = (
    "These sequences were drawn by a program, anokit_datasets.simulation, to stand in for a\n"
    "data set that was not there. They are no measurement. The folder may be deleted.\n"
)


def simulated_kth(options: KthOptions) -> Source:
    """Draw microwell sequences beside ``options.root`` and return them as `kth_cellvideos` would.

    They lie in ``<root>-simulated-<key>``, where the key stands for ``simulated_sequences``,
    ``simulated_frames``, ``simulation_seed`` and the version of the simulation; what is there
    already is used again. Nothing is ever written below the root itself.

    Raises
    ------
    DataError
        Where the folder that holds the root cannot be written.
    """
    root = Path(options.root)
    settings = [
        options.simulated_sequences,
        options.simulated_frames,
        options.simulation_seed,
        SIMULATION_VERSION,
    ]
    folder = beside(root, f"-simulated-{fingerprint(settings)[:8]}")
    if not folder.is_dir():
        advice = "set `root` to a place beside which files may be written"
        with appear_whole(folder, "the simulated sequences", advice) as temporary:
            draw_experiment(temporary, options)
    source = kth_cellvideos(
        options.model_copy(update={"root": str(folder), "labels": "ground-truth", "version": None})
    )
    notice = f"{root} is not there: simulated sequences, drawn by a program, stand in ({folder})"
    return dataclasses.replace(source, notices=(notice, *source.notices), simulated=True)


def draw_experiment(folder: Path, options: KthOptions) -> None:
    """Draw all sequences of an experiment into ``folder``."""
    (folder / "Analysis").mkdir()
    (folder / "SIMULATED.txt").write_text(EXPLANATION, "utf-8")

    def draw_one(number: int) -> None:
        well = Microwell(np.random.default_rng([options.simulation_seed, number]))
        writer = SequenceWriter(folder, f"microwell-{number:02d}", options.simulated_frames)
        for index, frame in enumerate(well.film(options.simulated_frames)):
            writer.write_frame(index, frame)
        writer.write_tracks(well.cell_tracks, well.debris_tracks)

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(draw_one, range(1, options.simulated_sequences + 1)):
            pass

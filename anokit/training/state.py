"""How far training has come, on disk and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from anokit.errors import CheckpointError, TrainingError
from anokit.store.documents import damaged, fitted
from anokit.store.files import make_folder
from anokit.store.records import Checkpoint
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import (
    fill_module,
    first_bad,
    load_metadata,
    load_tensors,
    pack_optimisers,
    save_tensors,
    unpack_optimisers,
)
from anokit.training.job import Job
from anokit.training.meter import Meter
from anokit.training.position import Position
from anokit.training.refining import Refinement


@dataclass
class State:
    """What a checkpoint holds beside the weights, so that training goes on bit for bit."""

    position: Position = field(default_factory=Position)
    optimisers: dict[str, Optimizer] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)
    warnings: list[str] = field(default_factory=list)
    refinement: Refinement = field(default_factory=Refinement)


def save(state: State, job: Job, generator: torch.Generator) -> None:
    """Write the checkpoint; the old one stays if that fails.

    Every process of the run has to come here; the first one writes.

    Raises
    ------
    TrainingError
        Where a tensor is not finite.
    CheckpointError
        Where the file cannot be written.
    """
    tensors, rest = pack_optimisers(state.optimisers)
    tensors |= {f"model/{name}": value for name, value in job.backbone.module.state_dict().items()}
    tensors |= {f"meter/{name}": value for name, value in state.meter.sums.items()}
    if bad := first_bad(tensors):
        raise TrainingError(
            f"{bad} holds NaN or infinity; training stopped. {last_good(job.directory)}"
        )
    tensors |= state.refinement.tensors()
    states = job.world.gather_states(generator.get_state(), job.device)
    tensors |= {f"generator/{rank}": one for rank, one in enumerate(states)}
    if not job.world.first:
        return
    metadata = {
        "position": asdict(state.position),
        "optimisers": rest,
        "meter": state.meter.counts,
        "training": job.directory.training_digest,
        "warnings": state.warnings,
        "judged": state.refinement.shown,
    }
    try:
        job.directory.flush_metrics()
        make_folder(job.directory.checkpoint.parent)
        save_tensors(job.directory.checkpoint, tensors, metadata)
    except CheckpointError as error:
        if not job.directory.path.is_dir():
            raise
        raise CheckpointError(f"{error}\nThen go on with: {job.directory.resume_command}") from None


def load(
    job: Job, generator: torch.Generator, enter: Callable[[int], dict[str, Optimizer]]
) -> State | None:
    """Take up the checkpoint, if there is one: the weights into the backbone, the rest returned.

    ``enter`` makes the optimisers of a phase, given its number; it is not called where training was
    over.

    Raises
    ------
    CheckpointError
        Where it is damaged, or another recipe or number of processes made it.
    """
    path = job.directory.checkpoint
    if not path.exists():
        job.directory.cut_metrics(0)  # a run that was killed before its first checkpoint
        return None
    metadata = _metadata(path)
    if metadata.training != job.directory.training_digest:
        raise CheckpointError(
            f"{path}: belongs to another recipe (dataset, backbone, encoder losses, seed or "
            "schedule differ); run without --resume, or resume with the recipe it was made by"
        )
    tensors = load_tensors(path)
    weights = _under("model/", tensors)
    fill_module(job.backbone.module, weights, str(path))
    mine = f"generator/{job.world.rank}"
    if mine not in tensors or f"generator/{job.world.size}" in tensors:
        raise CheckpointError(
            f"{path}: was made by another number of processes than {job.world.size}; resume "
            "with as many as before"
        )
    generator.set_state(tensors[mine])
    state = State(
        Position(**metadata.position.model_dump()),
        warnings=list(metadata.warnings),
        refinement=Refinement.of(metadata.judged, tensors),
    )
    sums = _under("meter/", tensors)
    if set(sums) != set(metadata.meter):
        raise damaged(path, "its means and their counts do not fit")
    state.meter.restore(sums, metadata.meter, job.device)
    job.directory.cut_metrics(state.position.shown)
    state.optimisers = enter(state.position.phase)
    # Entering may have emptied buffers, or drawn weights anew, that the phase has filled since.
    fill_module(job.backbone.module, weights, str(path))
    unpack_optimisers(state.optimisers, tensors, metadata.model_dump()["optimisers"])
    return state


def _metadata(path: Path) -> Checkpoint:
    return fitted(path, load_metadata(path), Checkpoint)


def last_good(directory: RunDirectory) -> str:
    """Return a sentence on the newest checkpoint of a run."""
    if not directory.checkpoint.exists():
        return "There is no checkpoint yet."
    shown = _metadata(directory.checkpoint).position.shown
    return f"The last good checkpoint, after {shown:,} images, is kept: {directory.checkpoint}"


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }

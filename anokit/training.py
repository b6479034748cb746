"""The training loop: for each phase, for each batch: step, log, checkpoint.

The loop knows no backbone; a backbone knows no progress bar, file or device. Whatever follows
from a place in the stream of images is computed from that place, so that a resumed run goes on bit
for bit.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from anokit import checkpoints
from anokit.distributed import SYNC_EVERY, World
from anokit.errors import AnokitError, CheckpointError, TrainingError
from anokit.faults import Blaming
from anokit.feed import Feed
from anokit.meter import Meter
from anokit.recipe import TrainingSettings
from anokit.rundir import RunDirectory
from anokit.signals import StopRequest
from anokit.types import Batch, Phase

LITTLE_VARIETY = 1 / 3
"""Spread of generated images, relative to that of training images, below which a run is warned."""

SAVE, STOP = 1, 2
"""What a process wants done after a step; where processes differ, the larger wins."""


class Interrupted(AnokitError):
    """Ctrl-C or SIGTERM; a checkpoint was saved."""

    exit_code = 130


class Progress(Protocol):
    """What shows a run's progress; see `anokit.console`."""

    def phase(self, phase: Phase, number: int, of: int, steps: int, done: int, shown: int) -> None:
        """Announce a phase: ``done`` of its steps are done, ``shown`` images were shown in all."""
        ...

    def step(self, images: int, seconds: float) -> None:
        """Note one step of ``images`` images."""
        ...

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Show a line of metrics.jsonl."""
        ...

    def notice(self, text: str) -> None:
        """Show a sentence."""
        ...

    def warning(self, text: str) -> None:
        """Show a sentence that should worry the user."""
        ...


class Selection(Protocol):
    """What chooses weights during training, where a recipe asks for that; `anokit.selection`."""

    def due(self, shown: int, batch: int, total: int) -> bool:
        """Return whether to look, after ``shown`` of ``total`` images of the last phase."""
        ...

    def look(self, shown: int) -> tuple[float, bool]:
        """Return the AUROC on the test set, and whether it is the best one yet."""
        ...

    def restore(self) -> None:
        """Give the backbone the weights that did best."""
        ...


@dataclass
class Position:
    """How far training has come."""

    phase: int = 0
    step: int = 0
    """steps done in the phase"""
    shown: int = 0
    """training images shown in all"""
    seconds: float = 0.0
    """time spent in training, over all resumes"""


def steps_of(phase: Phase, train_images: int, max_steps: int | None) -> int:
    """Return the number of steps of a phase.

    Raises
    ------
    TrainingError
        Where the phase states neither or both of images and epochs.
    """
    if phase.images is not None and phase.epochs is None:
        images: float = phase.images
    elif phase.epochs is not None and phase.images is None:
        images = phase.epochs * train_images
    else:
        raise TrainingError(f"phase {phase.name!r} must state either images or epochs")
    steps = math.ceil(images / phase.batch_size)
    return steps if max_steps is None else min(steps, max_steps)


def _without_figures(text: str) -> str:
    return re.sub(r"[\d.]+", "#", text)


class Trainer:
    """Runs the phases of one backbone over one feed into one run directory.

    ``blaming`` makes the context in which the backbone's own code runs, so that a fault of it is
    told from one of the loop.
    """

    def __init__(
        self,
        backbone: nn.Module,
        phases: Sequence[Phase],
        feed: Feed,
        settings: TrainingSettings,
        generator: torch.Generator,
        directory: RunDirectory,
        progress: Progress,
        stop: StopRequest,
        world: World | None = None,
        selection: Selection | None = None,
        blaming: Blaming = nullcontext,
    ) -> None:
        self.backbone = backbone
        self.phases = phases
        self.feed = feed
        self.settings = settings
        self.generator = generator
        self.directory = directory
        self.progress = progress
        self.stop = stop
        self.world = world or World()
        self.selection = selection
        self.blaming = blaming
        self.position = Position()
        self.optimisers: dict[str, Optimizer] = {}
        self.warnings: list[str] = []
        self.steps = [steps_of(phase, len(feed), settings.max_steps) for phase in phases]
        self._saved_at = time.monotonic()

    @property
    def total_images(self) -> int:
        """Images that all phases show together."""
        return sum(n * p.batch_size for n, p in zip(self.steps, self.phases, strict=True))

    def train(self) -> None:
        """Run all phases from the present position to the end.

        Raises
        ------
        TrainingError
            Where a metric or a weight is not finite; the last good checkpoint is kept.
        Interrupted
            On Ctrl-C or SIGTERM, after a checkpoint.
        """
        resumed = self._resume()
        self.backbone.train()
        for number in range(self.position.phase, len(self.phases)):
            phase = self.phases[number]
            if not resumed:
                self.position.phase, self.position.step = number, 0
                self.optimisers = self._enter(phase)
            resumed = False
            self._run_phase(phase, number)
        self.position.phase, self.position.step = len(self.phases), 0
        self.optimisers = {}
        self.world.synchronise(self.backbone)
        self._check_variety()
        self.save()
        if self.selection:
            self.selection.restore()
        self.backbone.eval()

    def _enter(self, phase: Phase) -> dict[str, Optimizer]:
        with self.blaming():
            return dict(phase.optimisers())

    def _run_phase(self, phase: Phase, number: int) -> None:
        position, steps = self.position, self.steps[number]
        self.progress.phase(
            phase, number + 1, len(self.phases), steps, position.step, position.shown
        )
        self.world.average_gradients(self.optimisers)
        share = self.world.share(phase.batch_size)
        meter, since, began = Meter(), 0, time.monotonic()
        while position.step < steps:
            started = time.monotonic()
            start = position.shown + self.world.rank * share
            images, indices = self.feed.batch(start, share, phase.resolution)
            batch = Batch(images, indices, position.step, position.step / steps, self.generator)
            with self.blaming():  # which metrics are not tensors shows on adding them
                meter.add(phase.step(batch))
            position.step += 1
            position.shown += phase.batch_size
            since += phase.batch_size
            position.seconds += time.monotonic() - started
            self.progress.step(phase.batch_size, time.monotonic() - started)
            if position.step % self.settings.log_every == 0 or position.step == steps:
                self._log(phase, meter, since / max(time.monotonic() - began, 1e-9))
                since, began = 0, time.monotonic()
            if self._snapshot_due(phase.batch_size) or position.step == steps:
                self._snapshot(phase)
            if self.selection and number == len(self.phases) - 1:
                self._select(self.selection, phase, steps)
            self._checkpoint_if_due()

    def _select(self, selection: Selection, phase: Phase, steps: int) -> None:
        """Look at the test set after an epoch of the last phase; log what is seen."""
        shown, total = self.position.step * phase.batch_size, steps * phase.batch_size
        if not selection.due(shown, phase.batch_size, total):
            return
        auroc, best = selection.look(self.position.shown)
        text = f"as published: selected on test labels: AUROC {auroc:.3f}"
        self.progress.notice(
            f"{text} after {self.position.shown:,} images{', the best yet' if best else ''}"
        )
        line = self._line(phase, {"auroc_on_test_labels": auroc})
        self.directory.append_metrics(line)

    def _log(self, phase: Phase, meter: Meter, speed: float) -> None:
        means = meter.read()
        for name, value in means.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{name} became {value} in phase {phase.name!r} at step {self.position.step}; "
                    f"training stopped. {self._last_good()}"
                )
        line = self._line(phase, means) | {"images_per_second": round(speed, 2)}
        self.directory.append_metrics(line)
        self.progress.metrics(line)
        notice = getattr(self.backbone, "warnings", None)
        with self.blaming():
            texts = list(notice(means)) if notice else []
        for text in texts:
            self.warn(text)

    def _line(self, phase: Phase, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Return a line of metrics.jsonl."""
        return {
            "phase": phase.name,
            "resolution": phase.resolution,
            "images": self.position.shown,
            "step": self.position.step,
            "seconds": round(self.position.seconds, 3),
            "metrics": dict(metrics),
        }

    def warn(self, text: str) -> None:
        """Show a warning once, whatever its figures are by then, and keep it for the results."""
        if _without_figures(text) not in map(_without_figures, self.warnings):
            self.warnings.append(text)
            self.progress.warning(text)

    def _last_good(self) -> str:
        if not self.directory.checkpoint.exists():
            return "There is no checkpoint yet."
        shown = checkpoints.load_metadata(self.directory.checkpoint)["position"]["shown"]
        path = self.directory.checkpoint
        return f"The last good checkpoint, after {shown:,} images, is kept: {path}"

    def _snapshot_due(self, batch: int) -> bool:
        if not self.settings.snapshots:
            return False
        every = max(self.total_images / self.settings.snapshots, 1)
        return int(self.position.shown / every) > int((self.position.shown - batch) / every)

    def _snapshot(self, phase: Phase) -> None:
        from anokit.snapshots import sample_images, save_grid

        if self.settings.snapshots == 0:
            return
        images = sample_images(self.backbone, self.feed, self.blaming)
        if images is None:
            return
        name = f"{self.position.shown:09d}_{phase.name.replace(' ', '-')}.png"
        save_grid(images, self.directory.samples / name)

    def _check_variety(self) -> None:
        """Warn where finished samples vary much less than training images do."""
        from anokit.snapshots import sample_variety

        variety = sample_variety(self.backbone, self.feed, self.blaming)
        if variety is not None and variety < LITTLE_VARIETY:
            self.warn(
                f"generated images vary only {100 * variety:.2g} % as much as training images: the "
                "generator has learnt little more than their mean, or has collapsed. Look at the "
                "samples; a longer schedule, smaller batches or another seed may help"
            )

    def _checkpoint_if_due(self) -> None:
        due = time.monotonic() - self._saved_at >= self.settings.checkpoint_minutes * 60
        wanted = STOP if self.stop.requested else SAVE if due else 0
        if self.world.size > 1:
            if self.position.step % SYNC_EVERY:
                return
            wanted = self.world.agree(wanted, self.feed.device)
            self.world.synchronise(self.backbone)
        if wanted:
            self.save()
        if wanted == STOP:
            raise Interrupted(
                f"interrupted: checkpoint saved after {self.position.shown:,} images; go on with: "
                f"{self.directory.resume_command}"
            )

    def save(self) -> None:
        """Write the checkpoint; the old one stays if that fails.

        Raises
        ------
        TrainingError
            Where a tensor is not finite.
        CheckpointError
            Where the file cannot be written.
        """
        tensors, rest = checkpoints.pack_optimisers(self.optimisers)
        tensors |= {f"model/{name}": value for name, value in self.backbone.state_dict().items()}
        if bad := checkpoints.first_bad(tensors):
            raise TrainingError(
                f"{bad} holds NaN or infinity; training stopped. {self._last_good()}"
            )
        states = self.world.gather_states(self.generator.get_state(), self.feed.device)
        tensors |= {f"generator/{rank}": state for rank, state in enumerate(states)}
        self._saved_at = time.monotonic()
        if not self.world.first:
            return
        try:
            self.directory.flush_metrics()
            checkpoints.save_tensors(
                self.directory.checkpoint,
                tensors,
                {
                    "position": asdict(self.position),
                    "optimisers": rest,
                    "training": self.directory.training_digest,
                    "warnings": self.warnings,
                },
            )
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}\nFree some space, then go on with: {self.directory.resume_command}"
            ) from None

    def _resume(self) -> bool:
        """Take up the checkpoint, if there is one; return whether a phase is half done."""
        path = self.directory.checkpoint
        if not path.exists():
            return False
        metadata = checkpoints.load_metadata(path)
        if metadata.get("training") != self.directory.training_digest:
            raise CheckpointError(
                f"{path}: belongs to another recipe (dataset, backbone, encoder losses, seed or "
                "schedule differ); run without --resume, or resume with the recipe it was made by"
            )
        tensors = checkpoints.load_tensors(path)
        model = {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
        checkpoints.fill_module(self.backbone, model, str(path))
        mine = f"generator/{self.world.rank}"
        if mine not in tensors or f"generator/{self.world.size}" in tensors:
            raise CheckpointError(
                f"{path}: was made by another number of processes than {self.world.size}; resume "
                "with as many as before"
            )
        self.generator.set_state(tensors[mine])
        self.position = Position(**metadata["position"])
        self.warnings = list(metadata["warnings"])
        self.directory.cut_metrics(self.position.shown)
        if self.position.phase >= len(self.phases):
            return False
        self.optimisers = self._enter(self.phases[self.position.phase])
        checkpoints.unpack_optimisers(self.optimisers, tensors, metadata["optimisers"])
        return True

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
from typing import Any, Protocol

import numpy as np
import torch
from torch.optim import Optimizer

from anokit.data.feed import Feed
from anokit.data.sets import all_rows
from anokit.errors import Interrupted, TrainingError
from anokit.training import state as checkpoint
from anokit.training.backbone import build_backbone
from anokit.training.device import generator, seed_of
from anokit.training.epochs import EpochEnds
from anokit.training.exposure import WEIGHTS, Exposure
from anokit.training.job import Job
from anokit.training.processes import SYNC_EVERY
from anokit.training.refining import Judge, Refiner
from anokit.training.schedule import steps_of
from anokit.training.snapshots import Snapshots, little_variety
from anokit.types import Batch, Phase
from anokit.types.models import mean_of_losses

SAVE, STOP = 1, 2
"""What a process wants done after a step; where processes differ, the larger wins."""


class Selection(Protocol):
    """What chooses weights during training, where a recipe asks for it (`results.best_on_test`)."""

    def due(self, shown: int, batch: int, total: int) -> bool:
        """Return whether to look, after ``shown`` of ``total`` images of the last phase."""
        ...

    def look(self, shown: int) -> tuple[float, bool]:
        """Return the AUROC on the test set, and whether it is the best one yet."""
        ...

    def restore(self) -> None:
        """Give the backbone the weights that did best."""
        ...


class Trainer:
    """Runs phases of a job's backbone over its training images."""

    def __init__(
        self,
        job: Job,
        phases: Sequence[Phase],
        selection: Selection | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.job = job
        self.phases = phases
        self.selection = selection
        self.backbone = job.backbone
        self.settings = job.recipe.training
        train, order = job.data.train, seed_of(job.recipe.seed, "order")
        shown = np.setdiff1d(all_rows(len(train)), job.held_out)
        self.feed = Feed(train.images, job.device, order, shown)
        self.epochs = EpochEnds(job, self.feed)
        self.steps = [
            steps_of(phase, len(self.feed), self.settings.max_steps) for phase in self.phases
        ]
        rank = [job.world.rank] if job.world.rank else []
        self.generator = generator(job.device, job.recipe.seed, "training", *rank)
        self.state = checkpoint.State()
        self._saved_at = time.monotonic()
        once = sum(n * p.batch_size for n, p in zip(self.steps, self.phases, strict=True))
        refine = self.settings.refine
        self.total_images = 2 * once if refine and refine.afresh else once
        """images that all phases show together"""
        self.snapshots = Snapshots(job, self.feed, self.total_images)
        self.refiner = self.exposure = None
        if refine and judge:
            self.refiner = Refiner(refine, judge, job.data.train, self.feed, once)
        elif refine:
            begin = refine.pause * len(self.feed)
            self.exposure = Exposure(refine.share, WEIGHTS[refine.strategy], begin)

    def train(self) -> None:
        """Run all phases from the present position to the end.

        Raises
        ------
        TrainingError
            Where a metric or a weight is not finite; the last good checkpoint is kept.
        Interrupted
            On Ctrl-C or SIGTERM, after a checkpoint.
        """
        found = checkpoint.load(self.job, self.generator, self._enter)
        if found:
            self.state = found
        if self.refiner:
            self.refiner.show(self.state.refinement)
            self._warn_if_idle(self.refiner.first <= self.refiner.last, "judgement")
        elif self.exposure:
            counts = [self.exposure.suspects(phase.batch_size) for phase in self.phases]
            self._warn_if_idle(self.exposure.begin < self.total_images and all(counts), "suspect")
        self._run_phases(resumed=found is not None)
        if self.refiner and self.refiner.settings.afresh and not self.state.position.afresh:
            self._begin_afresh(self.refiner)
            self._run_phases()
        self.state.position.phase, self.state.position.step = len(self.phases), 0
        self.state.optimisers = {}
        self.job.world.synchronise(self.backbone.module)
        if text := little_variety(self.backbone, self.feed):
            self.warn(text)
        self.save()
        if self.selection:
            self.selection.restore()
        self.backbone.module.eval()

    def _warn_if_idle(self, works: bool, what: str) -> None:
        if not works:
            self.warn(
                f"training.refine: a training of {self.total_images:,} images in such batches has "
                f"no first {what}; let it begin earlier (after), or suspect more (share)"
            )

    def _run_phases(self, *, resumed: bool = False) -> None:
        """Run all phases from the present position; ``resumed``: the first one was entered."""
        self.backbone.module.train()
        for number in range(self.state.position.phase, len(self.phases)):
            if not resumed:
                self.state.position.phase, self.state.position.step = number, 0
                self.state.optimisers = self._enter(number)
            resumed = False
            self._run_phase(self.phases[number], number)

    def _begin_afresh(self, refiner: Refiner) -> None:
        """Judge once more, and go back to new weights and the first phase with what is kept."""
        job = self.job
        if self.state.position.shown not in self.state.refinement.shown:
            self._judge(refiner, self.phases[-1])
        self.backbone.module = build_backbone(job.recipe, job.data.spec, job.device).module
        self.phases = self.backbone.phases()
        self.state.position.phase, self.state.position.afresh = 0, True

    def _judge(self, refiner: Refiner, phase: Phase) -> None:
        """Have all training images judged; from here on only what is kept is shown."""
        world, shown = self.job.world, self.state.position.shown
        world.synchronise(self.backbone.module)
        with self.backbone.evaluating():
            kept = world.as_first(torch.from_numpy(refiner.kept()), self.job.device).numpy()
        self.state.refinement.add(shown, kept)
        refiner.show(self.state.refinement)
        out = int((~kept).sum())
        self.job.watcher.notice(f"after {shown:,} images: {out:,} of {len(kept):,} left out")
        self.job.directory.append_metrics(self._line(phase, {"rejected": out}))

    def _enter(self, number: int) -> dict[str, Optimizer]:
        """Begin a phase with fresh optimisers; there are none after the last one."""
        if number >= len(self.phases):
            return {}
        with self.backbone.guarding("being trained", self.phases[number].optimisers):
            return dict(self.phases[number].optimisers())

    def _run_phase(self, phase: Phase, number: int) -> None:
        world, watcher = self.job.world, self.job.watcher
        position, meter, steps = self.state.position, self.state.meter, self.steps[number]
        watcher.phase(phase, number + 1, len(self.phases), steps, position.step, position.shown)
        world.average_gradients(self.state.optimisers)
        share = world.share(phase.batch_size)
        since, began = 0, time.monotonic()
        last = position.step == steps or (position.step > 0 and self._finished(phase))
        while not last:
            started = time.monotonic()
            start = position.shown + world.rank * share
            images, indices = self.feed.batch(start, share, phase.resolution)
            progress = position.step / steps
            average = self.exposure.average(position.shown) if self.exposure else mean_of_losses
            batch = Batch(images, indices, position.step, progress, self.generator, average)
            # Draws are looked at once in a phase: some cannot but come from the global generator.
            with self.backbone.guarding(
                "being trained", phase.step, draws="left", generators=not position.step
            ):
                meter.add(phase.step(batch))  # adding shows what is no tensor
            position.step += 1
            position.shown += phase.batch_size
            since += phase.batch_size
            position.seconds += time.monotonic() - started
            watcher.step(phase.batch_size, time.monotonic() - started)
            last = position.step == steps or self._finished(phase)
            if position.step % self.settings.log_every == 0 or last:
                self._log(phase, since / max(time.monotonic() - began, 1e-9))
                since, began = 0, time.monotonic()
            if seen := self.epochs.tell(phase, position.step, last=last):
                self._note(phase, seen)
            self.snapshots.take(phase, position.shown, last=last)
            if self.selection and number == len(self.phases) - 1:
                self._select(self.selection, phase, steps)
            if self.refiner and self.refiner.due(position, self.state.refinement):
                self._judge(self.refiner, phase)
            self._checkpoint_if_due()

    def _finished(self, phase: Phase) -> bool:
        """Return whether the backbone ends the phase early: in all processes or in none."""
        if phase.finished is None:
            return False
        with self.backbone.guarding("being trained", phase.finished, generators=False):
            own = bool(phase.finished())
        return bool(self.job.world.agree(int(own), self.job.device))

    def _select(self, selection: Selection, phase: Phase, steps: int) -> None:
        """Look at the test set after an epoch of the last phase; log what is seen."""
        position = self.state.position
        shown, total = position.step * phase.batch_size, steps * phase.batch_size
        if not selection.due(shown, phase.batch_size, total):
            return
        auroc, best = selection.look(position.shown)
        text = f"as published: selected on test labels: AUROC {auroc:.3f}"
        self.job.watcher.notice(
            f"{text} after {position.shown:,} images{', the best yet' if best else ''}"
        )
        self.job.directory.append_metrics(self._line(phase, {"auroc_on_test_labels": auroc}))

    def _log(self, phase: Phase, speed: float) -> None:
        means = self.state.meter.read()
        self._note(phase, means, images_per_second=round(speed, 2))
        for text in self.backbone.warnings(means):
            self.warn(text)

    def _note(self, phase: Phase, metrics: Mapping[str, float], **more: float) -> None:
        """Write a line of metrics and show it, if they are finite."""
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{name} became {value} in phase {phase.name!r} at step "
                    f"{self.state.position.step}; training stopped. "
                    f"{checkpoint.last_good(self.job.directory)}"
                )
        line = self._line(phase, metrics) | more
        self.job.directory.append_metrics(line)
        self.job.watcher.metrics(line)

    def _line(self, phase: Phase, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Return a line of metrics.jsonl."""
        return {
            "phase": phase.name,
            "resolution": phase.resolution,
            "images": self.state.position.shown,
            "of": self.total_images,
            "step": self.state.position.step,
            "seconds": round(self.state.position.seconds, 3),
            "metrics": dict(metrics),
        }

    def warn(self, text: str) -> None:
        """Show a warning once, whatever its figures are by then, and keep it for the results."""
        if _without_figures(text) not in map(_without_figures, self.state.warnings):
            self.state.warnings.append(text)
            self.job.watcher.warning(text)

    def _checkpoint_if_due(self) -> None:
        due = time.monotonic() - self._saved_at >= self.settings.checkpoint_minutes * 60
        wanted = STOP if self.job.stop.requested else SAVE if due else 0
        world, shown = self.job.world, self.state.position.shown
        if world.size > 1:
            if self.state.position.step % SYNC_EVERY:
                return
            wanted = world.agree(wanted, self.job.device)
            world.synchronise(self.backbone.module)
        if wanted:
            self.save()
        if wanted == STOP:
            raise Interrupted(
                f"interrupted: checkpoint saved after {shown:,} images; go on with: "
                f"{self.job.directory.resume_command}"
            )

    def save(self) -> None:
        """Write the checkpoint; the old one stays if that fails. Raises what `state.save` does."""
        checkpoint.save(self.state, self.job, self.generator)
        self._saved_at = time.monotonic()


def _without_figures(text: str) -> str:
    return re.sub(r"[\d.]+", "#", text)

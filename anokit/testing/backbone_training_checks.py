"""Checks of how backbones train: what moves, what stays, and that a resumed training is equal."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any
from unittest import SkipTest

import torch
from safetensors.torch import load
from torch import nn

from anokit.testing.backbone_subject import BackboneSubject
from anokit.testing.backbone_training import STEPS, State, Training, resume, train
from anokit.testing.check import CheckWarning, expect, fail, promise
from anokit.testing.images import GREY, random_images
from anokit.testing.trips import changed_fields

RUNNING = ("running_mean", "running_var", "num_batches_tracked")
"""Buffers that a normalisation layer changes in training mode."""


@promise("backbone", since="0.1")
def check_backbone_phases(subject: BackboneSubject) -> None:
    """Check that phases have own names, state images or epochs, and their steps give metrics."""
    training = subject.training
    twice = [name for name, n in Counter(p.name for p in training.phases).items() if n > 1]
    expect(not twice, f"several phases are called {', '.join(twice)}")
    for phase in training.phases:
        expect(
            (phase.images is None) != (phase.epochs is None),
            f"phase {phase.name!r}: expected either images or epochs",
        )
        expect(phase.batch_size >= 1, f"phase {phase.name!r}: batch_size {phase.batch_size}")
    expect_metrics(training)


def expect_metrics(training: Training, what: str = "") -> None:
    """Raise `CheckFailed` unless every step gave finite numbers."""
    for name, metrics in training.metrics:
        for key, value in metrics.items():
            good = isinstance(value, torch.Tensor) and value.ndim == 0 and not value.requires_grad
            expect(good, f"phase {name!r}, metric {key!r}: expected a 0-d tensor, detached")
            expect(torch.isfinite(value), f"phase {name!r}, metric {key!r} is {value}{what}")


@promise("backbone", since="0.1")
def check_backbone_says_how_it_trains(subject: BackboneSubject) -> None:
    """Check that `trained` and `weighs_images` say what the phases and their steps do."""
    component, training = subject.entry.component, subject.training
    expect(
        component.trained == bool(training.phases),
        f"trained = {component.trained}, yet phases() gives {len(training.phases)} phases",
    )
    expect(
        component.weighs_images == training.averaged,
        f"weighs_images = {component.weighs_images}, yet the steps "
        f"{'call' if training.averaged else 'never call'} batch.average",
    )


@promise("backbone", since="0.1")
def check_backbone_gradients(subject: BackboneSubject) -> None:
    """Check that a gradient reaches every parameter that a phase optimises and that is used."""
    training = subject.training
    if not training.optimised:
        raise SkipTest("no phase optimises anything")
    expect(training.moved, "no parameter changed: do the optimisers step?")
    still = training.optimised - training.reached - training.moved
    if used := sorted(still) and used_of(subject, still):
        fail(f"no gradient reaches {', '.join(used)}, which an optimiser holds")
    idle = sorted(still | training.frozen)
    if idle:
        warnings.warn(
            f"an optimiser holds {len(idle)} parameters that are never trained, {idle[0]} first: "
            "frozen ones, or ones that nothing uses, such as the deeper blocks of a network; give "
            "it those alone that learn",
            CheckWarning,
            stacklevel=2,
        )


def used_of(subject: BackboneSubject, names: Iterable[str]) -> list[str]:
    """Return the parameters that something depends on: training, or a trip after it."""
    usual, images = subject.training, random_images(2, GREY)
    trip = subject.trip(usual.backbone, images, subject.provides)

    def matters(some: list[str]) -> bool:
        backbone = subject.build(GREY)
        with torch.no_grad():
            for name in some:
                backbone.get_parameter(name).add_(1.0)
        other = train(subject.entry, backbone, GREY)
        same = _same_metrics(usual, other)
        return not same or bool(changed_fields(trip, subject.trip(backbone, images, trip.filled())))

    rest = sorted(names)
    if not matters(rest):
        return []
    heads = sorted({name.rpartition(".")[0] for name in rest})
    by_head = {head: [n for n in rest if n.rpartition(".")[0] == head] for head in heads}
    return [name for some in by_head.values() if matters(some) for name in some]


def _same_metrics(one: Training, other: Training) -> bool:
    return all(
        first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
        for (_, first), (_, second) in zip(one.metrics, other.metrics, strict=True)
    )


@promise("backbone", since="0.1")
def check_backbone_one_seed(subject: BackboneSubject) -> None:
    """Check that one seed gives one result: torch's seed when built, then `batch.generator`."""
    first = subject.training.backbone.state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        second = train(subject.entry, subject.build(GREY), GREY).backbone.state_dict()
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    expect(
        not differ,
        f"{len(differ)} tensors differ between two equal trainings, {differ[:1]} first; draw from "
        "batch.generator",
    )


@promise("backbone", since="0.1")
def check_backbone_resumes(subject: BackboneSubject) -> None:
    """Check that a training that is saved, loaded and gone on with ends with the same bits."""
    training = subject.training
    if not training.courses:
        raise SkipTest("this backbone is never trained")
    for number, (phase, course) in enumerate(zip(training.phases, training.courses, strict=True)):
        backbone = subject.build(GREY, seed=5)
        again = resume(subject.entry, backbone, GREY, number, course.middle)
        where = f"phase {phase.name!r} after {STEPS} steps"
        expect(
            course.schedulers == again.schedulers,
            f"{where}: {_said(course.schedulers)}, and resumed {_said(again.schedulers)}: no "
            "checkpoint holds a scheduler; set the rate in the step, from batch.progress: "
            "anokit.nn.set_learning_rate",
        )
        for what, before, after in (
            ("weights", course.end.model, again.end.model),
            ("optimiser", course.end.optimisers, again.end.optimisers),
        ):
            differ = _differing(load(before), load(after))
            expect(
                not differ,
                f"{where}, of which {STEPS - STEPS // 2} were resumed: {len(differ)} tensors of "
                f"the {what} differ, {differ[:1]} first; what the next step depends on belongs "
                "into buffers, or follows from batch.step and batch.progress",
            )
        if number == len(training.phases) - 1:
            _warn_of_counters(training.backbone, backbone)


def _said(schedulers: list[str]) -> str:
    return ", ".join(schedulers) or "no scheduler"


def _differing(one: State, other: State) -> list[str]:
    names = sorted(one.keys() | other.keys())
    return [
        name
        for name in names
        if name not in one or name not in other or not _equal(one[name], other[name])
    ]


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors are equal, NaN being like NaN."""
    return torch.equal(one, other) or bool(((one == other) | (one.isnan() & other.isnan())).all())


def _warn_of_counters(straight: nn.Module, resumed: nn.Module) -> None:
    differ = []
    for name, module in straight.named_modules():
        other = vars(resumed.get_submodule(name))
        for key, value in vars(module).items():
            plain = type(value) in (int, float) and type(other.get(key)) in (int, float)
            if plain and value != other[key]:
                differ.append(f"{name}.{key}".lstrip(".") + f" ({value}, resumed {other[key]})")
    if differ:
        warnings.warn(
            f"numbers that no checkpoint holds differ after a resumed training: "
            f"{', '.join(differ)}; where a step depends on one, keep it in a buffer or take it "
            "from batch.step",
            CheckWarning,
            stacklevel=2,
        )


@promise("backbone", since="0.1")
def check_backbone_frozen_stays(subject: BackboneSubject) -> None:
    """Check that a network that is not trained keeps its running statistics in training too."""
    training = subject.training
    if not training.phases:
        raise SkipTest("this backbone is never trained")
    end = training.backbone.state_dict()
    changed = {name for name, old in training.start.items() if not torch.equal(old, end[name])}
    moved = sorted(
        name
        for name in changed
        if name.rpartition(".")[2] in RUNNING
        and _is_frozen(training.backbone, name.rpartition(".")[0], training.optimised, changed)
    )
    expect(
        not moved,
        f"training changed {', '.join(moved[:3])}{' …' if moved[3:] else ''}, statistics of a "
        "network whose weights no phase trains: it was in training mode; keep it in evaluation "
        "mode in your own train(): super().train(mode), then self.teacher.eval()",
    )


def _is_frozen(backbone: nn.Module, home: str, optimised: set[str], changed: set[str]) -> bool:
    """Return whether the weights around a normalisation layer are those of a frozen network."""
    module: Any = backbone.get_submodule(home)
    while not any(True for _ in module.parameters()) and home:
        home = home.rpartition(".")[0]
        module = backbone.get_submodule(home)
    names = {f"{home}.{name}".lstrip(".") for name, _ in module.named_parameters()}
    return bool(names) and not names & (optimised | changed)


@promise("backbone", since="0.1")
def check_backbone_step_leaves_images(subject: BackboneSubject) -> None:
    """Check that a training step writes nothing into the images that it is given."""
    written = sorted(set(subject.training.written))
    expect(
        not written,
        f"steps of {', '.join(written)} wrote into batch.images; write into a clone()",
    )

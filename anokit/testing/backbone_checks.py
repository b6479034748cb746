"""Checks of backbones: that they train, and what their round trips hold."""

from __future__ import annotations

from collections import Counter
from unittest import SkipTest

import torch
from safetensors.torch import load, save

from anokit.store.tensors import fill_module
from anokit.testing.backbone_subject import (
    COLOUR,
    GREY,
    BackboneSubject,
    random_images,
    train,
)
from anokit.testing.check import expect, promise
from anokit.testing.offline import offline
from anokit.testing.score_checks import close
from anokit.testing.trips import changed_fields, select
from anokit.types import ImageSpec, RoundTrip, layout_of


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
    for name, metrics in training.metrics:
        for key, value in metrics.items():
            good = isinstance(value, torch.Tensor) and value.ndim == 0 and not value.requires_grad
            expect(good, f"phase {name!r}, metric {key!r}: expected a 0-d tensor, detached")
            expect(torch.isfinite(value), f"phase {name!r}, metric {key!r} is {value}")


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
    """Check that a gradient reaches every parameter that a phase optimises."""
    training = subject.training
    if not training.optimised:
        raise SkipTest("no phase optimises anything")
    still = sorted(training.optimised - training.reached - training.moved)
    expect(not still, f"no gradient reaches {', '.join(still)}, which an optimiser holds")
    expect(training.moved, "no parameter changed: do the optimisers step?")


@promise("backbone", since="0.1")
def check_backbone_fills_what_is_asked(subject: BackboneSubject) -> None:
    """Check that a round trip fills the fields that are asked for, and no others."""
    backbone, images = subject.trained(GREY), random_images(2, GREY)
    provides = subject.provides
    for needs in [*(frozenset({name}) for name in sorted(provides)), provides]:
        trip = subject.trip(backbone, images, needs)
        more = trip.filled() - needs - {"image"}
        expect(
            not more,
            f"asked for {sorted(needs)}: {sorted(more)} filled as well, which costs time",
        )


@promise("backbone", since="0.1")
def check_backbone_shapes(subject: BackboneSubject) -> None:
    """Check that grey and colour images of two sizes work, and fields have their shapes."""
    for spec in (GREY, COLOUR):
        backbone = subject.trained(GREY) if spec == GREY else subject.build(spec)
        trip = subject.trip(backbone, random_images(3, spec), subject.provides)
        for name in sorted(trip.filled()):
            _expect_shape(name, trip, spec)


def _expect_shape(name: str, trip: RoundTrip, spec: ImageSpec) -> None:
    value = trip.get(name)
    if value is None:
        return
    shape, layout = tuple(value.shape), layout_of(name)
    wanted, good = "[3, …]", shape[:1] == (3,)
    if layout == layout_of("image"):
        wanted = f"[3, {spec.channels}, {spec.height}, {spec.width}]"
        good = shape == (3, spec.channels, spec.height, spec.width)
    elif layout:
        wanted = layout.replace("B", "3")
        good = good and len(shape) == layout.count(",") + 1
    expect(good, f"{name} of 3 images of {spec}: {list(shape)}, expected {wanted}")
    expect(torch.isfinite(value).all(), f"{name} of images of {spec} is not finite")


@promise("backbone", since="0.1")
def check_backbone_independent_of_batch(subject: BackboneSubject) -> None:
    """Check that no field of an image depends on the other images of its batch."""
    backbone, images = subject.trained(GREY), random_images(4, GREY, seed=3)
    whole = subject.trip(backbone, images, subject.provides)
    for row in range(len(images)):
        alone = subject.trip(backbone, images[row : row + 1], subject.provides)
        one = select(whole, [row])
        for name in sorted(subject.provides):
            first, second = one.get(name), alone.get(name)
            if first is not None and second is not None:
                expect(
                    first.shape == second.shape and close(first, second),
                    f"{name} of an image differs between a batch of 4 and of 1; in evaluation "
                    "mode use running statistics, not those of the batch",
                )


@promise("backbone", since="0.1")
def check_backbone_one_seed(subject: BackboneSubject) -> None:
    """Check that one seed gives one result: torch's seed when built, then `batch.generator`."""
    first = subject.training.backbone.state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        second = train(subject.build(GREY), GREY).backbone.state_dict()
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    expect(
        not differ,
        f"{len(differ)} tensors differ between two equal trainings, {differ[:1]} first; draw from "
        "batch.generator",
    )


@promise("backbone", since="0.1")
def check_backbone_state_survives(subject: BackboneSubject) -> None:
    """Check that weights survive a safetensors file: trips are the same after loading."""
    backbone, images = subject.trained(GREY), random_images(2, GREY)
    state = backbone.state_dict()
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    again = subject.build(GREY, seed=5)
    if plain:
        fill_module(again, load(save(plain)), "the saved weights")
    before = subject.trip(backbone, images, subject.provides)
    changed = changed_fields(before, subject.trip(again, images, subject.provides))
    expect(not changed, f"after loading {', '.join(changed)} differ: keep all state in buffers")


@promise("backbone", since="0.1")
def check_backbone_no_network(subject: BackboneSubject) -> None:
    """Check that building the example and making a round trip asks nothing of the network."""
    with offline() as tried:
        backbone = subject.build(GREY)
        subject.trip(backbone, random_images(1, GREY), subject.provides)
    expect(not tried, f"asked for {', '.join(tried)}; weights belong in files that the user names")

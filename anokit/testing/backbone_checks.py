"""Checks of backbones: what their round trips hold, and what they leave as it was."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from safetensors.torch import load

from anokit.errors import AnokitError
from anokit.registry.blame import PluginFault
from anokit.store.tensors import fill_module
from anokit.testing.backbone_subject import BackboneSubject
from anokit.testing.backbone_training import copied, make_batch, packed, train
from anokit.testing.backbone_training_checks import expect_metrics
from anokit.testing.check import CheckFailed, expect, promise
from anokit.testing.closeness import RTOL, close
from anokit.testing.devices import OTHER, Elsewhere, OtherGenerator
from anokit.testing.guarding import untouched
from anokit.testing.images import COLOUR, GREY, OBLONG, constant_images, random_images
from anokit.testing.offline import offline
from anokit.types import ImageSpec, RoundTrip, layout_of


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
        _expect_shapes(subject.trip(backbone, random_images(3, spec), subject.provides), spec)


@promise("backbone", since="0.1")
def check_backbone_oblong_images(subject: BackboneSubject) -> None:
    """Check that images that are not square are described and trained on, or refused in words."""
    for spec in OBLONG:
        try:
            backbone = subject.build(spec)
        except (PluginFault, CheckFailed):
            raise
        except AnokitError:
            continue  # in words: a user sees no traceback of it
        expect_metrics(train(subject.entry, backbone, spec, steps=1), f" on images of {spec}")
        _expect_shapes(subject.trip(backbone, random_images(3, spec), subject.provides), spec)


@promise("backbone", since="0.1")
def check_backbone_constant_images(subject: BackboneSubject) -> None:
    """Check that images of one grey level, some of them equal, make neither NaN nor infinity."""
    images = constant_images(GREY)
    _expect_finite(subject.trip(subject.trained(GREY), images, subject.provides), "of one level")
    backbone = subject.build(GREY)

    def of_one_level(count: int, step: int) -> torch.Tensor:
        return images.repeat(-(-count // len(images)), 1, 1, 1)[:count]

    training = train(subject.entry, backbone, GREY, steps=1, images=of_one_level)
    expect_metrics(training, " on images of one grey level")
    lost = [n for n, v in backbone.state_dict().items() if not torch.isfinite(v).all()]
    expect(not lost, f"after a step on images of one grey level, not finite: {', '.join(lost[:3])}")


def _expect_shapes(trip: RoundTrip, spec: ImageSpec) -> None:
    for name in sorted(trip.filled()):
        _expect_shape(name, trip, spec)
        _expect_pair(name, trip, spec)
    _expect_finite(trip, f"of {spec}")


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


def _expect_pair(name: str, trip: RoundTrip, spec: ImageSpec) -> None:
    """Expect of a field that predicts another one that scores can subtract the two."""
    field, dot, scale = name.partition(".")
    other = f"{field.removesuffix('_hat')}{dot}{scale}"
    value, predicted = trip.get(other), trip.get(name)
    if not layout_of(name) or other == name or value is None or predicted is None:
        return
    expect(
        value.shape == predicted.shape,
        f"{name} of 3 images of {spec}: {list(predicted.shape)}, but {other}: "
        f"{list(value.shape)}; expected the same of both",
    )


def _expect_finite(trip: RoundTrip, which: str) -> None:
    for name in sorted(trip.filled()):
        value = trip.get(name)
        good = value is None or torch.isfinite(value).all()
        expect(good, f"{name} of images {which} is not finite")


@promise("backbone", since="0.1")
def check_backbone_independent_of_batch(subject: BackboneSubject) -> None:
    """Check that no field of an image depends on the other images of its batch."""
    backbone, images = subject.trained(GREY), random_images(4, GREY, seed=3)
    whole = subject.trip(backbone, images, subject.provides)
    rows = range(len(images))
    alone = [subject.trip(backbone, images[row : row + 1], subject.provides) for row in rows]
    for name in sorted(subject.provides):
        together, parts = whole.get(name), [trip.get(name) for trip in alone]
        # Compared as one: what may differ is a share of how far the images are apart.
        apart = torch.cat([part for part in parts if part is not None])
        expect(
            together is not None and together.shape == apart.shape and close(together, apart, RTOL),
            f"{name} of an image differs between a batch of {len(images)} and of 1; in evaluation "
            "mode use running statistics, not those of the batch",
        )


@promise("backbone", since="0.1")
def check_backbone_state_survives(subject: BackboneSubject) -> None:
    """Check that weights survive a safetensors file: trips are the same after loading."""
    backbone, images = subject.trained(GREY), random_images(2, GREY)
    again = subject.build(GREY, seed=5)
    if state := backbone.state_dict():
        fill_module(again, load(packed(state)), "the saved weights")
    before = subject.trip(backbone, images, subject.provides)
    after = subject.trip(again, images, subject.provides)
    changed = [name for name in sorted(before.filled()) if not _alike(name, before, after)]
    expect(not changed, f"after loading {', '.join(changed)} differ: keep all state in buffers")


def _alike(name: str, one: RoundTrip, other: RoundTrip) -> bool:
    """Return whether a field is equal up to rounding."""
    first, second = one.get(name), other.get(name)
    if first is None or second is None:
        return first is second
    return first.shape == second.shape and close(first, second, RTOL)


@promise("backbone", since="0.1")
def check_backbone_trip_leaves_all(subject: BackboneSubject) -> None:
    """Check that a round trip changes neither its images nor weights, buffers or the mode."""
    backbone, images = subject.build(GREY), random_images(3, GREY)
    given, version, before = images.clone(), images._version, copied(backbone.state_dict())
    trip = subject.trip(backbone, images, subject.provides)
    written = images._version != version or not torch.equal(images, given)
    expect(not written, "round_trip wrote into the images that it was given; write into a clone()")
    after = backbone.state_dict()
    changed = [name for name, old in before.items() if not torch.equal(old, after[name].cpu())]
    expect(not changed, f"a round trip in evaluation mode changed {', '.join(changed[:3])}")
    expect(not backbone.training, "round_trip left evaluation mode")
    held = [name for name in sorted(trip.filled()) if getattr(trip.get(name), "grad_fn", None)]
    expect(not held, f"{', '.join(held)} hold on to a graph of gradients; detach them")


@promise("backbone", since="0.1")
def check_backbone_leaves_process(subject: BackboneSubject) -> None:
    """Check that building, training and trips leave the state of the process as it was."""
    built: list[Any] = []
    building = {"being built": lambda: built.append(subject.build(GREY))}
    # What weights are drawn from, check_backbone_one_seed asks.
    untouched(subject.entry, building, draws="restored")

    def trip() -> None:
        subject.trip(built[0], random_images(2, GREY), subject.provides)

    untouched(subject.entry, {"making a round trip": trip})
    expect(not subject.training.told, "\n".join(subject.training.told))


@promise("backbone", since="0.1")
def check_backbone_device(subject: BackboneSubject) -> None:
    """Check that trips and steps make no tensor on another device than that of their images."""
    there = Elsewhere(subject.entry)
    backbone = there.module(subject.build(GREY))
    images = there.tensor(random_images(2, GREY))
    trip = there.attempt("making a trip", lambda: backbone.round_trip(images, subject.provides))
    if isinstance(trip, RoundTrip):
        left = [n for n in sorted(trip.filled()) if getattr(trip.get(n), "device", OTHER) != OTHER]
        expect(not left, f"{', '.join(left)} of a trip lies on another device than the images")
    backbone.train()
    for phase in backbone.phases():
        batch = make_batch(phase, GREY, 0, OtherGenerator())
        batch = replace(batch, images=there.tensor(batch.images))
        there.attempt("making optimisers", phase.optimisers, gradients=True)
        there.attempt(f"a step of phase {phase.name!r}", partial(phase.step, batch), gradients=True)
    there.conclude()


@promise("backbone", since="0.1")
def check_backbone_no_network(subject: BackboneSubject) -> None:
    """Check that building the example, training and a round trip ask nothing of the network."""
    with offline() as tried:
        backbone = subject.build(GREY)
        subject.trip(backbone, random_images(1, GREY), subject.provides)
        train(subject.entry, backbone, GREY, steps=1)
    expect(not tried, f"asked for {', '.join(tried)}; weights belong in files that the user names")

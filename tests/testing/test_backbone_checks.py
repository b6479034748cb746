"""Every check of backbones can fail: each fault is planted here, beside what must pass."""

import contextlib
import random
import socket
import sys
import warnings
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR, StepLR

from anokit import Component, Phase, RoundTrip, hookimpl
from anokit.errors import DataError
from anokit.nn import set_learning_rate
from anokit.testing import collect_checks
from anokit.testing.check import PROMISES, CheckWarning
from anokit.testing.table import run_checks

IMAGES = frozenset({"image", "image_hat"})


def changed(base, **methods):
    """Return a subclass with other methods."""
    return type("Changed", (base,), methods)


class Autoencoder(nn.Module):
    """A sound backbone: one linear layer each way."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__()
        size = spec.channels * spec.height * spec.width
        self.spec = spec
        self.encoder, self.decoder = nn.Linear(size, 4), nn.Linear(4, size)

    def phases(self):
        return [Phase(name="all", images=4, batch_size=2, step=self.step, optimisers=self.start)]

    def start(self):
        self.optimiser = torch.optim.SGD(self.parameters(), 0.1)
        return {"sgd": self.optimiser}

    def step(self, batch):
        trip = self.round_trip(batch.images, IMAGES)
        error = (trip.image - trip.image_hat).square().mean()
        self.optimiser.zero_grad()
        error.backward()
        self.optimiser.step()
        return {"error": error.detach()}

    def round_trip(self, images, needs):
        latent = self.encoder(images.flatten(1))
        wanted = "image_hat" in needs
        return RoundTrip(
            image=images,
            latent=latent if "latent" in needs else None,
            image_hat=self.decoder(latent).view_as(images) if wanted else None,
        )


def phased(**changes):
    """Return a backbone with another phase."""

    def phases(self):
        given = {"name": "all", "images": 4, "batch_size": 2, "step": self.step}
        return [Phase(**{**given, "optimisers": self.start, **changes})]

    return changed(Autoencoder, phases=phases)


def twice(self):
    return [*Autoencoder.phases(self), *Autoencoder.phases(self)]


def attached(self, batch):
    return {"error": (self.encoder.weight * 1).sum()}


def idle(self, batch):
    self.optimiser.zero_grad()
    return {}


def only_encoder(self, batch):
    self.optimiser.zero_grad()
    self.encoder(batch.images.flatten(1)).square().mean().backward()
    self.optimiser.step()
    return {}


def noisy(self, batch):
    with torch.no_grad():
        self.encoder.bias.add_(torch.randn(4))
    return Autoencoder.step(self, batch)


def everything(self, images, needs):
    return Autoencoder.round_trip(self, images, frozenset({"latent", "image_hat"}))


def flat(self, images, needs):
    trip = Autoencoder.round_trip(self, images, needs)
    return RoundTrip(image=images, latent=trip.latent, image_hat=trip.image.flatten(1))


def apart(name, hat):
    """Return a trip in which a field and what predicts it have other grids."""

    def round_trip(self, images, needs):
        trip = Autoencoder.round_trip(self, images, needs)
        found = {name: images.new_zeros(3, 2, 8, 8), hat: images.new_zeros(3, 2, 4, 4)}
        return replace(trip, extra=found) if "." in name else replace(trip, **found)

    return round_trip


def crowd(self, images, needs):
    return Autoencoder.round_trip(self, images - images.mean(dim=0), needs)


def weighing(self, batch):
    batch.average(batch.images.mean(dim=(1, 2, 3)), batch.images.mean(dim=(1, 2, 3)))
    return Autoencoder.step(self, batch)


class Small(Autoencoder):
    """A backbone that takes grey images alone."""

    def __init__(self, options, spec, encoder_losses):
        if spec.channels != 1:
            raise DataError("grey images only")
        super().__init__(options, spec, encoder_losses)


class Forgetful(Autoencoder):
    """A backbone with a weight that no file holds."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        self.scale = torch.rand(())

    def round_trip(self, images, needs):
        return super().round_trip(images * self.scale, needs)


class Downloads(Autoencoder):
    """A backbone that asks the network for its weights."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        with contextlib.suppress(OSError):
            socket.create_connection(("example.org", 80), timeout=0.01)


class Distance(nn.Module):
    """No backbone at all."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__()


def trips(change):
    """Return a backbone whose trips are made of ``change(self, images)``."""

    def round_trip(self, images, needs):
        return Autoencoder.round_trip(self, change(self, images), needs)

    return changed(Autoencoder, round_trip=round_trip)


def steps(change):
    """Return a backbone that does something before each step, in the mode of training."""

    def step(self, batch):
        change(self, batch)
        return Autoencoder.step(self, batch)

    return changed(Autoencoder, step=step)


def builds(change):
    """Return a backbone that does something in its constructor."""

    def init(self, options, spec, encoder_losses):
        Autoencoder.__init__(self, options, spec, encoder_losses)
        change(self)

    return changed(Autoencoder, __init__=init)


def scheduled(make):
    """Return a backbone with a scheduler that is made with the optimiser."""

    def start(self):
        found = Autoencoder.start(self)
        self.scheduler = make(self.optimiser)
        return found

    def step(self, batch):
        found = Autoencoder.step(self, batch)
        self.scheduler.step()
        return found

    return changed(Autoencoder, start=start, step=step)


class LateScheduler(Autoencoder):
    """A backbone with a scheduler that is made in its first step."""

    scheduler = None

    def step(self, batch):
        self.scheduler = self.scheduler or StepLR(self.optimiser, 30)
        found = super().step(batch)
        self.scheduler.step()
        return found


class Counting(Autoencoder):
    """A backbone that trains in every other step, by a counter that no checkpoint holds."""

    count = 0

    def step(self, batch):
        self.count += 1
        trip = self.round_trip(batch.images, IMAGES)
        error = (trip.image - trip.image_hat).square().mean() * (self.count % 2 + 1)
        self.optimiser.zero_grad()
        error.backward()
        self.optimiser.step()
        return {"error": error.detach()}


class Teacher(Autoencoder):
    """A backbone beside a frozen network; `train` puts that one into training mode as well."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        norm = nn.BatchNorm2d(4, affine=self.affine)
        self.teacher = nn.Sequential(nn.Conv2d(spec.channels, 4, 3, padding=1), norm)
        self.teacher.eval().requires_grad_(False)

    affine = True

    def start(self):
        held = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimiser = torch.optim.SGD(held, 0.1)
        return {"sgd": self.optimiser}

    def step(self, batch):
        self.teacher(batch.images)
        return super().step(batch)


class EvalTeacher(Teacher):
    """The same with a teacher that stays in evaluation mode."""

    def train(self, mode=True):
        super().train(mode)
        self.teacher.eval()
        return self


class Averaged(Autoencoder):
    """A backbone with a running average of its weights, statistics of them copied along."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        self.norm, self.average = nn.BatchNorm1d(4), nn.BatchNorm1d(4).requires_grad_(False)

    def step(self, batch):
        found = super().step(batch)
        with torch.no_grad():
            for kept, value in zip(
                self.average.state_dict().values(), self.norm.state_dict().values(), strict=True
            ):
                kept.copy_(value)
        return found

    def round_trip(self, images, needs):
        latent = (self.norm if self.training else self.average)(self.encoder(images.flatten(1)))
        return RoundTrip(
            image=images,
            latent=latent if "latent" in needs else None,
            image_hat=self.decoder(latent).view_as(images) if "image_hat" in needs else None,
        )


class Unused(Autoencoder):
    """A backbone whose optimiser holds what nothing uses, and what is frozen."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        self.deep = nn.Linear(4, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


class Standardised(Autoencoder):
    """A backbone that divides by the contrast of each image, which may be none."""

    def round_trip(self, images, needs):
        spread = images.flatten(1).std(dim=1)[:, None, None, None]
        return super().round_trip(images / spread, needs)


class RootLoss(Autoencoder):
    """A backbone whose loss has no gradient where an image is constant."""

    def step(self, batch):
        self.optimiser.zero_grad()
        flat = batch.images.flatten(1)
        spread = ((flat - flat.mean(dim=1, keepdim=True)) * self.encoder.weight.mean()).var(dim=1)
        (self.round_trip(batch.images, IMAGES).image_hat.mean() + spread.sqrt().mean()).backward()
        self.optimiser.step()
        return {}


class Square(Autoencoder):
    """A backbone that believes that images are square."""

    def round_trip(self, images, needs):
        trip = super().round_trip(images, needs)
        side = images.shape[-1]
        if trip.image_hat is None:
            return trip
        return RoundTrip(
            image=trip.image,
            latent=trip.latent,
            image_hat=trip.image_hat.reshape(len(images), -1, side, side),
        )


class RefusesOblong(Autoencoder):
    """A backbone that says that it takes square images alone."""

    def __init__(self, options, spec, encoder_losses):
        if spec.height != spec.width:
            raise DataError(f"square images only, got {spec}")
        super().__init__(options, spec, encoder_losses)


class RaisesOnOblong(Autoencoder):
    """The same, without words that a user could act by."""

    def __init__(self, options, spec, encoder_losses):
        if spec.height != spec.width:
            raise ValueError("cannot reshape")
        super().__init__(options, spec, encoder_losses)


class Drifting(Autoencoder):
    """A backbone with running statistics that trips change."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        self.register_buffer("seen", torch.zeros(()))

    def round_trip(self, images, needs):
        self.seen += 1
        return super().round_trip(images, needs)


class Rounded(Autoencoder):
    """A backbone whose scale is kept in half of the digits that it is first computed with."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        self.register_buffer("scale", torch.empty(0))
        self.exact = None

    def step(self, batch):
        self.exact = 1 / torch.tensor(3.0, dtype=torch.float64)
        self.scale = self.exact.float()
        return super().step(batch)

    def round_trip(self, images, needs):
        scale = self.scale.double() if self.exact is None else self.exact
        if not self.scale.numel():
            return super().round_trip(images, needs)
        return super().round_trip((images.double() * scale).float(), needs)


class PlainTensor(Autoencoder):
    """A backbone with a tensor that does not move with it."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        self.shift = torch.ones(1, spec.height, spec.width) * 0.1

    def round_trip(self, images, needs):
        return super().round_trip(images - self.shift, needs)


class HeldElsewhere(Autoencoder):
    """A backbone that holds its weights in a list too; they move all the same."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options, spec, encoder_losses)
        self.held = list(self.parameters())

    def start(self):
        self.optimiser = torch.optim.Adam(self.held, 0.01)
        return {"adam": self.optimiser}


class ReadsNumbers(Autoencoder):
    """A backbone that asks for the value of a tensor, which is right and cannot be followed."""

    def step(self, batch):
        found = super().step(batch)
        return found if float(found["error"]) >= 0 else {}


def on_cpu(self, images, needs):
    trip = Autoencoder.round_trip(self, images, needs)
    return RoundTrip(image=images, latent=torch.zeros(len(images), 4), image_hat=trip.image_hat)


def noise(batch):
    return torch.randn(batch.images.shape, generator=batch.generator)


def trained_mode(self, images):
    self.train()
    return images


def dropping_out(self, batch):
    functional.dropout(batch.images, 0.5)


BACKBONES = {
    "check_backbone_phases": [
        phased(epochs=1.0),
        phased(images=None),
        phased(batch_size=0),
        changed(Autoencoder, phases=twice),
        changed(Autoencoder, step=attached),
        changed(Autoencoder, step=lambda self, batch: {"error": torch.tensor(float("nan"))}),
    ],
    "check_backbone_says_how_it_trains": [
        changed(Autoencoder, step=weighing),
        changed(Autoencoder, phases=lambda self: []),
    ],
    "check_backbone_gradients": [
        changed(Autoencoder, step=idle),
        changed(Autoencoder, step=only_encoder),
    ],
    "check_backbone_fills_what_is_asked": [
        changed(Autoencoder, round_trip=everything),
        changed(Autoencoder, round_trip=lambda self, images, needs: RoundTrip(image=images)),
        changed(Autoencoder, round_trip=lambda self, images, needs: images),
    ],
    "check_backbone_shapes": [
        changed(Autoencoder, round_trip=flat),
        changed(Autoencoder, round_trip=apart("patches", "patches_hat")),
        changed(Autoencoder, round_trip=apart("patches.a", "patches_hat.a")),
        Small,
        Distance,
    ],
    "check_backbone_oblong_images": [Square, RaisesOnOblong],
    "check_backbone_constant_images": [Standardised, RootLoss],
    "check_backbone_independent_of_batch": [changed(Autoencoder, round_trip=crowd)],
    "check_backbone_one_seed": [
        changed(Autoencoder, step=noisy),
        builds(lambda self: self.encoder.bias.data.add_(random.random())),
        builds(lambda self: self.encoder.bias.data.add_(np.random.rand())),  # noqa: NPY002
    ],
    "check_backbone_resumes": [
        scheduled(lambda optimiser: StepLR(optimiser, 1, 0.5)),
        scheduled(lambda optimiser: StepLR(optimiser, 30)),
        scheduled(lambda optimiser: LambdaLR(optimiser, lambda step: 1 / (1 + step))),
        LateScheduler,
        Counting,
    ],
    "check_backbone_frozen_stays": [Teacher, changed(Teacher, affine=False)],
    "check_backbone_step_leaves_images": [
        steps(lambda self, batch: batch.images.mul_(0.5)),
        steps(lambda self, batch: batch.images.clamp_(-1, 1)),
        steps(lambda self, batch: batch.images.numpy().fill(0)),
    ],
    "check_backbone_trip_leaves_all": [
        trips(lambda self, images: images.mul_(0.5)),
        trips(lambda self, images: images.clamp_(-1, 1)),
        trips(trained_mode),
        Drifting,
    ],
    "check_backbone_leaves_process": [
        builds(lambda self: torch.set_num_threads(torch.get_num_threads() + 1)),
        trips(lambda self, images: (torch.set_default_dtype(torch.float64), images)[1]),
        trips(lambda self, images: (torch.rand(1), images)[1]),
        steps(lambda self, batch: torch.use_deterministic_algorithms(True)),
        steps(lambda self, batch: random.random()),
        steps(dropping_out),
    ],
    "check_backbone_device": [
        trips(lambda self, images: images + torch.zeros(images.shape[-1])),
        trips(lambda self, images: torch.cat([images, torch.zeros(images.shape)])[: len(images)]),
        trips(lambda self, images: images + torch.zeros(images.shape, device="cuda")),
        changed(Autoencoder, round_trip=on_cpu),
        steps(lambda self, batch: batch.images + noise(batch)),
        PlainTensor,
    ],
    "check_backbone_state_survives": [Forgetful],
    "check_backbone_no_network": [Downloads],
}

SOUND = {
    "plain": Autoencoder,
    "rate": steps(lambda self, batch: set_learning_rate(self.optimiser, 1 - batch.progress)),
    "eval-teacher": EvalTeacher,
    "averaged": Averaged,
    "refuses-oblong": RefusesOblong,
    "rounded": Rounded,
    "held-elsewhere": HeldElsewhere,
    "noise": steps(
        lambda self, batch: torch.randn(
            batch.images.shape, device=batch.images.device, generator=batch.generator
        )
    ),
    "unused": Unused,
    "reads-numbers": ReadsNumbers,
}
"""What must pass, each for the sake of a check that could well refuse it."""


@pytest.fixture
def checks(monkeypatch):
    """Return the checks of a plugin with one backbone, by name."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")

    def collect(factory):
        module = ModuleType("kit_toy")
        described = {"provides": IMAGES | {"latent"}, "trips": frozenset({"image"})}

        def anokit_backbones():
            return [Component(name="toy", summary="A toy", factory=factory, **described)]

        module.anokit_backbones = hookimpl(anokit_backbones)
        monkeypatch.setitem(sys.modules, "kit_toy", module)
        return {check.name: check for check in collect_checks(module)}

    return collect


@pytest.mark.parametrize(
    ("name", "factory"), [(name, one) for name, broken in BACKBONES.items() for one in broken]
)
def test_a_broken_backbone_is_caught(checks, name, factory):
    (result,) = run_checks([checks(factory)[name]])
    assert result.outcome == "failed"
    assert result.message
    assert "NameError" not in result.message  # the fault is the one that is planted


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_backbone_passes_every_check(checks, name):
    found = checks(SOUND[name])
    results = run_checks(found[check] for check in BACKBONES)
    assert not [(r.check, r.message) for r in results if r.outcome == "failed"]
    skipped = [(r.check, r.message) for r in results if r.outcome == "skipped"]
    assert [check for check, _ in skipped] == (
        ["check_backbone_device"] if name == "reads-numbers" else []
    )
    assert all("since numbers are read: a step" in why for _, why in skipped)


def test_every_check_of_backbones_is_proved_here():
    assert {p.name for p in PROMISES if p.about == "backbone"} == set(BACKBONES)


def test_what_an_optimiser_holds_in_vain_is_a_warning(checks):
    check = checks(Unused)["check_backbone_gradients"]
    with pytest.warns(CheckWarning, match=r"4 parameters that are never trained, deep\.bias first"):
        check()


def test_a_counter_that_no_checkpoint_holds_is_a_warning(checks):
    class Shown(Autoencoder):
        count = 0

        def step(self, batch):
            self.count += 1
            return super().step(batch)

    check = checks(Shown)["check_backbone_resumes"]
    with pytest.warns(CheckWarning, match=r"count \(2, resumed 1\)"):
        check()


def test_the_line_that_makes_a_tensor_elsewhere_is_named(checks):
    check = checks(PlainTensor)["check_backbone_device"]
    with pytest.raises(
        AssertionError, match=r"on cpu meets .* a trip \(.*test_backbone_checks.py:"
    ):
        check()


def test_no_check_changes_what_others_look_at(checks):
    """Schedulers of PyTorch, autocast and moves of modules work as before."""
    run_checks(checks(scheduled(lambda optimiser: StepLR(optimiser, 1))).values())
    weight = nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimiser = torch.optim.SGD(weight.parameters(), 1.0)
        StepLR(optimiser, 1)
        assert not torch.__future__.get_swap_module_params_on_conversion()
        with torch.autocast("cpu", torch.bfloat16):
            assert weight(torch.ones(1, 2)).dtype == torch.bfloat16

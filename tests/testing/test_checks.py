"""Every check of a component of any kind can fail: broken ones are caught."""

import contextlib
import socket
import sys
from pathlib import Path
from types import ModuleType
from unittest import SkipTest

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from anokit import Component, ImageSpec, Options, Phase, RoundTrip, Sample, Watcher, hookimpl
from anokit.data import ArraySplit
from anokit.errors import DataError, MissingDataError
from anokit.testing import collect_checks, random_trip
from anokit.testing.check import PROMISES
from anokit.testing.table import run_checks
from anokit.testing.trips import select
from anokit.types import Pieces

IMAGES = frozenset({"image", "image_hat"})


def asks_network():
    """Ask the network, and hide that it was refused."""
    with contextlib.suppress(OSError):
        socket.create_connection(("example.org", 80), timeout=0.01)


class Distance(nn.Module):
    """A sound score with state and a map: distance from the mean training image."""

    def __init__(self, options):
        super().__init__()
        self.register_buffer("mean", torch.empty(0))

    def fit(self, trips):
        images = [trip.image for trip in trips]
        self.mean = torch.cat(images).mean(dim=0)

    def forward(self, trip):
        return self.map(trip).mean(dim=(1, 2))

    def map(self, trip):
        return (trip.image - self.mean).square().mean(dim=1)


def changed(base, **methods):
    """Return a subclass with other methods."""
    return type("Changed", (base,), methods)


def scored(change):
    """Return a score whose values are ``change(values, trip)``."""
    return changed(Distance, forward=lambda self, trip: change(Distance.forward(self, trip), trip))


def fits(fit):
    """Return a score that is fitted by ``fit``."""
    return changed(Distance, fit=fit)


class Plain:
    """A score that learns although it is no module."""

    def __init__(self, options):
        self.mean = 0.0

    def fit(self, trips):
        self.mean = sum(float(trip.image.mean()) for trip in trips)

    def __call__(self, trip):
        return trip.image.mean(dim=(1, 2, 3)) - self.mean


class Hidden(Distance):
    """A score that keeps what it learns where no file sees it."""

    def fit(self, trips):
        super().fit(trips)
        self.secret = float(self.mean.mean())

    def forward(self, trip):
        return super().forward(trip) + self.secret


class Graph(Distance):
    """A score that keeps a graph of gradients."""

    def forward(self, trip):
        with torch.enable_grad():
            return super().forward(trip) * torch.ones((), requires_grad=True)


def spoil(values, trip):
    trip.image.zero_()
    return values


def unsteady(self, trips):
    Distance.fit(self, trips)
    self.mean = self.mean + torch.rand(())


def spoiling(self, trips):
    Distance.fit(self, trips)
    for trip in trips:
        trip.image.clamp_(0, 1)


def nothing_learned(self, trips):
    del self._buffers["mean"]
    self.mean = 0.0


def planted():
    """Plant anomalies: the second half of the images is bright, far from every training image."""
    ordinary = random_trip(8)
    bright = select(random_trip(8, seed=5), range(4))
    return ordinary, RoundTrip(image=bright.image.abs() + 0.5)


SCORES = {
    "check_score_shape": [scored(lambda v, t: v[:, None]), scored(lambda v, t: v.tolist())],
    "check_score_finite": [scored(lambda v, t: v.log().log())],
    "check_score_float32": [scored(lambda v, t: v.double())],
    "check_score_keeps_no_gradient": [Graph],
    "check_score_leaves_inputs": [scored(spoil)],
    "check_score_deterministic": [scored(lambda v, t: v + torch.rand(()))],
    "check_score_one_image": [
        scored(lambda v, t: v / v.std()),
        scored(lambda v, t: v if len(v) > 1 else v[2:]),
    ],
    "check_score_independent_of_batch": [scored(lambda v, t: v - v.mean())],
    "check_score_independent_of_order": [scored(lambda v, t: v + torch.arange(len(v)))],
    "check_score_declares_needs": [
        scored(lambda v, t: v + t.latent.mean(dim=1)),
        scored(lambda v, t: v + (0 if t.latent is None else 1)),
    ],
    "check_score_finds_planted": [scored(lambda v, t: -v)],
    "check_score_fit_repeats": [fits(unsteady)],
    "check_score_fit_leaves_inputs": [fits(spoiling)],
    "check_score_state_survives": [Plain, Hidden, fits(nothing_learned)],
    "check_score_map": [
        changed(Distance, map=lambda self, trip: trip.image),
        changed(Distance, map=lambda self, trip: trip.image.mean(dim=1) / trip.image.std()),
        changed(Distance, map=lambda self, trip: trip.image_hat.mean(dim=1)),
        changed(Distance, map=lambda self, trip: trip.image.mean(dim=1).sqrt()),
    ],
}


class Mean:
    """A sound encoder loss."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        return (trip.image - trip.image_hat).abs().mean()


def loss(compute):
    """Return an encoder loss."""
    return changed(Mean, __call__=lambda self, trip: compute(trip.image - trip.image_hat, trip))


LOSSES = {
    "check_loss_scalar": [
        loss(lambda d, t: d.abs().mean(dim=(1, 2, 3))),
        loss(lambda d, t: 1.0),
        loss(lambda d, t: (d * 10).long().sum()),
    ],
    "check_loss_finite": [loss(lambda d, t: (d.mean() - 5).log())],
    "check_loss_leaves_inputs": [loss(lambda d, t: t.image_hat.zero_().mean())],
    "check_loss_declares_needs": [
        loss(lambda d, t: d.abs().mean() + t.latent.square().mean()),
        loss(lambda d, t: d.abs().mean() * (1 if t.latent is None else 2)),
    ],
    "check_loss_gradient": [
        loss(lambda d, t: d.detach().abs().mean()),
        loss(lambda d, t: t.image.square().mean() + 0 * t.image_hat.sum()),
        loss(lambda d, t: d.abs().sqrt().sum() * 1e30 * d.abs().exp().mean() ** 1e5),
    ],
    "check_loss_zero_when_perfect": [loss(lambda d, t: d.abs().mean() + 1)],
}


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
        asks_network()


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
    "check_backbone_shapes": [changed(Autoencoder, round_trip=flat), Small, Distance],
    "check_backbone_independent_of_batch": [changed(Autoencoder, round_trip=crowd)],
    "check_backbone_one_seed": [changed(Autoencoder, step=noisy)],
    "check_backbone_state_survives": [Forgetful],
    "check_backbone_no_network": [Downloads],
}


class RootOptions(Options):
    """Options of the dataset below."""

    root: str = Field(description="folder with data")


class Stripes:
    """A sound dataset: three splits of striped images."""

    protocol, notices, spec = "toy", (), ImageSpec(1, 4, 4)

    def __init__(self, options):
        self.root = Path(options.root)
        if not self.root.is_dir():
            raise MissingDataError(f"{options.root} does not exist; expected {options.root}/*.npy")
        self.train, self.contaminants = self.split("train", 5), self.split("odd", 2)
        self.test = self.split("test", 4, labels=[0, 1, 0, 1])

    def split(self, name, count, **more):
        images = np.random.default_rng(len(name)).integers(0, 256, (count, 1, 4, 4), np.uint8)
        files = [str(self.root / f"{name}-{i}.npy") for i in range(count)]
        for file, image in zip(files, images, strict=True):
            np.save(file, image)
        return ArraySplit(images, [f"{name}/{i}" for i in range(count)], files=files, **more)


def stripes_reader(options, spec, change=lambda image: image):
    """Return what reads one of their files; ``change`` is what a faulty one does to it."""

    def read(path):
        try:
            return change(np.load(path))
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None

    return read


def with_reader(change):
    """Return the dataset with a reader that does something to what it reads."""
    described = {"reader": lambda options, spec: stripes_reader(options, spec, change)}
    return changed(Stripes, described=described)


def of_pieces(images):
    """Return the dataset with a reader that makes these of every file."""

    def make(options, spec):
        read = stripes_reader(options, spec)
        read.pieces = lambda path: Pieces(images, [(0, 0, 4, 4)] * len(images), (4, 4))
        return read

    return changed(Stripes, described={"reader": make})


class Listed:
    """A split without bulk access."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        given = self.samples[index]
        return given() if callable(given) else given


def with_train(*samples):
    """Return a dataset with another training split."""

    def init(self, options):
        Stripes.__init__(self, options)
        self.train = Listed(samples)

    return changed(Stripes, __init__=init)


def sample(label=None, mask=None, **changes):
    given = {"image": torch.full((1, 4, 4), 9, dtype=torch.uint8), "id": "x", **changes}
    return Sample(given["image"], label, given["id"], mask)


def random_sample():
    return sample(image=torch.randint(0, 256, (1, 4, 4), dtype=torch.uint8))


class Deceiving(ArraySplit):
    """A split whose bulk images are others than its samples."""

    def __getitem__(self, index):
        given = super().__getitem__(index)
        return given._replace(image=255 - given.image)


def with_error(error):
    """Return a dataset that says something else where its root is missing."""

    def init(self, options):
        try:
            Stripes.__init__(self, options)
        except MissingDataError:
            raise error from None

    return changed(Stripes, __init__=init)


def refuse():
    raise DataError("a file cannot be read")


def careless(self, options):
    self.root = Path(options.root)
    self.train = self.split("train", 5)
    self.contaminants = self.test = None


def downloading(self, options):
    asks_network()
    Stripes.__init__(self, options)


def deceived(self, options):
    Stripes.__init__(self, options)
    self.train = Deceiving(self.train.images, self.train.ids)


def mixed(self, options):
    Stripes.__init__(self, options)
    self.test = self.train


DATASETS = {
    "check_dataset_samples": [
        with_train(),
        with_train(sample(image=np.zeros((1, 4, 4), np.uint8))),
        with_train(sample(image=torch.rand(1, 4, 4))),
        with_train(sample(image=torch.full((4, 4), 9, dtype=torch.uint8))),
        with_train(sample(image=torch.ones((1, 4, 4), dtype=torch.uint8))),
    ],
    "check_dataset_labels": [
        with_train(sample(label=0)),
        with_train(sample(mask=torch.zeros(4, 4, dtype=torch.bool))),
        changed(Stripes, split=lambda self, n, c, **m: Listed([sample(2 if m else None)])),
        changed(
            Stripes,
            split=lambda self, n, c, **m: Listed([sample(1, torch.zeros(4, 4)) if m else sample()]),
        ),
    ],
    "check_dataset_repeats": [
        with_train(random_sample),
        changed(Stripes, __init__=deceived),
    ],
    "check_dataset_disjoint": [
        with_train(sample(), sample()),
        changed(Stripes, __init__=mixed),
    ],
    "check_dataset_words": [
        changed(Stripes, protocol=""),
        changed(Stripes, notices="one long sentence"),
    ],
    "check_dataset_planned_shape": [changed(Stripes, spec=ImageSpec(1, 8, 8))],
    "check_dataset_reader": [
        with_reader(lambda image: 255 - image),
        with_reader(lambda image: image.swapaxes(1, 2)),
        with_reader(lambda image: image.repeat(2, axis=1)),
        with_reader(lambda image: image[0]),
        with_reader(lambda image: image / 255),
        with_reader(lambda image: image[:, ::-1] + np.uint8(1)),
        with_reader(lambda image: 1 // 0),
        with_reader(lambda image: None),
        of_pieces(torch.zeros(1, 1, 4, 4, dtype=torch.uint8)),
        of_pieces(torch.zeros(2, 1, 4, 4, dtype=torch.uint8)),
        changed(Stripes, described={"reader": lambda options, spec: spec.height}),
    ],
    "check_dataset_reader_refuses": [
        changed(Stripes, described={"reader": lambda options, spec: np.load}),
        changed(Stripes, described={"reader": lambda options, spec: lambda path: None}),
        changed(Stripes, described={"reader": lambda options, spec: lambda path: refuse()}),
    ],
    "check_dataset_missing": [
        changed(Stripes, __init__=careless),
        with_error(DataError("no such folder")),
        with_error(MissingDataError("the data are missing")),
        with_error(FileNotFoundError("no such folder")),
    ],
    "check_dataset_downloads_nothing": [changed(Stripes, __init__=downloading)],
}


class Diary(Watcher):
    """Writes a line into the current folder."""

    def __init__(self, options):
        self.times = 0

    def begun(self, directory, recipe, kept):
        self.times = kept.get("times", 0) + 1
        return {"times": self.times}

    def finished(self, directory, results):
        Path("diary.txt").write_text(f"{self.times}: {results['rows'][0]['name']}")


def raising(*arguments, **more):
    raise ValueError("cannot")


WATCHERS = {
    "check_watcher_is_one": [lambda options: object()],
    "check_watcher_takes_whole_run": [
        changed(Diary, metrics=raising),
        changed(Diary, finished=lambda s, d, r: [x["metrics"]["auroc"] for x in r["rows"]]),
    ],
    "check_watcher_takes_resumed_run": [
        changed(Diary, stopped=raising),
        changed(Diary, begun=lambda self, directory, recipe, kept: {"self": self}),
        changed(Diary, begun=lambda self, d, r, kept: {"a": 1} if not kept else raising()),
    ],
    "check_watcher_prints_nothing": [
        changed(Diary, training=lambda self, total: print(total)),
        changed(Diary, done=lambda self: sys.stderr.write("done")),
    ],
    "check_watcher_leaves_directory": [
        changed(Diary, finished=lambda s, directory, r: (directory / "mine.txt").write_text("")),
        changed(Diary, finished=lambda s, directory, r: (directory / "report.html").unlink()),
    ],
    "check_watcher_leaves_randomness": [
        changed(Diary, metrics=lambda self, line: torch.manual_seed(0)),
        changed(Diary, metrics=lambda self, line: np.random.rand(3)),  # noqa: NPY002
    ],
}

KINDS = {
    "score": (SCORES, Distance, {"needs": frozenset({"image"}), "map_needs": frozenset({"image"})}),
    "encoder-loss": (LOSSES, Mean, {"needs": IMAGES, "trip_from": "image"}),
    "backbone": (
        BACKBONES,
        Autoencoder,
        {"provides": IMAGES | {"latent"}, "trips": frozenset({"image"})},
    ),
    "dataset": (
        DATASETS,
        Stripes,
        {
            "options": RootOptions,
            "example": {"root": "."},
            "image_spec": lambda options: ImageSpec(1, 4, 4),
            "reader": stripes_reader,
        },
    ),
    "watcher": (WATCHERS, Diary, {}),
}
HOOKS = {
    "score": "anokit_scores",
    "encoder-loss": "anokit_encoder_losses",
    "backbone": "anokit_backbones",
    "dataset": "anokit_datasets",
    "watcher": "anokit_watchers",
}
SAMPLES = {"dataset": lambda folder: {"root": str(folder)}, "score": planted}


@pytest.fixture
def checks(monkeypatch):
    """Return the checks of a plugin with one component, by name."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")

    def collect(kind, factory, samples=True, **changes):
        described = {"summary": "A toy", "factory": factory, **KINDS[kind][2], **changes}
        module = ModuleType("kit_toy")

        def hook():
            return [Component(name="toy", **described)]

        hook.__name__ = HOOKS[kind]
        setattr(module, HOOKS[kind], hookimpl(hook))
        monkeypatch.setitem(sys.modules, "kit_toy", module)
        given = {"toy": SAMPLES[kind]} if samples and kind in SAMPLES else None
        return {check.name: check for check in collect_checks(module, samples=given)}

    return collect


CASES = [
    (kind, name, factory)
    for kind, (broken, _, _) in KINDS.items()
    for name, factories in broken.items()
    for factory in factories
]


@pytest.mark.parametrize(("kind", "name", "factory"), CASES)
def test_a_broken_component_is_caught(checks, kind, name, factory):
    # The planted anomaly is for the check that looks for it; random trips suit all the others.
    samples = kind == "dataset" or name == "check_score_finds_planted"
    check = checks(kind, factory, samples, **getattr(factory, "described", {}))[name]
    (result,) = run_checks([check])
    assert result.outcome == "failed"
    assert result.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_component_passes_every_check_of_its_kind(checks, kind):
    found = checks(kind, KINDS[kind][1])
    for name in KINDS[kind][0]:
        found[name]()


def test_every_check_of_every_kind_is_proved_here():
    known = {(kind, name) for kind, (broken, _, _) in KINDS.items() for name in broken}
    about = {(p.about, p.name) for p in PROMISES if p.about not in ("plugin", "component")}
    assert about == known


def test_a_map_must_be_declared_and_a_declared_map_must_exist(checks):
    undeclared = checks("score", Distance, map_needs=frozenset())
    with pytest.raises(AssertionError, match="states no map_needs"):
        undeclared["check_score_map"]()
    absent = checks("score", changed(Distance, map=None))
    with pytest.raises(AssertionError, match="has no method map"):
        absent["check_score_map"]()


def test_a_score_without_state_map_or_sample_is_left_alone(checks):
    plain = changed(Mean, __call__=lambda self, trip: trip.image.mean(dim=(1, 2, 3)))
    found = checks("score", plain, samples=False, map_needs=frozenset())
    for name in ("finds_planted", "fit_repeats", "fit_leaves_inputs", "state_survives", "map"):
        with pytest.raises(SkipTest):
            found[f"check_score_{name}"]()


def test_a_field_that_nobody_fills_asks_for_a_sample(checks):
    found = checks("score", Distance, samples=False, needs=frozenset({"image", "own-field"}))
    with pytest.raises(AssertionError, match="own-field"):
        found["check_score_shape"]()


def test_a_dataset_without_data_is_skipped_with_a_reason(checks):
    found = checks("dataset", Stripes, samples=False, example={"root": "/nowhere/at/all"})
    with pytest.raises(SkipTest, match="no data"):
        found["check_dataset_samples"]()
    found["check_dataset_missing"]()


def test_a_dataset_of_files_without_a_reader_is_told_what_that_means(checks):
    found = checks("dataset", Stripes, reader=None)
    with pytest.raises(SkipTest, match="cannot read new images as this dataset does"):
        found["check_dataset_reader"]()
    with pytest.raises(SkipTest, match="no reader"):
        found["check_dataset_reader_refuses"]()


def test_ids_that_are_paths_are_files_too(checks):
    def init(self, options):
        Stripes.__init__(self, options)
        for split in (self.train, self.contaminants, self.test):
            split.ids = [Path(file).name for file in split.files]
            split.files = None

    changed_images = with_reader(lambda image: 255 - image).described
    checks("dataset", changed(Stripes, __init__=init))["check_dataset_reader"]()
    found = checks("dataset", changed(Stripes, __init__=init), **changed_images)
    with pytest.raises(AssertionError, match="differ by up to"):
        found["check_dataset_reader"]()


def test_the_network_is_refused_and_the_attempt_noted():
    from anokit.testing.offline import offline

    with offline() as tried:
        asks_network()
        with pytest.raises(OSError, match="no network"):
            socket.getaddrinfo("example.org", 80)
        with socket.socket() as plug, pytest.raises(OSError, match="no network"):
            plug.connect(("127.0.0.1", 9))
    assert len(tried) == 3

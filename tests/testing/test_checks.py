"""Every check of a component can fail: broken ones are caught; backbones have their own file."""

import contextlib
import os
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

from anokit import Component, ImageSpec, Options, RoundTrip, Sample, Watcher, hookimpl
from anokit.data import ArraySplit
from anokit.errors import DataError, MissingDataError
from anokit.testing import collect_checks, random_trip
from anokit.testing.check import PROMISES
from anokit.testing.table import run_checks
from anokit.testing.trips import select
from anokit.types import Pieces

IMAGES = frozenset({"image", "image_hat"})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder: some datasets here lay their files into the current one."""
    monkeypatch.chdir(tmp_path)


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


def ask_and_build(self, options):
    Distance.__init__(self, options)
    asks_network()


def ask_and_fit(self, trips):
    Distance.fit(self, trips)
    asks_network()


def spoiling_map(self, trip):
    return trip.image.mul_(0.5).mean(dim=1)


def stretched_map(self, trip):
    residual = (trip.image - trip.image_hat).abs().mean(dim=1)
    return residual / residual.amax(dim=(1, 2), keepdim=True)


def leaking(offset):
    """Return a score that a thousandth of its batch's mean leaks into, behind an offset."""
    return scored(lambda v, t: v + offset + 1e-3 * v.mean())


class Remembers(Distance):
    """A score that standardises by the first batch that it is ever asked about."""

    first = None

    def forward(self, trip):
        value = super().forward(trip)
        if self.first is None:
            self.first = value.mean()
        return value / self.first


class Whitened(nn.Module):
    """A score that inverts a covariance of latents, which copies make singular."""

    def __init__(self, options):
        super().__init__()
        self.register_buffer("factor", torch.empty(0))

    def fit(self, trips):
        rows = torch.cat([trip.latent for trip in trips])
        self.factor = torch.linalg.cholesky(rows.T.cov())

    def forward(self, trip):
        solved = torch.linalg.solve_triangular(self.factor, trip.latent.T, upper=False)
        return torch.linalg.vector_norm(solved, dim=0)


class Accumulates(Distance):
    """A score that goes on from what it learned before."""

    total, count = 0.0, 0

    def fit(self, trips):
        for trip in trips:
            self.total = self.total + trip.image.sum(dim=0)
            self.count += len(trip.image)
        self.mean = self.total / self.count


class Jackknife(Distance):
    """A sound score that can leave an image out: its mean without the image."""

    def __init__(self, options):
        super().__init__(options)
        self.register_buffer("images", torch.empty(0))

    def fit(self, trips):
        self.images = torch.cat([trip.image for trip in trips])
        self.mean = self.images.mean(dim=0)

    def leave_one_out(self, trip, places):
        count = len(self.images)
        mean = (count * self.mean - self.images[places]) / (count - 1)
        return (trip.image - mean).square().mean(dim=(1, 2, 3))


class Choosing(Distance):
    """A sound score that chooses its scale by the images, and can keep it."""

    def __init__(self, options):
        super().__init__(options)
        self.register_buffer("scale", torch.ones(1))

    def fit(self, trips):
        self.scale = torch.cat([trip.image for trip in trips]).std()[None]
        super().fit(trips)

    def refit(self, trips):
        super().fit(trips)

    def forward(self, trip):
        return super().forward(trip) / self.scale


def last_batch(self, trips):
    for trip in trips:
        self.mean = trip.image.mean(dim=0)


def mean_of_spreads(self, trips):
    spreads = [trip.image.std(dim=0, correction=0) for trip in trips]
    self.mean = torch.stack(spreads).mean(dim=0)


def on_cpu(self, trips):
    total = torch.zeros(3, 16, 16)
    for trip in trips:
        total = total + trip.image.sum(dim=0)
    self.mean = total


class Kernel(Distance):
    """A score with a tensor that does not move with it."""

    def __init__(self, options):
        super().__init__(options)
        self.kernel = torch.full((1, 1, 3, 3), 1 / 9)

    def map(self, trip):
        grey = trip.image.mean(dim=1, keepdim=True)
        return nn.functional.conv2d(grey, self.kernel, padding=1)[:, 0]


def threads(values, trip):
    torch.set_num_threads(torch.get_num_threads() + 1)
    return values


def seeding(self, trips):
    torch.manual_seed(0)
    Distance.fit(self, trips)


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
    "check_score_leaves_inputs": [
        scored(spoil),
        scored(lambda v, t: v + 0 * t.image.clamp_(0, 1).mean()),
        changed(Distance, map=spoiling_map),
    ],
    "check_score_deterministic": [scored(lambda v, t: v + torch.rand(()))],
    "check_score_one_image": [
        scored(lambda v, t: v / v.std()),
        scored(lambda v, t: v if len(v) > 1 else v[2:]),
    ],
    "check_score_independent_of_batch": [
        scored(lambda v, t: v - v.mean()),
        scored(lambda v, t: v + 1e-3 * v.mean()),
        *[leaking(offset) for offset in (1, 10, 100, -1000)],
        Remembers,
    ],
    "check_score_independent_of_order": [scored(lambda v, t: v + torch.arange(len(v)))],
    "check_score_declares_needs": [
        scored(lambda v, t: v + t.latent.mean(dim=1)),
        scored(lambda v, t: v + (0 if t.latent is None else 1)),
    ],
    "check_score_finds_planted": [scored(lambda v, t: -v)],
    "check_score_fit_repeats": [fits(unsteady)],
    "check_score_fit_starts_anew": [Accumulates],
    "check_score_fit_independent_of_batches": [fits(last_batch), fits(mean_of_spreads)],
    "check_score_fit_leaves_inputs": [fits(spoiling)],
    "check_score_leave_one_out": [
        changed(Jackknife, leave_one_out=lambda self, trip, places: self(trip)),
        changed(
            Jackknife,
            leave_one_out=lambda self, trip, places: Jackknife.leave_one_out(
                self, trip, torch.arange(len(places))
            ),
        ),
        changed(Jackknife, leave_one_out=lambda self, trip, places: self(trip)[:1]),
    ],
    "check_score_refit": [
        changed(Choosing, refit=lambda self, trips: self.scale.mul_(2)),
        changed(Choosing, refit=lambda self, trips: Choosing.refit(self, [*trips][:1])),
    ],
    "check_score_edge_images": [
        scored(lambda v, t: v / t.image.std(dim=(1, 2, 3))),
        scored(lambda v, t: 1 / (t.image - t.image_hat).abs().mean(dim=(1, 2, 3))),
        scored(lambda v, t: v / t.latent.norm(dim=1)),
        scored(lambda v, t: t.image[t.image.std(dim=(1, 2, 3)) > 0].mean(dim=(1, 2, 3))),
        changed(Distance, map=stretched_map),
        changed(Distance, map=lambda self, trip: trip.image.std(dim=1).log()),
        fits(lambda self, trips: setattr(self, "mean", 1 / torch.cat([t.latent for t in trips]))),
        Whitened,
    ],
    "check_score_image_shapes": [
        scored(lambda v, t: t.image[:, 2].mean(dim=(1, 2))),
        scored(lambda v, t: t.image.view(len(v), -1, 256).mean(dim=(1, 2))[:, None][:, 0] + 0),
        changed(Distance, map=lambda self, trip: Distance.map(self, trip).mT),
        changed(Distance, map=lambda self, trip: Distance.map(self, trip)[:, :16, :16]),
    ],
    "check_score_leaves_process": [
        scored(threads),
        scored(lambda v, t: v + 0 * torch.rand(())),
        scored(lambda v, t: v + 0 * np.random.rand()),  # noqa: NPY002
        scored(lambda v, t: (torch.set_default_dtype(torch.float64), v)[1]),
        fits(seeding),
        changed(Distance, map=lambda self, t: Distance.map(self, t) + 0 * torch.rand(())),
    ],
    "check_score_no_network": [changed(Distance, __init__=ask_and_build), fits(ask_and_fit)],
    "check_score_device": [
        scored(lambda v, t: v + torch.zeros(len(v))),
        scored(lambda v, t: torch.cat([v[:1], torch.ones(len(v) - 1)])),
        scored(lambda v, t: torch.zeros(len(v)).add_(v)),
        fits(on_cpu),
        Kernel,
        changed(Distance, map=lambda self, t: Distance.map(self, t) * torch.ones(16, 16)),
    ],
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
    "check_loss_finite": [
        loss(lambda d, t: (d.mean() - 5).log()),
        loss(lambda d, t: d.abs().mean() / t.latent.norm()),
    ],
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
    "check_loss_gradient_when_perfect": [
        loss(lambda d, t: d.square().flatten(1).sum(dim=1).sqrt().mean()),
        loss(lambda d, t: (d * d).mean().sqrt()),
    ],
    "check_loss_not_negative": [
        loss(lambda d, t: -d.abs().mean()),
        loss(lambda d, t: d.abs().mean() - 1e-3),
    ],
    "check_loss_device": [
        loss(lambda d, t: (d.abs() * torch.ones(16, 16)).mean()),
        loss(lambda d, t: nn.functional.l1_loss(d, torch.zeros(d.shape))),
    ],
    "check_loss_leaves_process": [
        loss(lambda d, t: (d + 0 * torch.rand(())).abs().mean()),
        loss(lambda d, t: threads(d.abs().mean(), t)),
    ],
    "check_loss_no_network": [
        changed(Mean, __init__=lambda self, options: asks_network()),
        loss(lambda d, t: (asks_network(), d.abs().mean())[1]),
    ],
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


def always_downloading(self, options):
    Stripes.__init__(self, options)
    asks_network()


def drawing(self, options):
    np.random.rand()  # noqa: NPY002
    Stripes.__init__(self, options)


def drawn_sample():
    torch.rand(())
    return sample()


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
    "check_dataset_downloads_nothing": [
        changed(Stripes, __init__=downloading),
        changed(Stripes, __init__=always_downloading),
    ],
    "check_dataset_leaves_process": [
        changed(Stripes, __init__=drawing),
        with_train(drawn_sample),
    ],
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
        changed(Diary, metrics=lambda self, line: torch.set_num_threads(9)),
        changed(Diary, done=lambda self: os.chdir("/")),
    ],
    "check_watcher_no_network": [changed(Diary, __init__=lambda self, options: asks_network())],
}

KINDS = {
    "score": (
        SCORES,
        Jackknife,
        {"needs": frozenset({"image"}), "map_needs": frozenset({"image"})},
    ),
    "encoder-loss": (LOSSES, Mean, {"needs": IMAGES, "trip_from": "image"}),
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


def offset(value):
    """Return a score of many summands with a large offset, rounded as float32 rounds."""
    return scored(lambda v, t: ((t.image - t.image_hat).abs() + value).mean(dim=(1, 2, 3)))


class Wide(Distance):
    """A score that computes in float64 and keeps what it learned in float32."""

    def fit(self, trips):
        super().fit(trips)
        self.exact = torch.cat([trip.image for trip in trips]).double().mean(dim=0)

    def forward(self, trip):
        mean = getattr(self, "exact", self.mean)
        return (trip.image - mean).square().mean(dim=(1, 2, 3)).float()


class Estimator(Distance):
    """A score whose fit goes through NumPy on the CPU, and comes back."""

    def fit(self, trips):
        rows = np.concatenate([trip.image.cpu().numpy() for trip in trips])
        self.mean = torch.from_numpy(rows.mean(axis=0)).to(self.mean.device)


class Moving(Kernel):
    """A score that moves its own tensors along with it."""

    def _apply(self, fn, recurse=True):
        self.kernel = fn(self.kernel)
        return super()._apply(fn, recurse)


def refusing(self, trips):
    Distance.fit(self, trips)
    if float(self.mean.std()) < 0.05:
        raise DataError("all training images are of one grey level: look at them")


def colour_squares(values, trip):
    if trip.image.shape[1] != 3 or trip.image.shape[2] != trip.image.shape[3]:
        raise DataError("expected square colour images")
    return trip.image[:, 2].mean(dim=(1, 2))


def indexing(values, trip):
    """Do with CPU tensors what works on a GPU too."""
    order = torch.arange(len(values) - 1, -1, -1)
    values[order[:0]] = 0
    return values[order].flip(0) * torch.tensor(1.0)


RIGHT = {
    **{f"offset-{value:g}": offset(value) for value in (0, 10, -1e3, 1e5, 1e7)},
    "loads-in-float32": Wide,
    "estimator": Estimator,
    "moves-its-own": Moving,
    "leaves-one-out": Jackknife,
    "refits": Choosing,
    "refuses-flat-images": fits(refusing),
    "refuses-shapes": scored(colour_squares),
    "indexes-from-the-cpu": scored(indexing),
    "draws-when-built": changed(
        Distance,
        __init__=lambda self, options: (
            Distance.__init__(self, options),
            torch.rand(3),
            np.random.rand(3),  # noqa: NPY002
        )[0],
    ),
    "draws-from-its-own-generator": fits(
        lambda self, trips: (
            Distance.fit(self, trips),
            torch.rand(3, generator=torch.Generator().manual_seed(3)),
        )[0]
    ),
}


@pytest.mark.parametrize("factory", RIGHT.values(), ids=RIGHT)
def test_a_sound_score_passes_however_it_is_made(checks, factory):
    needs = {"needs": IMAGES, "map_needs": frozenset({"image"})}
    found = checks("score", factory, samples=False, **needs)
    results = run_checks([found[name] for name in SCORES if name != "check_score_finds_planted"])
    assert not [result for result in results if result.outcome == "failed"]


def test_of_what_needs_numbers_it_is_said_that_nothing_can_be_told(checks):
    with pytest.raises(SkipTest, match=r"without a GPU.*being fitted"):
        checks("score", Estimator, samples=False)["check_score_device"]()
    reads = scored(lambda v, t: v + float(v.max() > 9))
    with pytest.raises(SkipTest, match=r"without a GPU.*scoring images"):
        checks("score", reads, samples=False)["check_score_device"]()


def test_the_number_that_a_score_was_fitted_to_can_be_read_without_a_gpu(checks):
    class Counts(Distance):
        def __init__(self, options):
            super().__init__(options)
            self.register_buffer("count", torch.empty(0, dtype=torch.int64))

        def fit(self, trips):
            super().fit(trips)
            self.count = torch.tensor([40])

        def forward(self, trip):
            if int(self.count) != 40:
                raise DataError("fitted to other images")
            return super().forward(trip)

    checks("score", Counts, samples=False)["check_score_device"]()


def test_the_line_where_a_cpu_tensor_meets_a_cuda_one_is_said(checks, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    code = "import torch\n\n\nclass Far:\n    def __init__(self, options):\n        pass\n\n"
    code += "    def __call__(self, trip):\n        values = trip.image.mean(dim=(1, 2, 3))\n"
    (tmp_path / "kit_far.py").write_text(
        code + "        return values + torch.zeros(len(values))\n"
    )
    found = checks("score", "kit_far:Far", samples=False, map_needs=frozenset())
    try:
        with pytest.raises(AssertionError, match=r"scoring images \(.*kit_far\.py:10\)"):
            found["check_score_device"]()
    finally:
        sys.modules.pop("kit_far", None)


def test_no_check_of_a_score_sees_what_an_earlier_one_left(checks):
    found = checks("score", scored(spoil), samples=False)
    order = ["check_score_shape", "check_score_map", "check_score_leaves_inputs"]
    outcomes = {r.check: r.outcome for r in run_checks([found[name] for name in order])}
    assert outcomes["check_score_leaves_inputs"] == "failed"


def test_no_check_of_a_loss_sees_what_an_earlier_one_left(checks):
    class Late(Mean):
        calls = 0

        def __call__(self, trip):
            self.calls += 1
            return super().__call__(trip) / (self.calls - 1)

    found = checks("encoder-loss", Late)
    outcomes = [r.outcome for r in run_checks([found["check_loss_finite"]] * 2)]
    assert outcomes == ["failed", "failed"]


def test_a_sound_loss_passes_however_it_is_made(checks):
    class Weighted(nn.Module):
        def __init__(self, options):
            super().__init__()
            self.register_buffer("kernel", torch.full((1, 1, 3, 3), 1 / 9))

        def forward(self, trip):
            difference = (trip.image - trip.image_hat).mean(dim=1, keepdim=True)
            smooth = nn.functional.conv2d(difference, self.kernel)
            return (smooth.square().mean() + 1e-12).sqrt() - 1e-6

    found = checks("encoder-loss", Weighted)
    for name in LOSSES:
        found[name]()


class PlaceOptions(Options):
    """Options of a dataset that is read from several places."""

    folders: tuple[str, ...] = Field((), description="folders with data")
    lists: Path | None = Field(None, description="file that lists them")


class Elsewhere(Stripes):
    """A sound dataset none of whose options is called root."""

    def __init__(self, options):
        for place in (*options.folders, *([options.lists] if options.lists else ())):
            if not Path(place).exists():
                raise MissingDataError(f"{place} does not exist; expected a folder of images")
        super().__init__(RootOptions(root="."))


def places(folder):
    (folder / "a").mkdir(exist_ok=True)
    (folder / "list.txt").write_text("a")
    return {"folders": [str(folder / "a")], "lists": folder / "list.txt"}


def test_the_options_of_a_dataset_need_not_be_called_root(checks, monkeypatch):
    monkeypatch.setitem(SAMPLES, "dataset", places)
    options = {"options": PlaceOptions, "example": {}}
    found = checks("dataset", Elsewhere, **options)
    for name in DATASETS:
        found[name]()
    careless = checks("dataset", changed(Elsewhere, __init__=careless_at(".")), **options)
    with pytest.raises(AssertionError, match="nothing was raised"):
        careless["check_dataset_missing"]()


def careless_at(root):
    return lambda self, options: Stripes.__init__(self, RootOptions(root=root))


def test_every_check_of_every_kind_is_proved_here():
    known = {(kind, name) for kind, (broken, _, _) in KINDS.items() for name in broken}
    elsewhere = ("plugin", "component", "backbone")
    about = {(p.about, p.name) for p in PROMISES if p.about not in elsewhere}
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

"""A one-file plugin that does what no plugin may: each option ``how`` is one fault, planted."""

import os
import random
import sys

import numpy as np
import torch
from pydantic import Field
from torch import nn

from anokit import Component, ImageSpec, Options, Phase, RoundTrip, Sample, hookimpl


class HostileOptions(Options):
    """Options of every component here."""

    how: str = Field("nothing", description="which fault it has")
    at: int = Field(0, description="grey level of the image that it fails for, where it is one")


def meddle(how):
    """Change the state of the process."""
    if how == "dtype":
        torch.set_default_dtype(torch.float64)
    elif how == "threads":
        torch.set_num_threads(torch.get_num_threads() + 1)
    elif how == "grad":
        torch.set_grad_enabled(True)
    elif how == "torch":
        torch.rand(3)
    elif how == "numpy":
        np.random.rand(3)  # noqa: NPY002
    elif how == "python":
        random.random()
    elif how == "errors":
        np.seterr(all="raise")
    elif how == "folder":
        os.chdir("/")


def end(how):
    """Leave by another door than a plain exception."""
    if how == "exit":
        sys.exit(3)
    elif how == "interrupt":
        raise KeyboardInterrupt
    elif how == "memory":
        raise MemoryError("no more of it")
    elif how == "own":
        raise LastWord("goodbye")


class LastWord(BaseException):
    """No exception that a library would catch."""


class Score(nn.Module):
    """The mean of the image, spoilt; fitted where ``how`` begins with ``fit``."""

    def __init__(self, options):
        super().__init__()
        self.how, self.at = options.how, options.at
        if self.how.startswith("fit"):
            if self.how == "fit-unkept":
                self.seen = None  # no buffer
            else:
                self.register_buffer("seen", torch.empty(0))
            self.fit = self.learn
        self.kept = False
        if self.how.startswith("map"):
            self.map = self.draw
        if self.how == "declared":
            self.batch_dependence = "standardised over the batch, as published"
        if self.how.startswith("build-"):
            end(self.how.removeprefix("build-"))

    def learn(self, trips):
        for trip in trips:
            self.seen = trip.image.mean(dim=0)
            if self.how == "fit-write":
                trip.image.zero_()
            elif self.how == "fit-behind":
                trip.image.data.zero_()

    def warnings(self):
        return ["learnt from the last images alone"] if self.how == "fit-says" else []

    def state_dict(self, *args, **kwargs):
        self.kept = True
        return super().state_dict(*args, **kwargs)

    def draw(self, trip):
        value = trip.image.mean(dim=1)
        if self.how == "map-write":
            trip.image.mul_(0.5)
        elif self.how == "map-behind":
            trip.image.data.mul_(0.5)
        return value

    def forward(self, trip):
        value = trip.image.flatten(1).mean(dim=1)
        meddle(self.how)
        end(self.how)
        if self.how == "undeclared":
            value = value + trip.latent.mean(dim=1)
        if self.how == "write":
            trip.image.zero_()
        elif self.how == "behind":
            trip.image.numpy()[:] = 0  # no version is counted
        elif self.how in ("one-nan", "one-raises"):
            bad = (trip.image[:, 0, 0, 0] + 1) * 127.5 == self.at
            if self.how == "one-raises" and bad.any():
                raise ValueError("this one I do not like")
            value = torch.where(bad, float("nan"), value)
        elif self.how in ("crowd", "declared"):
            value = (value - value.mean()) / (value.std(correction=0) + 1e-6)
        elif self.how == "place":
            value = value + torch.arange(len(value))
        elif self.how.startswith("late") and self.training_is_over(trip):
            end(self.how.removeprefix("late-"))
            raise ValueError("only after training")
        elif self.how == "fit-kept" and self.kept and self.training_is_over(trip):
            raise ValueError("only once it is kept")
        return value

    @staticmethod
    def training_is_over(trip):
        return len(trip.image) > 2


class Model(nn.Module):
    """A backbone that is never trained and spoils what it is given."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__()
        self.how = options.how

    def phases(self):
        return []

    def round_trip(self, images, needs):
        latent = images.flatten(1)
        if self.how == "write":
            images.zero_()
        elif self.how == "behind":
            images.data.mul_(0.5)
        elif self.how == "mode":
            self.train()
        elif self.how == "crowd":
            latent = latent - latent.mean(dim=0)
        meddle(self.how)
        end(self.how)
        return RoundTrip(image=images, latent=latent, image_hat=images)


class Trained(Model):
    """A backbone whose second training step spoils things."""

    def __init__(self, options, spec, encoder_losses):
        super().__init__(options.model_copy(update={"how": "nothing"}), spec, encoder_losses)
        self.what = options.how
        self.weight = nn.Parameter(torch.zeros(()))

    def phases(self):
        return [Phase(name="only", step=self.step, optimisers=self.start, batch_size=8, images=32)]

    def start(self):
        return {"sgd": torch.optim.SGD(self.parameters(), 0.1)}

    def step(self, batch):
        if batch.step == 1:
            end(self.what)
        return {"loss": self.weight.detach()}


class Loss:
    """An encoder loss that spoils the trip, or is none."""

    def __init__(self, options):
        self.how = options.how

    def __call__(self, trip):
        end(self.how)
        if self.how == "write":
            trip.image.mul_(2)
        elif self.how == "behind":
            trip.image.data.mul_(2)
        elif self.how == "shape":
            return trip.latent.square().mean(dim=1)
        elif self.how == "raise":
            raise ValueError("no loss today")
        elif self.how == "alone" and len(trip.image) == 1:
            raise ValueError("one image is too few")
        return trip.latent.square().mean()


class Split:
    """Images one by one, spoilt."""

    def __init__(self, how, name, count):
        self.how, self.name, self.count = how, name, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        end(self.how)
        source = torch.Generator().manual_seed(index + 1000 * (self.name == "test"))
        image = torch.randint(0, 256, (1, 8, 8), generator=source).to(torch.uint8)
        if self.how == "float":
            image = image.float() / 255
        elif self.how == "dark":
            image = image // 200
        elif self.how == "random":
            image = (
                image.flip(-1)
                if random.random() < 0.5
                else image + torch.randint(9, (1,)).to(torch.uint8)
            )
        elif self.how == "shape":
            image = image[:, 1:]
        label = index % 2 if self.name == "test" or self.how == "labels" else None
        label = 7 if self.how == "odd label" and self.name == "test" else label
        return Sample(image, label, f"{self.name}/{index}")


class Data:
    """A dataset that breaks its contract."""

    protocol, notices, contaminants, spec = "none", (), None, ImageSpec(1, 8, 8)

    def __init__(self, options):
        self.train, self.test = Split(options.how, "train", 30), Split(options.how, "test", 20)


FIELDS = frozenset({"latent", "image_hat"})


@hookimpl
def anokit_scores():
    options = {"options": HostileOptions, "needs": frozenset({"image"})}
    yield Component(
        name="hostile",
        summary="Does what it may not",
        factory=Score,
        map_needs=lambda o: frozenset({"image"} if o.how.startswith("map") else ()),
        **options,
    )

    yield Component(
        name="error",
        summary="Another plugin's score of a name that the toys have",
        factory=Score,
        options=HostileOptions,
        needs=frozenset({"image"}),
    )


@hookimpl
def anokit_backbones():
    yield Component(
        name="hostile",
        summary="Does what it may not",
        factory=Model,
        options=HostileOptions,
        provides=FIELDS,
        trained=False,
    )
    yield Component(
        name="trained",
        summary="Does what it may not while it is trained",
        factory=Trained,
        options=HostileOptions,
        provides=FIELDS,
    )


@hookimpl
def anokit_encoder_losses():
    yield Component(
        name="hostile",
        summary="Does what it may not",
        factory=Loss,
        options=HostileOptions,
        needs=frozenset({"image", "latent"}),
        trip_from="image",
    )


@hookimpl
def anokit_datasets():
    yield Component(
        name="hostile",
        summary="Does what it may not",
        factory=Data,
        options=HostileOptions,
    )
